import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeBatch, planBatches, rowLength } from '../../../src/data/batches.js';
import type { Example } from '../../../src/data/example.js';
import { promptIds } from '../../../src/data/endOfText.js';
import { tokenizeRow } from '../../../src/data/tokenize.js';
import { loadTokenizer } from '../../../src/models/loadTokenizer.js';
import type { Tokenizer } from '../../../src/models/tokenizer.js';
import { fixture } from '../../support/fixtures.js';

const tokenizer = await loadTokenizer(fixture('t5/tiny-t5'));
const [START, END] = [0, 1];

function row(prompt: string, completion: string, maxLength = 64, own: Tokenizer = tokenizer) {
  return tokenizeRow({ kind: 'completion', prompt, completion }, own, { maxLength, trainOnPrompt: false });
}

const plain = (text: string): number[] => tokenizer.encode(text, { addSpecialTokens: false });

test('the encoder reads the prompt with its end, the decoder a start and the answer, all of it supervised', () => {
  const found = row('the house', 'das Haus');
  assert.ok(found.status === 'kept');
  assert.deepEqual(found.source, [...plain('the house'), END]);
  assert.deepEqual(found.source, promptIds('the house', tokenizer));
  assert.deepEqual(found.ids, [START, ...plain('das Haus'), END]);
  assert.deepEqual(found.supervised, [0, ...found.ids.slice(1).map(() => 1)]);
  assert.deepEqual([found.truncated, found.endless, found.emptyAnswer], [false, false, false]);
});

test('an end that the data carry is not doubled, an empty answer teaches to stop', () => {
  const [with_, without] = [row('the house', 'das Haus</s>'), row('the house', 'das Haus')];
  assert.ok(with_.status === 'kept' && without.status === 'kept');
  assert.deepEqual(with_.ids, without.ids);
  const empty = row('the house', '');
  assert.ok(empty.status === 'kept' && empty.emptyAnswer);
  assert.deepEqual(empty.ids, [START, END]);
});

test('each side is cut to max_length: the source keeps its end, the answer does not end', () => {
  const found = row('the tower is 324 metres high', 'the house is small', 5);
  assert.ok(found.status === 'kept' && found.truncated);
  assert.deepEqual(found.source, [...plain('the tower is 324 metres high').slice(0, 4), END]);
  assert.deepEqual(found.ids, [START, ...plain('the house is small').slice(0, 4)]);
});

test('an empty prompt is broken where the tokenizer adds no end', () => {
  const bare = { ...tokenizer, encode: (text: string) => plain(text) };
  assert.equal(row('', 'das Haus', 64, bare).status, 'broken');
});

const example = (source: number, answer: number): Example => ({
  ids: Array.from({ length: answer }, (_, at) => 100 + at),
  supervised: Array.from({ length: answer }, (_, at) => (at === 0 ? 0 : 1)),
  source: Array.from({ length: source }, (_, at) => 10 + at),
  file: 'a',
  line: 1,
});

test('a source lies in its example’s row and segment', () => {
  const { source, length, segments } = makeBatch([example(3, 2), example(1, 4), example(2, 2)], [[0, 1], [2]]);
  assert.equal(length, 6);
  assert.deepEqual([...segments], [1, 1, 2, 2, 2, 2, 1, 1, 0, 0, 0, 0]);
  assert.equal(source!.length, 4);
  assert.deepEqual([...source!.ids], [10, 11, 12, 10, 10, 11, 0, 0]);
  assert.deepEqual([...source!.segments], [1, 1, 1, 2, 1, 1, 0, 0]);
});

test('rows are packed by their longer side', () => {
  const examples = [example(7, 2), example(2, 7), example(3, 3), example(3, 2)];
  assert.deepEqual(examples.map(rowLength), [7, 7, 3, 3]);
  const options = { batchSize: 9, seed: 1, epoch: 0, packing: true, maxLength: 10 };
  for (const rows of planBatches(examples, options)) {
    for (const packed of rows) {
      for (const side of [(each: Example) => each.ids, (each: Example) => each.source!]) {
        const tokens = packed.reduce((sum, at) => sum + side(examples[at]!).length, 0);
        assert.ok(tokens <= 10, String(tokens));
      }
    }
  }
});
