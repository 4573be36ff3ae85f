import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject } from '../../../src/common/json.js';
import { ProblemError } from '../../../src/common/problem.js';
import type { Problem } from '../../../src/common/problem.js';
import { MAX_MESSAGES } from '../../../src/data/chatMessages.js';
import { rowContent, settleFormat } from '../../../src/data/formats.js';
import type { ColumnOptions, FormatOption } from '../../../src/data/options.js';

function problem(work: () => unknown): Problem {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof ProblemError, String(error));
    return error.problem;
  }
  assert.fail('it should have failed');
}

const settle = (
  values: (JsonObject | string)[],
  format: FormatOption = 'auto',
  columns: ColumnOptions = {},
): string => settleFormat(values, format, columns, 'data.jsonl');

const reason = (content: object): string => {
  assert.ok('reason' in content, JSON.stringify(content));
  return String(content.reason);
};

test('the format is taken from the columns', () => {
  assert.equal(settle([{ prompt: 'a', completion: 'b', id: 1 }]), 'prompt_completion');
  assert.equal(settle([{ instruction: 'a', output: 'b' }]), 'alpaca');
  assert.equal(settle([{ messages: [] }]), 'chat');
  assert.equal(settle([{ conversations: [] }]), 'chat');
  assert.equal(settle([{ text: 'a' }]), 'text');
  assert.equal(settle(['a paragraph']), 'text');
  assert.equal(settle([{ instruction: 'a', input: '', output: 'b', text: 'c' }]), 'alpaca');
  assert.equal(settle([{ q: 'a', a: 'b' }], 'auto', { prompt: 'q', completion: 'a' }), 'prompt_completion');
});

test('one stray row at the start does not decide the format', () => {
  assert.equal(
    settle([{ text: 'about this file' }, ...Array(3).fill({ prompt: 'a', completion: 'b' })]),
    'prompt_completion',
  );
});

test('case 81: columns that fit no format, or not the chosen one, are named', () => {
  const none = problem(() => settle([{ question: 'a', answer: 'b' }]));
  assert.equal(none.code, 'data.format-mismatch');
  assert.match(none.message, /columns found: "question", "answer"/);
  assert.match(
    none.expected ?? '',
    /prompt_completion \("prompt" and "completion"\).*"messages" or "conversations"/,
  );
  const chosen = problem(() => settle([{ messages: [] }], 'alpaca'));
  assert.match(chosen.message, /format "alpaca"; columns found: "messages"/);
  const text = problem(() => settle(['a paragraph'], 'chat'));
  assert.match(text.message, /plain text, without columns/);
});

test('a misspelt column is named with the nearest one', () => {
  const { mend } = problem(() => settle([{ promt: 'a', completion: 'b' }], 'prompt_completion'));
  assert.match(mend ?? '', /"promt" is near "prompt"/);
  const own = problem(() => settle([{ question: 'a', completion: 'b' }], 'auto', { prompt: 'qestion' }));
  assert.match(own.mend ?? '', /"question" is near "qestion"/);
});

test('case 79: an unknown format is an error with the nearest name, never read as another', () => {
  const wanted = 'alpca' as string as FormatOption;
  const { code, mend } = problem(() => settle([{ instruction: 'a', output: 'b' }], wanted));
  assert.equal(code, 'data.unknown-format');
  assert.match(mend ?? '', /Did you mean "alpaca"/);
});

test('a column named for a part that the format does not have is an error', () => {
  const { code, message } = problem(() => settle([{ text: 'a', q: 'b' }], 'auto', { prompt: 'q' }));
  assert.equal(code, 'data.column-unused');
  assert.match(message, /"prompt".*format "text"/);
});

test('Alpaca: with and without an input', () => {
  const row = (value: JsonObject) => {
    const content = rowContent('alpaca', {}, value);
    assert.ok('kind' in content && content.kind === 'completion');
    assert.equal(content.completion, 'Hi');
    return content.prompt;
  };
  const withInput = row({ instruction: 'Greet', input: 'Ann', output: 'Hi' });
  assert.match(withInput, /\n\n### Instruction:\nGreet\n\n### Input:\nAnn\n\n### Response:\n$/);
  for (const input of ['', ' ', null]) {
    assert.match(
      row({ instruction: 'Greet', input, output: 'Hi' }),
      /\n\n### Instruction:\nGreet\n\n### Response:\n$/,
    );
  }
  assert.equal(
    row({ instruction: 'Greet', output: 'Hi' }),
    row({ instruction: 'Greet', input: '', output: 'Hi' }),
  );
});

test('case 81: OpenAI and ShareGPT messages give the same conversation', () => {
  const openAi = rowContent(
    'chat',
    {},
    {
      messages: [
        { role: 'system', content: 's' },
        { role: 'user', content: 'u' },
        { role: 'assistant', content: 'a' },
      ],
    },
  );
  const shareGpt = rowContent(
    'chat',
    {},
    {
      conversations: [
        { from: 'system', value: 's' },
        { from: 'human', value: 'u' },
        { from: 'gpt', value: 'a' },
      ],
    },
  );
  assert.deepEqual(openAi, shareGpt);
  assert.ok('kind' in openAi && openAi.kind === 'chat');
  assert.deepEqual(
    openAi.messages.map(({ role }) => role),
    ['system', 'user', 'assistant'],
  );
});

test('broken conversations say what is wrong', () => {
  const chat = (messages: JsonObject['messages']) => reason(rowContent('chat', {}, { messages: messages! }));
  assert.match(
    chat([{ role: 'asistant', content: 'a' }]),
    /message 1: unknown role "asistant"; did you mean "assistant"/,
  );
  assert.match(chat([{ from: 'bot', value: 'a' }]), /unknown role "bot"; known are "system", "human"/);
  assert.match(chat([{ role: 'user', text: 'a' }]), /message 1 has no "content"; keys found: "role", "text"/);
  assert.match(chat([{ role: 'user', content: null }]), /"content" is null, not text/);
  assert.match(chat('hello'), /a string, not an array/);
  assert.match(chat([]), /no messages/);
  assert.match(chat(Array(MAX_MESSAGES + 1).fill({ role: 'user', content: 'a' })), /at most 512/);
});

test('rows without text where text is due are broken', () => {
  const row = (value: JsonObject) => reason(rowContent('prompt_completion', {}, value));
  assert.match(row({ prompt: 'a', completion: 3 }), /"completion" is a number, not text/);
  assert.match(reason(rowContent('text', {}, { text: ' ' })), /the text is empty/);
  assert.match(
    row({ prompt: 'a', complet1on: 'b' }),
    /no column "completion" \(did you mean "complet1on"\?\); columns found/,
  );
  // What every object inherits is no column.
  assert.match(reason(rowContent('text', { text: 'constructor' }, { a: 'b' })), /no column "constructor"/);
});
