import type { TrainingOptions } from '../config/schema.js';

/** Optimizer steps of warm-up that the options ask for. */
export function warmupSteps(options: TrainingOptions, totalSteps: number): number {
  return options.warmup_steps > 0 ? options.warmup_steps : Math.ceil(options.warmup_ratio * totalSteps);
}

/**
 * The learning rate of an optimizer step, as Transformers' schedules have it: a linear rise over the warm-up,
 * then constant, a line to 0, a half cosine to 0 or several, or a power of the time left.
 *
 * @param step from 1; Transformers' scheduler counts the steps already taken, so the first of `w` warm-up steps
 *   has rate 0
 */
export function learningRate(options: TrainingOptions, step: number, totalSteps: number): number {
  const taken = step - 1;
  const warmup = warmupSteps(options, totalSteps);
  if (taken < warmup) return options.learning_rate * (taken / Math.max(1, warmup));
  const falling = Math.max(1, totalSteps - warmup);
  const progress = (taken - warmup) / falling;
  switch (options.lr_scheduler_type) {
    case 'constant':
      return options.learning_rate;
    case 'linear':
      return options.learning_rate * Math.max(0, (totalSteps - taken) / falling);
    case 'cosine':
      return options.learning_rate * Math.max(0, 0.5 * (1 + Math.cos((Math.PI * (taken - warmup)) / falling)));
    case 'cosine_with_restarts':
      if (progress >= 1) return 0;
      return options.learning_rate * 0.5 * (1 + Math.cos(Math.PI * ((options.lr_num_cycles * progress) % 1)));
    case 'polynomial': {
      const { learning_rate: highest, lr_end: end, lr_power: power } = options;
      return taken > totalSteps ? end : end + (highest - end) * (1 - progress) ** power;
    }
  }
}
