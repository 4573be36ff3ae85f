// Fisher information of every linear weight by one row at a time and by many rows in a pass: rows per second, CPU time,
// peak memory, and how far the two lie apart.
//
//   node --import tsx bench/fisher.ts SMOLLM2_FOLDER
//
// Prints the table and writes bench/results/fisher.md. Each measurement is a process of its own; CPU time is what counts
// on a machine that others use too.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { Value } from '@sinclair/typebox/value';
import { TrainingOptions } from '../src/config/schema.js';
import { loadDataset } from '../src/data/loadDataset.js';
import type { Values } from '../src/methods/method.js';
import { openCheckpoint } from '../src/models/openCheckpoint.js';
import { loadTokenizer } from '../src/models/loadTokenizer.js';
import { readModel } from '../src/models/readModel.js';
import { onnxRuntime } from '../src/runtime/onnxruntime.js';
import { gradientPasses } from '../src/training/gradientPasses.js';

interface Measured {
  readonly rows: number;
  readonly cpu: number;
  readonly wall: number;
  readonly peak: number;
  /** Σ F over all weights: the same whatever the way. */
  readonly trace: number;
}

const TINY = 'examples/base-model/peft-studio-tiny';
const DATA = 'examples/quickstart/train.jsonl';
const THREADS = 2;

const [, , first, ...rest] = process.argv;
if (rest.length > 0) console.log(JSON.stringify(await measure(first!, Number(rest[0]), Number(rest[1]))));
else writeReport(first!);

/** @param atOnce rows in a pass; 0: the sums of batches of one row */
async function measure(folder: string, rows: number, atOnce: number): Promise<Measured> {
  const checkpoint = await openCheckpoint(folder);
  const model = readModel(checkpoint);
  const tokenizer = await loadTokenizer(folder);
  const { train } = await loadDataset({ train: path.resolve(DATA) }, tokenizer, { folder: '.', seed: 1 });
  const weights = model.sites
    .filter(({ kind, isOutput }) => kind === 'linear' && !isOutput)
    .map((site) => site.weight!);
  const passes = gradientPasses({
    model,
    methods: [],
    weights: await checkpoint.mapped(),
    runtime: await onnxRuntime({ threads: THREADS }),
    train,
    options: Value.Parse(TrainingOptions, { per_device_train_batch_size: Math.max(1, atOnce) }),
    packing: false,
    maxLength: 512,
    emit: () => undefined,
    stopRequested: () => false,
    stopped: { code: 'stopped', message: 'stopped' },
  });
  const run = async (count: number): Promise<Values> =>
    atOnce === 0
      ? (await passes.squaredGradients({ weights, batchSize: 1, batches: count })).squares
      : (await passes.fisher({ weights, fisher: 'empirical', rows: count })).squares;
  const before = process.resourceUsage();
  const start = performance.now();
  const found = await run(rows);
  const wall = (performance.now() - start) / 1000;
  const after = process.resourceUsage();
  const cpu = (after.userCPUTime + after.systemCPUTime - before.userCPUTime - before.systemCPUTime) / 1e6;
  let trace = 0;
  for (const part of found.values()) for (const value of part) trace += value;
  return { rows, cpu, wall, peak: after.maxRSS / 1024, trace };
}

function writeReport(smollm2: string): void {
  const lines = [
    '# Fisher information: one row at a time and many',
    '',
    'Written by `bench/fisher.ts`: Σ g² of every linear weight but the output layer, over rows of the quickstart’s questions,',
    `on ${THREADS} threads. CPU s are those of the passes with compiling; per row they are less those of a run with as many rows as go`,
    'through at once (which compiles and runs one pass); rows/s are of CPU time. Peak memory is the process’s, which reads',
    'tokenizer and rows too. Trace: Σ of all, which has to be the same.',
    '',
    '| model | rows at once | rows | CPU s | CPU s per row | rows per CPU s | against one | peak MiB | trace |',
    '| ----- | ------------ | ---- | ----- | ------------- | -------------- | ----------- | -------- | ----- |',
  ];
  for (const [name, folder, rows, sizes] of [
    ['peft-studio-tiny', TINY, 512, [0, 4, 8, 16]],
    ['SmolLM2-135M', smollm2, 32, [0, 2, 4, 8]],
  ] as const) {
    let single = NaN;
    for (const atOnce of sizes) {
      const first = Math.max(1, atOnce);
      const before = run(folder, first, atOnce);
      const whole = run(folder, rows, atOnce);
      const perRow = (whole.cpu - before.cpu) / (rows - first);
      if (atOnce === 0) single = perRow;
      lines.push(
        `| ${name} | ${first} | ${rows} | ${whole.cpu.toFixed(1)} | ${perRow.toFixed(4)} | ${(1 / perRow).toFixed(1)} | ` +
          `${(single / perRow).toFixed(2)} × | ${whole.peak.toFixed(0)} | ${whole.trace.toPrecision(7)} |`,
      );
      console.log(lines.at(-1));
    }
  }
  writeFileSync('bench/results/fisher.md', `${lines.join('\n')}\n`);
}

function run(folder: string, rows: number, atOnce: number): Measured {
  const script = process.argv[1]!;
  const args = ['--import', 'tsx', script, folder, String(rows), String(atOnce)];
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Measured;
}
