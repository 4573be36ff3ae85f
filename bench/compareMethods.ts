// Every method on one run, by the program's own `compare-methods`: the table and picture of the README.
//
//   nice -n 19 node --import tsx bench/compareMethods.ts WORK [--seeds 3] [--steps 60] [--rates x1,x4]
//       all methods on the quickstart with the bundled model → bench/results/compare-methods.{json,md,svg};
//       then `npm run generate` puts the table into the README
//   nice -n 19 node --import tsx bench/compareMethods.ts WORK --smollm2 MODEL_FOLDER --tasks P3_FOLDER [--steps 16]
//       eight methods on SmolLM2 and AG News → bench/results/compare-methods-smollm2.{json,md,svg}
//
// WORK keeps the runs: the same command again goes on where it was. P3_FOLDER has ag_news_classify.jsonl.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { format } from 'prettier';
import { random, shuffle } from '../src/common/random.js';
import { allEntries } from '../src/engines/compareMethods/methodEntry.js';
import { isComparison } from '../src/engines/compareMethods/comparisonFiles.js';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    seeds: { type: 'string', default: '3' },
    steps: { type: 'string' },
    rates: { type: 'string' },
    smollm2: { type: 'string' },
    tasks: { type: 'string' },
  },
});
const [work] = positionals;
if (work === undefined) throw new Error('name a folder for the runs');
const root = path.resolve(import.meta.dirname, '..');

/** The defaults of these are made for larger models: a rank of 128 is that of the bundled one's whole matrices. */
const FITTING: ReadonlyMap<string, string> = new Map([
  ['galore', 'galore{rank=32}'],
  ['relora', 'relora{r=8,lora_alpha=8}'],
]);
/** Methods of their own papers that are options of LoRA: DoRA, LoRA+, PiSSA, MiLoRA. */
const OF_LORA = [
  'lora{use_dora=true}',
  'lora{loraplus_lr_ratio=16}',
  'lora{init_lora_weights=pissa}',
  'lora{init_lora_weights=milora}',
];
const ON_SMOLLM2 = 'full,lora,adalora,lokr,ia3,adapter,prefix_tuning,fish_mask';

async function compare(name: string, file: string, methods: string, steps: string, rates: string): Promise<void> {
  const out = path.resolve(work!, name);
  const settings = [`training.max_steps=${steps}`, `training.eval_steps=${steps}`, 'runtime.threads=2'];
  const { status } = spawnSync(
    process.execPath,
    [
      ...['--import', 'tsx', path.join(root, 'src/cli.ts'), 'compare-methods', file, '--out', out],
      ...['--methods', methods, '--seeds', values.seeds, '--learning-rates', rates],
      ...settings.flatMap((setting) => ['--set', setting]),
    ],
    { cwd: root, stdio: 'inherit' },
  );
  if (status !== 0) throw new Error(`compare-methods exited with ${String(status)}`);
  const results = path.join(root, 'bench/results');
  const comparison: unknown = JSON.parse(readFileSync(path.join(out, 'results.json'), 'utf8'));
  if (!isComparison(comparison)) throw new Error('there is no comparison');
  // Paths of this machine are nobody else's.
  const text = JSON.stringify(comparison, undefined, 2).replaceAll(out, '.').replaceAll(`${root}/`, '');
  const table = readFileSync(path.join(out, 'results.md'), 'utf8');
  writeFileSync(path.join(results, `${name}.json`), await format(text, { parser: 'json', printWidth: 110 }));
  writeFileSync(path.join(results, `${name}.md`), await format(table, { parser: 'markdown' }));
  copyFileSync(path.join(out, 'results.svg'), path.join(results, `${name}.svg`));
}

/** 200 rows of AG News of which 24 are held out, and a run file for them. */
function newsRun(model: string, tasks: string): string {
  const folder = path.resolve(work!, 'ag-news');
  mkdirSync(folder, { recursive: true });
  const lines = readFileSync(path.join(tasks, 'ag_news_classify.jsonl'), 'utf8').trim().split('\n');
  const rows = shuffle(lines, random(1, 'news')).slice(0, 200);
  writeFileSync(path.join(folder, 'held.jsonl'), `${rows.slice(0, 24).join('\n')}\n`);
  writeFileSync(path.join(folder, 'train.jsonl'), `${rows.slice(24).join('\n')}\n`);
  const file = path.join(folder, 'ag-news.peft.json');
  const run = {
    model: path.resolve(model),
    data: { train: 'train.jsonl', validation: 'held.jsonl', max_length: 96 },
    method: { type: 'lora' },
    training: {
      per_device_train_batch_size: 4,
      learning_rate: 1e-3,
      lr_scheduler_type: 'cosine',
      warmup_ratio: 0.1,
    },
  };
  writeFileSync(file, `${JSON.stringify(run, undefined, 2)}\n`);
  return file;
}

if (values.smollm2 === undefined) {
  const all = allEntries().map(({ label }) => FITTING.get(label) ?? label);
  const methods = all.flatMap((label) => (label === 'lora' ? [label, ...OF_LORA] : [label]));
  const file = path.join(root, 'examples/quickstart/quickstart.peft.yaml');
  await compare('compare-methods', file, methods.join(','), values.steps ?? '60', values.rates ?? 'x1,x4');
} else {
  if (values.tasks === undefined) throw new Error('--smollm2 needs --tasks');
  const file = newsRun(values.smollm2, values.tasks);
  await compare('compare-methods-smollm2', file, ON_SMOLLM2, values.steps ?? '16', values.rates ?? 'x1');
}
