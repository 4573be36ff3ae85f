import type { Random } from '../common/random.js';
import type { SublayerPlace } from '../models/site.js';
import { add, mul, sub } from '../tensor/ops/elementwise.js';
import { matmul } from '../tensor/ops/matmul.js';
import { dropout } from '../tensor/ops/random.js';
import { reduceSum, softmax } from '../tensor/ops/reduce.js';
import { concat, reshape } from '../tensor/ops/shape.js';
import { constant, variable } from '../tensor/tensor.js';
import type { Tensor, Variable } from '../tensor/tensor.js';
import { adaptersModule } from './bottleneck.js';
import type { Dropped } from './bottleneck.js';
import type { Trainable } from './method.js';
import { parameterSize } from './parameters.js';

/** Query, key and value of AdapterFusion at a place, or at all places of a kind. */
export interface FusionLayer {
  /** [width, width] */
  readonly query: Variable;
  /** [width] */
  readonly queryBias: Variable;
  readonly key: Variable;
  readonly keyBias: Variable;
  /** [width, width]; absent: results are mixed as they are (static) */
  readonly value: Variable | undefined;
}

/** @param path what the names of its variables start with */
export function fusionLayer(path: string, width: number, hasValue: boolean): FusionLayer {
  const own = (end: string, shape: readonly number[]): Variable => variable(`${path}.${end}`, shape);
  return {
    query: own('query.weight', [width, width]),
    queryBias: own('query.bias', [width]),
    key: own('key.weight', [width, width]),
    keyBias: own('key.bias', [width]),
    value: hasValue ? own('value.weight', [width, width]) : undefined,
  };
}

/** The module of a place that holds its fusion layer, as the `adapters` library calls it. */
export function fusionModule(place: SublayerPlace, fusionName: string): string {
  return `${adaptersModule(place)}.adapter_fusion_layer.${fusionName}`;
}

/** Its tensors by the end of their names. */
export function fusionVariables({
  query,
  queryBias,
  key,
  keyBias,
  value,
}: FusionLayer): ReadonlyMap<string, Variable> {
  return new Map([
    ['query.weight', query],
    ['query.bias', queryBias],
    ['key.weight', key],
    ['key.bias', keyBias],
    ...(value === undefined ? [] : [['value.weight', value] as const]),
  ]);
}

/** What comes of fusing, and with which shares. */
export interface Fused {
  /** [batch, sequence, width] */
  readonly result: Tensor;
  /** The attention over the adapters, [batch, sequence, adapters]; sums to 1. */
  readonly shares: Tensor;
}

/**
 * Pfeiffer et al. 2021, section 3.2: s = softmax(Q·h ⊗ K·z), result Σ s_i·V·z_i: one head, no division by √d.
 *
 * @param h what asks, [batch, sequence, width]
 * @param results the adapters', z_i [batch, sequence, width]
 * @param rate of the scores' dropout
 */
export function fuse(
  { query, queryBias, key, keyBias, value }: FusionLayer,
  h: Tensor,
  results: readonly Tensor[],
  rate: number,
  dropped: Dropped,
): Fused {
  const [batch, sequence, width] = h.shape as [Tensor['shape'][0], Tensor['shape'][0], number];
  const single = (x: Tensor): Tensor => reshape(x, [batch, sequence, 1, width]);
  const z = concat(results.map(single), 2);
  const keys = add(matmul(z, key, { transposeB: true }), keyBias);
  const asked = single(add(matmul(h, query, { transposeB: true }), queryBias));
  const scores = matmul(asked, keys, { transposeB: true });
  const kept =
    dropped.seed === undefined || rate === 0
      ? scores
      : dropout(scores, rate, dropped.seed, dropped.random().integer(2 ** 32));
  const shares = softmax(kept);
  const mixed = reshape(matmul(shares, z), [batch, sequence, width]);
  return {
    // V·Σ s_i·z_i is Σ s_i·V·z_i.
    result: value === undefined ? mixed : matmul(mixed, value, { transposeB: true }),
    shares: reshape(shares, [batch, sequence, results.length]),
  };
}

/** ‖I − V‖² (Frobenius), [] */
export function distanceFromIdentity(value: Variable): Tensor {
  const width = Number(value.shape[0]);
  const identity = constant(
    Float32Array.from({ length: width * width }, (_, at) => (at % (width + 1) === 0 ? 1 : 0)),
    [width, width],
  );
  const difference = sub(value, identity);
  return reduceSum(mul(difference, difference), [0, 1]);
}

/**
 * Q and K start at normal numbers of deviation 0.02, V near the identity (1 and 1e-6), biases at zero, as the `adapters`
 * library has it. Decay would pull V to zero, not to the identity: it acts on Q and K alone.
 */
export function fusionTrainables(layer: FusionLayer, random: (part: string) => Random): Trainable[] {
  const normal = (of: Variable, part: string): Trainable => ({
    variable: of,
    start: () => {
      const draws = random(part);
      return Float32Array.from({ length: parameterSize(of.shape) }, () => 0.02 * draws.normal());
    },
    decays: true,
  });
  const zero = (of: Variable): Trainable => ({
    variable: of,
    start: () => new Float32Array(parameterSize(of.shape)),
    decays: false,
  });
  const { query, queryBias, key, keyBias, value } = layer;
  return [
    normal(query, 'query'),
    zero(queryBias),
    normal(key, 'key'),
    zero(keyBias),
    ...(value === undefined ? [] : [{ variable: value, start: () => nearIdentity(value), decays: false }]),
  ];
}

function nearIdentity({ shape }: Variable): Float32Array {
  const width = Number(shape[0]);
  return Float32Array.from({ length: width * width }, (_, at) => (at % (width + 1) === 0 ? 1 : 1e-6));
}
