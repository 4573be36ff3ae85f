import type { Random } from '../../common/random.js';
import { markLargest } from '../../methods/largest.js';
import type { PartOfNumbers } from './combination.js';

/**
 * How the ΔW of several adapters become one:
 * - `linear`: Σ w·ΔW (task arithmetic, Ilharco et al. 2023, section 2; a negative weight takes away);
 * - `magnitude_prune`: the same of what is left of each when only its numbers of largest magnitude stay;
 * - `dare_linear`: the same of what is left when each number stays with the probability `density` and is divided by it
 *   (DARE, Yu et al. 2023, eq. 2);
 * - `ties`, `dare_ties`: pruned so; then each place has a sign, and only the numbers of that sign are averaged (TIES,
 *   Yadav et al. 2023, algorithm 1).
 */
export type DeltaSum =
  | { readonly kind: 'linear' }
  | { readonly kind: 'magnitude_prune'; readonly density: number }
  | { readonly kind: 'ties'; readonly density: number; readonly majority_sign_method: SignMethod }
  | { readonly kind: 'dare_linear'; readonly density: number }
  | { readonly kind: 'dare_ties'; readonly density: number; readonly majority_sign_method: SignMethod };

/** A place's sign: that of the sum of the numbers, or of the sum of their signs. A sum of 0 counts as positive, as in PEFT. */
export type SignMethod = 'total' | 'frequency';

/** One adapter's ΔW of a weight, and what it counts. */
export interface WeightedDelta {
  readonly delta: Float32Array;
  readonly weight: number;
}

/** One ΔW, and what of the others has gone into it. */
export interface SummedDeltas {
  readonly sum: Float32Array;
  /** What pruning took away, where the way prunes. */
  readonly pruned?: PartOfNumbers;
  /** What of the rest had not the elected sign, where signs are elected. */
  readonly outvoted?: PartOfNumbers;
}

/**
 * One ΔW out of several of one shape. As in HF PEFT's `merge_utils`, signs are elected of the numbers before the weights act
 * on them, and the average is over how many numbers agree. Sums are in double precision and rounded once.
 *
 * @param random of which numbers DARE draws, a stream for each delta
 */
export function sumDeltas(
  deltas: readonly WeightedDelta[],
  how: DeltaSum,
  random: (at: number) => Random,
): SummedDeltas {
  if (how.kind === 'linear') return { sum: weightedSum(deltas) };
  const left = deltas.map(({ delta, weight }, at) => ({ delta: prune(delta, how, () => random(at)), weight }));
  const pruned = partOf(deltas, (at, place) => left[at]!.delta[place] === 0);
  if (!('majority_sign_method' in how)) return { sum: weightedSum(left), pruned };
  const signs = elected(left, how.majority_sign_method);
  const against = (each: number, place: number): boolean => each !== 0 && Math.sign(each) !== signs[place];
  return {
    sum: agreeing(left, signs),
    pruned,
    outvoted: partOf(deltas, (at, place) => against(left[at]!.delta[place]!, place)),
  };
}

/** Which numbers of the deltas that are not 0 are left out, with their weights. */
function partOf(deltas: readonly WeightedDelta[], isOut: (at: number, place: number) => boolean): PartOfNumbers {
  let [numbers, squares, allNumbers, allSquares] = [0, 0, 0, 0];
  deltas.forEach(({ delta, weight }, at) => {
    delta.forEach((each, place) => {
      if (each === 0) return;
      const square = (weight * each) ** 2;
      allNumbers++;
      allSquares += square;
      if (!isOut(at, place)) return;
      numbers++;
      squares += square;
    });
  });
  return allSquares === 0
    ? { numbers: 0, squares: 0 }
    : { numbers: numbers / allNumbers, squares: squares / allSquares };
}

function prune(
  delta: Float32Array,
  how: Exclude<DeltaSum, { kind: 'linear' }>,
  random: () => Random,
): Float32Array {
  switch (how.kind) {
    case 'magnitude_prune':
    case 'ties': {
      const [kept] = markLargest([delta], Math.trunc(how.density * delta.length));
      return delta.map((each, at) => (kept![at] === 1 ? each : 0));
    }
    case 'dare_linear':
    case 'dare_ties': {
      const { density } = how;
      const drawn = random();
      return delta.map((each) => (drawn.uniform() < density ? each / density : 0));
    }
  }
}

function weightedSum(deltas: readonly WeightedDelta[]): Float32Array {
  const sum = new Float64Array(deltas[0]!.delta.length);
  for (const { delta, weight } of deltas) delta.forEach((each, at) => (sum[at]! += weight * each));
  return Float32Array.from(sum);
}

/** The sign of each place. */
function elected(deltas: readonly WeightedDelta[], method: SignMethod): Int8Array {
  const votes = new Float64Array(deltas[0]!.delta.length);
  for (const { delta } of deltas) {
    delta.forEach((each, at) => (votes[at]! += method === 'total' ? each : Math.sign(each)));
  }
  return Int8Array.from(votes, (vote) => (vote >= 0 ? 1 : -1));
}

/** At each place the weighted average of the numbers that have its sign. */
function agreeing(deltas: readonly WeightedDelta[], signs: Int8Array): Float32Array {
  return Float32Array.from(signs, (sign, at) => {
    let sum = 0;
    let count = 0;
    for (const { delta, weight } of deltas) {
      const each = delta[at]!;
      if (Math.sign(each) !== sign) continue;
      sum += weight * each;
      count++;
    }
    return count === 0 ? 0 : sum / count;
  });
}
