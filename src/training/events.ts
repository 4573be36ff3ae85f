import type { Problem } from '../common/problem.js';
import type { DataReport } from '../data/example.js';
import type { MemoryPlan } from '../memory/plan.js';
import type { MethodCoverage } from '../methods/coverage.js';
import type { AttentionShare } from '../methods/attentionShare.js';

/**
 * What a run says while it goes: one JSON object per line in `events.jsonl`, on the CLI's standard output
 * (`train --json`) and between worker and editor. Both engines speak it. After a kill the file may repeat
 * steps: the last line of a step counts.
 */
export type RunEvent =
  | Started
  | Coverage
  | DataLoaded
  | Planned
  | Sample
  | Step
  | Evaluation
  | RankEvaluation
  | Generations
  | Ranks
  | Masks
  | Attention
  | Memory
  | CheckpointWritten
  | Log
  | Progress
  | Paused
  | Continued
  | Finished
  | Failed;

/** The first event of a run. */
export interface Started {
  readonly type: 'started';
  /** ISO 8601. */
  readonly time: string;
  readonly version: string;
  readonly engine: 'embedded' | 'huggingface';
  /** The run file, absolute. */
  readonly config: string;
  /** The run's folder, absolute. */
  readonly folder: string;
  readonly model: string;
  readonly method: string;
  /** Optimizer steps the run will take. */
  readonly totalSteps: number;
  readonly seed: number;
  /**
   * Steps that the run had taken before, where it goes on from a checkpoint: what was said of later ones no longer
   * counts.
   */
  readonly resumedFrom?: number;
}

/**
 * What the methods took hold of, and warnings of all input; comes before the first step, and where methods were attached
 * anew in the course of the run.
 */
export interface Coverage extends MethodCoverage {
  readonly type: 'coverage';
  /** Methods were attached anew: what was warned of before still holds. */
  readonly anew?: true;
  readonly layers: number;
  readonly trainable: number;
  readonly total: number;
}

export interface DataLoaded {
  readonly type: 'data';
  readonly split: 'train' | 'validation';
  readonly report: DataReport;
}

/** A decoded example with its mask, shown before the first step. */
export interface Sample {
  readonly type: 'sample';
  readonly split: 'train' | 'validation';
  readonly line: number;
  /** Consecutive tokens with the same mask, decoded together. */
  readonly spans: readonly { readonly text: string; readonly supervised: boolean }[];
}

/** One optimizer step. */
export interface Step {
  readonly type: 'step';
  readonly step: number;
  readonly epoch: number;
  /** Mean cross-entropy per supervised token, in nats, before the update. */
  readonly loss: number;
  /** Extra terms of the loss by name, each as its own curve. */
  readonly terms?: Readonly<Record<string, number>>;
  readonly learningRate: number;
  /** Global L2 norm of the gradient before clipping. */
  readonly gradientNorm: number;
  readonly tokens: number;
  readonly supervisedTokens: number;
  readonly rows: number;
  readonly seconds: number;
}

export interface Evaluation {
  readonly type: 'evaluation';
  readonly step: number;
  readonly split: 'train' | 'validation';
  readonly loss: number;
  /** Share of supervised tokens whose most likely prediction is right. */
  readonly tokenAccuracy: number;
  /** Share of rows whose supervised tokens are all predicted right. */
  readonly rowAccuracy: number;
  /** Where classes are told: their F1 scores, in the mean; both accuracies are that of the classes. */
  readonly macroF1?: number;
  readonly rows: number;
  readonly supervisedTokens: number;
  readonly seconds: number;
}

/** An adapter that can be cut to lower ranks on the held-out rows: at its own rank and at some of them, lowest first. */
export interface RankEvaluation {
  readonly type: 'rank-evaluation';
  readonly step: number;
  readonly ranks: readonly RankQuality[];
}

export interface RankQuality extends Pick<Evaluation, 'loss' | 'tokenAccuracy' | 'rowAccuracy' | 'macroF1'> {
  readonly rank: number;
}

/** Answers to validation rows after an evaluation, greedy: `training.eval_generations` of them. */
export interface Generations {
  readonly type: 'generations';
  readonly step: number;
  readonly rows: readonly Answer[];
}

/** What the model makes of a row. Long texts are cut in their middle, which is said there. */
export interface Answer {
  /** Of the validation file. */
  readonly line: number;
  /** All that comes before the row's first supervised token, special tokens shown. */
  readonly prompt: string;
  readonly answer: string;
  /** The supervised text that follows the prompt in the row. */
  readonly reference: string;
  /** Whether the whole answer is the reference, but for space around it. */
  readonly matches: boolean;
  /** It had no end within `training.eval_generation_tokens`. */
  readonly cut: boolean;
}

