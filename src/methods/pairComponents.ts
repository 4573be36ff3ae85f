import { stacked } from './lowRankPair.js';
import type { PairValues } from './lowRankPair.js';

/** These components of B·A alone: rows of A, columns of B. */
export function components({ r, a, b }: PairValues, which: readonly number[]): PairValues {
  const k = which.length;
  const [columns, rows] = [a.length / r, b.length / r];
  const ofA = new Float32Array(k * columns);
  const ofB = new Float32Array(rows * k);
  which.forEach((from, to) => {
    ofA.set(a.subarray(from * columns, (from + 1) * columns), to * columns);
    for (let row = 0; row < rows; row++) ofB[row * k + to] = b[row * r + from]!;
  });
  return { r: k, a: ofA, b: ofB };
}

/** The first components of B·A. */
export function firstComponents(pair: PairValues, count: number): PairValues {
  return components(
    pair,
    Array.from({ length: count }, (_, at) => at),
  );
}

/** The same B·A with components of zeros behind its own, `r` in all. */
export function padded({ r: own, a, b }: PairValues, r: number): PairValues {
  const [columns, rows] = [a.length / own, b.length / own];
  const more = r - own;
  if (more === 0) return { r, a, b };
  const zeros = { r: more, a: new Float32Array(more * columns), b: new Float32Array(rows * more) };
  return stacked({ r: own, a, b }, zeros);
}
