import assert from 'node:assert/strict';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { loadTokenizer } from '../../../src/models/loadTokenizer.js';
import { problem, temporaryFolder } from '../../support/adapters.js';
import { fixture, readJson } from '../../support/fixtures.js';

const folder = temporaryFolder();
const BERT = fixture('encoders', 'tiny-bert');
let count = 0;

/** A folder with a list of tokens only, as Google's BERT has it. */
async function older(tokens: readonly string[], config?: string): Promise<string> {
  const place = path.join(folder, `older-${++count}`);
  await mkdir(place);
  await writeFile(path.join(place, 'vocab.txt'), tokens.map((token) => `${token}\n`).join(''));
  if (config !== undefined) await copyFile(config, path.join(place, 'tokenizer_config.json'));
  return place;
}

async function tokens(): Promise<string[]> {
  const { model } = (await readJson(path.join(BERT, 'tokenizer.json'))) as {
    model: { vocab: Record<string, number> };
  };
  return Object.entries(model.vocab)
    .sort(([, a], [, b]) => a - b)
    .map(([token]) => token);
}

test('a list of tokens alone is the tokenizer that Transformers makes of it', async () => {
  const [whole, made] = [await loadTokenizer(BERT), await loadTokenizer(await older(await tokens()))];
  for (const text of ['The sun, the SAND and joy!', 'unknown: 日本 ½', 'Sónne', 'rain  and\ttea', '']) {
    assert.deepEqual(made.encode(text), whole.encode(text), text);
    assert.deepEqual(made.encodePair(text, 'the wind'), whole.encodePair(text, 'the wind'));
  }
  const ids = whole.encode('a song of joy');
  assert.equal(made.decode(ids, { skipSpecialTokens: true }), whole.decode(ids, { skipSpecialTokens: true }));
  assert.equal(made.vocabSize, whole.vocabSize);
  assert.ok((await made.files()).has('vocab.txt'));
  const named = await loadTokenizer(await older(await tokens(), path.join(BERT, 'tokenizer_config.json')));
  assert.equal(named.maskTokenId, whole.maskTokenId);
});

test('a list without a special token is refused by its name', async () => {
  const place = await older(['[PAD]', '[UNK]', '[CLS]', '[MASK]', 'a']);
  await assert.rejects(loadTokenizer(place), problem('tokenizer.form', '[SEP]', 'sep_token'));
});
