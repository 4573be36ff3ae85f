import type { Problem } from '../../common/problem.js';

/** Methods compared on one run: what `compare-methods --json` prints and `results.json` holds. */
export interface MethodComparison {
  readonly version: 1;
  /** The run file, absolute. */
  readonly file: string;
  /** Where runs and results are kept, absolute. */
  readonly folder: string;
  /** The command's own arguments behind FILE: they go on with it. */
  readonly args: readonly string[];
  /** The base model as the run file has it, and how many numbers it has. */
  readonly model: string;
  readonly parameters: number;
  /** What the trainable numbers are matched to; absent: each method at its defaults. */
  readonly matched?: { readonly to: string; readonly trainable: number };
  readonly seeds: readonly number[];
  /** The metric beside the loss that tables show: `eval_accuracy`. Null until a run has ended. */
  readonly metric: string | null;
  /** Runs that have ended, well or not, of all. */
  readonly done: number;
  readonly of: number;
  readonly methods: readonly ComparedMethod[];
}

export interface ComparedMethod {
  /** `lora{r=4}` */
  readonly method: string;
  readonly family: string;
  /** The section `method` of its run file, as far as it is given: what is missing has its default. */
  readonly options: readonly Readonly<Record<string, unknown>>[];
  /**
   * `refused`: it does not go with model or run file, and was not run; `left-out`: by a limit that was set; `failed`: none
   * of its runs came to its end.
   */
  readonly state: 'waiting' | 'running' | 'done' | 'failed' | 'refused' | 'left-out';
  /** Why it was not run or failed; of a method that is done, why some of its runs failed. */
  readonly problem?: Problem;
  /** What was made of its size to match the others, or why nothing was. */
  readonly note?: string;
  /** As planned; as it was counted once a run has ended. Null where it cannot be told. */
  readonly trainable: number | null;
  /** Of the base model's numbers. */
  readonly share: number | null;
  /** The memory that it is planned to need at its peak, in bytes. */
  readonly planned: number | null;
  /** The rate of its runs that count; null until one has ended. */
  readonly learning_rate: number | null;
  /** Each rate that was tried, with the loss of the first seed; null where that run failed. */
  readonly rates: readonly { readonly learning_rate: number; readonly loss: number | null }[];
  /** Over the seeds, of the runs that count. Absent where none has ended. */
  readonly results?: MethodResults;
  /** All runs that have ended well, those of other rates among them. */
  readonly runs: readonly MethodRun[];
}

/** What the runs of a method came to, over its seeds. */
export interface MethodResults {
  /** Held-out loss before the first step and in the end. */
  readonly start: Spread | null;
  readonly loss: Spread;
  /** In the end, by name: `eval_accuracy`. */
  readonly metrics: Readonly<Record<string, Spread>>;
  readonly peak_memory: Spread;
  readonly seconds: Spread;
  readonly step_seconds: Spread;
  /** What is written for the task: adapter, or model where weights of the base trained. */
  readonly bytes: Spread;
}

export interface MethodRun {
  readonly learning_rate: number;
  readonly seed: number;
  readonly folder: string;
  readonly start: number | null;
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly trainable: number;
  readonly steps: number;
  readonly seconds: number;
  /** The median. */
  readonly step_seconds: number;
  readonly peak_memory: number;
  readonly bytes: number;
}

/** A mean with its spread. */
export interface Spread {
  readonly mean: number;
  /** The sample's standard deviation (n − 1); null of a single value. */
  readonly deviation: number | null;
  readonly n: number;
}

/** @param values at least one */
export function spreadOf(values: readonly number[]): Spread {
  const n = values.length;
  const mean = values.reduce((sum, each) => sum + each, 0) / n;
  const squares = values.reduce((sum, each) => sum + (each - mean) ** 2, 0);
  return { mean, deviation: n < 2 ? null : Math.sqrt(squares / (n - 1)), n };
}

/** What a table of methods can be sorted by. */
export const SORTS = ['loss', 'metric', 'trainable', 'memory', 'time', 'size', 'name', 'family'] as const;
export type Sort = (typeof SORTS)[number];

/**
 * The methods in the order of what they came to, the best first: those of least loss, memory, …, of the greatest metric;
 * those that came to nothing are last, as they were named.
 */
export function sortedMethods(
  { methods, metric }: Pick<MethodComparison, 'methods' | 'metric'>,
  sort: Sort,
): readonly ComparedMethod[] {
  const value = (each: ComparedMethod): number | string | undefined => {
    const { results } = each;
    switch (sort) {
      case 'name':
        return each.method;
      case 'family':
        return each.family;
      case 'trainable':
        return each.trainable ?? undefined;
      case 'metric': {
        const mean = metric === null ? undefined : results?.metrics[metric]?.mean;
        return mean === undefined ? undefined : -mean;
      }
      case 'loss':
        return results?.loss.mean;
      case 'memory':
        return results?.peak_memory.mean;
      case 'time':
        return results?.seconds.mean;
      case 'size':
        return results?.bytes.mean;
    }
  };
  return methods.toSorted((one, other) => compared(value(one), value(other)));
}

function compared(one: number | string | undefined, other: number | string | undefined): number {
  if (one === undefined || other === undefined) return Number(one === undefined) - Number(other === undefined);
  return one < other ? -1 : Number(one > other);
}

/** What has to be read first of the metrics of held-out rows. */
const METRICS = ['eval_accuracy', 'eval_row_accuracy', 'eval_token_accuracy'];

/** The metric that tables show beside the loss. */
export function metricIn(metrics: Readonly<Record<string, number>>): string | null {
  return METRICS.find((name) => name in metrics) ?? null;
}
