import type { Problem } from '../common/problem.js';
import type { DataReport } from '../data/example.js';
import type { MethodCoverage } from '../methods/coverage.js';

/**
 * What a run says while it goes: one JSON object per line in `events.jsonl`, on the CLI's standard output
 * (`train --json`) and between worker and editor. Both engines speak it. After a kill the file may repeat
 * steps: the last line of a step counts.
 */
export type RunEvent =
  | Started
  | Coverage
  | DataLoaded
  | Sample
  | Step
  | Evaluation
  | Ranks
  | Masks
  | Memory
  | CheckpointWritten
  | Log
  | Progress
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

/** What the methods took hold of, and warnings of all input; comes before the first step. */
export interface Coverage extends MethodCoverage {
  readonly type: 'coverage';
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
  readonly rows: number;
  readonly supervisedTokens: number;
  readonly seconds: number;
}

/** Numbers a method reports per site. */
export interface Ranks {
  readonly type: 'ranks';
  readonly step: number;
  readonly sites: readonly {
    readonly path: string;
    readonly rank: number;
    readonly scale?: number;
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

/** Measured, in bytes. */
export interface Memory {
  readonly type: 'memory';
  readonly step: number;
  readonly resident: number;
  /** Pages that belong to files (mapped weights) and can be dropped under pressure. */
  readonly fileBacked: number;
  readonly anonymous: number;
  readonly peakResident: number;
  /** Parts the engine knows by size. */
  readonly parts: Readonly<Record<string, number>>;
}

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

/** The last event of a run that ended well or was stopped on request. */
export interface Finished {
  readonly type: 'finished';
  /** `early-stopped`: the metric no longer improved. */
  readonly reason: 'completed' | 'early-stopped' | 'stopped';
  /** The folder that holds the adapter (or the whole model after full fine-tuning). */
  readonly adapter: string;
  readonly metrics: Readonly<Record<string, number>>;
  readonly steps: number;
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
