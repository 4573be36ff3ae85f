// The tasks of `loraHub.ts`: their rows, their answers, and the LoRAs trained on them.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { random, shuffle } from '../src/common/random.js';
import { runVariant } from '../src/engines/runVariants.js';

/** Tasks that are held back in turn; their rows have more than one answer. */
export const HELD_BACK = {
  qqp: 'glue_qqp_duplicate',
  news: 'ag_news_classify',
  commonsense: 'commonsense_qa_most_suitable_answer',
} as const;
/**
 * Nine tasks: all in the folder but TREC, whose answers are empty there, and IMDB, whose rows are long and all "negative". Rotten
 * Tomatoes ("positive") and DBpedia ("Company") have one answer, too: modules that a search has to leave aside.
 */
export const TASKS: Readonly<Record<string, string>> = {
  ...HELD_BACK,
  mrpc: 'glue_mrpc_equivalent',
  paws: 'paws_labeled_final_PAWS_ANLI_GPT3',
  sciq: 'sciq_Direct_Question',
  yelp: 'yelp_review_full_format_star',
  tomatoes: 'rotten_tomatoes_Movie_Expressed_Sentiment',
  dbpedia: 'dbpedia_14_pick_one_category_for_the_following_text',
};
/** No LoRA trains on these; the first of them test: longer rows take longer. */
const HELD_OUT_ROWS = 80;
const TEST_ROWS: Readonly<Record<string, number>> = { qqp: 60, news: 40, commonsense: 40 };
export const SHOTS = 5;

export interface TaskRow {
  readonly prompt: string;
  /** Without an end-of-text marker. */
  readonly completion: string;
}

/** A task's rows in a drawn order, to train on and to test. */
export function rowsOf(folder: string, task: string): { train: TaskRow[]; test: TaskRow[] } {
  const lines = readFileSync(path.join(folder, `${TASKS[task]!}.jsonl`), 'utf8')
    .trim()
    .split('\n');
  const rows = shuffle(lines, random(1, task)).map((line): TaskRow => {
    const { prompt, completion } = JSON.parse(line) as TaskRow;
    return { prompt, completion: completion.replace('<|endoftext|>', '') };
  });
  return { train: rows.slice(0, -HELD_OUT_ROWS), test: rows.slice(-HELD_OUT_ROWS).slice(0, TEST_ROWS[task]) };
}

/** Which rows of a task a seed shows. */
export function examplesOf(train: readonly TaskRow[], task: string, seed: number): TaskRow[] {
  return shuffle([...train], random(seed, task, 'examples')).slice(0, SHOTS);
}

/** The answers that a prompt lists, or else those of the task's rows. */
export function answersTo(prompt: string, rows: readonly TaskRow[]): readonly string[] {
  const listed = [...prompt.matchAll(/^- (.+)$/gm)].map(([, answer]) => answer!);
  return listed.length > 0 ? listed : [...new Set(rows.map(({ completion }) => completion))].sort();
}

/** What a LoRA trains with: q and v of all layers, linear decay to 0. */
const LORA = {
  method: { type: 'lora', r: 8, lora_alpha: 16, target_modules: ['q_proj', 'v_proj'] },
  training: { learning_rate: 1e-3, lr_scheduler_type: 'linear', save_steps: 1_000_000 },
};

/**
 * A LoRA of some rows, found again where it was trained before.
 * @returns the adapter's folder, the file of its rows, and what training took
 */
export async function loraOn(
  rows: readonly TaskRow[],
  training: Readonly<Record<string, number>>,
  name: string,
  { model, work }: { readonly model: string; readonly work: string },
): Promise<{ adapter: string; data: string; steps: number; seconds: number }> {
  const folder = path.join(work, 'rows');
  mkdirSync(folder, { recursive: true });
  const data = path.join(folder, `${name}.jsonl`);
  writeFileSync(data, `${rows.map((row) => JSON.stringify(row)).join('\n')}\n`);
  const file = path.join(folder, `${name}.peft.json`);
  const run = {
    model: path.resolve(model),
    data: { train: data, max_length: 256 },
    method: LORA.method,
    training: { ...LORA.training, ...training },
    runtime: { threads: 2 },
  };
  writeFileSync(file, `${JSON.stringify(run, undefined, 2)}\n`);
  const result = await runVariant(
    {
      file,
      overrides: [],
      folder: path.join(work, 'runs'),
      worker: path.resolve(import.meta.dirname, '../dist/worker.js'),
      onRun: () => undefined,
      tell: () => undefined,
      print: (line) => process.stderr.write(`${line}\n`),
    },
    { name, overrides: [] },
  );
  if (result === undefined) throw new Error(`${name} was stopped`);
  const { steps, seconds } = result;
  process.stderr.write(`${name}: ${steps} steps, ${seconds.toFixed(0)} s\n`);
  return { adapter: path.join(result.folder, 'adapter'), data, steps, seconds };
}
