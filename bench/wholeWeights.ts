// Cheap training of whole weights (GaLore, LISA) beside full fine-tuning and LoRA: peak memory on SmolLM2, and losses on the
// bundled model.
//
//   npm run build
//   node --import tsx bench/wholeWeights.ts bench/results/whole-weights.md --model MODEL_FOLDER
//       [--cli dist/cli.js] [--seeds 3] [--groups 1,2] [--only TEXT]
//
// MODEL_FOLDER: SmolLM2-135M as an F32 Hugging Face folder. Group 1 is its memory (Linux only; valid on a busy machine, but its
// times are not), group 2 the losses. Numbers measured before are kept beside OUT.md.
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadRunFile } from '../src/config/loadRunFile.js';
import { contractOf } from '../src/engines/estimateDocument.js';
import { estimateFile } from '../src/language/estimateFile.js';
import { BUNDLED, QUICKSTART_ROWS, groupArguments, measureGroups } from './groups.js';
import type { Column, Entry, Metrics } from './groups.js';
import { measure, writeRows } from './measured.js';
import { shortRuns } from './shortRun.js';

const { file, own } = groupArguments(['model', 'cli']);
const MIB = 2 ** 20;
const [ROWS, LENGTH] = [2, 128];
/** Subspaces are found before the first and the last step, layers drawn before the first, third and last. */
const [STEPS, GAP] = [5, 4];

interface Choice {
  readonly name: string;
  readonly method: object;
  readonly training?: object;
}

const galore = (rank: number, gap: number): object => ({ type: 'galore', rank, update_proj_gap: gap });
const lisa = (layers: number, steps: number): object => ({
  type: 'lisa',
  lisa_activated_layers: layers,
  lisa_interval_steps: steps,
});
const LORA = { type: 'lora', r: 8 };
const FULL = { type: 'full' };
const SGD = { optim: 'sgd' };

const MEMORY: readonly Choice[] = [
  { name: 'full, AdamW', method: FULL },
  { name: 'full, SGD', method: FULL, training: SGD },
  { name: 'GaLore, rank 128', method: galore(128, GAP) },
  { name: 'GaLore, rank 32', method: galore(32, GAP) },
  { name: 'LISA, 2 of 30 layers', method: lisa(2, 2) },
  { name: 'LoRA, r 8', method: LORA },
];

const at = (rates: readonly number[], choice: Choice): (Choice & { readonly rate: number })[] =>
  rates.map((rate) => ({ ...choice, name: `${choice.name}, learning rate ${rate}`, rate }));

const LOSSES = [
  ...at([3e-4, 1e-3], { name: 'full, AdamW', method: FULL }),
  ...at([1e-1], { name: 'full, SGD with momentum', method: FULL, training: { ...SGD, momentum: 0.9 } }),
  ...at([1e-3, 3e-3, 1e-2], { name: 'GaLore, rank 32', method: galore(32, 20) }),
  ...at([1e-3, 3e-3, 1e-2], { name: 'GaLore, rank 4', method: galore(4, 20) }),
  ...at([1e-3, 3e-3], { name: 'LISA, 1 of 5 layers, drawn every 5 steps', method: lisa(1, 5) }),
  ...at([3e-3], { name: 'LoRA, r 8', method: LORA }),
];

