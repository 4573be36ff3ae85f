// The same LoRA job by our engine and by Hugging Face PEFT with Trainer, taking turns on one machine: medians and
// ranges of speed, time to the first step, memory and loss; then a profile of our step by op. Build first.
//
//   npm run build && node --import tsx bench/compare.ts MODEL_FOLDER PYTHON P3_FOLDER OUT.json
//       [--tasks ag_news_classify,…] [--pairs 5] [--epochs 1] [--steps N] [--threads 2]
//
// MODEL_FOLDER is an F32 Hugging Face folder (test/reference/smollm2_reference.py makes SmolLM2's), PYTHON one with
// torch, transformers and peft (test/reference/install.sh), P3_FOLDER holds the tasks' *.jsonl, of which 150 rows are
// trained on and 50 held out. Both sides take the same rows in the same batches, in the same order. A table goes to
// standard output, everything to OUT.json.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { DEFAULTS, plannedSteps, splitRows } from './job.js';
import type { Job } from './job.js';
import { profile } from './profile.js';
import type { Profile } from './profile.js';
import { comparisonTable, profileTable } from './report.js';
import type { Pair } from './report.js';
import { runHuggingFace, runOurs } from './sides.js';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    tasks: { type: 'string', default: 'ag_news_classify' },
    pairs: { type: 'string', default: '5' },
    epochs: { type: 'string', default: String(DEFAULTS.epochs) },
    steps: { type: 'string' },
    threads: { type: 'string', default: String(DEFAULTS.threads) },
  },
});
const [model, python, data, out] = positionals as [string, string, string, string];
const folder = mkdtempSync(path.join(tmpdir(), 'peft-compare-'));
const results: Record<string, { job: Job; steps: number; pairs: Pair[]; profile?: Profile }> = {};
let versions: Record<string, string> = { node: process.versions.node, 'onnxruntime-node': ortVersion() };

for (const task of values.tasks.split(',')) {
  const job: Job = {
    ...DEFAULTS,
    task,
    model,
    ...splitRows(path.join(data, `${task}.jsonl`), folder),
    epochs: Number(values.epochs),
    ...(values.steps === undefined ? {} : { steps: Number(values.steps) }),
    threads: Number(values.threads),
  };
  const steps = await plannedSteps(job);
  const result: (typeof results)[string] = { job, steps: steps.length, pairs: [] };
  results[task] = result;
  for (let pair = 1; pair <= Number(values.pairs); pair++) {
    const ours = await runOurs(job, steps, folder);
    const { versions: found, ...huggingface } = await runHuggingFace(job, steps, folder, python);
    versions = { ...versions, ...found };
    result.pairs.push({ ours, huggingface });
    save();
    process.stderr.write(
      `${task} ${pair}: ${ours.rowsPerSecond.toFixed(2)} against ${huggingface.rowsPerSecond.toFixed(2)} rows/s\n`,
    );
  }
  result.profile = await profile(job, folder);
  save();
  console.log(`${comparisonTable(task, result.pairs)}\n\n${profileTable(result.profile)}\n`);
}
rmSync(folder, { recursive: true });

function save(): void {
  const machine = { cpu: cpus()[0]!.model, cores: cpus().length, platform: process.platform };
  writeFileSync(
    out,
    `${JSON.stringify({ date: new Date().toISOString(), machine, versions, results }, undefined, 2)}\n`,
  );
}

function ortVersion(): string {
  const file = new URL('../node_modules/onnxruntime-node/package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
