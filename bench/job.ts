// The job that both sides of a comparison run: its files, and the batches that both take in the same order.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { makeBatch, planBatches } from '../src/data/batches.js';
import { loadDataset } from '../src/data/loadDataset.js';
import { loadTokenizer } from '../src/models/loadTokenizer.js';

export interface Job {
  readonly task: string;
  /** An F32 Hugging Face folder. */
  readonly model: string;
  readonly train: string;
  readonly validation: string;
  readonly r: number;
  readonly alpha: number;
  readonly rate: number;
  readonly epochs: number;
  /** Fewer steps than the epochs have. */
  readonly steps?: number;
  readonly batchSize: number;
  readonly maxLength: number;
  readonly threads: number;
  readonly seed: number;
}

export const DEFAULTS = {
  r: 8,
  alpha: 16,
  rate: 1e-3,
  epochs: 1,
  batchSize: 4,
  maxLength: 256,
  threads: 2,
  seed: 1,
} as const;

const TRAIN_ROWS = 150;
const HELD_OUT_ROWS = 50;

/** Writes a task's first rows to train on, and the next to evaluate on, into a folder. */
export function splitRows(source: string, folder: string): { train: string; validation: string } {
  const rows = readFileSync(source, 'utf8').trim().split('\n');
  const write = (name: string, part: readonly string[]): string => {
    const file = path.join(folder, `${name}.jsonl`);
    writeFileSync(file, part.join('\n'));
    return file;
  };
  return {
    train: write('train', rows.slice(0, TRAIN_ROWS)),
    validation: write('validation', rows.slice(TRAIN_ROWS, TRAIN_ROWS + HELD_OUT_ROWS)),
  };
}

/** Writes the job as a run file. Without held-out rows it is training alone. */
export function writeRunFile(job: Job, file: string, options: { readonly evaluates: boolean }): void {
  const run = {
    model: path.resolve(job.model),
    data: {
      train: job.train,
      ...(options.evaluates ? { validation: job.validation } : {}),
      max_length: job.maxLength,
    },
    method: { type: 'lora', r: job.r, lora_alpha: job.alpha, target_modules: 'all-linear' },
    training: {
      num_train_epochs: job.epochs,
      ...(job.steps === undefined ? {} : { max_steps: job.steps }),
      per_device_train_batch_size: job.batchSize,
      learning_rate: job.rate,
      // Once before the first step and once at the end.
      eval_steps: 1_000_000,
      seed: job.seed,
    },
    runtime: { threads: job.threads },
  };
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(run, undefined, 2));
}

/** What each step trains on. */
export interface PlannedStep {
  /** Indices of rows. */
  readonly rows: readonly number[];
  readonly tokens: number;
  readonly supervisedTokens: number;
}

/** The batches of our engine, in order: what the other side is given too. */
export async function plannedSteps(job: Job): Promise<PlannedStep[]> {
  const options = { train: job.train, max_length: job.maxLength };
  const tokenizer = await loadTokenizer(job.model);
  const { train } = await loadDataset(options, tokenizer, { folder: path.dirname(job.train), seed: job.seed });
  const steps: PlannedStep[] = [];
  for (let epoch = 0; epoch < job.epochs; epoch++) {
    const plan = { batchSize: job.batchSize, seed: job.seed, epoch, packing: false, maxLength: job.maxLength };
    for (const rows of planBatches(train, plan)) {
      const batch = makeBatch(train, rows);
      steps.push({
        rows: rows.flat(),
        tokens: rows.flat().reduce((sum, row) => sum + train[row]!.ids.length, 0),
        supervisedTokens: batch.targets.length,
      });
    }
  }
  return steps.slice(0, job.steps);
}
