import type { Coverage } from '../src/training/events.js';
import { gridOf } from './siteGrid.js';

/** What the methods took hold of in modules of one kind. */
export interface CoveredKind {
  readonly kind: string;
  /** `0–4, 7`; empty beside the layers. */
  readonly layers: string;
  /** `64 × 128`, or several where they differ. */
  readonly shapes: string;
  readonly modules: number;
  readonly trainable: number;
}

/** Covered modules by kind, those beside the layers at the end, each on its own. */
export function coveredKinds(modules: Coverage['modules']): CoveredKind[] {
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
    ...others.map((site) => kindOf(modules[site]?.path ?? '', [site], [])),
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
