// LoRAHub (Huang et al. 2023) on P3: nine LoRAs of SmolLM2, one of a task each; of three tasks the own one is held back in turn, and
// the other eight are mixed for it with five examples. Beside it the base, the mean of the eight, the best one, the five examples in
// the prompt, a LoRA trained on the five, and the one that was held back. Build first.
//
//   npm run build
//   node --import tsx bench/loraHub.ts MODEL_FOLDER P3_FOLDER WORK bench/results/lorahub.md [--seeds 3]
//
// WORK keeps what was trained and measured: the same command again goes on where it was.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { format } from 'prettier';
import { attachAdapter } from '../src/adapters/attachAdapter.js';
import { combineAdapters } from '../src/adapters/combining/combine.js';
import { loraHub } from '../src/adapters/combining/loraHub.js';
import { readAdapter } from '../src/adapters/readAdapter.js';
import { writeAdapter } from '../src/adapters/writeAdapter.js';
import { loadDataset } from '../src/data/loadDataset.js';
import { evaluateDecoder } from '../src/engines/evaluateDecoder.js';
import { searchHub } from '../src/engines/searchHub.js';
import { openModel } from '../src/engines/session.js';
import { createDecoder } from '../src/generation/decoder.js';
import type { Decoder } from '../src/generation/decoder.js';
import { mostLikely } from '../src/generation/sampling.js';
import { logProbability } from '../src/generation/scoring.js';
import { rowTokens } from '../src/generation/tokens.js';
import type { Attached, Values } from '../src/methods/method.js';
import { onnxRuntime } from '../src/runtime/onnxruntime.js';
import { HELD_BACK, SHOTS, TASKS, answersTo, examplesOf, loraOn, rowsOf } from './hubTasks.js';
import type { TaskRow } from './hubTasks.js';

const { positionals, values: options } = parseArgs({
  allowPositionals: true,
  options: { seeds: { type: 'string', default: '3' } },
});
const [model, p3, workFolder, out] = positionals;
if (out === undefined)
  throw new Error('name the model, the folder of P3, a folder for the runs, and the file to write');
const work = path.resolve(workFolder!);
const seeds = Array.from({ length: Number(options.seeds) }, (_, at) => at + 1);
const SEARCH = { budget: 40, bound: 1.5, regularization: 0.05 };
/** Rows in front of a question and the question itself have room here. */
const POSITIONS = 2048;

/** Of a task's test rows. */
interface Score {
  /** Cross-entropy per token of the right answers and their ends, in nats. */
  readonly loss: number;
  /** Rows whose right answer is the likeliest of those that the task has. */
  readonly accuracy: number;
  /** Rows that a greedy generation answers to the letter, and then ends. */
  readonly exact: number;
}
interface Mixture extends Score {
  readonly weights: readonly number[];
  readonly seconds: number;
  readonly trials: number;
  readonly lossOfExamples: number;
}
interface Single extends Score {
  readonly task: string;
}

const opened = await openModel(model!, 0);
const { tokenizer, context } = opened;
const weights = await opened.checkpoint.mapped();
const runtime = await onnxRuntime({ threads: 2 });
const idsOf = (text: string): number[] => tokenizer.encode(text, { addSpecialTokens: false });
const answerIds = (answer: string): number[] => [...idsOf(answer), tokenizer.eosTokenId!];

const measured = path.join(work, 'measured.json');
mkdirSync(work, { recursive: true });
const found = new Map<string, unknown>(
  existsSync(measured) ? Object.entries(JSON.parse(readFileSync(measured, 'utf8')) as object) : [],
);

