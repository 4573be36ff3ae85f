import type { Problem } from '../common/problem.js';

/** Two to eight runs side by side. */
export interface RunComparison {
  readonly runs: readonly ComparedRun[];
  /** Settings that are not the same in all of them, by their path in the run file. */
  readonly settings: readonly DifferingSetting[];
}

export interface ComparedRun {
  /** Absolute. */
  readonly folder: string;
  /** `sql`, with its time where several runs have the name. */
  readonly label: string;
  /** `lora`; undefined where the run said nothing. */
  readonly method: string | undefined;
  /** Why it ended, or `unfinished`. */
  readonly end: 'completed' | 'early-stopped' | 'stopped' | 'failed' | 'unfinished';
  readonly trainable: number | undefined;
  readonly steps: number;
  /** Of training, summed over the steps that were told. */
  readonly seconds: number;
  /** Bytes; undefined for a run that did not finish. */
  readonly peakMemory: number | undefined;
  readonly metrics: Readonly<Record<string, number>>;
  /** By step. */
  readonly loss: Curve;
  readonly evaluationLoss: Curve;
  /** Norms of its adapter's updates per layer; undefined without an adapter of low-rank pairs. */
  readonly norms: readonly LayerNorm[] | undefined;
  /** What could not be read of it. */
  readonly problems: readonly Problem[];
}

export interface Curve {
  readonly steps: readonly number[];
  readonly values: readonly number[];
}

/** ‖ΔW‖ over all matrices of a layer: the root of the sum of their squared Frobenius norms. */
export interface LayerNorm {
  /** Undefined: outside the layers. */
  readonly layer: number | undefined;
  readonly norm: number;
}

export interface DifferingSetting {
  /** `training.learning_rate` */
  readonly key: string;
  /** Per run, as the run file would have it; undefined: not set there. */
  readonly values: readonly (string | undefined)[];
}
