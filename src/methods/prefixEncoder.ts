import type { Random } from '../common/random.js';
import { addLowRank, transposed } from '../linalg/products.js';
import { add, tanh } from '../tensor/ops/elementwise.js';
import { matmul } from '../tensor/ops/matmul.js';
import type { Tensor } from '../tensor/tensor.js';
import { variable } from '../tensor/tensor.js';
import type { AttachContext, Trainable, Values } from './method.js';
import { parameterSize } from './parameters.js';

/** The one tensor of PEFT's prefix-tuning adapters: [num_virtual_tokens, 2·layers·width]. */
export const PREFIX_KEY = 'prompt_embeddings';

/** What trains, and the prefix [count, out] that it makes: HF PEFT's `PrefixEncoder`. */
export interface PrefixEncoder {
  readonly trainables: readonly Trainable[];
  /** Whether the prefix itself trains. */
  readonly isFlat: boolean;
  /** The prefix as a tensor of a graph. */
  build(): Tensor;
  /** Its numbers. */
  numbers(values: Values): Float32Array;
}

interface PrefixSizes {
  readonly count: number;
  /** Numbers of one virtual token. */
  readonly out: number;
  /** Start where all keys and values are 0. */
  readonly zero: boolean;
}

/** The prefix as one embedding that trains; it starts at normal numbers of deviation 1, as PEFT's. */
export function flatPrefix(
  { count, out, zero }: PrefixSizes,
  { instance = '', random }: AttachContext,
): PrefixEncoder {
  const prefix = variable(`${instance}${PREFIX_KEY}`, [count, out]);
  return {
    trainables: [
      {
        variable: prefix,
        start() {
          const draws = random('prefix', PREFIX_KEY);
          return filled(count * out, zero ? () => 0 : () => draws.normal());
        },
        decays: true,
      },
    ],
    isFlat: true,
    build: () => prefix,
    numbers: (values) => values.get(prefix.name)!,
  };
}

/**
 * W₂·tanh(W₁·E + b₁) + b₂ with E [count, width] (Li & Liang 2021, section 4.3). Starts are PyTorch's own: E normal,
 * layers within ±1/√(their input's width); with `zero` W₂ and b₂ at 0.
 *
 * @param sizes.inner width between the layers
 */
export function projectedPrefix(
  sizes: PrefixSizes & { readonly width: number; readonly inner: number },
  { instance = '', random }: AttachContext,
): PrefixEncoder {
  const { count, out, zero, width, inner } = sizes;
  const trainable = (
    name: string,
    shape: readonly number[],
    value: (draws: Random) => number,
    decays: boolean,
  ): Trainable => {
    const start = (): Float32Array => {
      const draws = random('prefix', name);
      return filled(parameterSize(shape), () => value(draws));
    };
    return { variable: variable(`${instance}${name}`, shape), start, decays };
  };
  const within = (size: number) => (draws: Random) => (2 * draws.uniform() - 1) / Math.sqrt(size);
  const last = zero ? () => 0 : within(inner);
  const trainables = [
    trainable('embedding.weight', [count, width], (draws) => draws.normal(), true),
    trainable('transform.0.weight', [inner, width], within(width), true),
    trainable('transform.0.bias', [inner], within(width), false),
    trainable('transform.2.weight', [out, inner], last, true),
    trainable('transform.2.bias', [out], last, false),
  ] as const;
  const [embedding, first, firstBias, second, secondBias] = trainables.map((each) => each.variable) as [
    Trainable['variable'],
    Trainable['variable'],
    Trainable['variable'],
    Trainable['variable'],
    Trainable['variable'],
  ];
  return {
    trainables,
    isFlat: false,
    build() {
      const between = tanh(add(matmul(embedding, first, { transposeB: true }), firstBias));
      return add(matmul(between, second, { transposeB: true }), secondBias);
    },
    numbers(values) {
      const of = ({ name }: Trainable['variable']): Float32Array => values.get(name)!;
      const between = layer(of(embedding), of(first), of(firstBias), count).map(Math.tanh);
      return layer(between, of(second), of(secondBias), count);
    },
  };
}

/**
 * x·Wᵀ + b
 * @param x [rows, in]
 * @param w [out, in]
 */
function layer(x: Float32Array, w: Float32Array, b: Float32Array, rows: number): Float32Array {
  const inSize = x.length / rows;
  const biases = Float32Array.from({ length: rows * b.length }, (_, at) => b[at % b.length]!);
  return addLowRank(biases, x, transposed(w, b.length, inSize), 1, rows, inSize);
}

function filled(size: number, value: () => number): Float32Array {
  const numbers = new Float32Array(size);
  // Float32Array.from takes ten times as long, of millions of numbers.
  for (let at = 0; at < size; at++) numbers[at] = value();
  return numbers;
}
