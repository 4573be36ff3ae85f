import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { tokenizeForEncoder } from '../../../src/data/encoderRow.js';
import { tokenizeRow } from '../../../src/data/tokenize.js';
import { loadTokenizer } from '../../../src/models/loadTokenizer.js';
import { fixture } from '../../support/fixtures.js';

interface Reference {
  text: string;
  pair: string | null;
  max_length: number | null;
  ids: number[];
  types: number[];
}

const BERT = fixture('encoders', 'tiny-bert');

test('texts and pairs have the ids, types and cuts of Transformers', async () => {
  const tokenizer = await loadTokenizer(BERT);
  const rows = JSON.parse(await readFile(`${BERT}/token-ids.json`, 'utf8')) as Reference[];
  assert.equal(rows.length, 20);
  for (const { text, pair, max_length: length, ids, types } of rows) {
    // A row without any text teaches nothing.
    if (text === '' && pair === null) continue;
    const content = { kind: 'classification' as const, text, pair: pair ?? undefined, label: 'joy' };
    const row = tokenizeForEncoder(content, tokenizer, length ?? 512);
    assert.ok(row.status === 'kept', `${text} + ${pair}`);
    assert.deepEqual(row.ids, ids, `${text} + ${pair}, ${length}`);
    assert.deepEqual(row.types ?? types.map(() => 0), types);
    assert.ok(row.supervised.every((bit) => bit === 0));
    const whole = rows.find((each) => each.text === text && each.pair === pair && each.max_length === null)!;
    assert.equal(row.truncated, whole.ids.length > ids.length);
  }
});

test('the texts of masked language modelling are supervised, special tokens are not', async () => {
  const tokenizer = await loadTokenizer(BERT);
  const row = tokenizeForEncoder({ kind: 'text', text: 'rain and sand' }, tokenizer, 4);
  assert.ok(row.status === 'kept');
  assert.deepEqual(row.supervised, [0, 1, 1, 0]);
  assert.equal(tokenizer.decode(row.ids, { skipSpecialTokens: false }), '[CLS] rain and [SEP]');
  assert.equal(row.truncated, true);
});

test('a length that leaves no room for a text keeps nothing; an answer is not learned by an encoder', async () => {
  const tokenizer = await loadTokenizer(BERT);
  const row = tokenizeForEncoder({ kind: 'text', text: 'rain' }, tokenizer, 2);
  assert.deepEqual(row, { status: 'unsupervised', truncated: true });
  const options = { maxLength: 9, trainOnPrompt: false };
  const prompt = { kind: 'completion' as const, prompt: 'rain', completion: 'sand' };
  assert.equal(tokenizeRow(prompt, tokenizer, { ...options, task: 'SEQ_CLS' }).status, 'broken');
  const classified = { kind: 'classification' as const, text: 'rain', pair: undefined, label: 'rain' };
  assert.equal(tokenizeRow(classified, tokenizer, options).status, 'broken');
});
