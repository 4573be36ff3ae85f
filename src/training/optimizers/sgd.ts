import type { TrainingOptions } from '../../config/schema.js';
import { add, mul, sub } from '../../tensor/ops/elementwise.js';
import type { Tensor } from '../../tensor/tensor.js';
import { input } from '../../tensor/tensor.js';
import type { Optimizer } from './optimizer.js';
import { fromSlots, inSlots, slotsPerTrainable } from './slots.js';

/**
 * Stochastic gradient descent with momentum (Polyak 1964) or Nesterov's (Sutskever et al. 2013), in the form and order
 * of PyTorch's `torch.optim.SGD` without dampening. Weight decay is coupled: it enters the gradient, hence the momentum.
 *
 *     g ← g + λ θ
 *     b ← μ b + g
 *     θ ← θ − η b,   or with Nesterov's θ ← θ − η (g + μ b)
 *
 * Where the momentum lies in other coordinates, λ θ is taken there with the gradient.
 */
export function sgd(options: TrainingOptions, name = ''): Optimizer {
  const { momentum, nesterov, weight_decay: decay } = options;
  const rate = input(`${name}sgd/rate`, 'float32', []);
  const slotsOf = slotsPerTrainable((shape) => (momentum > 0 ? { momentum_buffer: shape } : {}));
  return {
    elementwise: true,
    slots: slotsOf,
    update(updated, gradient) {
      const { variable: trainable, decays } = updated;
      const decayed = decays && decay > 0 ? add(gradient, inSlots(updated, mul(trainable, decay))) : gradient;
      const moved = (direction: Tensor): Tensor => sub(trainable, fromSlots(updated, mul(direction, rate)));
      const [buffer] = slotsOf(updated);
      if (buffer === undefined) return { parameter: moved(decayed), slots: [] };
      const newBuffer = add(mul(buffer.variable, momentum), decayed);
      const direction = nesterov ? add(decayed, mul(newBuffer, momentum)) : newBuffer;
      return { parameter: moved(direction), slots: [newBuffer] };
    },
    scalars: (_step, learningRate) => ({ [rate.name]: learningRate }),
  };
}
