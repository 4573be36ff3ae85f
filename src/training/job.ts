import type { Problem } from '../common/problem.js';
import { random } from '../common/random.js';
import type { TrainingOptions } from '../config/schema.js';
import { rowLength } from '../data/batches.js';
import type { Example } from '../data/example.js';
import type { Masked, Masking } from '../data/masking.js';
import { withPrefix } from '../data/virtualTokens.js';
import type { MemoryPlan } from '../memory/plan.js';
import type { Attached, Prepared, Values } from '../methods/method.js';
import type { LanguageModel } from '../models/architecture.js';
import { virtualTokenCount, virtualTokenIds } from '../models/virtualTokens.js';
import type { Runtime, WeightFiles } from '../runtime/runtime.js';
import type { Checkpoint } from './checkpoint.js';
import type { Answer, RunEvent } from './events.js';
import type { Wishes } from './wishes.js';

/** Everything a training loop works on. */
export interface TrainingJob {
  readonly model: LanguageModel;
  /** As they are at the run's start, also where it is resumed. */
  readonly methods: readonly Attached[];
  /** How they are attached anew in the course of the run; absent: none of them asks for it. */
  readonly attaching?: Attaching;
  readonly weights: WeightFiles;
  readonly runtime: Runtime;
  readonly train: readonly Example[];
  readonly validation: readonly Example[];
  readonly options: TrainingOptions;
  readonly packing: boolean;
  /** Masked language modelling: what tokens are masked with. */
  readonly masking?: Masking;
  readonly maxLength: number;
  /** Where the trainables start, when not where their method has them start. */
  readonly start?: Values;
  /** Absent: nothing is written on the way. */
  readonly checkpoints?: {
    /** Where checkpoints are written. */
    readonly runFolder: string;
    /** The one to go on from. */
    readonly from?: Checkpoint;
  };
  /** The memory that it is predicted to need, for what is said when memory runs out. */
  readonly plan?: MemoryPlan;
  readonly emit: (event: RunEvent) => void;
  /** Answers validation rows with the model as it stands; undefined when a stop broke it off. Absent: none are answered. */
  readonly generate?: (
    values: Values,
    stopRequested: () => boolean,
    methods: readonly Attached[],
  ) => Promise<readonly Answer[] | undefined>;
  /** Asked between steps: true ends the loop after the present step. */
  readonly stopRequested: () => boolean;
  /** What else is asked between steps; absent: nothing. */
  readonly wishes?: Wishes;
}

/** How the methods of a job are attached anew. */
export interface Attaching {
  /** What they found out before the run, in their order. */
  readonly prepared: readonly (Prepared | undefined)[];
  /** Attaches them all with this. */
  readonly attach: (prepared: readonly (Prepared | undefined)[]) => readonly Attached[];
  /** What is said of methods that were attached anew. */
  readonly covered: (methods: readonly Attached[]) => RunEvent;
}

/** What a training loop leaves, however it ended. */
export type TrainingResult = {
  /** Trainables and state tensors after the last good step, or those of the best evaluation where the run wants them. */
  readonly values: Values;
  /** The methods that the values are of: those of the job, or as they were attached last. */
  readonly methods: readonly Attached[];
  /** Optimizer steps taken. */
  readonly steps: number;
  /** `train_loss` is the mean over all steps; `eval_…` are there only when measured after the last step. */
  readonly metrics: Readonly<Record<string, number>>;
} & (
  | { readonly reason: 'completed' | 'early-stopped' | 'stopped' }
  | { readonly reason: 'failed'; readonly problem: Problem }
);

type Rows = Pick<TrainingJob, 'model' | 'methods' | 'train' | 'validation' | 'maxLength'>;

/** The methods' virtual tokens stand before every row, unsupervised: labels and masks are extended here, once. */
export function withVirtualTokens<Job extends Rows>(job: Job): Job {
  const hooks = job.methods.map((method) => method.hooks);
  const prefixOf = (task: number): number[] => virtualTokenIds(hooks, job.model.vocabSize, task);
  return {
    ...job,
    train: withPrefix(job.train, prefixOf),
    validation: withPrefix(job.validation, prefixOf),
    maxLength: job.maxLength + virtualTokenCount(hooks),
  };
}

/** The masks of an evaluation's batch: the same at each, so that evaluations can be compared. */
export function evaluationMasks(masking: Masking | undefined, batch: number): Masked | undefined {
  return masking && { masking, random: random(0, 'masks', batch) };
}

/** Tokens of the longest example. */
export function longest(examples: readonly Example[]): number {
  return examples.reduce((most, example) => Math.max(most, rowLength(example)), 1);
}

/** Tokens of the longest row that a job makes: what position tables have to hold. A packed row has up to `maxLength`. */
export function longestRow(job: Pick<TrainingJob, 'train' | 'validation' | 'packing' | 'maxLength'>): number {
  return Math.max(longest(job.train), longest(job.validation), job.packing ? job.maxLength : 1);
}

/** Lets messages (stop) arrive: a run of the graph holds the thread. */
export function breathe(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** @param start of `performance.now()` */
export function secondsSince(start: number): number {
  return (performance.now() - start) / 1000;
}
