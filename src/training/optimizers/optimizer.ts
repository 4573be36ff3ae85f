import type { TrainingOptions } from '../../config/schema.js';
import type { Tensor } from '../../tensor/tensor.js';
import { adafactor } from './adafactor.js';
import { adamW } from './adamw.js';
import { sgd } from './sgd.js';
import type { Slot, Updated } from './slots.js';

/** An optimizer's rule, built into the step's graph. */
export interface Optimizer {
  /** Each number's update depends on its own gradient and slots only, so that trainables may be updated as one long vector. */
  readonly elementwise: boolean;
  /** Numbers kept per trainable, zero at the start; the same variables at every call. */
  slots(updated: Updated): readonly Slot[];
  /**
   * The new parameter and slots, these in the order of {@link Optimizer.slots}.
   * @param gradient in the coordinates of the slots: see {@link inSlots}
   */
  update(updated: Updated, gradient: Tensor): { parameter: Tensor; slots: readonly Tensor[] };
  /** What the graph's scalar inputs hold at a step, counted from 1 where the slots were zero. */
  scalars(step: number, learningRate: number): Readonly<Record<string, number>>;
}

/**
 * The optimizer that the options name.
 * @param name what the graph's inputs start with, where a graph has several
 */
export function createOptimizer(options: TrainingOptions, name = ''): Optimizer {
  switch (options.optim) {
    case 'adamw':
      return adamW(options, name);
    case 'sgd':
      return sgd(options, name);
    case 'adafactor':
      return adafactor(options, name);
  }
}
