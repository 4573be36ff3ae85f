// The yardstick of the base model: how many nats a token costs a model that knows the frequencies of tokens and
// nothing else. `unigram.ts TOKENIZER TRAIN.jsonl HELDOUT.jsonl [RESULT.json]` counts tokens in TRAIN and prints the
// cross-entropy of HELDOUT under that distribution.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { writeFileWhole } from '../../src/common/files.js';
import { readDocuments } from './jsonl.js';

const vocabularySize = 2048;
/** `<|endoftext|>`, which ends each document in training. */
const endOfText = 0;

const here = import.meta.dirname;
const [folder, trainFile, heldOutFile, result] = [
  process.argv[2] ?? path.join(here, 'peft-studio-tiny'),
  process.argv[3] ?? path.join(here, 'build', 'train.jsonl'),
  process.argv[4] ?? path.join(here, 'build', 'heldout.jsonl'),
  process.argv[5] ?? path.join(here, 'unigram.json'),
];
const readJson = async (name: string): Promise<object> => {
  const value: unknown = JSON.parse(await readFile(path.join(folder, name), 'utf8'));
  return typeof value === 'object' && value !== null ? value : {};
};
const tokenizer = new Tokenizer(await readJson('tokenizer.json'), await readJson('tokenizer_config.json'));
const train = await readDocuments(trainFile);
const heldOut = await readDocuments(heldOutFile);

const count = (documents: readonly string[]): Float64Array => {
  const counts = new Float64Array(vocabularySize);
  for (const text of documents) {
    for (const id of [...tokenizer.encode(text, { add_special_tokens: false }).ids, endOfText]) counts[id]! += 1;
  }
  return counts;
};
const sum = (numbers: Float64Array): number => numbers.reduce((a, b) => a + b, 0);
const characters = (documents: readonly string[]): number => documents.reduce((n, text) => n + text.length, 0);

const [trainCounts, heldOutCounts] = [count(train), count(heldOut)];
const [trainTokens, heldOutTokens] = [sum(trainCounts), sum(heldOutCounts)];
// One is added to each count (Laplace): a token that training never saw costs much, not infinitely much.
const nats = sum(
  heldOutCounts.map((n, id) => -n * Math.log((trainCounts[id]! + 1) / (trainTokens + vocabularySize))),
);
const report = {
  unigramNatsPerToken: nats / heldOutTokens,
  heldOutDocuments: heldOut.length,
  heldOutTokens,
  trainDocuments: train.length,
  trainTokens,
  tokensPerCharacter: trainTokens / characters(train),
  unseenTokens: trainCounts.filter((n) => n === 0).length,
};
console.log(report);
await writeFileWhole(result, `${JSON.stringify(report, null, 2)}\n`);
