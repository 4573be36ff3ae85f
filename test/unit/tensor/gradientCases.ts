// One or more cases for every op: what gradients.test.ts and lowering.test.ts differentiate and compare.
import { dim, sizeOf } from '../../../src/tensor/dims.js';
import { after } from '../../../src/tensor/ops/after.js';
import { bitwiseOr, bitwiseXor, shiftRight } from '../../../src/tensor/ops/bits.js';
import { crossEntropy, crossEntropySlope } from '../../../src/tensor/ops/crossEntropy.js';
import { dimValue, iota } from '../../../src/tensor/ops/dimValue.js';
import * as elementwise from '../../../src/tensor/ops/elementwise.js';
import { addAt, gatherAt, gatherRows, scatterAddRows } from '../../../src/tensor/ops/indexing.js';
import { matmul } from '../../../src/tensor/ops/matmul.js';
import { layerNorm, rmsInverse, rmsNorm } from '../../../src/tensor/ops/normalization.js';
import { dropout } from '../../../src/tensor/ops/random.js';
import * as reduce from '../../../src/tensor/ops/reduce.js';
import { rotary } from '../../../src/tensor/ops/rotary.js';
import * as shapes from '../../../src/tensor/ops/shape.js';
import { descendingRank } from '../../../src/tensor/ops/sorting.js';
import { withGradient } from '../../../src/tensor/ops/withGradient.js';
import { straightThroughStep } from '../../../src/tensor/ops/straightThrough.js';
import { constant, input } from '../../../src/tensor/tensor.js';
import type { DType, Shape, Tensor } from '../../../src/tensor/tensor.js';
import type { Value } from '../../../src/runtime/runtime.js';

const { add, cast, div, greaterOrEqual, less, log, mul, sigmoid, silu, sub, where } = elementwise;

/** Lengths of the symbols that shapes of cases use. */
export const LENGTHS: Readonly<Record<string, number>> = { batch: 2, sequence: 3 };
export const B = dim('batch');
export const S = dim('sequence');

/** Where a leaf's values lie: anywhere, above zero, or away from zero (where the op has a kink or a pole). */
type Domain = 'any' | 'positive' | 'nonzero';
export interface LeafSpec {
  readonly shape: Shape;
  readonly domain: Domain;
}

export interface Case {
  readonly op: string;
  readonly title: string;
  readonly leaves: readonly LeafSpec[];
  /** Values that are not differentiated by, fed under their names. */
  readonly feeds?: Readonly<Record<string, Value>>;
  /** Step of the differences, where it cannot be the usual one. */
  readonly step?: number;
  /** `dtype` is that of the leaves: float64 to differentiate, float32 to compare lowerings. */
  readonly build: (leaves: readonly Tensor[], dtype: DType) => Tensor;
}

const any = (...shape: Shape): LeafSpec => ({ shape, domain: 'any' });
const positive = (...shape: Shape): LeafSpec => ({ shape, domain: 'positive' });
const nonzero = (...shape: Shape): LeafSpec => ({ shape, domain: 'nonzero' });
const int32 = (shape: readonly number[], ...data: number[]): Value => ({
  dtype: 'int32',
  shape,
  data: Int32Array.from(data),
});

const BROADCASTS: readonly (readonly [string, Shape, Shape])[] = [
  ['equal shapes', [2, 3], [2, 3]],
  ['right row', [2, 3], [3]],
  ['left row', [3], [2, 3]],
  ['right column', [2, 3], [2, 1]],
  ['outer', [2, 1], [1, 3]],
  ['right without axes', [2, 3], []],
  ['left without axes', [], [2, 3]],
  ['symbolic', [B, S, 4], [S, 1]],
  ['symbolic against one', [B, 1, 2], [S, 2]],
];

function binaryCases(
  op: string,
  apply: (a: Tensor, b: Tensor) => Tensor,
  right: typeof any = any,
  left: typeof any = any,
): Case[] {
  const cases = BROADCASTS.map(([title, a, b]): Case => {
    return { op, title, leaves: [left(...a), right(...b)], build: ([x, y]) => apply(x!, y!) };
  });
  const twice = { op, title: 'the same tensor twice', leaves: [right(2, 3)] };
  return [...cases, { ...twice, build: ([x]) => apply(x!, x!) }];
}

