import { sameDim, sameShape, shapeText, sizeOf } from '../dims.js';
import { defineOp } from '../defineOp.js';
import type { Emitter } from '../emitter.js';
import type { Shape, Tensor } from '../tensor.js';
import { reshape } from './shape.js';

export interface MatMulOptions {
  /** Takes aᵀ (last two axes) for a. */
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  /** Factor on the product. */
  readonly alpha?: number;
}

const matmulOp = defineOp<Required<MatMulOptions>>({
  name: 'matmul',
  infer: (inputs, { transposeA, transposeB }) => {
    const [a, b] = inputs as [Tensor, Tensor];
    const shape = productShape(a.shape, b.shape, transposeA, transposeB);
    if (shape === undefined || a.dtype !== b.dtype) {
      const mark = (transposed: boolean): string => (transposed ? 'ᵀ' : '');
      throw new Error(
        `matmul: ${a.dtype} ${shapeText(a.shape)}${mark(transposeA)} does not multiply ${b.dtype} ${shapeText(b.shape)}${mark(transposeB)}`,
      );
    }
    return { dtype: a.dtype, shape };
  },
  // With Y = αAB: ∂A = αGBᵀ, ∂B = αAᵀG; the transposed forms follow by transposing both sides.
  gradient: (node, g, { transposeA, transposeB, alpha }) => {
    const [a, b] = node.inputs as [Tensor, Tensor];
    const shared = b.shape.length === 2 && a.shape.length > 2;
    return [
      () =>
        transposeA
          ? matmul(b, g, { transposeA: transposeB, transposeB: true, alpha })
          : matmul(g, b, { transposeB: !transposeB, alpha }),
      () => {
        const left = shared ? flatten(a) : a;
        const right = shared ? flatten(g) : g;
        return transposeB
          ? matmul(right, left, { transposeA: true, transposeB: transposeA, alpha })
          : matmul(left, right, { transposeA: !transposeA, alpha });
      },
    ];
  },
  lower: (emit, inputs, node, { transposeA, transposeB, alpha }) => {
    if (!transposeA && !transposeB && alpha === 1) return emit.node('MatMul', inputs);
    if (node.dtype === 'float32') {
      return emit.node(
        'FusedMatMul',
        inputs,
        { transA: transposeA ? 1 : 0, transB: transposeB ? 1 : 0, alpha: { float: alpha } },
        { domain: 'com.microsoft' },
      );
    }
    const [a, b] = node.inputs as [Tensor, Tensor];
    const left = transposeA ? swapLast(emit, inputs[0]!, a.shape.length) : inputs[0]!;
    const right = transposeB ? swapLast(emit, inputs[1]!, b.shape.length) : inputs[1]!;
    const product = emit.node('MatMul', [left, right]);
    return alpha === 1 ? product : emit.node('Mul', [product, emit.scalar(alpha, node.dtype)]);
  },
});

/**
 * Matrix product over the last two axes: a [..., m, k] · b [k, n] or [..., k, n] → [..., m, n].
 * Either b is one matrix for all of a, or both have the same leading axes.
 */
export function matmul(a: Tensor, b: Tensor, options: MatMulOptions = {}): Tensor {
  const { transposeA = false, transposeB = false, alpha = 1 } = options;
  return matmulOp([a, b], { transposeA, transposeB, alpha });
}

/** How a product was asked for; undefined for other tensors. */
export function matmulOptions(node: Tensor): Required<MatMulOptions> | undefined {
  const isProduct = node.kind === 'applied' && node.op === 'matmul';
  return isProduct ? (node.attributes as Required<MatMulOptions>) : undefined;
}

function productShape(a: Shape, b: Shape, transposeA: boolean, transposeB: boolean): Shape | undefined {
  const shared = b.length === 2;
  if (a.length < 2 || b.length < 2 || (transposeA && shared && a.length > 2)) return undefined;
  if (!shared && !sameShape(a.slice(0, -2), b.slice(0, -2))) return undefined;
  const [rows, inner] = transposeA ? [a.at(-1)!, a.at(-2)!] : [a.at(-2)!, a.at(-1)!];
  const [innerB, columns] = transposeB ? [b.at(-1)!, b.at(-2)!] : [b.at(-2)!, b.at(-1)!];
  return sameDim(inner, innerB) ? [...a.slice(0, -2), rows, columns] : undefined;
}

function flatten(x: Tensor): Tensor {
  return reshape(x, [sizeOf(x.shape.slice(0, -1)), x.shape.at(-1)!]);
}

function swapLast(emit: Emitter, name: string, rank: number): string {
  const order = Array.from({ length: rank }, (_, axis) => axis);
  order.splice(rank - 2, 2, rank - 1, rank - 2);
  return emit.node('Transpose', [name], { perm: order });
}
