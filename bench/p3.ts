// The same LoRA fine-tune on both sides: our engine and Hugging Face PEFT with Trainer, one after the other on the
// same machine, for three P3 tasks (150 rows to train on, 50 held out).
//
//   node --import tsx bench/p3.ts MODEL_FOLDER PYTHON P3_FOLDER OUT.json
//
// MODEL_FOLDER is an F32 Hugging Face folder (test/reference/smollm2_reference.py makes SmolLM2's), PYTHON one with
// torch, transformers and peft (test/reference/install.sh), P3_FOLDER holds the tasks' *.jsonl. Build first.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { RunEvent } from '../src/training/events.js';

const TASKS = ['ag_news_classify', 'trec_what_category_best_describe', 'sciq_Direct_Question'];
const TRAIN_ROWS = 150;
const JOB = { r: 8, alpha: 16, rate: 1e-3, epochs: 2, batch: 4, maxLength: 256, threads: 2 };

/** One side's figures; times in seconds, memory in bytes. */
interface Figures {
  readonly rowsPerSecond: number;
  readonly firstStep: number;
  readonly total: number;
  readonly peakMemory: number;
  readonly lossBefore: number;
  readonly lossAfter: number;
  readonly tokenAccuracyBefore: number;
  readonly tokenAccuracyAfter: number;
  readonly rowAccuracyBefore?: number;
  readonly rowAccuracyAfter?: number;
  readonly lastTrainLoss: number;
}

const [model, python, data, out] = process.argv.slice(2) as [string, string, string, string];
const folder = mkdtempSync(path.join(tmpdir(), 'p3-'));
const results: Record<string, { ours: Figures; huggingface: Figures }> = {};
for (const task of TASKS) {
  const rows = readFileSync(path.join(data, `${task}.jsonl`), 'utf8')
    .trim()
    .split('\n');
  const train = path.join(folder, `${task}.train.jsonl`);
  const validation = path.join(folder, `${task}.validation.jsonl`);
  writeFileSync(train, rows.slice(0, TRAIN_ROWS).join('\n'));
  writeFileSync(validation, rows.slice(TRAIN_ROWS, TRAIN_ROWS + 50).join('\n'));
  results[task] = { ours: await ours(task, train, validation), huggingface: await huggingface(train, validation) };
  writeFileSync(out, `${JSON.stringify({ job: JOB, results }, undefined, 2)}\n`);
  console.log(task, results[task]);
}

async function ours(task: string, train: string, validation: string): Promise<Figures> {
  const file = path.join(folder, `${task}.peft.yaml`);
  writeFileSync(
    file,
    JSON.stringify({
      model: path.resolve(model),
      data: { train, validation, max_length: JOB.maxLength },
      method: { type: 'lora', r: JOB.r, lora_alpha: JOB.alpha, target_modules: 'all-linear' },
      training: {
        num_train_epochs: JOB.epochs,
        per_device_train_batch_size: JOB.batch,
        learning_rate: JOB.rate,
        eval_steps: 1_000_000,
      },
      runtime: { threads: JOB.threads },
    }),
  );
  const since = performance.now();
  let firstStep = 0;
  const events: RunEvent[] = [];
  await lines(process.execPath, ['dist/cli.js', 'train', file, '--json'], (line) => {
    const event = JSON.parse(line) as RunEvent;
    if (event.type === 'step' && firstStep === 0) firstStep = (performance.now() - since) / 1000;
    events.push(event);
  });
  const steps = events.filter((event) => event.type === 'step');
  const [before, after] = events.filter((event) => event.type === 'evaluation');
  const finished = events.find((event) => event.type === 'finished')!;
  const seconds = steps.reduce((sum, step) => sum + step.seconds, 0);
  return {
    rowsPerSecond: steps.reduce((sum, step) => sum + step.rows, 0) / seconds,
    firstStep: firstStep - before!.seconds,
    total: finished.seconds,
    peakMemory: finished.peakMemory,
    lossBefore: before!.loss,
    lossAfter: after!.loss,
    tokenAccuracyBefore: before!.tokenAccuracy,
    tokenAccuracyAfter: after!.tokenAccuracy,
    rowAccuracyBefore: before!.rowAccuracy,
    rowAccuracyAfter: after!.rowAccuracy,
    lastTrainLoss: steps.at(-1)!.loss,
  };
}

async function huggingface(train: string, validation: string): Promise<Figures> {
  let text = '';
  const options = {
    r: JOB.r,
    alpha: JOB.alpha,
    lr: JOB.rate,
    epochs: JOB.epochs,
    'batch-size': JOB.batch,
    'max-length': JOB.maxLength,
    threads: JOB.threads,
  };
  await lines(
    python,
    [
      'bench/huggingface/train_lora.py',
      model,
      train,
      validation,
      ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]),
    ],
    (line) => (text += `${line}\n`),
  );
  const found = JSON.parse(text) as {
    rows_per_second: number;
    seconds_to_first_step: number;
    total_seconds: number;
    peak_memory: number;
    before: { loss: number; accuracy: number };
    after: { loss: number; accuracy: number };
    losses: number[];
  };
  return {
    rowsPerSecond: found.rows_per_second,
    firstStep: found.seconds_to_first_step,
    total: found.total_seconds,
    peakMemory: found.peak_memory,
    lossBefore: found.before.loss,
    lossAfter: found.after.loss,
    tokenAccuracyBefore: found.before.accuracy,
    tokenAccuracyAfter: found.after.accuracy,
    lastTrainLoss: found.losses.at(-1)!,
  };
}

/** Runs a program and hands over each line of its standard output. Throws when it fails. */
async function lines(command: string, args: readonly string[], onLine: (line: string) => void): Promise<void> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop()!;
    for (const part of parts) if (part.trim() !== '') onLine(part);
  });
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  if (rest.trim() !== '') onLine(rest);
  if (code !== 0) throw new Error(`${command} ${args[0]} ended with ${code}`);
}
