import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Example } from '../data/example.js';
import type { Decoder } from '../generation/decoder.js';
import { mostLikely } from '../generation/sampling.js';
import { logProbability } from '../generation/scoring.js';
import { rowTokens } from '../generation/tokens.js';
import type { Metrics } from '../training/evaluate.js';

/** Numbers of one row. */
interface RowScore {
  /** Cross-entropy summed over its supervised tokens, in nats. */
  readonly loss: number;
  readonly tokens: number;
  readonly right: number;
}

/**
 * Loss and accuracy of what can only be read token by token (a base that a small model steers), each row on its own:
 * the numbers that `training/evaluate.ts` has for a model that is one graph.
 *
 * @param onRow called after each row; the evaluation ends early when it returns false
 * @throws ProblemError as {@link checkReadable} does, before the first row
 */
export async function evaluateDecoder(
  decoder: Decoder,
  examples: readonly Example[],
  onRow: (done: number, total: number) => Promise<boolean>,
): Promise<Metrics> {
  checkReadable(examples, decoder);
  let [loss, tokens, right, rightRows, rows] = [0, 0, 0, 0, 0];
  for (const example of examples) {
    const score = await scoreRow(decoder, example);
    loss += score.loss;
    tokens += score.tokens;
    right += score.right;
    rightRows += score.right === score.tokens ? 1 : 0;
    rows += 1;
    if (!(await onRow(rows, examples.length))) break;
  }
  return {
    loss: loss / tokens,
    tokenAccuracy: right / tokens,
    rowAccuracy: rightRows / rows,
    rows,
    supervisedTokens: tokens,
  };
}

/**
 * A decoder has tables for so many positions, and a logit for so many tokens.
 * @throws ProblemError `data.long-row`, `data.token-id` naming the row
 */
export function checkReadable(
  examples: readonly Example[],
  { positionLimit, vocabSize }: Pick<Decoder, 'positionLimit' | 'vocabSize'>,
): void {
  for (const { ids, source = [], file, line } of examples) {
    // The last token is predicted, not read.
    const length = Math.max(ids.length - 1, source.length);
    if (length > positionLimit) {
      fail({
        code: 'data.long-row',
        message: l10n.t`the row takes ${length} positions, and the models that read it together have ${positionLimit}`,
        where: { file, line },
        mend: l10n.t`Set data.max_length to at most ${positionLimit}.`,
      });
    }
    const id = [...ids, ...source].find((each) => each >= vocabSize);
    if (id === undefined) continue;
    fail({
      code: 'data.token-id',
      message: l10n.t`the row becomes token ${id}, but the model embeds ${vocabSize} tokens only`,
      where: { file, line },
      mend: l10n.t`Use a model whose vocabulary has all tokens of its tokenizer.`,
    });
  }
}

/** Every token but the last predicts the one behind it. */
async function scoreRow(
  { read, vocabSize }: Decoder,
  { ids, supervised, source, task }: Example,
): Promise<RowScore> {
  const first = supervised.findIndex((mark, at) => at > 0 && mark === 1);
  if (first < 0) return { loss: 0, tokens: 0, right: 0 };
  // A decoder behind an encoder begins by itself.
  const text = source === undefined ? ids : [...source, ...ids.slice(1)];
  const reading = read(1, task === undefined ? undefined : [task]);
  const logits = await reading.run(rowTokens(text.slice(0, -1), 0), ids.length - first);
  let [loss, tokens, right] = [0, 0, 0];
  for (let at = first; at < ids.length; at++) {
    if (supervised[at] !== 1) continue;
    const own = logits.subarray((at - first) * vocabSize, (at - first + 1) * vocabSize);
    loss -= logProbability(own, ids[at]!);
    tokens += 1;
    right += mostLikely(own) === ids[at] ? 1 : 0;
  }
  return { loss, tokens, right };
}
