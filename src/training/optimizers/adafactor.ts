import type { TrainingOptions } from '../../config/schema.js';
import { add, div, less, mul, sqrt, sub, where } from '../../tensor/ops/elementwise.js';
import { reduceMean } from '../../tensor/ops/reduce.js';
import { reshape } from '../../tensor/ops/shape.js';
import type { Shape, Tensor } from '../../tensor/tensor.js';
import { input, scalar } from '../../tensor/tensor.js';
import type { Optimizer } from './optimizer.js';
import { fromSlots, slotsPerTrainable } from './slots.js';

/**
 * Adafactor (Shazeer & Stern 2018, algorithms 4 to 6), in the order of `transformers.optimization.Adafactor`. Of a
 * matrix's second moments only the means over rows R and columns C are kept; a vector keeps all of them.
 *
 *     β₂ = 1 − t^(decay rate),   α = ρ, times max(ε₂, RMS(θ)) when the step goes by the parameter's size
 *     R ← β₂ R + (1 − β₂) mean_columns(g² + ε₁),   C ← β₂ C + (1 − β₂) mean_rows(g² + ε₁)
 *     u = g / √(R C / mean(R)),   u ← α u / max(1, RMS(u) / d),   with momentum m ← β₁ m + (1 − β₁) u, u = m
 *     θ ← θ − α λ θ,   θ ← θ − u
 *
 * Where the moments lie in other coordinates, g and u are those there; θ's own size decides of α.
 *
 * ρ is the step's learning rate; the schedule has the one that depends on the step alone (`adafactor_relative_step`).
 */
export function adafactor(options: TrainingOptions, name = ''): Optimizer {
  const { adafactor_beta1: beta1, adafactor_epsilon1: epsilon1, adafactor_epsilon2: epsilon2 } = options;
  const { adafactor_clip_threshold: threshold, adafactor_decay_rate: decayRate, weight_decay: decay } = options;
  const rate = input(`${name}adafactor/rate`, 'float32', []);
  const keep = input(`${name}adafactor/keep`, 'float32', []);
  const renew = input(`${name}adafactor/renew`, 'float32', []);
  const average = (old: Tensor, now: Tensor): Tensor => add(mul(old, keep), mul(now, renew));
  const slotsOf = slotsPerTrainable((shape) => ({
    ...(isFactored(shape)
      ? { exp_avg_sq_row: shape.slice(0, -1), exp_avg_sq_col: [...shape.slice(0, -2), shape.at(-1)!] }
      : { exp_avg_sq: shape }),
    ...(beta1 === undefined ? {} : { exp_avg: shape }),
  }));
  return {
    elementwise: false,
    slots: slotsOf,
    update(updated, gradient) {
      const { variable: trainable, decays } = updated;
      const slots = slotsOf(updated).map((slot) => slot.variable);
      const square = add(mul(gradient, gradient), epsilon1);
      const moments = isFactored(gradient.shape)
        ? [average(slots[0]!, reduceMean(square, [-1])), average(slots[1]!, reduceMean(square, [-2]))]
        : [average(slots[0]!, square)];
      const direction = mul(inverseRoot(moments), gradient);
      const stepSize = options.adafactor_scale_parameter ? mul(atLeast(rms(trainable), epsilon2), rate) : rate;
      const update = mul(div(direction, atLeast(div(rms(direction), scalar(threshold)), 1)), stepSize);
      const mean = beta1 === undefined ? undefined : add(mul(slots.at(-1)!, beta1), mul(update, 1 - beta1));
      const shrunk = decays && decay > 0 ? sub(trainable, mul(trainable, mul(stepSize, decay))) : trainable;
      return {
        parameter: sub(shrunk, fromSlots(updated, mean ?? update)),
        slots: mean === undefined ? moments : [...moments, mean],
      };
    },
    scalars: (step, learningRate) => ({
      [rate.name]: learningRate,
      [keep.name]: 1 - step ** decayRate,
      [renew.name]: step ** decayRate,
    }),
  };
}

/** Whether second moments are kept by rows and columns: of the last two axes, as in Transformers. */
function isFactored(shape: Shape): boolean {
  return shape.length >= 2;
}

/** 1/√v, from v itself or from its means over columns and over rows (algorithm 4; of the product's root each factor's). */
function inverseRoot([first, columns]: readonly Tensor[]): Tensor {
  if (columns === undefined) return div(1, sqrt(first!));
  const rows = div(1, sqrt(div(first!, reduceMean(first!, [-1], true))));
  return mul(
    reshape(rows, [...first!.shape, 1]),
    reshape(div(1, sqrt(columns)), [...columns.shape.slice(0, -1), 1, columns.shape.at(-1)!]),
  );
}

/** Root mean square of all numbers, []. */
function rms(x: Tensor): Tensor {
  return sqrt(
    reduceMean(
      mul(x, x),
      x.shape.map((_, axis) => axis),
    ),
  );
}

function atLeast(x: Tensor, minimum: number): Tensor {
  return where(less(x, minimum), scalar(minimum), x);
}
