import type { MethodConfig, TrainingOptions } from '../config/schema.js';
import type { Attached } from '../methods/method.js';
import type { Checkpoint } from '../models/checkpoint.js';
import { createOptimizer } from '../training/optimizers/optimizer.js';

/** Everything of the arithmetic is float32. */
const BYTES = 4;

/** What a run needs, as far as it follows from the run file and the checkpoint's header. Exact, but for `notes`. */
export interface Estimate {
  /** Numbers that train in the course of the run. */
  readonly trainable: number;
  /** Numbers of the model. */
  readonly total: number;
  /** In memory, in bytes. */
  readonly memory: {
    /** Of the base, as float32; mapped from disk, so that the system can take the memory back. */
    readonly weights: number;
    readonly trainables: number;
    readonly gradients: number;
    readonly optimizer: number;
    /** Averages and masks that a method keeps. */
    readonly state: number;
  };
  /** A copy of the weights in float32 that is made in the cache once; 0 where the file is mapped as it is. */
  readonly converted: number;
  /** What is written in the end; headers, config and tokenizer come on top. */
  readonly results: readonly {
    readonly method: string;
    readonly what: 'adapter' | 'model';
    readonly bytes: number;
  }[];
  /** What is not in it, or not exact; sentences. */
  readonly notes: readonly string[];
}

/** A method, attached to the header of a checkpoint. */
export interface EstimatedMethod {
  readonly config: MethodConfig;
  /** Absent for one that first has to see the data. */
  readonly attached: Attached | undefined;
  /** Numbers that it will train beside those of `attached`. */
  readonly masked: number;
}

/** @param total numbers of the model's parameters, a shared one counted once */
export function estimateRun(
  checkpoint: Pick<Checkpoint, 'tensors' | 'format'>,
  total: number,
  methods: readonly EstimatedMethod[],
  training: TrainingOptions,
): Estimate {
  const optimizer = createOptimizer(training);
  const notes = [
    'Activations are not in it yet: what the passes over a batch keep grows with batch size and row length.',
  ];
  let [trainable, held, present, slots, state] = [0, 0, 0, 0, 0];
  for (const { config, attached, masked } of methods) {
    trainable += masked;
    held += masked;
    present += masked;
    slots += masked * slotsPerNumber(training);
    if (attached === undefined) {
      if (masked > 0) notes.push(`${config.type} chooses its numbers when the run starts; how many is known.`);
      else notes.push(`${config.type} looks at the data first: its masks are not in it.`);
      continue;
    }
    // Some methods train only a part at a time: as at the first step.
    attached.beforeStep?.({ step: 1, totalSteps: Math.max(1, training.max_steps ?? 1000) });
    const active = attached.active?.();
    for (const { variable } of attached.trainables) {
      const size = sizeOf(variable.shape);
      trainable += size;
      if (active !== undefined && !active.has(variable)) continue;
      held += size;
      present += size;
      for (const slot of optimizer.slots(variable)) slots += sizeOf(slot.variable.shape);
    }
    for (const { variable } of attached.state ?? []) state += sizeOf(variable.shape);
    if (active !== undefined) {
      notes.push(`${config.type} trains a part at a time: gradients and optimizer are those of its first step.`);
    }
  }
  if (training.sam_rho > 0) notes.push('Sharpness-aware minimization keeps a second copy of the gradients.');
  const isMapped =
    checkpoint.format === 'safetensors' && [...checkpoint.tensors.values()].every(({ dtype }) => dtype === 'F32');
  return {
    trainable,
    total,
    memory: {
      weights: total * BYTES,
      trainables: held * BYTES,
      gradients: present * BYTES,
      optimizer: slots * BYTES,
      state: state * BYTES,
    },
    converted: isMapped ? 0 : total * BYTES,
    results: methods.flatMap((method) => resultOf(method, total)),
    notes,
  };
}

/** For numbers that stand in no tensor yet; Adafactor keeps second moments of a vector whole. */
function slotsPerNumber({ optim, momentum, adafactor_beta1: mean }: TrainingOptions): number {
  switch (optim) {
    case 'adamw':
      return 2;
    case 'sgd':
      return momentum > 0 ? 1 : 0;
    case 'adafactor':
      return mean === undefined ? 1 : 2;
  }
}

function resultOf({ config, attached, masked }: EstimatedMethod, total: number): Estimate['results'] {
  switch (config.type) {
    case 'child_tuning':
      return [];
    case 'full':
    case 'lisa':
      return [{ method: config.type, what: 'model', bytes: total * BYTES }];
    case 'fish_mask':
      // Each number with its place.
      return [{ method: config.type, what: 'adapter', bytes: masked * 2 * BYTES }];
    default: {
      const numbers = (attached?.trainables ?? []).reduce((sum, { variable }) => sum + sizeOf(variable.shape), 0);
      return [{ method: config.type, what: 'adapter', bytes: numbers * BYTES }];
    }
  }
}

function sizeOf(shape: readonly unknown[]): number {
  return shape.reduce<number>((product, length) => product * Number(length), 1);
}
