import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CONVERSATION_VERSION, keptConversation, restoredTurns } from '../../../webview/playgroundKept.js';
import { promptFor, takeEvent, turnOf } from '../../../webview/playgroundModel.js';
import type { Turn } from '../../../webview/playgroundModel.js';

const COLUMNS = [
  { id: 'base', name: 'Base model' },
  { id: 'A', name: 'sql' },
];
const NEXT = { mode: 'chat', system: '', prompt: 'And now?' } as const;

/** A turn in which the base model answers, one token, and the adapter is refused. */
function turn(request: number): Turn {
  const made = turnOf({ request, mode: 'chat', system: 'Be brief.', prompt: `Question ${request}` }, COLUMNS);
  const about = { request, column: 'base' };
  takeEvent(made, { type: 'token', ...about, token: { id: 7, text: ' yes', own: -0.123456 } });
  takeEvent(made, { type: 'scored', ...about, from: 0, base: [-1.5] });
  takeEvent(made, { type: 'token', ...about, token: { id: 0, text: '', own: -2, end: true } });
  const answer = { text: ' yes', rest: '', reason: 'eos', promptTokens: 4, tokens: 2 } as const;
  takeEvent(made, { type: 'answered', ...about, answer: { ...answer, firstToken: 0.25, afterFirst: 0.5 } });
  takeEvent(made, { type: 'refused', request, column: 'A', problem: { code: 'x', message: 'no' } });
  return made;
}

/** As it is after the editor wrote and read it. */
function reloaded(turns: readonly Turn[], room?: number) {
  const kept = JSON.parse(JSON.stringify(keptConversation(turns, 0, room))) as ReturnType<typeof keptConversation>;
  return { kept, turns: restoredTurns(kept) };
}

test('a conversation comes back over a reload and goes on', () => {
  const before = [turn(1), turn(2)];
  const { kept, turns } = reloaded(before);
  assert.equal(kept.dropped, 0);
  const tokens = [
    { id: 7, text: ' yes', own: -0.1235, base: -1.5 },
    { id: 0, text: '', own: -2, end: true },
  ];
  const [base, adapter] = before[0]!.answers;
  assert.deepEqual(turns[0], { ...before[0], request: 0, answers: [{ ...base, tokens }, adapter] });
  assert.deepEqual(promptFor('base', NEXT, turns), promptFor('base', NEXT, before));
});

test('an answer that a reload cuts off is over, and no part of the conversation', () => {
  const cut = turnOf({ request: 3, mode: 'chat', system: '', prompt: 'Question 3' }, COLUMNS);
  const { turns } = reloaded([turn(1), cut]);
  assert.deepEqual(
    turns[1]!.answers.map(({ over, answer, tokens }) => [over, answer, tokens.length]),
    [
      [true, undefined, 0],
      [true, undefined, 0],
    ],
  );
  assert.equal(promptFor('base', NEXT, turns).length, promptFor('base', NEXT, [turn(1)]).length);
});

test('a long conversation loses its first turns, and it is told how many', () => {
  const turns = Array.from({ length: 10 }, (_, at) => turn(at + 1));
  const room = 3.5 * JSON.stringify(keptConversation([turn(1)], 0).turns[0]).length;
  const short = reloaded(turns, room);
  assert.equal(short.kept.dropped, 7);
  assert.deepEqual(
    short.turns.map(({ prompt }) => prompt),
    ['Question 8', 'Question 9', 'Question 10'],
  );
  // Lost is lost: the next reload tells of all of them.
  assert.equal(keptConversation(short.turns, short.kept.dropped, room).dropped, 7);
  assert.equal(keptConversation([...short.turns, turn(11)], short.kept.dropped, room).dropped, 8);
});

test('what another version kept is not read', () => {
  const { kept } = reloaded([turn(1)]);
  assert.deepEqual(restoredTurns({ ...kept, version: CONVERSATION_VERSION + 1 }), []);
  assert.deepEqual(restoredTurns(undefined), []);
});