/** Numbers a method reports per site. */
export interface Ranks {
  readonly type: 'ranks';
  readonly step: number;
  readonly sites: readonly {
    readonly path: string;
    /** Absent for a method that learns no matrix of low rank. */
    readonly rank?: number | undefined;
    readonly scale?: number | undefined;
    /** Frobenius norm of ΔW. */
    readonly norm?: number;
  }[];
  /** Where ranks are shared out by a schedule: their sum that it allows after this step, */
  readonly budget?: number;
  /** and in the end. */
  readonly target?: number;
}

export interface Masks {
  readonly type: 'masks';
  readonly step: number;
  readonly sites: readonly {
    readonly path: string;
    /** Share of the numbers that train. */
    readonly density: number;
    /** Of the tensor as it lies on disk; absent where the whole tensor trains or rests. */
    readonly shape?: readonly number[];
    /** Frobenius norm of what was learned. */
    readonly norm?: number;
  }[];
}

/** What a fusion of adapters takes from each of them, on the held-out rows. */
export interface Attention {
  readonly type: 'attention';
  readonly step: number;
  readonly sites: readonly AttentionShare[];
}

/** The memory that the run is predicted to need; comes before the first step. */
export interface Planned {
  readonly type: 'plan';
  readonly plan: MemoryPlan;
  /** The largest batch of the run's own data, for which it is made. */
  readonly batch: LargestBatch;
}

export interface LargestBatch {
  readonly rows: number;
  /** Tokens of its longest row; the others are padded to it. */
  readonly length: number;
  /** Positions that reach the output layer: the most that a batch of the data has. */
  readonly supervised: number;
  /** Encoder-decoders: tokens of the longest source; `length` is that of the longest answer. */
  readonly source?: number;
}

/** Memory of the worker's process, in bytes: measured between steps, and before the first one (step 0). */
export interface Memory extends MeasuredMemory {
  readonly type: 'memory';
  readonly step: number;
  /** What the memory holds; on Linux it adds up to `resident`. Records of earlier versions have other names here. */
  readonly parts: MeasuredParts;
}

export interface MeasuredMemory {
  readonly resident: number;
  /** Pages that belong to files (mapped weights) and can be dropped under pressure. Known on Linux only, elsewhere 0. */
  readonly fileBacked: number;
  /** On systems other than Linux everything resident. */
  readonly anonymous: number;
  /** The most that was resident at any moment so far, also in the middle of a step. */
  readonly peakResident: number;
}

/** Bytes by part; what the system does not tell is absent. */
export type MeasuredParts = Readonly<Partial<Record<MeasuredPart, number>>>;

/**
 * What memory is measured for. Measured as resident pages are `mappedWeights` (of the weights' files), `program` (of the
 * program's own files and libraries) and `node` (JavaScript's heap and buffers); `native` is what ONNX Runtime and Node
 * hold before the first pass. Known by size are `changedWeights` (copies of base weights that train, and of those that
 * trained before), `trainables` (an adapter's numbers), `gradients` (sums over batches), `optimizer` (its slots) and
 * `state` (of methods). `graph` is the rest: activations, gradients within a pass, work space. The runtime keeps what a
 * pass needed for the next one, so that between steps it is that of the largest pass so far.
 */
export type MeasuredPart =
  | 'mappedWeights'
  | 'program'
  | 'changedWeights'
  | 'trainables'
  | 'gradients'
  | 'optimizer'
  | 'state'
  | 'graph'
  | 'node'
  | 'native';

export interface CheckpointWritten {
  readonly type: 'checkpoint';
  readonly step: number;
  readonly folder: string;
}

export interface Log {
  readonly type: 'log';
  readonly level: 'debug' | 'info' | 'warning' | 'error';
  readonly message: string;
}

/** Long work before the first step: `Reading weights`, `Compiling`. `total` 0 = unknown. */
export interface Progress {
  readonly type: 'progress';
  readonly activity: string;
  readonly done: number;
  readonly total: number;
}

/** The run waits after a step, on request: nothing is computed until it goes on. */
export interface Paused {
  readonly type: 'paused';
  /** The last step that was taken. */
  readonly step: number;
  /** ISO 8601. */
  readonly time: string;
}

/** A paused run goes on, or ends because it was stopped. */
export interface Continued {
  readonly type: 'continued';
  readonly step: number;
  /** How long it waited. */
  readonly seconds: number;
}

/** The last event of a run that ended well or was stopped on request. */
export interface Finished {
  readonly type: 'finished';
  /** `early-stopped`: the metric no longer improved. */
  readonly reason: 'completed' | 'early-stopped' | 'stopped';
  /** The folder that holds the adapter (or the whole model after full fine-tuning). */
  readonly adapter: string;
  readonly metrics: Readonly<Record<string, number>>;
  readonly steps: number;
  /** Without pauses. */
  readonly seconds: number;
  /** Bytes. */
  readonly peakMemory: number;
}

/** The last event of a run that failed. */
export interface Failed {
  readonly type: 'failed';
  readonly problem: Problem;
  /** Further problems of the same input: all faults of a run file are said at once. */
  readonly others?: readonly Problem[];
}