function unaryCases(op: string, apply: (x: Tensor) => Tensor, leaf: typeof any = any): Case[] {
  return [
    { op, title: 'fixed', leaves: [leaf(2, 5)], build: ([x]) => apply(x!) },
    { op, title: 'symbolic', leaves: [leaf(B, S, 2)], build: ([x]) => apply(x!) },
    { op, title: 'without axes', leaves: [leaf()], build: ([x]) => apply(x!) },
  ];
}

function reductionCases(op: string, apply: typeof reduce.reduceSum): Case[] {
  const of = (title: string, shape: Shape, axes: readonly number[], keep: boolean): Case => ({
    op,
    title,
    leaves: [any(...shape)],
    build: ([x]) => apply(x!, axes, keep),
  });
  return [
    of('last axis', [2, 5], [-1], false),
    of('last axis kept', [2, 5], [-1], true),
    of('first and last', [2, 3, 4], [-1, 0], false),
    of('all', [2, 3], [0, 1], false),
    of('symbolic axes', [B, S, 2], [0, 1], true),
    of('middle axis', [B, S, 2], [1], false),
    of('axis of length one', [2, 1, 3], [1], false),
  ];
}

function matmulCases(): Case[] {
  const op = 'matmul';
  const cases: Case[] = [];
  for (const transposeA of [false, true]) {
    for (const transposeB of [false, true]) {
      for (const alpha of [1, 0.5]) {
        const a = transposeA ? [4, 3] : [3, 4];
        const b = transposeB ? [2, 4] : [4, 2];
        const title = `${transposeA ? 'aᵀ' : 'a'} · ${transposeB ? 'bᵀ' : 'b'} times ${alpha}`;
        const build: Case['build'] = ([x, y]) => matmul(x!, y!, { transposeA, transposeB, alpha });
        cases.push({ op, title: `2-D ${title}`, leaves: [any(...a), any(...b)], build });
        cases.push({ op, title: `batched ${title}`, leaves: [any(B, 2, ...a), any(B, 2, ...b)], build });
        if (!transposeA) cases.push({ op, title: `shared ${title}`, leaves: [any(B, S, 4), any(...b)], build });
      }
    }
  }
  const square: Case['build'] = ([x]) => matmul(x!, x!, { transposeB: true });
  cases.push({ op, title: 'x · xᵀ, symbolic rows', leaves: [any(B, S, 4)], build: square });
  return cases;
}

function rotaryCases(): Case[] {
  const tables = (dtype: DType): [Tensor, Tensor] => {
    const angles = Array.from({ length: 5 * 4 }, (_, i) => Math.floor(i / 4) * 10 ** (-(i % 4) / 2));
    return [constant(angles.map(Math.cos), [5, 4], dtype), constant(angles.map(Math.sin), [5, 4], dtype)];
  };
  const feeds = { positions: int32([2, 3], 0, 1, 2, 4, 0, 3) };
  const positions = input('positions', 'int32', [B, S]);
  const build: Case['build'] = ([x], dtype) => rotary(x!, positions, ...tables(dtype));
  return [{ op: 'rotary', title: 'two heads', leaves: [any(B, 2, S, 8)], feeds, build }];
}

const rows = input('rows', 'int32', [B, S]);
const rowFeeds = { rows: int32([2, 3], 1, 0, 3, 1, 1, 0) };
const flatRows = input('flat', 'int32', [4]);
const flatFeeds = { flat: int32([4], 2, 0, 2, 2) };
const places = constant([6, 0, 6], [3], 'int32');
const placesInVector = constant([4, 1], [2], 'int32');
const targets = input('targets', 'int32', [S]);
const targetFeeds = { targets: int32([3], 4, 0, 2) };
const seed = input('seed', 'int32', []);
const seedFeeds = { seed: int32([], 3) };

