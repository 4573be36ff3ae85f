import { addDims, multiplyDims, shapeText, sizeOf } from '../dims.js';
import { defineOp } from '../defineOp.js';
import type { Emitter } from '../emitter.js';
import { ONNX_TYPE } from '../emitter.js';
import { scalar } from '../tensor.js';
import type { Shape, Tensor } from '../tensor.js';
import { greaterOrEqual, mul, where } from './elementwise.js';

/**
 * The integer hash `lowbias32` (C. Wellons, hash-prospector, 2018; public domain): two rounds of
 * xor-shift-multiply whose avalanche bias was minimized over all constants.
 */
const MIX = { shifts: [16, 15, 16], factors: [0x7feb352d, 0x846ca68b] } as const;

/** Makes a stream's second key differ from its first; any odd constant does (here 2³² / golden ratio). */
const SECOND_KEY = 0x9e3779b9;

const randomUniformOp = defineOp<{ shape: Shape; stream: number }>({
  name: 'randomUniform',
  cheap: true,
  infer: ([seed], { shape }) => {
    const one = seed!.shape.length === 0 || (seed!.shape.length === 1 && seed!.shape[0] === 1);
    if (!one || (seed!.dtype !== 'int32' && seed!.dtype !== 'uint32')) {
      throw new Error(
        `randomUniform: the seed is one int32 or uint32, not ${seed!.dtype} ${shapeText(seed!.shape)}`,
      );
    }
    return { dtype: 'float32', shape };
  },
  lower: (emit, [seed], node, { shape, stream }) => {
    const columns = shape.at(-1) ?? 1;
    const rows = sizeOf(shape.slice(0, -1));
    const twice = multiplyDims(rows, 2);
    const all = addDims(twice, columns);

    const word = node.inputs[0]!.dtype === 'uint32' ? seed! : emit.node('Cast', [seed!], { to: ONNX_TYPE.uint32 });
    const streams = emit.constant([stream >>> 0, mixed(stream ^ SECOND_KEY)], [2], 'uint32');
    const keys = mix(emit, emit.node('BitwiseXor', [word, streams]));
    const key = (index: number): string => emit.node('Gather', [keys, emit.scalar(index, 'int64')], { axis: 0 });

    const count = emit.node('Squeeze', [emit.dim(all)]);
    const range = emit.node('Range', [emit.scalar(0, 'int64'), count, emit.scalar(1, 'int64')]);
    const positions = emit.node('Cast', [range], { to: ONNX_TYPE.uint32 });
    const hashes = mix(emit, emit.node('BitwiseXor', [positions, key(0)]), key(1));
    const part = (from: string, to: string): string =>
      emit.node('Slice', [hashes, from, to, emit.constant([0], [1], 'int64')]);
    const column = (values: string): string =>
      emit.node('Reshape', [values, emit.shape([...shape.slice(0, -1), 1])]);
    const rowKeys = column(part(emit.dim(0), emit.dim(rows)));
    const odd = emit.node('BitwiseOr', [part(emit.dim(rows), emit.dim(twice)), emit.scalar(1, 'uint32')]);
    const columnKeys = part(emit.dim(twice), emit.dim(all));

    const words = emit.node('Mul', [emit.node('BitwiseXor', [rowKeys, columnKeys]), column(odd)]);
    // 24 bits are what a float32 in [0, 1) holds exactly.
    const high = emit.node('Cast', [shiftRight(emit, words, 8)], { to: ONNX_TYPE.float32 });
    const uniform = emit.node('Mul', [high, emit.scalar(2 ** -24, 'float32')]);
    return shape.length > 0 ? uniform : emit.node('Squeeze', [uniform]);
  },
});

/**
 * Uniform random numbers in [0, 1) as a pure function of seed, stream and position, so that a run that is
 * resumed or repeated draws them again; ONNX's own random ops keep a state that cannot be saved.
 *
 * Positions are hashed per row (all axes but the last) and per column (the last), not per element, which
 * leaves two integer ops for each element: u = ((R_row xor C_column) · M_row mod 2³²) / 2³², M odd, in steps
 * of 2⁻²⁴. That is multiply-shift hashing (Dietzfelbinger, Hagerup, Katajainen & Penttonen 1997) of hashed
 * keys with one random multiplier per row. A long vector has one row, so it costs a whole hash per element.
 *
 * @param shape of the result, float32
 * @param seed one int32 or uint32, [] or [1], fed anew for each step
 * @param stream 32 bits that name the place of use: the hash of a site's name
 */
export function randomUniform(shape: Shape, seed: Tensor, stream: number): Tensor {
  return randomUniformOp([seed], { shape, stream });
}

/**
 * Zeroes each element with probability `rate` and divides the others by 1 − rate (Srivastava et al. 2014, in
 * the inverted form). Gradient flows through the kept ones. Seed and stream as in {@link randomUniform}.
 *
 * @param rate in [0, 1)
 */
export function dropout(x: Tensor, rate: number, seed: Tensor, stream: number): Tensor {
  if (!(rate >= 0 && rate < 1)) throw new Error(`dropout: the rate is at least 0 and below 1, not ${rate}`);
  if (rate === 0) return x;
  const kept = greaterOrEqual(randomUniform(x.shape, seed, stream), rate);
  return where(kept, mul(x, 1 / (1 - rate)), scalar(0, x.dtype));
}

/** {@link MIX} in the graph; `between`, if given, is a second key that enters between the two rounds. */
function mix(emit: Emitter, words: string, between?: string): string {
  const [first, second, third] = MIX.shifts;
  const folded = (x: string, by: number): string => emit.node('BitwiseXor', [x, shiftRight(emit, x, by)]);
  const times = (x: string, factor: number): string => emit.node('Mul', [x, emit.scalar(factor, 'uint32')]);
  const half = folded(times(folded(words, first), MIX.factors[0]), second);
  const keyed = between === undefined ? half : emit.node('BitwiseXor', [half, between]);
  return folded(times(keyed, MIX.factors[1]), third);
}

/** {@link MIX} now, of one 32-bit word. */
function mixed(word: number): number {
  const [first, second, third] = MIX.shifts;
  let x = Math.imul(word ^ (word >>> first), MIX.factors[0]);
  x = Math.imul(x ^ (x >>> second), MIX.factors[1]);
  return (x ^ (x >>> third)) >>> 0;
}

function shiftRight(emit: Emitter, words: string, by: number): string {
  return emit.node('BitShift', [words, emit.scalar(by, 'uint32')], { direction: 'RIGHT' });
}
