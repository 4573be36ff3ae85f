import { dimText, sameDim, sameShape, shapeText } from '../dims.js';
import type { Dim } from '../dims.js';
import { defineOp } from '../defineOp.js';
import type { OpDefinition } from '../defineOp.js';
import type { Applied, DType, Shape, Tensor } from '../tensor.js';
import { isFloat, scalar, scalarValue } from '../tensor.js';
import { ONNX_TYPE } from '../emitter.js';
import { sumTo } from './reduce.js';

/** The shape that two shapes broadcast to (NumPy's rule). Throws when they do not. */
export function broadcastShapes(a: Shape, b: Shape, op: string): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, index): Dim => {
    const left = a[a.length - rank + index] ?? 1;
    const right = b[b.length - rank + index] ?? 1;
    if (sameDim(left, right) || right === 1) return left;
    if (left === 1) return right;
    throw new Error(
      `${op}: the shapes ${shapeText(a)} and ${shapeText(b)} do not broadcast (${dimText(left)} against ${dimText(right)})`,
    );
  });
}

function inferBinary(name: string, result?: DType): OpDefinition<null>['infer'] {
  return (inputs) => {
    const [a, b] = inputs as [Tensor, Tensor];
    if (a.dtype !== b.dtype) throw new Error(`${name}: ${a.dtype} and ${b.dtype} do not mix`);
    return { dtype: result ?? a.dtype, shape: broadcastShapes(a.shape, b.shape, name) };
  };
}

type BinaryGradient = (a: Tensor, b: Tensor, gradient: Tensor, result: Tensor) => readonly [Tensor, Tensor];

/** Each side's gradient is summed over the axes along which that side was broadcast. */
function binary(
  name: string,
  onnx: string,
  gradient: BinaryGradient,
  cost: { readonly cheap?: true } = {},
): (a: Tensor, b: Tensor) => Applied {
  const apply = defineOp<null>({
    name,
    ...cost,
    infer: inferBinary(name),
    gradient: ({ inputs, result }, upstream) => {
      const [a, b] = inputs as [Tensor, Tensor];
      return [
        () => sumTo(gradient(a, b, upstream, result)[0], a.shape),
        () => sumTo(gradient(a, b, upstream, result)[1], b.shape),
      ];
    },
    lower: (emit, inputs) => emit.node(onnx, inputs),
  });
  return (a, b) => apply([a, b], null);
}

const addOp = binary('add', 'Add', (_a, _b, g) => [g, g]);
const subOp = binary('sub', 'Sub', (_a, _b, g) => [g, neg(g)]);
const mulOp = binary('mul', 'Mul', (a, b, g) => [mul(g, b), mul(g, a)], { cheap: true });
const divOp = binary('div', 'Div', (_a, b, g, y) => [div(g, b), neg(div(mul(g, y), b))]);

/** a + b, broadcast. A plain number takes the other side's type. */
export function add(a: Tensor, b: Tensor | number): Tensor {
  const right = asTensor(b, a);
  if (scalarValue(right) === 0) return a;
  if (scalarValue(a) === 0 && sameShape(right.shape, broadcastShapes(a.shape, right.shape, 'add'))) return right;
  return addOp(a, right);
}

/** a − b, broadcast. */
export function sub(a: Tensor | number, b: Tensor | number): Tensor {
  const [left, right] = bothTensors(a, b);
  return scalarValue(right) === 0 ? left : subOp(left, right);
}

/** a · b elementwise, broadcast. */
export function mul(a: Tensor, b: Tensor | number): Tensor {
  const right = asTensor(b, a);
  if (scalarValue(right) === 1) return a;
  if (scalarValue(a) === 1) return right;
  return mulOp(a, right);
}

/** a / b elementwise, broadcast. */
export function div(a: Tensor | number, b: Tensor | number): Tensor {
  const [left, right] = bothTensors(a, b);
  return scalarValue(right) === 1 ? left : divOp(left, right);
}

function asTensor(value: Tensor | number, like: Tensor): Tensor {
  return typeof value === 'number' ? scalar(value, like.dtype) : value;
}

function bothTensors(a: Tensor | number, b: Tensor | number): [Tensor, Tensor] {
  if (typeof a === 'number') {
    if (typeof b === 'number') throw new Error('two numbers need no graph');
    return [scalar(a, b.dtype), b];
  }
  return [a, asTensor(b, a)];
}

