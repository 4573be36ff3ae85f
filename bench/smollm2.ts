// SmolLM2-135M-Instruct against Transformers: token ids, the chat template's text and ids, logits.
//
//   node --import tsx bench/smollm2.ts MODEL REFERENCE_FOLDER
//
// MODEL is the Hugging Face folder or the GGUF file, REFERENCE_FOLDER what test/reference/smollm2_reference.py wrote.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { loadTokenizer } from '../src/models/loadTokenizer.js';
import type { ChatMessage } from '../src/models/tokenizer.js';
import { largestDifference, readInputIds, readTensors } from '../test/support/fixtures.js';
import { logitsOf, openModel } from '../test/support/model.js';

interface Reference {
  readonly texts: readonly { readonly text: string; readonly ids: readonly number[] }[];
  readonly chat: readonly {
    readonly messages: readonly ChatMessage[];
    readonly text: string;
    readonly ids: readonly number[];
  }[];
}

const [model, reference] = process.argv.slice(2) as [string, string];
const expected = JSON.parse(readFileSync(path.join(reference, 'reference.json'), 'utf8')) as Reference;
const tokenizer = await loadTokenizer(model);
const same = (found: readonly number[], wanted: readonly number[]): boolean => found.join() === wanted.join();

const texts = expected.texts.filter(({ text, ids }) => same(tokenizer.encode(text), ids)).length;
const chats = expected.chat.filter(({ messages, text, ids }) => {
  const rendered = tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true });
  return rendered === text && same(tokenizer.encode(rendered, { addSpecialTokens: false }), ids);
}).length;
const file = path.join(reference, 'logits.safetensors');
const logits = await logitsOf(await openModel(model), await readInputIds(file));
const difference = largestDifference(logits, (await readTensors(file)).get('logits')!.data);

console.log(`token ids: ${texts} of ${expected.texts.length} texts equal`);
console.log(`chat template: ${chats} of ${expected.chat.length} conversations equal in text and ids`);
console.log(`logits: largest absolute difference ${difference.toExponential(2)}`);
process.exit(texts === expected.texts.length && chats === expected.chat.length && difference <= 2e-3 ? 0 : 1);