/** Cases for every op through which gradient flows. */
export const CASES: readonly Case[] = [
  ...binaryCases('add', add),
  ...binaryCases('sub', sub),
  ...binaryCases('mul', mul),
  ...binaryCases('div', div, nonzero),
  ...unaryCases('neg', elementwise.neg),
  ...unaryCases('exp', elementwise.exp),
  ...unaryCases('log', log, positive),
  ...unaryCases('sqrt', elementwise.sqrt, positive),
  ...unaryCases('tanh', elementwise.tanh),
  ...unaryCases('sigmoid', sigmoid),
  ...unaryCases('silu', silu),
  ...unaryCases('geluTanh', elementwise.geluTanh),
  ...unaryCases('erf', elementwise.erf),
  ...unaryCases('relu', elementwise.relu, nonzero),
  ...unaryCases('abs', elementwise.abs, nonzero),
  ...unaryCases('sign', elementwise.sign, nonzero),
  ...unaryCases('softmax', reduce.softmax).slice(0, 2),
  ...unaryCases('logSoftmax', reduce.logSoftmax).slice(0, 2),
  // Values and gradients pass through float32 here: with a coarse step they fit it, and a quadratic loss has no
  // error from the step's size.
  ...unaryCases('cast', (x) => cast(cast(x, x.dtype === 'float64' ? 'float32' : 'float64'), x.dtype)).map(
    (example) => ({ ...example, step: 2 ** -6 }),
  ),
  ...BROADCASTS.map(([title, a, b]): Case => ({
    op: 'where',
    title,
    leaves: [any(...a), any(...b)],
    build: ([x, y], dtype) => where(less(constant([0, 1, 2], [3, 1, 1], dtype), 1), x!, y!),
  })).filter(({ title }) => !title.startsWith('symbolic')),
  {
    op: 'where',
    title: 'a condition on a symbolic leaf',
    leaves: [nonzero(B, S, 2), any(S, 1)],
    build: ([x, y]) => where(greaterOrEqual(x!, 0), x!, y!),
  },
  ...reductionCases('reduceSum', reduce.reduceSum),
  ...reductionCases('reduceMean', reduce.reduceMean),
  ...reductionCases('reduceMax', reduce.reduceMax),
  ...reductionCases('reduceSumSquare', reduce.reduceSumSquare),
  ...matmulCases(),
  { op: 'rmsNorm', title: '2-D', leaves: [any(3, 4), any(4)], build: ([x, w]) => rmsNorm(x!, w!, 1e-5) },
  { op: 'rmsNorm', title: 'symbolic', leaves: [any(B, S, 4), any(4)], build: ([x, w]) => rmsNorm(x!, w!, 0.1) },
  {
    op: 'rmsInverse',
    title: 'symbolic',
    leaves: [any(B, S, 4)],
    build: ([x], dtype) => rmsInverse(x!, constant([1, 1, 1, 1], [4], dtype), 0.1),
  },
  {
    op: 'layerNorm',
    title: '2-D',
    leaves: [any(3, 4), any(4), any(4)],
    build: ([x, w, b]) => layerNorm(x!, w!, b!, 1e-5),
  },
  {
    op: 'layerNorm',
    title: 'symbolic',
    leaves: [any(B, S, 4), any(4), any(4)],
    build: ([x, w, b]) => layerNorm(x!, w!, b!, 0.1),
  },
  ...rotaryCases(),
  {
    op: 'crossEntropy',
    title: 'symbolic rows',
    leaves: [any(S, 5)],
    feeds: targetFeeds,
    build: ([x]) => crossEntropy(x!, targets),
  },
  {
    op: 'crossEntropySlope',
    title: 'symbolic rows',
    leaves: [any(S, 5), any(S)],
    feeds: targetFeeds,
    build: ([x, g]) => crossEntropySlope(reduce.logSoftmax(x!), targets, g!),
  },
  {
    op: 'after',
    title: 'symbolic, after a tensor of another rank',
    leaves: [any(S, 2)],
    build: ([x]) => after(x!, reduce.reduceSum(x!, [0])),
  },
  {
    op: 'after',
    title: 'without axes, after one without axes',
    leaves: [any()],
    build: ([x]) => after(x!, elementwise.exp(x!)),
  },
  {
    op: 'withGradient',
    title: 'a sum over rows, whose gradient is given',
    leaves: [any(S, 2)],
    build: ([x]) =>
      withGradient(reduce.reduceSum(elementwise.stopGradient(x!), [0]), x!, (g) => shapes.expand(g, [S, 2])),
  },
  {
    op: 'gatherRows',
    title: 'repeated rows of a table',
    leaves: [any(4, 2)],
    feeds: rowFeeds,
    build: ([x]) => gatherRows(x!, rows),
  },
  {
    op: 'gatherRows',
    title: 'elements of a vector',
    leaves: [any(4)],
    feeds: rowFeeds,
    build: ([x]) => gatherRows(x!, rows),
  },
  {
    op: 'gatherRows',
    title: 'rows of symbolic width',
    leaves: [any(3, B, S)],
    feeds: flatFeeds,
    build: ([x]) => gatherRows(x!, flatRows),
  },
  {
    op: 'scatterAddRows',
    title: 'repeated rows',
    leaves: [any(B, S, 2)],
    feeds: rowFeeds,
    build: ([x]) => scatterAddRows(x!, rows, 4),
  },
  {
    op: 'scatterAddRows',
    title: 'into symbolic rows',
    leaves: [any(4, B, S)],
    feeds: flatFeeds,
    build: ([x]) => scatterAddRows(x!, flatRows, S),
  },
  { op: 'gatherAt', title: 'a repeated place', leaves: [any(3, 4)], build: ([x]) => gatherAt(x!, places) },
  { op: 'gatherAt', title: 'of a vector', leaves: [any(5)], build: ([x]) => gatherAt(x!, placesInVector) },
  {
    op: 'addAt',
    title: 'a repeated place',
    leaves: [any(3, 4), any(3)],
    build: ([x, values]) => addAt(x!, values!, places),
  },
  {
    op: 'addAt',
    title: 'to a vector',
    leaves: [any(5), any(2)],
    build: ([x, values]) => addAt(x!, values!, placesInVector),
  },
  { op: 'reshape', title: 'fixed', leaves: [any(2, 6)], build: ([x]) => shapes.reshape(x!, [3, 4]) },
  {
    op: 'reshape',
    title: 'two symbols',
    leaves: [any(B, S, 4)],
    build: ([x]) => shapes.reshape(x!, [S, 2, B, 2]),
  },
  { op: 'transpose', title: 'fixed', leaves: [any(2, 3, 4)], build: ([x]) => shapes.transpose(x!, [2, 0, 1]) },
  { op: 'transpose', title: 'symbolic', leaves: [any(B, S)], build: ([x]) => shapes.transpose(x!, [1, 0]) },
  {
    op: 'expand',
    title: 'new and stretched axes',
    leaves: [any(1, 3)],
    build: ([x]) => shapes.expand(x!, [2, 4, 3]),
  },
  { op: 'expand', title: 'symbolic', leaves: [any(B, 1, 2)], build: ([x]) => shapes.expand(x!, [B, S, 2]) },
  { op: 'expand', title: 'without axes', leaves: [any()], build: ([x]) => shapes.expand(x!, [2, 3]) },
  { op: 'slice', title: 'fixed', leaves: [any(5, 2)], build: ([x]) => shapes.slice(x!, 0, 1, 4) },
  { op: 'slice', title: 'negative axis', leaves: [any(B, 5)], build: ([x]) => shapes.slice(x!, -1, 0, 2) },
  { op: 'slice', title: 'symbolic end', leaves: [any(S, B)], build: ([x]) => shapes.slice(x!, 0, 1, S) },
  { op: 'pad', title: 'fixed', leaves: [any(2, 3)], build: ([x]) => shapes.pad(x!, -1, 1, 2) },
  { op: 'pad', title: 'symbolic behind', leaves: [any(B, S)], build: ([x]) => shapes.pad(x!, 0, 2, S) },
  { op: 'concat', title: 'fixed', leaves: [any(2, 3), any(2, 1)], build: (parts) => shapes.concat(parts, -1) },
  {
    op: 'concat',
    title: 'symbolic last',
    leaves: [any(2, S), any(S, S)],
    build: (parts) => shapes.concat(parts, 0),
  },
  { op: 'concat', title: 'a part twice', leaves: [any(B, 2)], build: ([x]) => shapes.concat([x!, x!], 1) },
];