function unary(
  name: string,
  onnx: string,
  gradient: (x: Tensor, g: Tensor, y: Tensor) => Tensor,
  cost: { readonly cheap?: true } = {},
): (x: Tensor) => Tensor {
  const apply = defineOp<null>({
    name,
    ...cost,
    infer: ([x]) => {
      if (!isFloat(x!.dtype)) throw new Error(`${name}: needs floating-point numbers, not ${x!.dtype}`);
      return { dtype: x!.dtype, shape: x!.shape };
    },
    gradient: ({ inputs, result }, upstream) => [() => gradient(inputs[0]!, upstream, result)],
    lower: (emit, inputs) => emit.node(onnx, inputs),
  });
  return (x) => apply([x], null);
}

export const neg = unary('neg', 'Neg', (_x, g) => neg(g));
export const exp = unary('exp', 'Exp', (_x, g, y) => mul(g, y));
export const log = unary('log', 'Log', (x, g) => div(g, x));
export const sqrt = unary('sqrt', 'Sqrt', (_x, g, y) => div(mul(g, 0.5), y));
export const tanh = unary('tanh', 'Tanh', (_x, g, y) => mul(g, sub(1, mul(y, y))));
export const sigmoid = unary('sigmoid', 'Sigmoid', (_x, g, y) => mul(g, mul(y, sub(1, y))));
/** max(x, 0); the gradient at 0 is 0. */
export const relu = unary('relu', 'Relu', (x, g) => where(lessOrEqual(x, 0), scalar(0, g.dtype), g), {
  cheap: true,
});
/** |x|; the gradient at 0 is 0. */
export const abs = unary('abs', 'Abs', (x, g) => mul(g, sign(x)));
/** −1, 0 or 1; flat, so its gradient is zero. */
export const sign = unary('sign', 'Sign', (_x, g) => mul(g, 0));

const siluOp = defineOp<null>({
  name: 'silu',
  cheap: true,
  infer: ([x]) => ({ dtype: x!.dtype, shape: x!.shape }),
  // With y = x·σ(x): dy/dx = σ(x) + y·(1 − σ(x))
  gradient: ({ inputs, result }, g) => [
    () => {
      const s = sigmoid(inputs[0]!);
      return mul(g, add(s, mul(result, sub(1, s))));
    },
  ],
  lower: (emit, [x], node) =>
    node.dtype === 'float32'
      ? emit.node('QuickGelu', [x!], { alpha: { float: 1 } }, { domain: 'com.microsoft' })
      : // As x / (1 + e⁻ˣ): ONNX Runtime turns x · σ(x) into QuickGelu, which it has for float32 only.
        emit.node('Div', [
          x!,
          emit.node('Add', [emit.scalar(1, node.dtype), emit.node('Exp', [emit.node('Neg', [x!])])]),
        ]),
});

/** x · σ(x), also called Swish (Elfwing, Uchibe & Doya 2017). */
export function silu(x: Tensor): Tensor {
  return siluOp([x], null);
}

const erfOp = defineOp<null>({
  name: 'erf',
  infer: ([x]) => ({ dtype: x!.dtype, shape: x!.shape }),
  gradient: (node, g) => [
    () => {
      const x = node.inputs[0]!;
      return mul(g, mul(exp(neg(mul(x, x))), 2 / Math.sqrt(Math.PI)));
    },
  ],
  lower: (emit, [x], node) => {
    if (node.dtype === 'float32') return emit.node('Erf', [x!]);
    // ONNX Runtime has float32 only. erf x = 2/√π · e^(−x²) · x · Σ (2x²)ⁿ / (1·3·5 … (2n + 1)); at ±6 it is ±1.
    const number = (value: number): string => emit.scalar(value, node.dtype);
    const times = (a: string, b: string): string => emit.node('Mul', [a, b]);
    const within = emit.node('Clip', [x!, number(-6), number(6)]);
    const square = times(within, within);
    let sum = number(1);
    for (let n = ERF_TERMS; n > 0; n--) {
      sum = emit.node('Add', [number(1), times(times(square, number(2 / (2 * n + 1))), sum)]);
    }
    const bell = emit.node('Exp', [emit.node('Neg', [square])]);
    return times(times(times(within, number(2 / Math.sqrt(Math.PI))), bell), sum);
  },
});

/** Enough of the series for float64 at ±6, where the terms grow longest. */
const ERF_TERMS = 140;

/** Gauss's error function 2/√π ∫₀ˣ exp(−t²) dt. */
export function erf(x: Tensor): Tensor {
  return erfOp([x], null);
}

/** x · Φ(x), Φ the normal distribution's (Hendrycks & Gimpel 2016, section 2). */
export function gelu(x: Tensor): Tensor {
  return mul(mul(x, 0.5), add(erf(mul(x, Math.SQRT1_2)), 1));
}

