import { defineOp } from '../defineOp.js';
import { sameShape, shapeText } from '../dims.js';
import type { Tensor } from '../tensor.js';

const withGradientOp = defineOp<(gradient: Tensor) => Tensor>({
  name: 'withGradient',
  infer: ([y]) => ({ dtype: y!.dtype, shape: y!.shape }),
  gradient: ({ inputs }, g, gradientOf) => [
    undefined,
    () => {
      const result = gradientOf(g);
      const [, x] = inputs as [Tensor, Tensor];
      if (sameShape(result.shape, x.shape)) return result;
      throw new Error(
        `withGradient: the gradient is ${shapeText(result.shape)}, what it is of ${shapeText(x.shape)}`,
      );
    },
  ],
  // Nothing to compute.
  lower: (_emit, [y]) => y!,
});

/**
 * y, made of x in whatever way, with a gradient of its own: for linear maps whose transpose is better computed anew than
 * from what y was made of, which would have to be kept.
 * @param gradientOf ∂loss/∂x out of ∂loss/∂y, built of ops that can be differentiated again
 */
export function withGradient(y: Tensor, x: Tensor, gradientOf: (gradient: Tensor) => Tensor): Tensor {
  return withGradientOp([y, x], gradientOf);
}
