import type { Value } from '../runtime/runtime.js';
import { cast, less, where } from '../tensor/ops/elementwise.js';
import { reshape, slice } from '../tensor/ops/shape.js';
import { descendingRank } from '../tensor/ops/sorting.js';
import { input, scalar, variable } from '../tensor/tensor.js';
import type { Tensor, Variable } from '../tensor/tensor.js';
import type { StateTensor, UpdateView, Values } from './method.js';
import { liveComponents } from './scaledPair.js';
import type { ScaledPair } from './scaledPair.js';

/** What is done with the components of all pairs after a step. */
export interface Allocation {
  /** How many there may be in all. */
  readonly budget: number;
  /** Whether all but the `budget` best are set to zero. */
  readonly allocates: boolean;
  /** Whether scores take in this step. */
  readonly scores: boolean;
}

/** Ranks that are shared out among pairs: of all their components those of highest score stay. */
export interface RankAllocation {
  /** Which stayed at the last allocation, [n], site after site: 1, others 0. */
  readonly state: StateTensor;
  /** 1 where scores take in this step, else 0, []. */
  readonly scoring: Tensor;
  /** What a step's graph is told of an allocation. */
  inputs(now: Allocation): Readonly<Record<string, Value>>;
  /**
   * λ of all but the `budget` best components becomes 0. Exactly so many stay: of equal scores the first in the model's order.
   *
   * @param score [n], site after site
   */
  updates(score: Tensor, view: UpdateView): ReadonlyMap<Variable, Tensor>;
  /**
   * The rank of each pair as it was allocated last: a λ that became 0 trains on until the next time, and before the first
   * every component counts, also where all λ start at 0. Of an adapter on disk, which knows no allocation: how many λ are not 0.
   */
  ranks(values: Values): readonly number[];
}

/** @param name what the names of its tensors start with */
export function rankAllocation(pairs: readonly ScaledPair[], name: string): RankAllocation {
  const all = pairs.reduce((sum, { pair }) => sum + pair.r, 0);
  const budget = input(`${name}_budget`, 'float32', []);
  const scoring = input(`${name}_scoring`, 'float32', []);
  const kept = variable(`${name}.kept`, [all]);
  const feed = (value: number): Value => ({ dtype: 'float32', shape: [], data: Float32Array.of(value) });
  const starts = pairs.map((_, at) => pairs.slice(0, at).reduce((sum, { pair }) => sum + pair.r, 0));
  return {
    state: { variable: kept, start: () => new Float32Array(all).fill(1) },
    scoring,
    inputs: ({ budget: most, allocates, scores }) => ({
      // A budget of all of them leaves them as they are.
      [budget.name]: feed(allocates ? most : all),
      [scoring.name]: feed(scores ? 1 : 0),
    }),
    updates(score, view) {
      const stays = less(cast(descendingRank(score), 'float32'), budget);
      const masked = pairs.map(({ pair: { r }, e }, at): readonly [Variable, Tensor] => {
        const own = reshape(slice(stays, 0, starts[at]!, starts[at]! + r), [r, 1]);
        return [e, where(own, view.updated(e), scalar(0))];
      });
      return new Map([...masked, [kept, where(less(budget, all), cast(stays, 'float32'), kept)]]);
    },
    ranks(values) {
      const flags = values.get(kept.name);
      return pairs.map((each, at) =>
        flags === undefined
          ? liveComponents(each, values).length
          : flags.subarray(starts[at]!, starts[at]! + each.pair.r).reduce((sum, flag) => sum + flag, 0),
      );
    },
  };
}
