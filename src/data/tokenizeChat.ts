import * as l10n from '@vscode/l10n';
import { problemOf, ProblemError } from '../common/problem.js';
import type { ChatMessage, Tokenizer } from '../models/tokenizer.js';

/** Token ids of a row and which are supervised, before the cut to `max_length`. */
export interface Masked {
  readonly ids: number[];
  readonly supervised: (0 | 1)[];
}

/**
 * A conversation as the chat template renders it, assistant turns supervised. A turn's tokens are found by
 * rendering prefixes: the messages before it with the generation prompt, then those up to it. Text and ids of
 * the first must begin the second's, and those the whole conversation's; a template that rewrites earlier turns
 * (say, drops their reasoning) does not allow it, and the reason says so. The template writes the special
 * tokens, so none are added.
 */
export function tokenizeChat(
  messages: readonly ChatMessage[],
  tokenizer: Tokenizer,
  trainOnPrompt: boolean,
): Masked | { reason: string } {
  const turns = messages.flatMap((message, index) => (message.role === 'assistant' ? [index] : []));
  if (turns.length === 0 && !trainOnPrompt) return { reason: l10n.t`there is no assistant turn to learn from` };
  try {
    const render = (count: number, addGenerationPrompt: boolean): string =>
      tokenizer.applyChatTemplate(messages.slice(0, count), { addGenerationPrompt });
    const encode = (text: string): number[] => tokenizer.encode(text, { addSpecialTokens: false });
    const whole = render(messages.length, false);
    const ids = encode(whole);
    const supervised = new Array<0 | 1>(ids.length).fill(trainOnPrompt ? 1 : 0);
    if (trainOnPrompt) return { ids, supervised };
    for (const turn of turns) {
      const before = render(turn, true);
      const through = turn === messages.length - 1 ? whole : render(turn + 1, false);
      if (!through.startsWith(before) || !whole.startsWith(through)) {
        return {
          reason: l10n.t`the chat template renders message ${turn + 1} otherwise once more follows, so its tokens cannot be told apart (set train_on_prompt, or use another template)`,
        };
      }
      const beforeIds = encode(before);
      const throughIds = encode(through);
      if (!isPrefix(beforeIds, throughIds) || !isPrefix(throughIds, ids)) {
        return {
          reason: l10n.t`the text of message ${turn + 1} shares a token with the chat template's text around it`,
        };
      }
      supervised.fill(1, beforeIds.length, throughIds.length);
    }
    return { ids, supervised };
  } catch (error) {
    if (error instanceof ProblemError) return { reason: problemOf(error).message };
    throw error;
  }
}

function isPrefix(start: readonly number[], whole: readonly number[]): boolean {
  return start.length <= whole.length && start.every((id, i) => whole[i] === id);
}
