import type { KeptAnswer, KeptConversation, KeptToken, KeptTurn } from '../src/host/playgroundProtocol.js';
import type { ShownAnswer, ShownToken, Turn } from './playgroundModel.js';

/** Of which form a conversation is kept: one of another form is not read. */
export const CONVERSATION_VERSION = 1;

/** Characters that the editor keeps of a conversation: some 15,000 tokens. It writes all of them at every change. */
const MOST_CHARACTERS = 500_000;

/**
 * A conversation as the editor keeps it: its last turns, as many as there is room for.
 * @param gone turns that were dropped before
 */
export function keptConversation(
  turns: readonly Turn[],
  gone: number,
  room: number = MOST_CHARACTERS,
): KeptConversation {
  const kept: KeptTurn[] = [];
  let size = 0;
  for (let at = turns.length - 1; at >= 0; at -= 1) {
    const turn = keptTurn(turns[at]!);
    size += JSON.stringify(turn).length;
    if (size > room) break;
    kept.unshift(turn);
  }
  return { version: CONVERSATION_VERSION, turns: kept, dropped: gone + turns.length - kept.length };
}

/** The turns of a conversation that was kept; none where another version kept it. */
export function restoredTurns(kept: KeptConversation | undefined): Turn[] {
  if (kept?.version !== CONVERSATION_VERSION) return [];
  return kept.turns.map(({ answers, ...about }) => ({
    ...about,
    // Nothing more is told of it.
    request: 0,
    answers: answers.map(({ tokens, ...answer }) => ({ ...answer, tokens: tokens.map(shownToken), over: true })),
  }));
}

function keptTurn({ mode, system, prompt, answers }: Turn): KeptTurn {
  return { mode, system, prompt, answers: answers.map(keptAnswer) };
}

function keptAnswer({ column, name, tokens, answer, problem }: ShownAnswer): KeptAnswer {
  const end = { ...(answer === undefined ? {} : { answer }), ...(problem === undefined ? {} : { problem }) };
  return { column, name, tokens: tokens.map(keptToken), ...end };
}

function keptToken({ id, text, own, base, end }: ShownToken): KeptToken {
  return [id, text, rounded(own), base === undefined ? null : rounded(base), end === true];
}

function shownToken([id, text, own, base, end]: KeptToken): ShownToken {
  return { id, text, own, ...(base === null ? {} : { base }), ...(end ? { end } : {}) };
}

function rounded(value: number): number {
  return Math.round(value * 1e4) / 1e4;
}
