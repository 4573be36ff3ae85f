import type { ConfigChange } from '../../config/setIn.js';

/** A way to save, from its mildest form to its strongest. */
export interface Idea {
  readonly forms: readonly Form[];
  readonly keepsResult: boolean;
}

export interface Form {
  readonly name: string;
  /** What it costs beside memory. */
  readonly cost: string;
  readonly changes: readonly ConfigChange[];
}

/** So often ranks, lengths and shares are halved: beyond it another run is meant. */
const HALVINGS = 3;

/** Half of a number, a quarter, …: whole ones, unless it is a share, and none below `least`. */
export function halvings(value: number, least: number, most: number = HALVINGS): readonly number[] {
  const found: number[] = [];
  for (let next = half(value); next >= least && next > 0 && found.length < most; next = half(next))
    found.push(next);
  return found;
}

function half(value: number): number {
  return value < 1 ? value / 2 : Math.floor(value / 2);
}
