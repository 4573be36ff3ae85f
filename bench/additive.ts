// Shapes of the claims about prompts and prefixes, on the bundled model: where a prompt starts, how long it is, and a
// prefix with and without the network that makes it; then two sizes of model, and SmolLM2 where it is named. Losses on held-out rows only: no times.
//
//   nice -n 19 node --import tsx bench/additive.ts OUT.md [--seeds 3] [--steps 120] [--groups 1,4]
//       [--smollm2 MODEL_FOLDER --tasks P3_FOLDER] [--smollm2-steps 30]
//
// Rows are the quickstart's: a question on a table, answered by one SQL query. Written anew after each group of runs.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { shortRuns } from './shortRun.js';
import type { ShortRun } from './shortRun.js';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    seeds: { type: 'string', default: '3' },
    steps: { type: 'string', default: '120' },
    groups: { type: 'string' },
    smollm2: { type: 'string' },
    'smollm2-steps': { type: 'string', default: '30' },
    tasks: { type: 'string' },
  },
});
const [out] = positionals;
if (out === undefined) throw new Error('name the file to write');
const seeds = Array.from({ length: Number(values.seeds) }, (_, at) => at + 1);
const root = path.resolve(import.meta.dirname, '..');
const read = (file: string): string[] => readFileSync(file, 'utf8').trim().split('\n');
const quickstart = path.join(root, 'examples/quickstart');
const bundled = (size: string): string => path.join(root, `examples/base-model/peft-studio-${size}`);
const QUICKSTART = {
  model: bundled('tiny'),
  rows: read(path.join(quickstart, 'train.jsonl')),
  held: read(path.join(quickstart, 'validation.jsonl')),
  steps: Number(values.steps),
};
const run = shortRuns('additive');

/** Loss on held-out rows before the first step and at the end. */
interface Losses {
  readonly before: number;
  readonly after: number;
}

async function lossesOf(method: object, rate: number, seed: number, on: Setting): Promise<Losses> {
  const { metrics } = await run({ ...on, method, rate, seed });
  return { before: metrics['initial_eval_loss']!, after: metrics['eval_loss']! };
}

/** A table's row: the mean over seeds, and the least and most. */
function cells(name: string, all: readonly Losses[]): string {
  const text = (of: (losses: Losses) => number): string => {
    const found = all.map(of);
    const mean = found.reduce((sum, each) => sum + each, 0) / found.length;
    return `${mean.toFixed(3)} (${Math.min(...found).toFixed(3)}–${Math.max(...found).toFixed(3)})`;
  };
  return `| ${name} | ${text(({ before }) => before)} | ${text(({ after }) => after)} |`;
}

const PROMPT = { type: 'prompt_tuning', num_virtual_tokens: 20 };
const TEXT = {
  prompt_tuning_init: 'TEXT',
  prompt_tuning_init_text: 'Answer the question on the table with one SQL query.',
};
const NEWS = {
  prompt_tuning_init: 'TEXT',
  prompt_tuning_init_text: 'Tell the section that this news belongs to.',
};
const PREFIX = { type: 'prefix_tuning', num_virtual_tokens: 20 };

/** What is trained on what; default: the bundled model on the quickstart's rows. */
type Setting = Omit<ShortRun, 'method' | 'rate' | 'seed'>;

interface Group {
  readonly title: string;
  readonly runs: readonly (readonly [name: string, method: object, rate: number, on?: Setting])[];
}

/** SmolLM2 on news, where its folder and that of the rows are named. */
function smolLm2(model: string, tasks: string): Group {
  const lines = read(path.join(tasks, 'ag_news_classify.jsonl'));
  const on: Setting = {
    model,
    rows: lines.slice(0, 150),
    held: lines.slice(150, 180),
    steps: Number(values['smollm2-steps']),
    batchSize: 4,
    maxLength: 160,
  };
  return {
    title: `SmolLM2-135M on AG News: 150 rows, 30 held out, ${on.steps} steps of 4 rows`,
    runs: [
      ['prompt of 20, `TEXT`, learning rate 0.03', { ...PROMPT, ...NEWS }, 0.03, on],
      ['prefix of 20, flat, learning rate 0.01', PREFIX, 0.01, on],
      ['prefix of 20, through a network, learning rate 0.001', { ...PREFIX, prefix_projection: true }, 1e-3, on],
      ['adapter (Pfeiffer), m 16, learning rate 0.001', { type: 'adapter', bottleneck_size: 16 }, 1e-3, on],
    ],
  };
}

const GROUPS: readonly Group[] = [
  {
    title: 'Where a prompt of 20 virtual tokens starts (learning rate 0.03)',
    runs: [
      ['normal numbers (`RANDOM`)', PROMPT, 0.03],
      ['tokens of the vocabulary (`SAMPLE_VOCAB`)', { ...PROMPT, prompt_tuning_init: 'SAMPLE_VOCAB' }, 0.03],
      ['a text on the task (`TEXT`)', { ...PROMPT, ...TEXT }, 0.03],
    ],
  },
  {
    title: 'How long a prompt is (`SAMPLE_VOCAB`, learning rate 0.03)',
    runs: [1, 5, 20, 50, 100].map((length) => [
      `${length}`,
      { ...PROMPT, num_virtual_tokens: length, prompt_tuning_init: 'SAMPLE_VOCAB' },
      0.03,
    ]),
  },
  {
    title: 'A prefix of 20 keys and values per layer',
    runs: [1e-2, 1e-3].flatMap((rate) =>
      [false, true].map(
        (projects) =>
          [
            `${projects ? 'through a network (`prefix_projection`)' : 'flat'}, learning rate ${rate}`,
            { ...PREFIX, prefix_projection: projects },
            rate,
          ] as const,
      ),
    ),
  },
  {
    title:
      'As the model grows: a prompt of 20 (`TEXT`, learning rate 0.03) beside all weights (learning rate 0.001)',
    runs: ['mini', 'tiny'].flatMap((size) => {
      const on = { ...QUICKSTART, model: bundled(size) };
      return [
        [`peft-studio-${size}, prompt`, { ...PROMPT, ...TEXT }, 0.03, on] as const,
        [`peft-studio-${size}, all weights`, { type: 'full' }, 1e-3, on] as const,
      ];
    }),
  },
  ...(values.smollm2 === undefined || values.tasks === undefined ? [] : [smolLm2(values.smollm2, values.tasks)]),
];
const chosen =
  values.groups === undefined ? GROUPS : values.groups.split(',').map((at) => GROUPS[Number(at) - 1]!);

const sections: string[] = [
  '# Prompts and prefixes: shapes of the claims',
  `The bundled model (peft-studio-tiny), 600 rows of the quickstart to train on, 100 held out; ${QUICKSTART.steps} steps of 16 rows, cosine, ${seeds.length} seeds. Loss on held-out rows in nats per supervised token: mean, and from the lowest to the highest seed. Written by \`bench/additive.ts\`.`,
];
for (const { title, runs } of chosen) {
  const lines = [`## ${title}`, '', '| | before | after |', '|---|---|---|'];
  for (const [name, method, rate, on = QUICKSTART] of runs) {
    const all: Losses[] = [];
    for (const seed of seeds) all.push(await lossesOf(method, rate, seed, on));
    lines.push(cells(name, all));
    process.stdout.write(`${lines.at(-1)!}\n`);
  }
  sections.push(lines.join('\n'));
  writeFileSync(out, `${sections.join('\n\n')}\n`);
}
