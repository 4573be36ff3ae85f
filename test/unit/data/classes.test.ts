import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProblemError } from '../../../src/common/problem.js';
import type { Problem } from '../../../src/common/problem.js';
import type { KnownClasses } from '../../../src/data/classes.js';
import { loadDataset } from '../../../src/data/loadDataset.js';
import type { Dataset } from '../../../src/data/loadDataset.js';
import type { DataOptions } from '../../../src/data/options.js';
import { sampleSpans } from '../../../src/data/sample.js';
import { fakeTokenizer } from './fakeTokenizer.js';
import { temporaryFolder } from './temporary.js';

const { folder, write } = temporaryFolder();
const tokenizer = fakeTokenizer({ bos: '<s>', suffix: '</s>' });

type Label = string | number | boolean | null | readonly string[];

function rows(name: string, labels: readonly Label[]): string {
  return write(name, labels.map((label, at) => `${JSON.stringify({ text: `text ${at}`, label })}\n`).join(''));
}

function load(options: DataOptions, classes?: KnownClasses): Promise<Dataset> {
  const known = classes === undefined ? {} : { classes };
  return loadDataset(options, tokenizer, { folder, taskType: 'SEQ_CLS', ...known });
}

async function problem(options: DataOptions, classes?: KnownClasses): Promise<Problem> {
  const error: unknown = await load(options, classes).then(
    () => assert.fail('it should have failed'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ProblemError, String(error));
  return error.problem;
}

const numbers = ({ train }: Dataset): (number | undefined)[] => train.map(({ label }) => label);

test('classes are numbered in the order of their names, whole numbers by value', async () => {
  const named = await load({ train: rows('named.jsonl', ['sand', 'joy', 'rain', 'joy']) });
  assert.deepEqual(named.labels, ['joy', 'rain', 'sand']);
  assert.deepEqual(numbers(named), [2, 0, 1, 0]);
  assert.deepEqual(named.reports.train.classes, [
    { name: 'joy', rows: 2 },
    { name: 'rain', rows: 1 },
    { name: 'sand', rows: 1 },
  ]);
  const numbered = await load({ train: rows('numbers.jsonl', [10, 2, -1, 2]) });
  assert.deepEqual(numbered.labels, ['-1', '2', '10']);
  const flags = await load({ train: rows('flags.jsonl', [true, false]) });
  assert.deepEqual(flags.labels, ['false', 'true']);
});

test('classes that the model names keep its order; numbers are those of a head that was trained', async () => {
  const model = { labels: ['sand', 'rain', 'joy', 'snow'], isTrained: true, isFixed: false };
  const named = await load({ train: rows('a.jsonl', ['joy', 'sand']) }, model);
  assert.deepEqual([named.labels, numbers(named)], [model.labels, [2, 0]]);
  const numbered = await load({ train: rows('b.jsonl', [3, 1]) }, model);
  assert.deepEqual([numbered.labels, numbers(numbered)], [model.labels, [3, 1]]);
  const others = await load({ train: rows('c.jsonl', ['joy', 'hail']) }, model);
  assert.deepEqual(
    [others.labels, numbers(others)],
    [
      ['hail', 'joy'],
      [1, 0],
    ],
  );
  const untrained = await load({ train: rows('d.jsonl', [3, 1]) }, { ...model, isTrained: false });
  assert.deepEqual(
    [untrained.labels, numbers(untrained)],
    [
      ['1', '3'],
      [1, 0],
    ],
  );
});

test('a held-out class that no training row has is refused with its line', async () => {
  const validation = rows('held.jsonl', ['joy', 'hail']);
  const found = await problem({ train: rows('train.jsonl', ['joy', 'rain']), validation });
  assert.equal(found.code, 'data.unseen-label');
  assert.deepEqual(found.where, { file: validation, line: 2 });
  assert.match(found.message, /"hail"/);
  assert.match(found.expected!, /"joy", "rain"/);
});

test('rows to be measured have the classes of the model, also where they are of one class only', async () => {
  const model = { labels: ['rain', 'joy'], isTrained: true, isFixed: true };
  assert.deepEqual(numbers(await load({ train: rows('one.jsonl', ['joy', 'joy']) }, model)), [1, 1]);
  const found = await problem({ train: rows('other.jsonl', ['joy', 'hail']) }, model);
  assert.equal(found.code, 'data.unseen-label');
  assert.match(found.message, /does not know/);
});

test('one class alone teaches nothing; a row without a class is broken; other formats are of other tasks', async () => {
  assert.equal((await problem({ train: rows('single.jsonl', ['joy', 'joy']) })).code, 'data.one-class');
  const { reports } = await load({ train: rows('holes.jsonl', ['joy', null, 'rain', '', 1.5, ['a']]) });
  assert.deepEqual(
    reports.train.broken.map(({ line }) => line),
    [2, 4, 5, 6],
  );
  assert.match(reports.train.broken[0]!.reason, /"label" is null/);
  const mismatch = await problem({ train: write('no-label.jsonl', '{"text":"a"}\n') });
  assert.equal(mismatch.code, 'data.format-mismatch');
  assert.match(mismatch.expected!, /classification \("text" and "label"\)/);
  const onPrompt = await problem({ train: rows('prompt.jsonl', ['a', 'b']), train_on_prompt: true });
  assert.equal(onPrompt.code, 'data.train-on-prompt');
  const format = await problem({ train: rows('format.jsonl', ['a', 'b']), format: 'text' });
  assert.equal(format.code, 'data.format-task');
  const causal: unknown = await loadDataset({ train: 'format.jsonl', format: 'classification' }, tokenizer, {
    folder,
  }).catch((error: unknown) => error);
  assert.ok(causal instanceof ProblemError && causal.problem.code === 'data.format-task');
});

test('columns can be named, a second text is read, a sample shows the class', async () => {
  const file = write(
    'pairs.jsonl',
    ['{"a":"x","b":"y","c":"no"}', '{"a":"x","b":null,"c":"yes"}'].map((line) => `${line}\n`).join(''),
  );
  const { train, labels } = await load({ train: file, columns: { text: 'a', text_pair: 'b', label: 'c' } });
  assert.equal(tokenizer.decode(train[0]!.ids), '<s>x</s>y</s>');
  assert.deepEqual(train[0]!.types, [0, 0, 0, 1, 1]);
  assert.equal(train[1]!.types, undefined);
  assert.deepEqual(sampleSpans(train[0]!, tokenizer, labels), [
    { text: '<s>x</s>y</s>', supervised: false },
    { text: ' → no', supervised: true },
  ]);
});
