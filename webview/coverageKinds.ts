import type { Coverage } from '../src/training/events.js';
import { gridOf } from './siteGrid.js';

/** What the methods took hold of in modules of one kind. */
export interface CoveredKind {
  readonly kind: string;
  /** `0–4, 7`; empty beside the layers. */
  readonly layers: string;
  /** `64 × 128`, or several where they differ. */
  readonly shapes: string;
  /** 0 for a factor that modules have in common. */
  readonly modules: number;
  readonly trainable: number;
}

/** Covered modules by kind; at the end those beside the layers and factors that modules have in common, each on its own. */
export function coveredKinds({ modules, shared = [] }: Pick<Coverage, 'modules' | 'shared'>): CoveredKind[] {
  const sharers = new Map(shared.map(({ name, paths }) => [name, paths]));
  const { rows, layers, others } = gridOf(modules.map(({ path }) => path));
  const kindOf = (kind: string, at: readonly number[], inLayers: readonly number[]): CoveredKind => {
    const found = at.flatMap((site) => modules[site] ?? []);
    return {
      kind,
      layers: runsOf(inLayers),
      shapes: [...new Set(found.map(({ shape }) => shape.join(' × ')))].join(', '),
      modules: found.length,
      trainable: found.reduce((sum, { trainable }) => sum + trainable, 0),
    };
  };
  return [
    ...rows.map(({ kind, sites }) =>
      kindOf(
        kind,
        sites.filter((site) => site !== undefined),
        layers.filter((_layer, column) => sites[column] !== undefined),
      ),
    ),
    ...others.map((site) => {
      const path = modules[site]?.path ?? '';
      const paths = sharers.get(path);
      const own = kindOf(path, [site], paths === undefined ? [] : gridOf(paths).layers);
      return paths === undefined ? own : { ...own, modules: 0 };
    }),
  ];
}

/** `self_attn.q_proj (0–4)`: modules by kind with their layers; those beside the layers by their path. */
export function sharersOf(paths: readonly string[]): string[] {
  const { rows, layers, others } = gridOf(paths);
  return [
    ...rows.map(({ kind, sites }) => `${kind} (${runsOf(layers.filter((_, at) => sites[at] !== undefined))})`),
    ...others.map((at) => paths[at]!),
  ];
}

/** Ascending numbers with runs drawn together: `0–4, 7`. */
export function runsOf(numbers: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const number of numbers) {
    const last = runs.at(-1);
    if (last?.[1] === number - 1) last[1] = number;
    else runs.push([number, number]);
  }
  return runs.map(([from, to]) => (from === to ? `${from}` : `${from}–${to}`)).join(', ');
}
