import type { Random } from '../common/random.js';
import { addLowRank, lowRankNorm, transposed } from '../linalg/products.js';
import { parameterShape } from '../models/site.js';
import type { Site } from '../models/site.js';
import { add } from '../tensor/ops/elementwise.js';
import { gatherRows } from '../tensor/ops/indexing.js';
import { matmul } from '../tensor/ops/matmul.js';
import { dropWithoutScale } from '../tensor/ops/random.js';
import { transpose } from '../tensor/ops/shape.js';
import type { Tensor, Variable } from '../tensor/tensor.js';
import { variable } from '../tensor/tensor.js';
import type { Values } from './method.js';
import { parameterSize } from './parameters.js';

/** A and B of one site. */
export interface LowRankPair {
  readonly site: Site;
  readonly r: number;
  /** s in ΔW = s·B·A */
  readonly scale: number;
  /** [r, in]; for an embedding [r, vocabulary] */
  readonly a: Variable;
  /** [out, r] */
  readonly b: Variable;
}

/** Sites that can have a pair: others have no weight matrix. */
export function takesPair({ kind }: Pick<Site, 'kind'>): boolean {
  return kind === 'linear' || kind === 'embedding';
}

/**
 * The pair of a linear or embedding site.
 * @param instance what the names of the variables start with
 */
export function lowRankPair(site: Site, r: number, scale: number, instance: string): LowRankPair {
  const [inSize, outSize] =
    site.kind === 'embedding' ? [site.shape[0]!, site.shape[1]!] : [site.shape[1]!, site.shape[0]!];
  const name = `${instance}${site.path}.${site.kind === 'embedding' ? 'lora_embedding_' : 'lora_'}`;
  return {
    site,
    r,
    scale,
    a: variable(`${name}A`, [r, inSize]),
    b: variable(`${name}B`, [outSize, r]),
  };
}

/** y + s·B·A·x; for an embedding A's columns are looked up by token id. */
export function lowRankOutput(
  pair: LowRankPair,
  x: Tensor,
  y: Tensor,
  dropped: { readonly rate: number; readonly seed: Tensor | undefined; readonly random: Random },
): Tensor {
  const { rate, seed, random } = dropped;
  const { site, a, b, scale } = pair;
  if (site.kind === 'embedding') {
    const rows = gatherRows(transpose(a, [1, 0]), x);
    return add(y, matmul(rows, b, { transposeB: true, alpha: scale }));
  }
  const drops = rate > 0 && seed !== undefined;
  const input = drops ? dropWithoutScale(x, rate, seed, random.integer(2 ** 32)) : x;
  const down = matmul(input, a, { transposeB: true });
  return add(y, matmul(down, b, { transposeB: true, alpha: drops ? scale / (1 - rate) : scale }));
}

/**
 * Starting values as PEFT's `reset_lora_parameters` has them. Kaiming uniform with slope √5 (He et al. 2015,
 * eq. 14) is U(−1/√fan_in, 1/√fan_in).
 */
export function startPair(
  pair: LowRankPair,
  init: boolean | 'gaussian',
  random: Random,
): [Float32Array, Float32Array] {
  const { a, b, r, site } = pair;
  const filled = (size: number, value: () => number): Float32Array => {
    const values = new Float32Array(size);
    // Float32Array.from takes ten times as long, of millions of numbers.
    for (let at = 0; at < size; at++) values[at] = value();
    return values;
  };
  const uniform = (bound: number): number => (2 * random.uniform() - 1) * bound;
  const [sizeA, sizeB] = [parameterSize(a.shape), parameterSize(b.shape)];
  if (site.kind === 'embedding') {
    const startA = init === false ? filled(sizeA, () => random.normal()) : new Float32Array(sizeA);
    return [startA, filled(sizeB, () => random.normal())];
  }
  const bound = 1 / Math.sqrt(sizeA / r);
  const startA = filled(sizeA, init === 'gaussian' ? () => random.normal() / r : () => uniform(bound));
  return [startA, init === false ? filled(sizeB, () => uniform(1 / Math.sqrt(r))) : new Float32Array(sizeB)];
}

/** W + s·B·A for the site's base weight W, as the checkpoint holds it. */
export function mergePair(pair: LowRankPair, base: Float32Array, values: Values): Float32Array {
  const { site, r, scale } = pair;
  const [a, b] = [values.get(pair.a.name)!, values.get(pair.b.name)!];
  const [rows, columns] = parameterShape(site, 'weight') as [number, number];
  // An embedding's W is [vocabulary, out], a Conv1D's [in, out]: their update is (B·A)ᵀ = Aᵀ·Bᵀ.
  return site.kind === 'embedding' || site.layout === 'in-out'
    ? addLowRank(base, transposed(a, r, rows), transposed(b, columns, r), scale, rows, r)
    : addLowRank(base, b, a, scale, rows, r);
}

/** ‖s·B·A‖_F */
export function pairNorm({ a, b, r, scale }: LowRankPair, values: Values): number {
  return scale * lowRankNorm(values.get(b.name)!, values.get(a.name)!, r);
}
