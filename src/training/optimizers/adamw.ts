import type { TrainingOptions } from '../../config/schema.js';
import { add, div, mul, sqrt, sub } from '../../tensor/ops/elementwise.js';
import type { Tensor } from '../../tensor/tensor.js';
import { input } from '../../tensor/tensor.js';
import type { Optimizer } from './optimizer.js';
import { fromSlots, slotsPerTrainable } from './slots.js';

/**
 * AdamW (Loshchilov & Hutter 2019, algorithm 2; moments of Kingma & Ba 2015, algorithm 1), in the order of
 * PyTorch's `torch.optim.AdamW`:
 *
 *     θ ← θ − η λ θ
 *     m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²
 *     θ ← θ − η / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)
 *
 * Where moments lie in other coordinates, g is the gradient there, and the update is taken back into θ's; the decay then
 * comes last, as in the code of GaLore's authors: θ ← (θ − back(update)) − η λ (θ − back(update)).
 */
export function adamW(options: TrainingOptions, name = ''): Optimizer {
  const { adam_beta1: beta1, adam_beta2: beta2, adam_epsilon: epsilon, weight_decay: decay } = options;
  // Corrections depend on the step: inputs, so that the graph is compiled once.
  const stepSize = input(`${name}adamw/step_size`, 'float32', []);
  const rootCorrection = input(`${name}adamw/root_correction`, 'float32', []);
  const keep = input(`${name}adamw/keep`, 'float32', []);
  const slotsOf = slotsPerTrainable((shape) => ({ exp_avg: shape, exp_avg_sq: shape }));
  return {
    elementwise: true,
    slots: slotsOf,
    update(updated, gradient) {
      const { variable: trainable, decays, slots: elsewhere } = updated;
      const [mean, square] = slotsOf(updated).map((slot) => slot.variable);
      const newMean = add(mul(mean!, beta1), mul(gradient, 1 - beta1));
      const newSquare = add(mul(square!, beta2), mul(mul(gradient, gradient), 1 - beta2));
      const shrunk = (x: Tensor): Tensor => (decays && decay > 0 ? mul(x, keep) : x);
      const direction = div(newMean, add(div(sqrt(newSquare), rootCorrection), epsilon));
      const step = fromSlots(updated, mul(direction, stepSize));
      const parameter = elsewhere === undefined ? sub(shrunk(trainable), step) : shrunk(sub(trainable, step));
      return { parameter, slots: [newMean, newSquare] };
    },
    scalars: (step, rate) => ({
      [stepSize.name]: rate / (1 - beta1 ** step),
      [rootCorrection.name]: Math.sqrt(1 - beta2 ** step),
      [keep.name]: 1 - rate * decay,
    }),
  };
}
