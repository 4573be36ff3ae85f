import * as l10n from '@vscode/l10n';
import { nodeAt } from '../config/tree.js';
import type { ConfigNode, ConfigPath } from '../config/tree.js';
import type { Site } from '../models/site.js';

/** Modules of one name, over the layers. */
export interface NamedModules {
  readonly name: string;
  readonly kind: Site['kind'];
  readonly sites: readonly Site[];
}

/** The modules of a model by the last part of their path: `q_proj` with one site per layer. In the model's order. */
export function modulesByName(sites: readonly Site[]): readonly NamedModules[] {
  const groups = new Map<string, Site[]>();
  for (const site of sites) {
    const name = lastPart(site.path);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [site]);
    else group.push(site);
  }
  return [...groups].map(([name, found]) => ({ name, kind: found[0]!.kind, sites: found }));
}

/** The node at a path below `method`; a single method counts as a list of one. */
export function methodNode(tree: ConfigNode, path: ConfigPath): ConfigNode | undefined {
  const [section, index, ...rest] = path;
  return nodeAt(tree, path) ?? (index === 0 ? nodeAt(tree, [section!, ...rest]) : undefined);
}

/** `[576, 576], 30 layers`: the shapes of some modules and where they are. */
export function describeModules(sites: readonly Site[]): string {
  const shapes = [...new Set(sites.map(({ shape }) => `[${shape.join(', ')}]`))];
  const shown = shapes.length > 3 ? `${shapes.slice(0, 3).join(', ')}, …` : shapes.join(', ');
  const layers = new Set(sites.flatMap(({ layer }) => layer ?? [])).size;
  if (layers === 0) return shown;
  return layers === 1 ? l10n.t`${shown}, 1 layer` : l10n.t`${shown}, ${layers} layers`;
}

/** `0–2, 5` */
export function layerRanges(layers: readonly number[]): string {
  const sorted = [...new Set(layers)].sort((a, b) => a - b);
  const ranges: [number, number][] = [];
  for (const layer of sorted) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === layer - 1) last[1] = layer;
    else ranges.push([layer, layer]);
  }
  return ranges.map(([from, to]) => (from === to ? String(from) : `${from}–${to}`)).join(', ');
}

function lastPart(path: string): string {
  return path.slice(path.lastIndexOf('.') + 1);
}
