// One run of DyLoRA beside LoRA trained at each rank: held-out loss at every rank on the bundled model, means over seeds, and
// what a step costs. lora_alpha is the same everywhere: at rank b both have the scale lora_alpha / b.
//
//   nice -n 19 node --import tsx bench/dylora.ts OUT.md [--steps 120] [--seeds 1,2,3]
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import type { RankQuality } from '../src/training/events.js';
import { shortRuns } from './shortRun.js';
import type { ShortRun } from './shortRun.js';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { steps: { type: 'string', default: '120' }, seeds: { type: 'string', default: '1,2,3' } },
});
const [out] = positionals;
if (out === undefined) throw new Error('name the file to write');
const steps = Number(values.steps);
const seeds = values.seeds.split(',').map(Number);
const root = path.resolve(import.meta.dirname, '..');
const lines = (name: string): string[] =>
  readFileSync(path.join(root, 'examples/quickstart', name), 'utf8')
    .trim()
    .split('\n');

const R = 8;
const ALPHA = 16;
const RANKS = Array.from({ length: R }, (_, at) => at + 1);
const common: Omit<ShortRun, 'method' | 'seed'> = {
  model: path.join(root, 'examples/base-model/peft-studio-tiny'),
  rate: 5e-3,
  steps,
  rows: lines('train.jsonl'),
  held: lines('validation.jsonl'),
};
const run = shortRuns('dylora');

interface Measured {
  readonly losses: ReadonlyMap<number, number>;
  /** Processor milliseconds of the steps behind the first. */
  readonly step: number;
}

const cpuMilliseconds = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e3;
};

async function measured(method: object, seed: number): Promise<Measured> {
  let [first, last, taken] = [0, 0, 0];
  let byRank: readonly RankQuality[] = [];
  const finished = await run({ ...common, method, seed }, (event) => {
    if (event.type === 'rank-evaluation') byRank = event.ranks;
    if (event.type !== 'step') return;
    last = cpuMilliseconds();
    if (taken++ === 0) first = last;
  });
  const losses = new Map(byRank.map(({ rank, loss }) => [rank, loss]));
  if (losses.size === 0) losses.set(R, finished.metrics['eval_loss']!);
  return { losses, step: (last - first) / (taken - 1) };
}

const dynamic = (frozen: boolean): object => ({
  type: 'dylora',
  r: R,
  lora_alpha: ALPHA,
  frozen,
  eval_ranks: RANKS.slice(0, -1),
});
const found = new Map<string, Measured[]>();
for (const seed of seeds) {
  const note = async (name: string, method: object): Promise<void> => {
    const one = await measured(method, seed);
    found.set(name, [...(found.get(name) ?? []), one]);
    console.error(
      `seed ${seed}, ${name}: ${[...one.losses.values()].map((loss) => loss.toFixed(4)).join(' ')}, ${one.step.toFixed(1)} ms`,
    );
  };
  await note('DyLoRA', dynamic(false));
  await note('frozen', dynamic(true));
  for (const r of RANKS) await note(`LoRA ${r}`, { type: 'lora', r, lora_alpha: ALPHA });
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, each) => sum + each, 0) / numbers.length;
}

/** `0.1234 ± 0.0056` */
function cell(numbers: readonly number[]): string {
  const middle = mean(numbers);
  const spread = Math.sqrt(
    mean(numbers.map((each) => (each - middle) ** 2)) * (numbers.length / (numbers.length - 1)),
  );
  return `${middle.toFixed(4)} ± ${spread.toFixed(4)}`;
}

const lossesAt = (name: string, rank: number): number[] => found.get(name)!.map(({ losses }) => losses.get(rank)!);
const stepOf = (name: string): number => Math.min(...found.get(name)!.map(({ step }) => step));
writeFileSync(
  out,
  [
    '# DyLoRA at every rank\n',
    `The bundled model on the quickstart's rows, ${steps} steps of ${16} rows, learning rate 5e-3 (cosine), lora_alpha ${ALPHA}:`,
    `loss on 100 held-out rows, mean ± standard deviation over ${seeds.length} seeds (${seeds.join(', ')}). DyLoRA is one run of r ${R}`,
    'for all ranks, LoRA a run for each.\n',
    '| rank | DyLoRA | DyLoRA, frozen | LoRA of this rank |',
    '| --- | --- | --- | --- |',
    ...RANKS.map(
      (rank) =>
        `| ${rank} | ${cell(lossesAt('DyLoRA', rank))} | ${cell(lossesAt('frozen', rank))} | ${cell(found.get(`LoRA ${rank}`)!.map(({ losses }) => losses.get(R)!))} |`,
    ),
    '',
    `A step takes, by processor time on one thread of ${cpus()[0]!.model} that other work shared, the least of ${seeds.length} runs:\n`,
    '| | ms per step | of LoRA of rank 8 |',
    '| --- | --- | --- |',
    ...['LoRA 1', 'LoRA 8', 'DyLoRA', 'frozen'].map(
      (name) => `| ${name} | ${stepOf(name).toFixed(1)} | ${(stepOf(name) / stepOf('LoRA 8')).toFixed(2)} |`,
    ),
    `| LoRA, all ${R} ranks | ${RANKS.reduce((sum, r) => sum + stepOf(`LoRA ${r}`), 0).toFixed(1)} | ${(RANKS.reduce((sum, r) => sum + stepOf(`LoRA ${r}`), 0) / stepOf('LoRA 8')).toFixed(2)} |`,
    '',
  ].join('\n'),
);