/** Functions of many ops, as models have them. */
export const COMPOSITES: readonly Case[] = [
  { op: 'composite', title: 'gelu', leaves: [any(B, S, 4)], build: ([x]) => elementwise.gelu(x!) },
  {
    op: 'composite',
    title: 'causal attention over a normalized input',
    leaves: [any(B, S, 4), any(4), any(4, 4), any(4, 4)],
    build: ([x, w, wq, wk], dtype) => {
      const normalized = rmsNorm(x!, w!, 1e-5);
      const [q, k] = [
        matmul(normalized, wq!, { transposeB: true }),
        matmul(normalized, wk!, { transposeB: true }),
      ];
      const scores = matmul(q, k, { transposeB: true, alpha: 0.5 });
      const visible = greaterOrEqual(shapes.reshape(iota(S), [S, 1]), iota(S));
      return matmul(reduce.softmax(where(visible, scores, constant([-1e4], [], dtype))), normalized);
    },
  },
  {
    op: 'composite',
    title: 'gated MLP with LoRA on its output',
    leaves: [any(B, S, 3), any(5, 3), any(5, 3), any(3, 5), any(2, 5), any(3, 2)],
    build: ([x, gate, up, down, a, b]) => {
      const transposeB = true;
      const inner = mul(silu(matmul(x!, gate!, { transposeB })), matmul(x!, up!, { transposeB }));
      const low = matmul(inner, a!, { transposeB });
      return add(matmul(inner, down!, { transposeB }), matmul(low, b!, { transposeB, alpha: 2 }));
    },
  },
  {
    op: 'composite',
    title: 'mean cross-entropy over a tied embedding',
    leaves: [any(5, 4)],
    feeds: { ...rowFeeds, ...targetFeeds },
    build: ([table]) => {
      const hidden = reduce.reduceMean(gatherRows(table!, rows), [0]);
      const losses = crossEntropy(matmul(hidden, table!, { transposeB: true }), targets);
      return div(reduce.reduceSum(losses, [0]), dimValue(S, losses.dtype));
    },
  },
  {
    op: 'composite',
    title: 'weight decomposed into magnitude and direction',
    leaves: [any(B, 3), positive(2, 1), any(2, 3)],
    build: ([x, magnitude, v]) => {
      const norm = elementwise.sqrt(reduce.reduceSum(mul(v!, v!), [-1], true));
      return matmul(x!, mul(magnitude!, div(v!, norm)), { transposeB: true });
    },
  },
  {
    op: 'composite',
    title: 'dropout',
    leaves: [any(B, S, 4)],
    feeds: seedFeeds,
    build: ([x]) => mul(dropout(x!, 0.4, seed, 77), elementwise.tanh(x!)),
  },
];

