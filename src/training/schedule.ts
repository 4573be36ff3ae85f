import type { TrainingOptions } from '../config/schema.js';
import type { Attached, StepPlace } from '../methods/method.js';

/** Optimizer steps of warm-up that the options ask for. */
export function warmupSteps(options: TrainingOptions, totalSteps: number): number {
  return options.warmup_steps > 0 ? options.warmup_steps : Math.ceil(options.warmup_ratio * totalSteps);
}

/**
 * The learning rate of an optimizer step: that of Transformers' `get_scheduler`, or Adafactor's own.
 *
 * @param step from 1; Transformers' scheduler counts the steps already taken, so the first of `w` warm-up steps
 *   has rate 0
 */
export function learningRate(options: TrainingOptions, step: number, totalSteps: number): number {
  if (options.optim === 'adafactor' && options.adafactor_relative_step) return relativeStep(options, step);
  const { learning_rate: highest, lr_scheduler_type: type, lr_scheduler_kwargs: given = {} } = options;
  if (type === 'constant') return highest;
  const taken = step - 1;
  const warmup = warmupSteps(options, totalSteps);
  if (taken < warmup) return highest * (taken / Math.max(1, warmup));
  const falling = Math.max(1, totalSteps - warmup);
  const progress = (taken - warmup) / falling;
  switch (type) {
    case 'constant_with_warmup':
      return highest;
    case 'linear':
      return highest * Math.max(0, (totalSteps - taken) / falling);
    case 'cosine':
      return highest * wave((given.num_cycles ?? 0.5) * 2 * progress);
    case 'cosine_with_restarts':
      return progress >= 1 ? 0 : highest * wave(((given.num_cycles ?? 1) * progress) % 1);
    case 'cosine_with_min_lr': {
      const share = wave((given.num_cycles ?? 0.5) * 2 * progress);
      const lowest = given.min_lr ?? (given.min_lr_rate ?? 0) * highest;
      return lowest + (highest - lowest) * share;
    }
    case 'polynomial': {
      const end = given.lr_end ?? 1e-7;
      return taken > totalSteps ? end : end + (highest - end) * (1 - progress) ** (given.power ?? 1);
    }
    case 'inverse_sqrt': {
      const timescale = given.timescale ?? (warmup || DEFAULT_TIMESCALE);
      return highest / Math.sqrt((taken - warmup + timescale) / timescale);
    }
  }
}

/** The learning rate of a step of a run: that of its schedule, or what its methods make of it. */
export function rateAt(
  options: TrainingOptions,
  methods: readonly Pick<Attached, 'learningRate'>[],
  place: StepPlace,
): number {
  return methods.reduce(
    (schedule, method) => (at: StepPlace) => method.learningRate?.(at, schedule) ?? schedule(at),
    ({ step, totalSteps }: StepPlace) => learningRate(options, step, totalSteps),
  )(place);
}

/** Transformers' timescale of `inverse_sqrt` without a warm-up. */
const DEFAULT_TIMESCALE = 10_000;

/** From 1 at even numbers to 0 at odd ones. */
function wave(halves: number): number {
  return 0.5 * (1 + Math.cos(Math.PI * halves));
}

/** Adafactor's ρ (Shazeer & Stern 2018, algorithms 4 and 5; with a warm-up as in section 9's table 2). */
function relativeStep({ adafactor_warmup_init: warms }: TrainingOptions, step: number): number {
  return Math.min(warms ? 1e-6 * step : 1e-2, 1 / Math.sqrt(step));
}
