import assert from 'node:assert/strict';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { loadTokenizer } from '../../../src/models/loadTokenizer.js';
import { temporaryFolder } from '../../support/adapters.js';
import { fixture } from '../../support/fixtures.js';
import { problem } from './files.js';

const spiece = fixture('t5/spiece');
const folder = temporaryFolder();

async function withModel(bytes: Uint8Array): Promise<string> {
  await writeFile(path.join(folder, 'spiece.model'), bytes);
  return folder;
}

test("T5's SentencePiece model gives the tokens that Transformers makes of it", async () => {
  const tokenizer = await loadTokenizer(spiece);
  const rows = JSON.parse(await readFile(path.join(spiece, 'token-ids.json'), 'utf8')) as {
    text: string;
    ids: number[];
  }[];
  for (const { text, ids } of rows) {
    assert.deepEqual(tokenizer.encode(text, { addSpecialTokens: true }), ids, JSON.stringify(text));
  }
  assert.deepEqual([tokenizer.vocabSize, tokenizer.eosTokenId, tokenizer.padTokenId], [99, 1, 0]);
  assert.deepEqual(tokenizer.encode('<extra_id_0><extra_id_2>', { addSpecialTokens: false }), [98, 96]);
  assert.deepEqual([...(await tokenizer.files()).keys()].sort(), ['spiece.model', 'tokenizer_config.json']);
});

test('a hundred sentinels stand behind the vocabulary where the config names no number', async () => {
  await copyFile(path.join(spiece, 'spiece.model'), path.join(folder, 'spiece.model'));
  assert.equal((await loadTokenizer(folder)).vocabSize, 196);
});

test('what is no such model is refused by its name', async () => {
  const bytes = new Uint8Array(await readFile(path.join(spiece, 'spiece.model')));
  await assert.rejects(
    loadTokenizer(await withModel(bytes.subarray(0, 300))),
    problem('tokenizer.form', 'cut off'),
  );
  await assert.rejects(
    loadTokenizer(await withModel(new TextEncoder().encode('{"no": "model"}'))),
    problem('tokenizer.form', 'no SentencePiece model'),
  );
  // Another kind of model: the trainer's `model_type` is 2, BPE.
  const trainer = new Uint8Array([...bytes, 0x12, 2, 0x18, 2]);
  await assert.rejects(
    loadTokenizer(await withModel(trainer)),
    problem('tokenizer.sentencepiece', '</s>', 'save_pretrained'),
  );
});