/** What was measured under this name, or is now. */
async function once<T extends Score | readonly Score[]>(name: string, measure: () => Promise<T>): Promise<T> {
  if (!found.has(name)) {
    const result = await measure();
    found.set(name, result);
    writeFileSync(measured, JSON.stringify(Object.fromEntries(found), undefined, 1));
    process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${name}: ${JSON.stringify(result)}\n`);
  }
  return found.get(name) as T;
}

function decoderOf(methods: readonly Pick<Attached, 'hooks' | 'trainables'>[], values: Values): Promise<Decoder> {
  return createDecoder({
    model: opened.model,
    methods,
    values,
    weights,
    runtime,
    positionLimit: Math.min(POSITIONS, opened.model.maxPositions),
  });
}

/** @param shots whole rows in front of each question, as training sees them */
async function score(
  decoder: Decoder,
  rows: readonly TaskRow[],
  answers: (prompt: string) => readonly string[],
  shots: readonly TaskRow[] = [],
): Promise<Score> {
  const front = shots.flatMap(({ prompt, completion }) => [...idsOf(prompt), ...answerIds(completion)]);
  const reading = decoder.read(1);
  if (front.length > 0) await reading.run(rowTokens(front, 0));
  let [loss, tokens, right, exact] = [0, 0, 0, 0];
  for (const { prompt, completion } of rows) {
    const question = idsOf(prompt);
    const read = front.length + question.length - 1;
    reading.keepFirst!(front.length);
    await reading.run(rowTokens(question.slice(0, -1), front.length));
    let likeliest = { answer: '', logProbability: -Infinity };
    for (const answer of answers(prompt)) {
      const ids = answerIds(answer);
      reading.keepFirst!(read);
      const logits = await reading.run(rowTokens([question.at(-1)!, ...ids.slice(0, -1)], read), ids.length);
      const own = ids.map((_, at) => logits.subarray(at * decoder.vocabSize, (at + 1) * decoder.vocabSize));
      const sum = ids.reduce((total, id, at) => total + logProbability(own[at]!, id), 0);
      if (sum > likeliest.logProbability) likeliest = { answer, logProbability: sum };
      if (answer !== completion) continue;
      loss -= sum;
      tokens += ids.length;
      exact += ids.every((id, at) => mostLikely(own[at]!) === id) ? 1 : 0;
    }
    right += likeliest.answer === completion ? 1 : 0;
  }
  return { loss: loss / tokens, accuracy: right / rows.length, exact: exact / rows.length };
}

async function scoreAdapter(folder: string, ...rest: Tail<Parameters<typeof score>>): Promise<Score> {
  const { method, values } = await attachAdapter(await readAdapter(folder), context);
  const decoder = await decoderOf([method], values);
  return score(decoder, ...rest).finally(() => decoder.dispose());
}
type Tail<T extends readonly unknown[]> = T extends readonly [unknown, ...infer Rest] ? Rest : never;

const modules: Record<string, Awaited<ReturnType<typeof loraOn>>> = {};
const training = { num_train_epochs: 3, per_device_train_batch_size: 4, seed: 1 };
for (const task of Object.keys(TASKS)) {
  modules[task] = await loraOn(rowsOf(p3!, task).train, training, task, { model: model!, work });
}

/** The exact mean of the updates of some modules, as an adapter. */
async function meanOf(tasks: readonly string[], name: string): Promise<string> {
  const folder = path.join(work, 'means', name);
  if (existsSync(folder)) return folder;
  const parts = await Promise.all(
    tasks.map(async (task) => ({ adapter: await readAdapter(modules[task]!.adapter), weight: 1 / tasks.length })),
  );
  mkdirSync(path.dirname(folder), { recursive: true });
  await writeAdapter(folder, (await combineAdapters(parts, context)).saved, { tokenizer, card: '' });
  return folder;
}

interface TaskResults {
  readonly pool: readonly string[];
  readonly approaches: Readonly<Record<string, readonly Score[]>>;
  readonly mixtures: readonly Mixture[];
  readonly chosen: readonly Single[];
  readonly tuned: readonly number[];
}

async function resultsOf(task: string): Promise<TaskResults> {
  const { train, test } = rowsOf(p3!, task);
  const answers = (prompt: string): readonly string[] => answersTo(prompt, [...train, ...test]);
  const pool = Object.keys(TASKS).filter((each) => each !== task);
  const hub = await loraHub(await Promise.all(pool.map((each) => readAdapter(modules[each]!.adapter))), context);
  const at = (mixture: readonly number[]): Values => hub.valuesAt(Float64Array.from(mixture));
  const alone = (module: number): number[] => pool.map((_, each) => (each === module ? 1 : 0));
  const nothing = pool.map(() => 0);
  const decoder = await decoderOf([hub.method], at(nothing));
  const mixed = (mixture: readonly number[], shots: readonly TaskRow[] = []): Promise<Score> => {
    decoder.use(at(mixture));
    return score(decoder, test, answers, shots);
  };
  const base = await once(`${task} zero-shot`, () => mixed(nothing));
  const mean = await once(`${task} mean of A and B`, () => mixed(pool.map(() => 1 / pool.length)));
  const sum = await once(`${task} mean of updates`, async () =>
    scoreAdapter(await meanOf(pool, task), test, answers),
  );
  const singles: Single[] = [];
  for (const [module, each] of pool.entries()) {
    singles.push({ task: each, ...(await once(`${task} ${each} alone`, () => mixed(alone(module)))) });
  }
  const own = await once(`${task} own`, () => scoreAdapter(modules[task]!.adapter, test, answers));
  const [shown, few, mixtures, chosen, tuned]: [Score[], Score[], Mixture[], Single[], number[]] = [
    [],
    [],
    [],
    [],
    [],
  ];
  for (const seed of seeds) {
    const examples = examplesOf(train, task, seed);
    const name = `${task}-${seed}`;
    const fewTraining = { num_train_epochs: 20, per_device_train_batch_size: SHOTS, seed };
    const lora = await loraOn(examples, fewTraining, `few-${name}`, { model: model!, work });
    tuned.push(lora.seconds);
    few.push(await once(`${name} LoRA`, () => scoreAdapter(lora.adapter, test, answers)));
    shown.push(await once(`${name} in the prompt`, () => mixed(nothing, examples)));
    const rows = (await loadDataset({ train: lora.data }, tokenizer, { folder: work, seed })).train;
    const lossAt = async (values: Values): Promise<number> => {
      decoder.use(values);
      return (await evaluateDecoder(decoder, rows, () => Promise.resolve(true))).loss;
    };
    mixtures.push(
      await once(`${name} LoRAHub`, async () => {
        const since = performance.now();
        const { best, trials } = await searchHub(hub, pool.length, SEARCH, lossAt, () => Promise.resolve());
        const seconds = (performance.now() - since) / 1000;
        const told = { weights: best.weights, trials: trials.length, lossOfExamples: best.loss };
        return { ...(await mixed(best.weights)), ...told, seconds };
      }),
    );
    chosen.push(
      await once(`${name} best alone`, async () => {
        const losses: number[] = [];
        for (const module of pool.keys()) losses.push(await lossAt(at(alone(module))));
        return singles[losses.indexOf(Math.min(...losses))]!;
      }),
    );
  }
  await decoder.dispose();
  const least = singles.reduce((one, other) => (other.loss < one.loss ? other : one));
  const approaches = {
    'zero-shot': [base],
    'mean of A and of B (LoRAHub, every w = 1/8)': [mean],
    'mean of the updates': [sum],
    'best single module by the 5': chosen,
    [`best single module by the test rows (${least.task})`]: [least],
    '5 in the prompt': shown,
    'LoRA trained on the 5': few,
    '**LoRAHub**': mixtures,
    'LoRA of the task, 120 rows': [own],
  };
  return { pool, approaches, mixtures, chosen, tuned };
}

const meanOfNumbers = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0) / numbers.length;
/** Mean ± standard deviation (n − 1) over the seeds; the number alone where seeds change nothing. */
function spread(numbers: readonly number[], digits: number): string {
  const middle = meanOfNumbers(numbers);
  if (numbers.length === 1) return middle.toFixed(digits);
  const variance = numbers.reduce((sum, each) => sum + (each - middle) ** 2, 0) / (numbers.length - 1);
  return `${middle.toFixed(digits)} ± ${Math.sqrt(variance).toFixed(digits)}`;
}

/** The share of a task's test rows that have the answer that most of them have. */
function mostFrequent(task: string): number {
  const { test } = rowsOf(p3!, task);
  const counts = test.map((row) => test.filter(({ completion }) => completion === row.completion).length);
  return Math.max(...counts) / test.length;
}

const sections: string[] = [];
for (const task of Object.keys(HELD_BACK)) {
  const { pool, approaches, mixtures, chosen, tuned } = await resultsOf(task);
  const percent = (scores: readonly Score[], key: 'accuracy' | 'exact'): string =>
    spread(
      scores.map((each) => 100 * each[key]),
      1,
    );
  sections.push(
    `## ${TASKS[task]!}`,
    '',
    '| approach | loss | accuracy, % | exact, % |',
    '| --- | --- | --- | --- |',
    ...Object.entries(approaches).map(
      ([name, scores]) =>
        `| ${name} | ${spread(
          scores.map(({ loss }) => loss),
          3,
        )} | ${percent(scores, 'accuracy')} | ${percent(scores, 'exact')} |`,
    ),
    '',
    `${rowsOf(p3!, task).test.length} rows test; always the most frequent answer would be right in ${(100 * mostFrequent(task)).toFixed(1)} % of them. What LoRAHub found, and which module is the best alone by the 5. A search tried ${mixtures[0]!.trials} mixtures in ` +
      `${spread(
        mixtures.map(({ seconds }) => seconds),
        0,
      )} s; the LoRA on the 5 took ${spread(tuned, 0)} s.`,
    '',
    `| seed | loss of the 5 | ${pool.join(' | ')} | best alone |`,
    `| --- | --- | ${pool.map(() => '---').join(' | ')} | --- |`,
    ...mixtures.map(
      ({ weights: w, lossOfExamples }, at) =>
        `| ${seeds[at]!} | ${lossOfExamples.toFixed(3)} | ${w.map((each) => each.toFixed(2)).join(' | ')} | ${chosen[at]!.task} |`,
    ),
    '',
  );
}
const text = [
  '# LoRAHub on P3: eight modules for a held-back ninth task',
  '',
  `SmolLM2-135M-Instruct, 2 threads, ${new Date().toISOString().slice(0, 10)}; others worked on the machine, so seconds are upper bounds.`,
  `A module: LoRA r 8, alpha 16 on q and v, 120 rows, 3 epochs of batches of 4, learning rate 1e-3 to 0. The LoRA on the 5: the same, 20`,
  `steps of all five. LoRAHub: ${SEARCH.budget} mixtures, |w| ≤ ${SEARCH.bound}, ${SEARCH.regularization} · mean |w|; COBYLA from w = 0 draws nothing, so a seed is which 5 rows are shown,`,
  `and how the LoRA on them starts. Other rows are the test. Loss: nats per token of the right answer and its end. Accuracy: the right`,
  'answer is the likeliest of those that the task has (of the options in the prompt, or of all answers in its 200 rows). Exact: greedy',
  `generation gives it to the letter. ± is the standard deviation over ${seeds.length} seeds.`,
  '',
  ...sections,
].join('\n');
writeFileSync(out, await format(text, { parser: 'markdown' }));
