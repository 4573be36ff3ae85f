import { aroundRuns } from '../../generation/decoder.js';
import type { Decoder } from '../../generation/decoder.js';
import { generatorOf } from '../../generation/generate.js';
import { createScorer, logProbability } from '../../generation/scoring.js';
import type { Scorer } from '../../generation/scoring.js';
import { createTextStream } from '../../generation/textStream.js';
import type { Tokenizer } from '../../models/tokenizer.js';
import type { Answer, AnswerToken, PlaygroundOptions } from './protocol.js';
import type { Clock, Turns } from './turns.js';

/**
 * Tokens that the base model reads at once when it scores an adapter's answer. A run of a few tokens costs little more
 * than one of a single token (its time goes into reading the weights), so colours cost an eighth of the answer's time,
 * and come eight tokens late at most.
 */
const SCORED_AT_ONCE = 8;

/** What a column needs for an answer. */
export interface AnswerSetup {
  readonly decoder: Decoder;
  /** Scores what the column writes; undefined for the base model's own column. */
  readonly base: Decoder | undefined;
  readonly tokenizer: Tokenizer;
  /** The prompt's token ids. */
  readonly prompt: readonly number[];
  readonly options: PlaygroundOptions;
  readonly turns: Turns;
  readonly stopped: () => boolean;
  readonly onToken: (token: AnswerToken) => void;
  readonly onScored: (from: number, base: readonly number[]) => void;
}

/**
 * Generates one answer; the base model reads along in its own turns.
 * @throws ProblemError as {@link generatorOf}'s `generate` does
 */
export async function answerPrompt(setup: AnswerSetup): Promise<Answer> {
  const { tokenizer, prompt, turns } = setup;
  const stream = createTextStream(tokenizer, prompt);
  const ends = tokenizer.eosTokenIds;
  const clock: Clock = { waited: 0 };
  const scoring = setup.base && scoreAlong(createScorer(inTurns(setup.base, turns, { waited: 0 }), prompt), setup);
  const began = performance.now();
  const worked = (): number => (performance.now() - began - clock.waited) / 1000;
  let firstToken = 0;
  const generator = generatorOf(inTurns(setup.decoder, turns, clock));
  const options = { ...setup.options, eos_token_id: ends };
  const [row] = await generator.generate([prompt], options, (_, id, logits) => {
    if (firstToken === 0) firstToken = worked();
    const own = logProbability(logits, id);
    // The end-of-text token is no text, even where the tokenizer does not mark it as special.
    setup.onToken(ends.includes(id) ? { id, text: '', own, end: true } : { id, text: stream.push(id), own });
    scoring?.take(id);
    return !setup.stopped();
  });
  const afterFirst = worked() - firstToken;
  await scoring?.finish();
  const rest = stream.finish();
  const { ids, reason } = row!;
  return {
    text: stream.text(),
    rest,
    reason,
    promptTokens: prompt.length,
    tokens: ids.length,
    firstToken,
    afterFirst,
  };
}

/** Scores tokens block by block while more are generated. */
function scoreAlong(
  scorer: Scorer,
  { onScored, stopped }: AnswerSetup,
): { take(id: number): void; finish(): Promise<void> } {
  let waiting: number[] = [];
  let from = 0;
  let scored: Promise<void> = Promise.resolve();
  let failure: unknown;
  const flush = (): void => {
    const ids = waiting;
    waiting = [];
    scored = scored.then(async () => {
      const base = await scorer.score(ids);
      onScored(from, base);
      from += ids.length;
    });
    // It is told when the answer is there; until then nobody waits for it.
    scored.catch((error: unknown) => (failure ??= error));
  };
  return {
    take(id) {
      waiting.push(id);
      if (waiting.length >= SCORED_AT_ONCE) flush();
    },
    async finish() {
      // After a stop, a base model that has not read the prompt yet is not made to.
      if (waiting.length > 0 && (from > 0 || !stopped())) flush();
      await scored.catch(() => undefined);
      if (failure !== undefined) throw failure;
    },
  };
}

function inTurns(decoder: Decoder, turns: Turns, clock: Clock): Decoder {
  return aroundRuns(decoder, (run) => turns.take(clock, run));
}
