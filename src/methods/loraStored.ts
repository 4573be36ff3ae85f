import { variable } from '../tensor/tensor.js';
import { pairValues, stacked, unstacked } from './lowRankPair.js';
import type { LowRankPair, PairValues } from './lowRankPair.js';
import type { Trainable, Values } from './method.js';

/** How pairs lie on disk: A and B of each, under the names of their variables. */
export interface StoredPairs {
  readonly tensors: readonly Pick<Trainable, 'variable'>[];
  /** Their numbers, from those of the variables that the run has; and back. */
  stored(values: Values): Values;
  loaded(values: Values): Values;
}

/**
 * @param doubled for a plain LoRA on the base as it was, of twice the rank: [A; A₀] and [B, −B₀], as PEFT's
 *   `subtract_mutated_init` stacks them. A pair that took nothing off the base gets zeros, so that all ranks are doubled
 */
export function storedPairs(pairs: readonly LowRankPair[], doubled: boolean): StoredPairs {
  const factor = doubled ? 2 : 1;
  const numbers = ({ a, b }: LowRankPair, { a: ofA, b: ofB }: PairValues): [string, Float32Array][] => [
    [a.name, ofA],
    [b.name, ofB],
  ];
  return {
    tensors: pairs.flatMap(({ a, b, r }) => [
      { variable: variable(a.name, [factor * r, a.shape[1]!]) },
      { variable: variable(b.name, [b.shape[0]!, factor * r]) },
    ]),
    stored: (values) =>
      new Map(
        pairs.flatMap((pair) => {
          const found = pairValues(pair, values);
          return numbers(pair, found.r === factor * pair.r ? found : stacked(found, zerosLike(found)));
        }),
      ),
    loaded: (values) =>
      new Map(
        pairs.flatMap((pair) => {
          const { a, b, r, initial } = pair;
          const found = { r: factor * r, a: values.get(a.name)!, b: values.get(b.name)! };
          const [now, taken] = unstacked(found, r);
          return initial === undefined
            ? numbers(pair, now)
            : [
                ...numbers(pair, now),
                [initial.a.name, taken.a] as const,
                [initial.b.name, taken.b.map((value) => -value)] as const,
              ];
        }),
      ),
  };
}

function zerosLike({ a, b, r }: PairValues): PairValues {
  return { r, a: new Float32Array(a.length), b: new Float32Array(b.length) };
}