/** For every op whose gradient is not its derivative by definition: the op, and what the gradient is in its place. */
export const ESTIMATED: Readonly<
  Record<string, { readonly apply: (x: Tensor) => Tensor; readonly gradient: (upstream: Tensor) => Tensor }>
> = {
  // A step is flat: finite differences give zero wherever they do not cross it.
  straightThroughStep: { apply: (x) => straightThroughStep(x, 0.5), gradient: (upstream) => upstream },
};

/** For every op that stops gradient, the op applied to a tensor. */
export const STOPPING: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  argMax: (x) => reduce.argMax(x),
  cumulativeSum: (x) => reduce.cumulativeSum(x),
  descendingRank: (x) => descendingRank(shapes.reshape(x, [sizeOf(x.shape)])),
  stopGradient: (x) => elementwise.stopGradient(x),
  equal: (x) => elementwise.equal(x, 1),
  less: (x) => less(x, 1),
  lessOrEqual: (x) => elementwise.lessOrEqual(x, 1),
  greaterOrEqual: (x) => greaterOrEqual(x, 1),
  and: (x) => elementwise.and(less(x, 1), less(x, 2)),
  dimValue: (x) => dimValue(x.shape[0]!, 'float64'),
  iota: (x) => iota(x.shape[0]!, 'int32'),
  bitwiseXor: (x) => bitwiseXor(cast(x, 'uint32'), cast(x, 'uint32')),
  bitwiseOr: (x) => bitwiseOr(cast(x, 'uint32'), cast(x, 'uint32')),
  shiftRight: (x) => shiftRight(cast(x, 'uint32'), 1),
};
