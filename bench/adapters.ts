// Bottleneck adapters on the bundled model: their size against held-out loss, SparseAdapter beside dense ones of as many
// weights, and AdapterFusion against single adapters where a task has few rows. Losses only: no times.
//
//   nice -n 19 node --import tsx bench/adapters.ts OUT.md [--seeds 3]
//
// Rows are the quickstart's (a question on a table → SQL). For the fusion they are of four tasks by the form of their
// query; three have many rows and give the adapters, the fourth in turn has few.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import type { Finished } from '../src/training/events.js';
import { shortRuns } from './shortRun.js';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { seeds: { type: 'string', default: '3' } },
});
const out = positionals[0]!;
const seeds = Array.from({ length: Number(values.seeds) }, (_, at) => at + 1);
const root = path.resolve(import.meta.dirname, '..');
const model = path.join(root, 'examples/base-model/peft-studio-tiny');

const read = (name: string): string[] =>
  readFileSync(path.join(root, 'examples/quickstart', name), 'utf8')
    .trim()
    .split('\n');
const TRAIN = read('train.jsonl');
const HELD = read('validation.jsonl');
const ROWS = 240;
const FEW = 16;
const RATE = 3e-3;

/** Tasks by the form of the query; the last takes what the others leave. */
const TASKS: Readonly<Record<string, RegExp>> = {
  count: /SELECT COUNT/,
  order: /ORDER BY/,
  aggregate: /SELECT (AVG|SUM|MAX|MIN)/,
  filter: /./,
};
function taskOf(line: string): string {
  return Object.keys(TASKS).find((task) => TASKS[task]!.test(line))!;
}

const run = shortRuns('adapters');
/** Trains on rows with a method and returns what the run's end says. */
const train = (method: object, seed: number, rows: string[], held: string[], steps: number): Promise<Finished> =>
  run({ model, method, rate: RATE, seed, steps, rows, held });

const losses = new Map<string, number[]>();
function note(name: string, { metrics }: Finished): void {
  losses.set(name, [...(losses.get(name) ?? []), metrics['eval_loss']!]);
  process.stderr.write(`${name}: ${metrics['eval_loss']!.toFixed(4)}\n`);
}

for (const seed of seeds) {
  const rows = TRAIN.slice(0, ROWS);
  for (const size of [4, 16, 64, 256]) {
    note(`size | m ${size}`, await train({ type: 'adapter', bottleneck_size: size }, seed, rows, HELD, 60));
  }
  for (const pruning of ['snip', 'magnitude', 'random'] as const) {
    const method = { type: 'adapter', bottleneck_size: 16, sparsity: 0.5, pruning, large_sparse: true };
    note(`sparse | ${pruning}, half of m 32`, await train(method, seed, rows, HELD, 60));
  }
}
for (const target of Object.keys(TASKS)) {
  const held = HELD.filter((line) => taskOf(line) === target);
  if (held.length < 5) continue;
  const sources = Object.keys(TASKS).filter((task) => task !== target);
  for (const seed of seeds) {
    const few = TRAIN.filter((line) => taskOf(line) === target).slice(0, FEW);
    const own = await train({ type: 'adapter', bottleneck_size: 16 }, seed, few, held, 30);
    note(`${target} | an adapter of its own`, own);
    const adapters: string[] = [];
    for (const source of sources) {
      const many = TRAIN.filter((line) => taskOf(line) === source).slice(0, 120);
      const trained = await train({ type: 'adapter', bottleneck_size: 16 }, seed, many, held, 40);
      note(`${target} | the adapter of ${source}, as it is`, trained);
      adapters.push(trained.adapter);
    }
    const fused = await train({ type: 'adapter_fusion', adapters }, seed, few, held, 30);
    note(`${target} | fusion of the three`, fused);
    const with4 = await train(
      { type: 'adapter_fusion', adapters: [...adapters, own.adapter] },
      seed,
      few,
      held,
      30,
    );
    note(`${target} | fusion of the three and its own`, with4);
  }
}

const table = [...losses].map(([name, found]) => {
  const mean = found.reduce((sum, each) => sum + each, 0) / found.length;
  const range = `${Math.min(...found).toFixed(3)} – ${Math.max(...found).toFixed(3)}`;
  return `| ${name} | ${mean.toFixed(3)} | ${range} |`;
});
writeFileSync(
  out,
  [
    '# Adapters on the bundled model\n',
    `Held-out loss of the bundled model of 1.25 million parameters, mean and range of ${seeds.length} seeds (\`bench/adapters.ts\`);`,
    `batches of 16, AdamW at ${RATE}, a cosine schedule, one thread. Size and sparsity: ${ROWS} rows of the quickstart, 60 steps,`,
    `placement \`pfeiffer\`. Fusion: ${FEW} rows of the task and 30 steps; the other tasks' adapters (m 16) from up to 120 rows and 40`,
    'steps; held-out rows are those of the task. A fusion trains 3·d² + 2·d numbers a layer, many more than an adapter of m 16.\n',
    '| experiment | what | loss | range |',
    '|---|---|---|---|',
    ...table,
    '',
  ].join('\n'),
);
