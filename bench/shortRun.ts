import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadRunFile } from '../src/config/loadRunFile.js';
import { embeddedEngine } from '../src/engines/embedded.js';
import type { Finished, RunEvent } from '../src/training/events.js';

/** What a short run is made of: cosine with a warm-up of 5 %, one thread, evaluated before the first step and at the end. */
export interface ShortRun {
  readonly model: string;
  /** One, or a list. */
  readonly method: object;
  readonly rate: number;
  readonly seed: number;
  readonly steps: number;
  /** Lines of JSON. */
  readonly rows: readonly string[];
  readonly held: readonly string[];
  readonly batchSize?: number;
  readonly maxLength?: number;
  /** Absent: the usual one of the model. */
  readonly taskType?: string;
  /** Further options of `training`. */
  readonly training?: object;
}

/** The section `training` of such a run. */
export function trainingOf({ seed, steps, rate, batchSize = 16, training }: Omit<ShortRun, 'method'>): object {
  return {
    seed,
    max_steps: steps,
    eval_steps: steps,
    save_steps: steps,
    per_device_train_batch_size: batchSize,
    learning_rate: rate,
    lr_scheduler_type: 'cosine',
    warmup_ratio: 0.05,
    ...training,
  };
}

/** Runs in a folder that goes when the process ends. */
export function shortRuns(name: string): (run: ShortRun, told?: (event: RunEvent) => void) => Promise<Finished> {
  const scratch = mkdtempSync(path.join(tmpdir(), `peft-${name}-`));
  process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
  let count = 0;
  return async (short, told) => {
    const { model, method, rows, held, maxLength = 128, taskType } = short;
    const folder = path.join(scratch, String(++count));
    mkdirSync(folder);
    writeFileSync(path.join(folder, 'train.jsonl'), rows.join('\n'));
    writeFileSync(path.join(folder, 'held.jsonl'), held.join('\n'));
    const file = path.join(folder, 'run.peft.json');
    const config = {
      model,
      method,
      data: { train: 'train.jsonl', validation: 'held.jsonl', max_length: maxLength },
      training: trainingOf(short),
      ...(taskType === undefined ? {} : { task_type: taskType }),
      runtime: { threads: 1 },
    };
    writeFileSync(file, JSON.stringify(config));
    const { run, problems } = await loadRunFile(file);
    if (run === undefined) throw new Error(JSON.stringify(problems));
    let finished: Finished | undefined;
    await embeddedEngine(run, {
      emit: (event) => {
        told?.(event);
        if (event.type === 'finished') finished = event;
      },
      stopRequested: () => false,
    });
    return finished!;
  };
}
