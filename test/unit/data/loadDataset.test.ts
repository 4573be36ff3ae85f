import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { ProblemError } from '../../../src/common/problem.js';
import type { Problem } from '../../../src/common/problem.js';
import { loadDataset } from '../../../src/data/loadDataset.js';
import { DataOptions } from '../../../src/data/options.js';
import { sampleSpans } from '../../../src/data/sample.js';
import { chatMl, fakeTokenizer, supervisedText } from './fakeTokenizer.js';
import { temporaryFolder } from './temporary.js';

const { folder, write } = temporaryFolder();
const tokenizer = fakeTokenizer();

async function problem(options: DataOptions, ...rest: [ReturnType<typeof fakeTokenizer>?]): Promise<Problem> {
  const error: unknown = await loadDataset(options, rest[0] ?? tokenizer).then(
    () => assert.fail('it should have failed'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ProblemError, String(error));
  return error.problem;
}

const row = (i: number): string => JSON.stringify({ prompt: `question ${i}:`, completion: `answer ${i}` });
const hundred = write('hundred.jsonl', Array.from({ length: 100 }, (_, i) => row(i) + '\n').join(''));

test('rows become examples, and every row is accounted for', async () => {
  const file = write('mixed.jsonl', [row(1), '{oops', '{"prompt":"a"}', row(2), ''].join('\r\n'));
  const { train, validation, reports, warnings } = await loadDataset(
    { train: 'mixed.jsonl', max_length: 64 },
    tokenizer,
    { folder },
  );
  assert.deepEqual(train.map(supervisedText), ['...........answer 1</s>', '...........answer 2</s>']);
  assert.deepEqual(
    train.map(({ line, file: from }) => [line, from]),
    [
      [1, file],
      [4, file],
    ],
  );
  assert.deepEqual(validation, []);
  const { broken, ...counts } = reports.train;
  assert.deepEqual(counts, {
    files: [file],
    format: 'prompt_completion',
    rows: 4,
    kept: 2,
    brokenCount: 2,
    truncated: 0,
    unsupervised: 0,
    tokens: 40,
    supervisedTokens: 18,
  });
  assert.deepEqual(
    broken.map(({ line }) => line),
    [2, 3],
  );
  assert.match(broken[1]!.reason, /no column "completion"; columns found: "prompt"/);
  assert.equal(reports.validation, undefined);
  assert.deepEqual(
    warnings.map(({ code, severity }) => [code, severity]),
    [['data.many-broken', 'warning']],
  );
});

test('at most 20 broken rows are listed, all are counted', async () => {
  write('bad.jsonl', `${row(1)}\n`.repeat(30) + 'x\n'.repeat(30));
  const { reports } = await loadDataset({ train: path.join(folder, 'bad.jsonl') }, tokenizer);
  assert.equal(reports.train.broken.length, 20);
  assert.equal(reports.train.brokenCount, 30);
});

test('case 67: rows cut to nothing supervised are dropped and counted, with a warning; all of them is an error', async () => {
  const long = JSON.stringify({ prompt: 'x'.repeat(80), completion: 'y' });
  const file = write('long.jsonl', [row(1), row(2), long, long].join('\n'));
  const { train, reports, warnings } = await loadDataset({ train: file, max_length: 64 }, tokenizer);
  assert.equal(train.length, 2);
  assert.equal(reports.train.unsupervised, 2);
  assert.equal(reports.train.truncated, 2);
  assert.deepEqual(
    warnings.map(({ code }) => code),
    ['data.many-unsupervised', 'data.many-truncated'],
  );
  assert.match(warnings[0]!.message, /2 of 4 rows \(50 %\)/);
  assert.match(warnings[1]!.message, /lost the end of their answers/);
  const texts = write('texts.txt', 'One text that is longer than six tokens are.\n');
  const ofTexts = await loadDataset({ train: texts, max_length: 6 }, tokenizer);
  assert.match(ofTexts.warnings[0]!.message, /lost the end of their texts/);
  const none = await problem({ train: file, max_length: 8 });
  assert.equal(none.code, 'data.nothing-supervised');
  assert.match(none.mend ?? '', /max_length/);
});

test('few losses are no warning', async () => {
  const file = write('few.jsonl', Array.from({ length: 20 }, (_, i) => row(i)).join('\n') + '\nx\n');
  const { reports, warnings } = await loadDataset({ train: file }, tokenizer);
  assert.equal(reports.train.brokenCount, 1);
  assert.deepEqual(warnings, []);
});

test('a validation split is disjoint, complete, seeded, and counted apart', async () => {
  const lines = async (
    seed: number,
    validation_split: number,
  ): Promise<{ train: number[]; validation: number[] }> => {
    const { train, validation, reports } = await loadDataset(
      { train: hundred, validation_split, seed },
      tokenizer,
    );
    assert.equal(reports.train.rows, train.length);
    assert.equal(reports.validation?.rows, validation.length);
    assert.equal(
      reports.validation?.tokens,
      validation.reduce((sum, { ids }) => sum + ids.length, 0),
    );
    return { train: train.map(({ line }) => line), validation: validation.map(({ line }) => line) };
  };
  const first = await lines(1, 0.2);
  assert.equal(first.validation.length, 20);
  assert.deepEqual(
    [...first.train, ...first.validation].sort((a, b) => a - b),
    Array.from({ length: 100 }, (_, i) => i + 1),
  );
  assert.deepEqual(await lines(1, 20), first);
  assert.notDeepEqual((await lines(2, 0.2)).validation, first.validation);
  assert.equal((await lines(1, 0.001)).validation.length, 1);
});

test("the run's seed is used where the data section has none", async () => {
  const draw = async (options: Partial<DataOptions>, seed?: number): Promise<number[]> =>
    (await loadDataset({ train: hundred, validation_split: 5, ...options }, tokenizer, { seed })).validation.map(
      ({ line }) => line,
    );
  assert.deepEqual(await draw({}, 7), await draw({ seed: 7 }, 1));
  assert.notDeepEqual(await draw({}, 7), await draw({}, 8));
});

test('a split that leaves no training row, or a fraction of a row, is an error', async () => {
  for (const validation_split of [100, 1.5, 0.999]) {
    assert.equal((await problem({ train: hundred, validation_split })).code, 'data.validation-split');
  }
  assert.equal(
    (await problem({ train: hundred, validation: hundred, validation_split: 2 })).code,
    'data.two-validations',
  );
});

test('a validation file has its own format and report', async () => {
  const validation = write('held.csv', 'instruction,output\nAdd,5\n');
  const { reports, validation: held } = await loadDataset({ train: hundred, validation }, tokenizer);
  assert.equal(held.length, 1);
  assert.equal(reports.train.format, 'prompt_completion');
  assert.equal(reports.validation?.format, 'alpaca');
  assert.deepEqual(reports.validation?.files, [validation]);
});

test('several files are read in order, up to max_rows', async () => {
  const more = write('more.txt', 'one\n\ntwo\n\nthree\n');
  const { train, reports } = await loadDataset({ train: [hundred, more], max_rows: 102 }, tokenizer);
  assert.equal(train.length, 102);
  assert.equal(reports.train.format, 'prompt_completion, text');
  assert.equal(train[101]!.file, more);
  assert.equal((await loadDataset({ train: [hundred, more], max_rows: 40 }, tokenizer)).train.length, 40);
});

test('case 79: an unknown key is an error with the nearest name, in the schema and in the loader', async () => {
  const options = { train: hundred, formating: 'chat' };
  assert.equal(Value.Check(DataOptions, options), false);
  assert.equal(Value.Check(DataOptions, { train: hundred, format: 'chat' }), true);
  assert.equal(Value.Check(DataOptions, { train: hundred, format: 'sharegpt' }), false);
  assert.equal(Value.Check(DataOptions, { train: hundred, columns: { promt: 'q' } }), false);
  const { code, mend } = await problem(options);
  assert.equal(code, 'data.unknown-option');
  assert.match(mend ?? '', /Did you mean "format"/);
});

test('case 81: wrong columns fail before training and say which were found', async () => {
  const file = write('wrong.csv', 'question,answer\na,b\n');
  assert.match((await problem({ train: file })).message, /columns found: "question", "answer"/);
  const { train } = await loadDataset(
    { train: file, columns: { prompt: 'question', completion: 'answer' } },
    tokenizer,
  );
  assert.deepEqual(train.map(supervisedText), ['.b</s>']);
});

test('case 68: a decoded sample shows what is supervised', async () => {
  const messages = [
    { from: 'human', value: 'hi' },
    { from: 'gpt', value: 'yo' },
  ];
  const file = write('chat.json', JSON.stringify([{ conversations: messages, system: 'be kind' }]));
  const chat = fakeTokenizer({ eos: '<|im_end|>', template: chatMl });
  const { train, warnings } = await loadDataset({ train: file }, chat);
  assert.deepEqual(sampleSpans(train[0]!, chat), [
    { text: '<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n', supervised: false },
    { text: 'yo<|im_end|>\n', supervised: true },
  ]);
  // A column that other tools fold into the prompt is not dropped silently.
  assert.deepEqual(
    warnings.map(({ code }) => code),
    ['data.ignored-columns'],
  );
});

test('chat rows need a chat template', async () => {
  const file = write(
    'chat.jsonl',
    '{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}',
  );
  const { code, mend } = await problem({ train: file });
  assert.equal(code, 'data.no-chat-template');
  assert.match(mend ?? '', /instruction-tuned/);
});

test('ends of other models and missing ends are warned of', async () => {
  const file = write('ends.jsonl', JSON.stringify({ prompt: 'a', completion: 'b<|endoftext|>' }));
  const { warnings } = await loadDataset({ train: file }, fakeTokenizer({ eos: '<|im_end|>' }));
  assert.deepEqual(
    warnings.map(({ code }) => code),
    ['data.foreign-end'],
  );
  assert.match(warnings[0]!.message, /end in <\|endoftext\|>.*replaced by <\|im_end\|>/);
  const endless = await loadDataset({ train: hundred }, fakeTokenizer({ eos: '' }));
  assert.match(endless.warnings[0]!.message, /no end-of-text token/);
});

test('a file whose rows all fail the format is an error', async () => {
  const file = write('roles.jsonl', '{"messages":[{"role":"robot","content":"b"}]}');
  const { code, message } = await problem({ train: file }, fakeTokenizer({ template: chatMl }));
  assert.equal(code, 'data.all-rows-broken');
  assert.match(message, /unknown role "robot"/);
});

test('empty answers are kept, since an end is an answer, but not silently', async () => {
  const file = write('empty.csv', 'prompt,completion\na,\nb,</s>\nc,yes\n');
  const { train, warnings } = await loadDataset({ train: file }, tokenizer);
  assert.deepEqual(train.map(supervisedText), ['.</s>', '.</s>', '.yes</s>']);
  assert.deepEqual(
    warnings.map(({ code }) => code),
    ['data.empty-answers'],
  );
  assert.match(warnings[0]!.message, /2 of 3 rows \(67 %\)/);
});