/** A run of a few steps in a process of its own. */
async function memoryOf({ method, training = {} }: Choice): Promise<Metrics> {
  const { model, cli = 'dist/cli.js' } = own;
  if (model === undefined) throw new Error('name the model: --model MODEL_FOLDER');
  const folder = mkdtempSync(path.join(tmpdir(), 'peft-whole-weights-'));
  try {
    const runFile = path.join(folder, 'run.peft.json');
    const config = {
      model: path.resolve(model),
      data: { train: writeRows(folder, 'rows', 8), max_length: LENGTH },
      method,
      training: { max_steps: STEPS, per_device_train_batch_size: ROWS, logging_steps: 1, ...training },
      output: { dir: path.join(folder, 'runs') },
    };
    writeFileSync(runFile, JSON.stringify(config));
    const { run, problems } = await loadRunFile(runFile);
    if (run === undefined) throw new Error(JSON.stringify(problems));
    const planned = contractOf(await estimateFile(run));
    const measured = await measure(runFile, cli);
    const seconds = stepSeconds(path.join(folder, 'runs'));
    // Neither the first, which is also a warm-up, nor the last, which finds subspaces.
    const [plain = NaN] = seconds.slice(1, -1).sort((a, b) => a - b);
    return {
      planned: planned.total / MIB,
      measured: measured.peak / MIB,
      plannedAnonymous: planned.anonymous / MIB,
      measuredAnonymous: measured.anonymous / MIB,
      step: plain,
      ...('rank' in method ? { refresh: seconds.at(-1)! - plain } : {}),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What each step took, out of the record of the only run in a folder. */
function stepSeconds(runs: string): number[] {
  const [record] = readdirSync(runs, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('events.jsonl'),
  );
  const lines = readFileSync(path.join(runs, record!), 'utf8').trim().split('\n');
  return lines.flatMap((line) => {
    const event = JSON.parse(line) as { readonly type: string; readonly seconds?: number };
    return event.type === 'step' && event.seconds !== undefined ? [event.seconds] : [];
  });
}

const run = shortRuns('whole-weights');
const ON = { ...BUNDLED, rows: QUICKSTART_ROWS.slice(0, 320), steps: 60 };
const column = (title: string, key: string, digits: number): Column => ({ title, key, digits });

const memory: readonly Entry[] = MEMORY.map((choice) => ({
  name: choice.name,
  // Once is enough: neither sizes nor order depend on the seed.
  measure: async (seed) => (seed === 1 ? memoryOf(choice) : {}),
}));
const losses: readonly Entry[] = LOSSES.map(({ name, ...choice }) => ({
  name,
  measure: async (seed) => (await run({ ...ON, ...choice, seed })).metrics,
}));

await measureGroups(
  file,
  [
    {
      title: `Peak memory: SmolLM2-135M, ${ROWS} rows of ${LENGTH} tokens, ${STEPS} steps`,
      note: 'Predicted of full fine-tuning with AdamW: weights 539 MiB, moments 1077, copies of both that the runtime’s Node binding makes 1603. GaLore has less of moments and of their copies, LISA less of all three. While GaLore finds subspaces the gradients of its matrices are all there; in a step only those that have not been projected yet: without that, rank 128 is predicted at 3221 MiB instead of 2911, and was measured at 3298 (4 steps, one change of the subspaces). GaLore’s rows were measured in runs of 3 steps, with subspaces found before the first and the third, until the bench runs them: rank 128 2911 predicted, 3087 measured; rank 32 2652 and 2632.',
      columns: [
        column('peak predicted, MiB', 'planned', 0),
        column('measured', 'measured', 0),
        column('anonymous predicted', 'plannedAnonymous', 0),
        column('measured', 'measuredAnonymous', 0),
        column('s per step', 'step', 2),
        column('s to find the subspaces', 'refresh', 1),
      ],
      entries: memory,
    },
    {
      title: 'Loss on held-out rows: the bundled model, 320 rows of the quickstart, 60 steps of 16 rows',
      note: 'Each at its better rate: full fine-tuning and SGD with momentum alike, then LISA, GaLore of rank 32, LoRA and GaLore of rank 4. GaLore’s updates are scaled by 0.25; what is not projected (a fifth of this model) is not.',
      columns: [column('before', 'initial_eval_loss', 3), column('after', 'eval_loss', 3)],
      entries: losses,
    },
  ],
  'Training whole weights',
  `Full fine-tuning, GaLore (subspaces of all linear layers; anew every ${GAP} steps for memory, every 20 for losses), LISA and LoRA (all linear layers). Anonymous memory is what is not pages of files. Losses: three seeds where nothing else is said, mean, lowest to highest; cosine with a warm-up of 5 %, one thread. **Memory is valid on a busy machine, times are not: where nothing else is said these were taken beside other work.** Written by \`bench/wholeWeights.ts\`.`,
);
