import type { Random } from '../common/random.js';
import { lowRankNorm } from '../linalg/products.js';
import type { SublayerPlace, SublayerTensors } from '../models/site.js';
import { add, mul } from '../tensor/ops/elementwise.js';
import { matmul } from '../tensor/ops/matmul.js';
import { dropout } from '../tensor/ops/random.js';
import type { Tensor, Variable } from '../tensor/tensor.js';
import { variable } from '../tensor/tensor.js';
import { NON_LINEARITIES } from './adapterOptions.js';
import type { BottleneckForm } from './adapterOptions.js';
import type { Trainable, Values } from './method.js';
import { parameterSize } from './parameters.js';

/** The adapter of one place: A(x) = s·(W_up·f(W_down·x + b_down) + b_up). */
export interface Bottleneck {
  readonly place: SublayerPlace;
  /** The module that holds its tensors, as the `adapters` library calls it. */
  readonly path: string;
  readonly size: number;
  /** [size, width] */
  readonly down: Variable;
  /** [size] */
  readonly downBias: Variable;
  /** [width, size] */
  readonly up: Variable;
  /** [width] */
  readonly upBias: Variable;
  /** s where it trains: [1] or [width] */
  readonly scaling: Variable | undefined;
}

/**
 * The tensors of an adapter, under the library's names.
 * @param name the adapter's own: several may sit at one place
 * @param instance what the names of the variables start with
 */
export function bottleneckAt(
  place: SublayerPlace,
  width: number,
  size: number,
  scaling: BottleneckForm['scaling'],
  name: string,
  instance: string,
): Bottleneck {
  const path = `${adaptersModule(place)}.adapters.${name}`;
  const own = (end: string, shape: readonly number[]): Variable => variable(`${instance}${path}.${end}`, shape);
  return {
    place,
    path,
    size,
    down: own('adapter_down.0.weight', [size, width]),
    downBias: own('adapter_down.0.bias', [size]),
    up: own('adapter_up.weight', [width, size]),
    upBias: own('adapter_up.bias', [width]),
    scaling: typeof scaling === 'number' ? undefined : own('scaling', [scaling === 'learned' ? 1 : width]),
  };
}

/** The module of a model in the `adapters` library that holds the adapters of a place. */
export function adaptersModule({ path, kind }: SublayerPlace): string {
  // BERT's output modules hold them themselves, as do T5's layers around attention and feed-forward part.
  if (path.endsWith('.output')) return path;
  const parent = path.slice(0, path.lastIndexOf('.'));
  if (/\.layer\.\d+$/.test(parent)) return parent;
  return `${parent}.${kind === 'attention' ? 'attention_adapters' : 'output_adapters'}`;
}

/** Its tensors, in the order of the arithmetic. */
export function bottleneckVariables({ down, downBias, up, upBias, scaling }: Bottleneck): readonly Variable[] {
  return [down, downBias, up, upBias, ...(scaling === undefined ? [] : [scaling])];
}

/** Dropout of a phase, drawn under a name of its own. */
export interface Dropped {
  readonly seed: Tensor | undefined;
  readonly random: () => Random;
}

/**
 * A(x), x [..., width], after scaling and dropout.
 * @param dropped absent: nothing is dropped
 */
export function bottleneckResult(
  { down, downBias, up, upBias, scaling }: Bottleneck,
  form: Pick<BottleneckForm, 'non_linearity' | 'scaling' | 'dropout'>,
  x: Tensor,
  dropped?: Dropped,
): Tensor {
  const inner = NON_LINEARITIES[form.non_linearity](add(matmul(x, down, { transposeB: true }), downBias));
  const lifted = add(matmul(inner, up, { transposeB: true }), upBias);
  const factor = scaling ?? (typeof form.scaling === 'number' ? form.scaling : 1);
  const scaled = factor === 1 ? lifted : mul(lifted, factor);
  if (dropped?.seed === undefined || form.dropout === 0) return scaled;
  return dropout(scaled, form.dropout, dropped.seed, dropped.random().integer(2 ** 32));
}

/** What an adapter reads at a place, and what its result is added to. */
export interface Wiring {
  readonly x: Tensor;
  readonly residual: Tensor;
}

/**
 * How an adapter is wired into a sublayer with result h, on a stream r: what comes of it is added to r in place of h.
 * Houlsby et al. 2019 (figure 2): A(h) + h. Pfeiffer et al. 2021: A(LN(h + r)) + h, LN the base's norm behind the
 * addition, where it has one there. Parallel, He et al. 2022 (table 1): A(r) + h.
 */
export function wiring(form: BottleneckForm, { output: h, residual: r, norm }: SublayerTensors): Wiring {
  if (form.is_parallel) return { x: r, residual: h };
  if (!form.original_ln_before) return { x: h, residual: h };
  const sum = add(h, r);
  const x = norm === undefined ? sum : norm(sum);
  if (form.residual_before_ln === true) return { x, residual: h };
  return { x, residual: form.residual_before_ln === 'post_add' ? sum : x };
}

/** Where an adapter starts; weights under decay, biases and scalings not. */
export function bottleneckTrainables(
  bottleneck: Bottleneck,
  init: BottleneckForm['init_weights'],
  random: (part: 'down' | 'up') => Random,
): Trainable[] {
  const { down, downBias, up, upBias, scaling } = bottleneck;
  const weight = (part: 'down' | 'up', of: Variable): Trainable => ({
    variable: of,
    start: () => startWeight(of, part, init, random(part)),
    decays: true,
  });
  const filled = (of: Variable, value: number): Trainable => ({
    variable: of,
    start: () => new Float32Array(parameterSize(of.shape)).fill(value),
    decays: false,
  });
  return [
    weight('down', down),
    filled(downBias, 0),
    weight('up', up),
    filled(upBias, 0),
    ...(scaling === undefined ? [] : [filled(scaling, 1)]),
  ];
}

function startWeight(
  { shape }: Variable,
  part: 'down' | 'up',
  init: BottleneckForm['init_weights'],
  random: Random,
): Float32Array {
  const values = new Float32Array(parameterSize(shape));
  if (init === 'mam_adapter' && part === 'up') return values;
  const fanIn = Number(shape[1]);
  const draw = {
    bert: () => 0.02 * random.normal(),
    houlsby: () => 0.01 * cutNormal(random),
    // Kaiming uniform with slope √5 is U(−1/√fan_in, 1/√fan_in).
    mam_adapter: () => (2 * random.uniform() - 1) / Math.sqrt(fanIn),
  }[init];
  for (let at = 0; at < values.length; at++) values[at] = draw();
  return values;
}

/** Normal, drawn anew where it lies beyond two deviations. */
function cutNormal(random: Random): number {
  for (;;) {
    const value = random.normal();
    if (Math.abs(value) <= 2) return value;
  }
}

/** ‖s·W_up·W_down‖ (Frobenius), with the mean of s where it trains: what the adapter does where f passes all through. */
export function bottleneckNorm(bottleneck: Bottleneck, form: BottleneckForm, values: Values): number {
  const { up, down, size } = bottleneck;
  const norm = lowRankNorm(values.get(up.name)!, values.get(down.name)!, size);
  return Math.abs(scaleOf(bottleneck, form, values)) * norm;
}

/** s, or its mean over the channels. */
export function scaleOf({ scaling }: Bottleneck, form: BottleneckForm, values: Values): number {
  if (scaling === undefined) return typeof form.scaling === 'number' ? form.scaling : 1;
  const each = values.get(scaling.name)!;
  return each.reduce((sum, value) => sum + value, 0) / each.length;
}
