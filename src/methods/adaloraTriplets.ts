import { fixedSize } from '../tensor/dims.js';
import { abs, add, div, less, mul, sqrt, sub, where } from '../tensor/ops/elementwise.js';
import { matmul } from '../tensor/ops/matmul.js';
import { reduceMean, reduceSum } from '../tensor/ops/reduce.js';
import { concat, reshape, slice } from '../tensor/ops/shape.js';
import { constant, variable } from '../tensor/tensor.js';
import type { Tensor, Variable } from '../tensor/tensor.js';
import type { Updates, UpdateView } from './method.js';
import type { RankAllocation } from './rankAllocation.js';
import type { ScaledPair } from './scaledPair.js';

/** P, Λ and Q of one site, in PEFT's names: Q is A [r, in], P is B [out, r]. */
export type Triplets = ScaledPair;

/** Smoothed scores of every number of every triplet, in {@link inOrder}'s order, [n]. */
export interface Scores {
  /** Ī, smoothed sensitivity. */
  readonly sensitivity: Variable;
  /** Ū, smoothed uncertainty. */
  readonly uncertainty: Variable;
}

/** The scores of triplets: two vectors, so that a step has few inputs. */
export function tripletScores(triplets: readonly Triplets[], instance: string): Scores {
  const size = inOrder(triplets).reduce((sum, { shape }) => sum + fixedSize(shape), 0);
  return {
    sensitivity: variable(`${instance}adalora.exp_avg_ipt`, [size]),
    uncertainty: variable(`${instance}adalora.exp_avg_unc`, [size]),
  };
}

/** All λ first, site after site; then A and B of each site. */
function inOrder(triplets: readonly Triplets[]): readonly Variable[] {
  return [...triplets.map(({ e }) => e), ...triplets.flatMap(({ pair: { a, b } }) => [a, b])];
}

/**
 * Scores and λ after a step (Zhang et al. 2023). With w the number as the optimizer left it and g its gradient:
 * I = |w·g| (eq. 8), Ī ← β₁·Ī + (1 − β₁)·I (eq. 9), Ū ← β₂·Ū + (1 − β₂)·|I − Ī| with the new Ī (eq. 10),
 * s = Ī·Ū (eq. 11). A triplet's score is s(λ_i) + mean of s over row i of Q + over column i of P (eq. 7), and every λ
 * but those of the best triplets becomes 0 (eq. 6).
 */
export function tripletUpdates(
  triplets: readonly Triplets[],
  { sensitivity, uncertainty }: Scores,
  beta: readonly [number, number],
  allocation: RankAllocation,
  view: UpdateView,
): Updates {
  const variables = inOrder(triplets);
  const joined = (numbersOf: (each: Variable) => Tensor): Tensor =>
    concat(
      variables.map((each) => reshape(numbersOf(each), [fixedSize(each.shape)])),
      0,
    );
  const importance = abs(
    mul(
      joined((each) => view.updated(each)),
      joined((each) => view.gradient(each)),
    ),
  );
  const averaged = (old: Tensor, now: Tensor, rate: number): Tensor => add(mul(old, rate), mul(now, 1 - rate));
  const smooth = averaged(sensitivity, importance, beta[0]);
  const unsure = averaged(uncertainty, abs(sub(importance, smooth)), beta[1]);
  const keeps = less(allocation.scoring, 0.5);
  const newSensitivity = where(keeps, sensitivity, smooth);
  const newUncertainty = where(keeps, uncertainty, unsure);

  const score = tripletScore(triplets, mul(newSensitivity, newUncertainty));
  return new Map([
    [sensitivity, newSensitivity],
    [uncertainty, newUncertainty],
    ...allocation.updates(score, view),
  ]);
}

/** Per triplet, site after site, from the scores of single numbers. */
function tripletScore(triplets: readonly Triplets[], s: Tensor): Tensor {
  const total = triplets.reduce((sum, { pair }) => sum + pair.r, 0);
  let offset = total;
  const part = ({ shape }: Variable): Tensor => {
    const from = offset;
    offset += fixedSize(shape);
    return reshape(slice(s, 0, from, offset), shape);
  };
  const vectors = triplets.map(({ pair: { a, b } }) => add(reduceMean(part(a), [1]), reduceMean(part(b), [0])));
  return add(slice(s, 0, 0, total), concat(vectors, 0));
}

/** Keeps the slope of a square root of 0 finite; far below any sum of squares that float32 tells from it. */
const TINY = 1e-24;

/** Mean over all P and Q of ‖PᵀP − I‖_F and ‖QQᵀ − I‖_F, [] (Zhang et al. 2023, eq. 4, with PEFT's norm and mean). */
export function orthogonality(triplets: readonly Triplets[]): Tensor {
  // One I per rank: of hundreds of sites each with its own, high ranks would take gigabytes.
  const ones = new Map([...new Set(triplets.map(({ pair }) => pair.r))].map((r) => [r, identity(r)]));
  const terms = triplets.flatMap(({ pair: { a, b, r } }) => {
    const one = ones.get(r)!;
    return [matmul(a, a, { transposeB: true }), matmul(b, b, { transposeA: true })].map((gram) =>
      reshape(sub(gram, one), [1, r * r]),
    );
  });
  const off = concat(terms, 0);
  const norms = sqrt(add(reduceSum(mul(off, off), [1]), TINY));
  return div(reduceSum(norms, [0]), terms.length);
}

/** I, [r, r]. */
function identity(r: number): Tensor {
  const data = new Float32Array(r * r);
  for (let at = 0; at < data.length; at += r + 1) data[at] = 1;
  return constant(data, [r, r]);
}
