// Proxy-tuning (Liu et al. 2024) with the two sizes of the bundled family: held-out loss and accuracy of the large base
// as it is, of the small model tuned, of the large one steered by it, and of the large one tuned itself. Build first.
//
//   npm run build && node --import tsx bench/proxyTuning.ts OUT.md [--seeds 3] [--epochs 8]
//
// Trains on the quickstart's rows (a question on a table → SQL), the same options for both sizes, once with LoRA and once
// with every weight; the share of the gap between base and tuned large model that steering closes is given for the loss.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { seeds: { type: 'string', default: '3' }, epochs: { type: 'string', default: '8' } },
});
const out = positionals[0]!;
const root = path.resolve(import.meta.dirname, '..');
const runFile = path.join(root, 'examples/quickstart/quickstart.peft.yaml');
const models = {
  small: path.join(root, 'examples/base-model/peft-studio-mini'),
  large: path.join(root, 'examples/base-model/peft-studio-tiny'),
};
const METHODS = {
  LoRA: ['method.type=lora', 'training.learning_rate=5e-3'],
  'every weight': ['method={type: full}', 'training.learning_rate=1e-3'],
} as const;
const ALPHAS = [0.5, 1, 1.5];
const scratch = mkdtempSync(path.join(tmpdir(), 'peft-proxy-'));

interface Measured {
  readonly loss: number;
  readonly rowAccuracy: number;
}

function cli(...args: string[]): unknown {
  const printed = execFileSync(process.execPath, [path.join(root, 'dist/cli.js'), ...args, '--json'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    maxBuffer: 1 << 28,
  });
  return JSON.parse(printed.trim().split('\n').at(-1)!);
}

/** @returns the adapter's folder, or that of the tuned model */
function train(size: keyof typeof models, method: keyof typeof METHODS, seed: number): string {
  const settings = [
    `model=${models[size]}`,
    ...METHODS[method],
    `training.seed=${seed}`,
    `training.num_train_epochs=${values.epochs}`,
    'training.eval_generations=0',
    `output.dir=${scratch}`,
    `output.name=${size}`,
  ];
  const finished = cli('train', runFile, ...settings.flatMap((setting) => ['--set', setting])) as {
    adapter: string;
  };
  return finished.adapter;
}

function measure(model: string, ...args: string[]): Measured {
  const data = path.join(root, 'examples/quickstart/validation.jsonl');
  return cli('evaluate', model, '--data', data, ...args) as Measured;
}

const rows: Record<string, Measured[]> = {};
function note(name: string, found: Measured): void {
  (rows[name] ??= []).push(found);
  process.stderr.write(
    `${name}: loss ${found.loss.toFixed(3)}, rows right ${(100 * found.rowAccuracy).toFixed(1)} %\n`,
  );
}

const untuned = { small: measure(models.small), large: measure(models.large) };
for (const method of Object.keys(METHODS) as (keyof typeof METHODS)[]) {
  for (let seed = 1; seed <= Number(values.seeds); seed++) {
    const [small, large] = [train('small', method, seed), train('large', method, seed)];
    const tuned = (size: keyof typeof models, folder: string): Measured =>
      method === 'LoRA' ? measure(models[size], '--adapter', folder) : measure(folder);
    note(`${method} | small, tuned`, tuned('small', small));
    for (const alpha of ALPHAS) {
      const steered = measure(
        models.large,
        ...['--proxy', small, '--anti-expert', models.small, '--alpha', String(alpha)],
      );
      note(`${method} | large, steered, α = ${alpha}`, steered);
    }
    note(`${method} | large, tuned`, tuned('large', large));
  }
}
rmSync(scratch, { recursive: true });

const mean = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0) / numbers.length;
const spread = (numbers: readonly number[]): string =>
  `${Math.min(...numbers).toFixed(3)}–${Math.max(...numbers).toFixed(3)}`;
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const lines = Object.entries(rows).map(([name, found]) => {
  const losses = found.map(({ loss }) => loss);
  const tuned = mean(rows[`${name.split(' | ')[0]!} | large, tuned`]!.map(({ loss }) => loss));
  const closed = (untuned.large.loss - mean(losses)) / (untuned.large.loss - tuned);
  const accuracy = mean(found.map(({ rowAccuracy }) => rowAccuracy));
  return `| ${name} | ${mean(losses).toFixed(3)} | ${spread(losses)} | ${percent(accuracy)} | ${percent(closed)} |`;
});
const base = (name: string, found: Measured): string =>
  `| – | ${name}, as it is | ${found.loss.toFixed(3)} | | ${percent(found.rowAccuracy)} | |`;
writeFileSync(
  out,
  [
    '# Proxy-tuning: a base of 1.25 million parameters steered by one of 0.28 million',
    '',
    `\`bench/proxyTuning.ts\`, ${values.seeds} seeds, ${values.epochs} epochs on the quickstart's rows; loss in nats per`,
    'supervised token of its held-out rows, mean and range; rows whose every token is right; the share of the large',
    "model's gap between untuned and tuned that is closed.",
    '',
    '| method | model | loss | range | rows right | gap closed |',
    '| --- | --- | --- | --- | --- | --- |',
    base('small', untuned.small),
    base('large', untuned.large),
    ...lines,
    '',
  ].join('\n'),
);
