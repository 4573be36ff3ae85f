import type { MethodConfig } from '../config/schema.js';
import type { Attached } from '../methods/method.js';
import type { LanguageModel } from '../models/architecture.js';
import type { Checkpoint } from '../models/checkpoint.js';
import { fixedSize } from '../tensor/dims.js';
import { afterLastMerge, standInFor } from './standIns.js';

/** A base model, as its config and header describe it. */
export interface ModelHeader {
  readonly checkpoint: Pick<Checkpoint, 'tensors' | 'format'>;
  readonly model: LanguageModel;
  /** Numbers of the model's parameters, a shared one counted once. */
  readonly parameters: number;
}

/** A method, attached to the header of a checkpoint. */
export interface EstimatedMethod {
  readonly config: MethodConfig;
  /** Absent for one that first has to see the data: one of the same sizes stands for it. */
  readonly attached: Attached | undefined;
}

/** Steps of a run whose file does not tell them: so many until methods that take turns have had all of them. */
export const UNKNOWN_STEPS = 1000;

/** The methods as they stand at the peak of a run: attached, or those of the same sizes that stand for them. */
export function attachedOf(
  { model }: ModelHeader,
  methods: readonly EstimatedMethod[],
  totalSteps = UNKNOWN_STEPS,
): readonly Attached[] {
  const attached: Attached[] = [];
  for (const { config, attached: own } of methods) {
    const each = afterLastMerge(config, model, attached, totalSteps) ?? own ?? standInFor(config, model, attached);
    if (each === undefined) throw new Error(`${config.type} is not attached`);
    attached.push(each);
  }
  return attached;
}

/** How many numbers the methods of a run train: those of its plan, without planning. */
export function trainableNumbers(header: ModelHeader, methods: readonly EstimatedMethod[]): number {
  return numbersOf(attachedOf(header, methods));
}

/** How many numbers train; those that rest are left out. */
export function numbersOf(attached: readonly Attached[]): number {
  return attached
    .flatMap(({ trainables }) => trainables.filter(({ readAtRest }) => readAtRest !== true))
    .reduce((sum, { variable }) => sum + fixedSize(variable.shape), 0);
}
