// Shapes of the claims about prompts and prefixes, on the bundled model: where a prompt starts, how long it is, and a
// prefix with and without the network that makes it. Losses on held-out rows only: no times.
//
//   nice -n 19 node --import tsx bench/additive.ts OUT.md [--seeds 3] [--steps 120]
//
// Rows are the quickstart's: a question on a table, answered by one SQL query. Written anew after each group of runs.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { loadRunFile } from '../src/config/loadRunFile.js';
import { embeddedEngine } from '../src/engines/embedded.js';
import type { RunEvent } from '../src/training/events.js';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { seeds: { type: 'string', default: '3' }, steps: { type: 'string', default: '120' } },
});
const [out] = positionals;
if (out === undefined) throw new Error('name the file to write');
const seeds = Array.from({ length: Number(values.seeds) }, (_, at) => at + 1);
const steps = Number(values.steps);
const root = path.resolve(import.meta.dirname, '..');
const scratch = mkdtempSync(path.join(tmpdir(), 'peft-additive-'));
let count = 0;

/** Loss on held-out rows before the first step and at the end. */
interface Losses {
  readonly before: number;
  readonly after: number;
}

async function lossesOf(method: object, rate: number, seed: number): Promise<Losses> {
  const file = path.join(scratch, `${++count}.peft.json`);
  const config = {
    model: path.join(root, 'examples/base-model/peft-studio-tiny'),
    method,
    data: {
      train: path.join(root, 'examples/quickstart/train.jsonl'),
      validation: path.join(root, 'examples/quickstart/validation.jsonl'),
      max_length: 128,
    },
    training: {
      seed,
      max_steps: steps,
      eval_steps: steps,
      save_steps: steps,
      per_device_train_batch_size: 16,
      learning_rate: rate,
      lr_scheduler_type: 'cosine',
      warmup_ratio: 0.05,
    },
    runtime: { threads: 1 },
    output: { dir: path.join(scratch, 'runs') },
  };
  writeFileSync(file, JSON.stringify(config));
  const { run, problems } = await loadRunFile(file);
  if (run === undefined) throw new Error(JSON.stringify(problems));
  const losses: number[] = [];
  await embeddedEngine(run, {
    emit: (event: RunEvent) => {
      if (event.type === 'evaluation') losses.push(event.loss);
    },
    stopRequested: () => false,
  });
  return { before: losses[0]!, after: losses.at(-1)! };
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
const PREFIX = { type: 'prefix_tuning', num_virtual_tokens: 20 };

interface Group {
  readonly title: string;
  readonly runs: readonly (readonly [name: string, method: object, rate: number])[];
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
];

const sections: string[] = [
  '# Prompts and prefixes: shapes of the claims',
  `The bundled model (peft-studio-tiny), 600 rows of the quickstart to train on, 100 held out; ${steps} steps of 16 rows, cosine, ${seeds.length} seeds. Loss on held-out rows in nats per supervised token: mean, and from the lowest to the highest seed. Written by \`bench/additive.ts\`.`,
];
for (const { title, runs } of GROUPS) {
  const lines = [`## ${title}`, '', '| | before | after |', '|---|---|---|'];
  for (const [name, method, rate] of runs) {
    const all: Losses[] = [];
    for (const seed of seeds) all.push(await lossesOf(method, rate, seed));
    lines.push(cells(name, all));
    process.stdout.write(`${lines.at(-1)!}\n`);
  }
  sections.push(lines.join('\n'));
  writeFileSync(out, `${sections.join('\n\n')}\n`);
}
rmSync(scratch, { recursive: true, force: true });