/** √(2/π), and the factor of x³ within. */
const GELU_OUTER = Math.sqrt(2 / Math.PI);
const GELU_CUBIC = 0.044715;

const geluTanhOp = defineOp<null>({
  name: 'geluTanh',
  infer: ([x]) => ({ dtype: x!.dtype, shape: x!.shape }),
  // With u = √(2/π)·x·(1 + 0.044715·x²): ½·(1 + tanh u) + ½·x·(1 − tanh² u)·u′
  gradient: (node, g) => [
    () => {
      const x = node.inputs[0]!;
      const square = mul(x, x);
      const t = tanh(mul(mul(x, GELU_OUTER), add(mul(square, GELU_CUBIC), 1)));
      const slope = mul(add(mul(square, 3 * GELU_CUBIC), 1), GELU_OUTER);
      return mul(g, mul(add(add(t, 1), mul(mul(x, sub(1, mul(t, t))), slope)), 0.5));
    },
  ],
  lower: (emit, [x], node) => {
    if (node.dtype === 'float32') return emit.node('Gelu', [x!], { approximate: 'tanh' });
    const number = (value: number): string => emit.scalar(value, node.dtype);
    const times = (a: string, b: string): string => emit.node('Mul', [a, b]);
    const cubic = emit.node('Add', [number(1), times(times(x!, x!), number(GELU_CUBIC))]);
    const t = emit.node('Tanh', [times(times(x!, number(GELU_OUTER)), cubic)]);
    return times(times(x!, number(0.5)), emit.node('Add', [number(1), t]));
  },
});

/**
 * ½·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))), near to {@link gelu} (Hendrycks & Gimpel 2016, section 2). Transformers
 * calls it `gelu_new` and `gelu_pytorch_tanh`.
 */
export function geluTanh(x: Tensor): Tensor {
  return geluTanhOp([x], null);
}

const castOp = defineOp<DType>({
  name: 'cast',
  cheap: true,
  infer: ([x], dtype) => ({ dtype, shape: x!.shape }),
  gradient: (node, g) => [isFloat(node.inputs[0]!.dtype) ? () => cast(g, node.inputs[0]!.dtype) : undefined],
  lower: (emit, inputs, node) => emit.node('Cast', inputs, { to: ONNX_TYPE[node.dtype] }),
});

/** The same values in another type. */
export function cast(x: Tensor, dtype: DType): Tensor {
  return x.dtype === dtype ? x : castOp([x], dtype);
}

const stopGradientOp = defineOp<null>({
  name: 'stopGradient',
  infer: ([x]) => ({ dtype: x!.dtype, shape: x!.shape }),
  lower: (emit, inputs) => emit.node('Identity', inputs),
});

/** The same values; no gradient flows back through it. */
export function stopGradient(x: Tensor): Tensor {
  return stopGradientOp([x], null);
}

function comparison(name: string, onnx: string): (a: Tensor, b: Tensor | number) => Tensor {
  const apply = defineOp<null>({
    name,
    infer: inferBinary(name, 'bool'),
    lower: (emit, inputs) => emit.node(onnx, inputs),
  });
  return (a, b) => apply([a, asTensor(b, a)], null);
}

export const equal = comparison('equal', 'Equal');
export const less = comparison('less', 'Less');
export const lessOrEqual = comparison('lessOrEqual', 'LessOrEqual');
export const greaterOrEqual = comparison('greaterOrEqual', 'GreaterOrEqual');
export const and = comparison('and', 'And');

const whereOp = defineOp<null>({
  name: 'where',
  cheap: true,
  infer: (inputs) => {
    const [condition, a, b] = inputs as [Tensor, Tensor, Tensor];
    if (condition.dtype !== 'bool' || a.dtype !== b.dtype) {
      throw new Error(`where: needs bool and two equal types, not ${condition.dtype}, ${a.dtype}, ${b.dtype}`);
    }
    const shape = broadcastShapes(condition.shape, broadcastShapes(a.shape, b.shape, 'where'), 'where');
    return { dtype: a.dtype, shape };
  },
  gradient: (node, g) => {
    const [condition, a, b] = node.inputs as [Tensor, Tensor, Tensor];
    const zero = scalar(0, g.dtype);
    return [
      undefined,
      () => sumTo(where(condition, g, zero), a.shape),
      () => sumTo(where(condition, zero, g), b.shape),
    ];
  },
  lower: (emit, inputs) => emit.node('Where', inputs),
});

/** a where the condition holds, else b; broadcast. */
export function where(condition: Tensor, a: Tensor, b: Tensor): Tensor {
  return whereOp([condition, a, b], null);
}
