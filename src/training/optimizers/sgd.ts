import type { TrainingOptions } from '../../config/schema.js';
import { add, mul, sub } from '../../tensor/ops/elementwise.js';
import { input } from '../../tensor/tensor.js';
import type { Optimizer } from './optimizer.js';
import { slotsPerTrainable } from './slots.js';

/**
 * Stochastic gradient descent with momentum (Polyak 1964) or Nesterov's (Sutskever et al. 2013), in the form and order
 * of PyTorch's `torch.optim.SGD` without dampening. Weight decay is coupled: it enters the gradient, hence the momentum.
 *
 *     g ← g + λ θ
 *     b ← μ b + g
 *     θ ← θ − η b,   or with Nesterov's θ ← θ − η (g + μ b)
 */
export function sgd(options: TrainingOptions, name = ''): Optimizer {
  const { momentum, nesterov, weight_decay: decay } = options;
  const rate = input(`${name}sgd/rate`, 'float32', []);
  const slotsOf = slotsPerTrainable(({ shape }) => (momentum > 0 ? { momentum_buffer: shape } : {}));
  return {
    elementwise: true,
    slots: slotsOf,
    update(trainable, gradient, decays) {
      const decayed = decays && decay > 0 ? add(gradient, mul(trainable, decay)) : gradient;
      const [buffer] = slotsOf(trainable);
      if (buffer === undefined) return { parameter: sub(trainable, mul(decayed, rate)), slots: [] };
      const newBuffer = add(mul(buffer.variable, momentum), decayed);
      const direction = nesterov ? add(decayed, mul(newBuffer, momentum)) : newBuffer;
      return { parameter: sub(trainable, mul(direction, rate)), slots: [newBuffer] };
    },
    scalars: (_step, learningRate) => ({ [rate.name]: learningRate }),
  };
}
