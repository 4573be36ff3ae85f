import { checkPrompt } from './checkPrompt.js';
import type { Decoder } from './decoder.js';
import { rowTokens } from './tokens.js';

/** Tells how likely a model finds an answer that another one writes, piece by piece. */
export interface Scorer {
  /**
   * Reads the next tokens of the answer, in one run.
   * @returns log p(token | prompt and all tokens before it) of each, in nats
   */
  score(ids: readonly number[]): Promise<number[]>;
}

/**
 * A scorer for one prompt (teacher forcing: the model reads what it is given, whatever it would have written itself).
 * @throws ProblemError as {@link checkPrompt} does
 */
export function createScorer(decoder: Decoder, prompt: readonly number[]): Scorer {
  const { vocabSize, positionLimit } = decoder;
  checkPrompt(prompt, 0, vocabSize, positionLimit);
  const reading = decoder.read(1);
  /** What was not read yet: the last of them predicts the next token. */
  let unread: readonly number[] = prompt;
  let read = 0;
  return {
    async score(ids) {
      if (ids.length === 0) return [];
      const block = [...unread, ...ids.slice(0, -1)];
      const logits = await reading.run(rowTokens(block, read), ids.length);
      read += block.length;
      unread = ids.slice(-1);
      return ids.map((id, at) => logProbability(logits.subarray(at * vocabSize, (at + 1) * vocabSize), id));
    },
  };
}

/**
 * log softmax(logits)[id], in nats: the model's own probability, whatever temperature and cuts the token was drawn
 * with.
 * @param logits [vocabulary]
 */
export function logProbability(logits: Float32Array, id: number): number {
  let largest = -Infinity;
  for (const logit of logits) if (logit > largest) largest = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - largest);
  return logits[id]! - largest - Math.log(sum);
}
