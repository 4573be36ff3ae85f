import { liesTransposed, parameterShape } from '../models/site.js';
import type { SiteParameters } from '../models/site.js';
import { add, div, less, mul, sqrt, stopGradient, sub, where } from '../tensor/ops/elementwise.js';
import { matmul } from '../tensor/ops/matmul.js';
import { reduceSum, reduceSumSquare } from '../tensor/ops/reduce.js';
import { concat } from '../tensor/ops/shape.js';
import type { Tensor, Variable } from '../tensor/tensor.js';
import { scalar, variable } from '../tensor/tensor.js';
import type { Factors } from './loraStart.js';
import { dropOf, learnedPart, mergePair, takenPart } from './lowRankPair.js';
import type { Dropped, LowRankPair } from './lowRankPair.js';
import type { AttachContext } from './method.js';

/*
 * DoRA (Liu et al. 2024): W' = m ⊙ V/‖V‖ with V = W + s·B·A (eq. 5), a length for each output, m, and a direction. ‖V‖ is
 * taken over what an output reads, for an embedding over the vocabulary, and is a constant to the gradient (section 4.3).
 * Where the start was taken off the base, V = W + s·(B·A − B₀·A₀).
 */

/** The smallest ‖V‖² that is divided by: an output of zeros has no direction, and stays. */
const TINY = 1e-30;

/** m [out] of a site. @param instance what its name starts with */
export function magnitudeOf({ site }: LowRankPair, instance: string): Variable {
  return variable(`${instance}${site.path}.lora_magnitude_vector`, [outputs(site)]);
}

/**
 * y' = m/‖V‖ ⊙ (y + s·B·A·x), the bias left as it is: y is W·x with its bias. As in PEFT, dropout leaves W·x itself as it
 * is, and what the lengths change of it reads as much as A does:
 * y' = y + (m/‖V‖ − 1) ⊙ W·dropout(x) + m/‖V‖ ⊙ s·B·A·dropout(x).
 *
 * @param x [..., in]; an embedding's token ids
 * @param y [..., out]
 */
export function doraOutput(
  pair: LowRankPair & { readonly magnitude: Variable },
  x: Tensor,
  y: Tensor,
  { weight, bias }: SiteParameters,
  dropped: Dropped,
): Tensor {
  const factor = div(pair.magnitude, directionNorm(pair, weight));
  const drop = dropOf(pair, x, dropped);
  if (drop === undefined) {
    const direction = add(without(y, takenPart(pair, x)), learnedPart(pair, x));
    const turned = mul(factor, direction);
    return bias === undefined ? turned : add(turned, mul(sub(1, factor), bias));
  }
  const read = matmul(drop.x, weight, { transposeB: pair.site.layout !== 'in-out', alpha: drop.factor });
  const direction = without(read, takenPart(pair, drop.x, drop.factor));
  const change = sub(mul(factor, add(direction, learnedPart(pair, drop.x, drop.factor))), direction);
  return add(without(y, takenPart(pair, x)), change);
}

function without(y: Tensor, taken: Tensor | undefined): Tensor {
  return taken === undefined ? y : sub(y, taken);
}

/**
 * ‖V‖ [out] with V = W + s·B·A, without V: of an output with the row b of B and w of W,
 * ‖w + s·bA‖² = ‖w‖² + 2s·⟨wAᵀ, b⟩ + s²·⟨b·AAᵀ, b⟩. V would be a copy of W in each module at each step.
 */
function directionNorm({ site, scale, a, b, initial }: LowRankPair, weight: Tensor): Tensor {
  const [first, second] =
    initial === undefined ? [a, b] : [concat([a, initial.a], 0), concat([b, mul(initial.b, -1)], 1)];
  const lies = liesTransposed(site);
  const across = matmul(weight, first, { transposeA: lies, transposeB: true, alpha: 2 * scale });
  const gram = matmul(first, first, { transposeB: true });
  const change = reduceSum(mul(add(across, matmul(second, gram, { alpha: scale * scale })), second), [1]);
  const squares = add(reduceSumSquare(weight, [lies ? 0 : 1]), change);
  return stopGradient(sqrt(where(less(squares, TINY), scalar(TINY), squares)));
}

/**
 * m at the start: ‖V‖, so that W' is V. Where the start was taken off the base, V is W.
 * @param drawn what A and B start with
 */
export async function startMagnitude(
  pair: LowRankPair,
  drawn: () => Factors,
  { read }: Pick<AttachContext, 'read'>,
): Promise<Float32Array> {
  const base = await read(pair.site.weight!);
  if (pair.initial !== undefined) return outputNorms(pair, base);
  const [a, b] = drawn();
  const values = new Map([
    [pair.a.name, a],
    [pair.b.name, b],
  ]);
  return outputNorms(pair, mergePair(pair, base, values));
}

/** ‖V‖ [out] of a matrix as the checkpoint holds it. */
function outputNorms({ site }: LowRankPair, matrix: Float32Array): Float32Array {
  const [rows, columns] = parameterShape(site, 'weight') as [number, number];
  const lies = liesTransposed(site);
  const squares = new Float64Array(outputs(site));
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) squares[lies ? j : i]! += matrix[i * columns + j]! ** 2;
  }
  return Float32Array.from(squares, Math.sqrt);
}

/** m ⊙ V/‖V‖ out of V, as the checkpoint holds it. @param magnitude [out] */
export function withMagnitude(pair: LowRankPair, matrix: Float32Array, magnitude: Float32Array): Float32Array {
  const columns = parameterShape(pair.site, 'weight')[1]!;
  const lies = liesTransposed(pair.site);
  const norms = outputNorms(pair, matrix);
  const factors = Float64Array.from(norms, (norm, at) => (norm === 0 ? 1 : magnitude[at]! / norm));
  return matrix.map((value, at) => value * factors[lies ? at % columns : Math.floor(at / columns)]!);
}

function outputs({ kind, shape }: LowRankPair['site']): number {
  return kind === 'embedding' ? shape[1]! : shape[0]!;
}
