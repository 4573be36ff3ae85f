import * as l10n from '@vscode/l10n';
import { messageOf } from '../common/problem.js';
import type { TrainingOptions } from '../config/schema.js';
import type { Example } from '../data/example.js';
import { aroundRuns, createDecoder } from '../generation/decoder.js';
import type { Decoder, DecoderSetup } from '../generation/decoder.js';
import { generatorOf } from '../generation/generate.js';
import { generateText } from '../generation/generateText.js';
import { createTextStream } from '../generation/textStream.js';
import type { Attached, Values } from '../methods/method.js';
import type { LanguageModel } from '../models/architecture.js';
import type { Tokenizer } from '../models/tokenizer.js';
import { positionsInFront } from '../models/keysInFront.js';
import type { Runtime, WeightFiles } from '../runtime/runtime.js';
import type { Answer, RunEvent } from '../training/events.js';
import { breathe } from '../training/job.js';

/** Answers validation rows with the model as it is taught so far. */
export interface ValidationAnswers {
  /**
   * Greedy, so the same values give the same answers. What fails here does not fail the run: a warning says so, and no
   * more is answered.
   *
   * @param values numbers of the methods' trainables; only read
   * @param stopRequested asked between tokens
   * @param methods as they are attached now
   * @returns undefined when a stop broke it off, or nothing is answered any more
   */
  answer(
    values: Values,
    stopRequested: () => boolean,
    methods: readonly Attached[],
  ): Promise<readonly Answer[] | undefined>;
  /** Lets the compiled graph go. */
  dispose(): Promise<void>;
}

export interface AnswersSetup {
  readonly model: LanguageModel;
  readonly tokenizer: Tokenizer;
  readonly methods: readonly Attached[];
  readonly weights: WeightFiles;
  readonly runtime: Runtime;
  /** One row each: not packed, without virtual tokens. */
  readonly validation: readonly Example[];
  readonly options: Pick<TrainingOptions, 'eval_generations' | 'eval_generation_tokens'>;
  readonly emit: (event: RunEvent) => void;
  /** What answers; default: the model with its methods. */
  readonly decoder?: (setup: DecoderSetup) => Promise<Decoder>;
}

/** A row cut where its answer begins. */
export interface Question {
  readonly line: number;
  /** Ids up to the first supervised token. */
  readonly prompt: readonly number[];
  /** Ids of the supervised span that follows. */
  readonly reference: readonly number[];
  /** The row's task. */
  readonly task: number;
}

/** A row's prompt and the answer that it holds: of a conversation, its first turn; of a pair, what the encoder reads. */
export function questionOf({ ids, supervised, source, line, task = 0 }: Example): Question {
  const start = supervised.indexOf(1);
  const after = supervised.indexOf(0, start);
  return {
    line,
    prompt: source ?? ids.slice(0, start),
    reference: ids.slice(start, after < 0 ? ids.length : after),
    task,
  };
}

/** Characters of a text that an event carries: a record of many evaluations stays small. */
export const ANSWER_CHARACTERS = 2000;

/** A text of at most {@link ANSWER_CHARACTERS}; what is left out of its middle is counted. */
export function bounded(text: string): string {
  if (text.length <= ANSWER_CHARACTERS) return text;
  const half = ANSWER_CHARACTERS / 2;
  return `${text.slice(0, half)} … (${l10n.t`${text.length - ANSWER_CHARACTERS} characters`}) … ${text.slice(-half)}`;
}

/**
 * The first `eval_generations` rows that leave room for an answer. The decoder is compiled at the first evaluation and
 * kept; it maps the same files as training does.
 */
export function validationAnswers(setup: AnswersSetup): ValidationAnswers | undefined {
  const { model, tokenizer, methods, options, emit } = setup;
  const taken = positionsInFront(methods.map(({ hooks }) => hooks));
  const first = setup.validation.slice(0, options.eval_generations).map(questionOf);
  const questions = first.filter(({ prompt }) => prompt.length > 0 && taken + prompt.length < model.maxPositions);
  if (questions.length < first.length) {
    warn(
      l10n.t`${first.length - questions.length} validation rows are not answered: their prompt is empty or too long`,
    );
  }
  if (questions.length === 0) return undefined;
  const longest = Math.max(...questions.map(({ prompt }) => prompt.length));
  const positionLimit = Math.min(model.maxPositions, taken + longest + options.eval_generation_tokens);
  // What such a method trains changes along the run, and with it the graph.
  const isPhased = methods.some((method) => method.active !== undefined);
  let decoder: Decoder | undefined;
  let compiledFor = methods;
  let failed = false;

  function warn(message: string): void {
    emit({ type: 'log', level: 'warning', message: `${message}.` });
  }

  async function release(): Promise<void> {
    const old = decoder;
    decoder = undefined;
    await old?.dispose();
  }

  async function answered(
    values: Values,
    stopRequested: () => boolean,
    now: readonly Attached[],
  ): Promise<Answer[] | undefined> {
    if (now !== compiledFor) await release();
    compiledFor = now;
    const make = setup.decoder ?? createDecoder;
    const compiled = (decoder ??= await make({ ...setup, methods: now, values, positionLimit }));
    compiled.use(values);
    let tokens = 0;
    const generator = generatorOf(
      aroundRuns(compiled, async (run) => {
        const total = options.eval_generation_tokens;
        emit({ type: 'progress', activity: l10n.t`Answering validation rows`, done: tokens++, total });
        await breathe();
        return run();
      }),
    );
    const rows = await generateText(
      generator,
      tokenizer,
      questions.map(({ prompt }) => prompt),
      { max_new_tokens: options.eval_generation_tokens, tasks: questions.map(({ task }) => task) },
      () => !stopRequested(),
    );
    if (stopRequested()) return undefined;
    return rows.map(({ text, reason }, at) => answerOf(questions[at]!, text, reason === 'length', tokenizer));
  }

  return {
    async answer(values, stopRequested, now) {
      if (failed || stopRequested()) return undefined;
      try {
        return await answered(values, stopRequested, now);
      } catch (error) {
        failed = true;
        await release();
        warn(l10n.t`Validation rows are answered no more: ${messageOf(error)}`);
        return undefined;
      } finally {
        if (isPhased) await release();
      }
    },
    dispose: release,
  };
}

function answerOf(
  { line, prompt, reference }: Question,
  text: string,
  cut: boolean,
  tokenizer: Tokenizer,
): Answer {
  const wanted = textOf(prompt, reference, tokenizer);
  return {
    line,
    prompt: bounded(tokenizer.decode(prompt, { skipSpecialTokens: false })),
    answer: bounded(text),
    reference: bounded(wanted),
    matches: text.trim() === wanted.trim(),
    cut,
  };
}

/** What a generation of these ids would be: behind the prompt, up to an id that ends it. */
function textOf(prompt: readonly number[], reference: readonly number[], tokenizer: Tokenizer): string {
  const stream = createTextStream(tokenizer, prompt);
  for (const id of reference) {
    if (tokenizer.eosTokenIds.includes(id)) break;
    stream.push(id);
  }
  return stream.text();
}
