import assert from 'node:assert/strict';
import { test } from 'node:test';
import { specialTokens, tokenTexts } from '../../../src/data/tokenTexts.js';
import type { Tokenizer } from '../../../src/models/tokenizer.js';
import { fakeTokenizer } from './fakeTokenizer.js';

/** Ids are bytes, as byte-level tokenizers have them; 256 is a special token. A leading space is taken off. */
const bytes: Tokenizer = {
  ...fakeTokenizer(),
  decode(ids, { skipSpecialTokens = false } = {}) {
    const parts = ids.flatMap((id) =>
      id < 256 ? [id] : skipSpecialTokens ? [] : [...new TextEncoder().encode('<end>')],
    );
    return new TextDecoder().decode(Uint8Array.from(parts)).replace(/^ /, '');
  },
};
const encode = (text: string): number[] => [...new TextEncoder().encode(text)];

test('the texts of the tokens are the row, cut at the tokens', () => {
  const ids = [...encode('a b'), 256];
  assert.deepEqual(tokenTexts(ids, bytes), ['a', ' ', 'b', '<end>']);
});

test('of tokens that make one character together, the last has it', () => {
  const texts = tokenTexts(encode('é€x'), bytes);
  assert.deepEqual(texts, ['', 'é', '', '', '€', 'x']);
  assert.equal(tokenTexts(encode('über 😀 ende'), bytes).join(''), 'über 😀 ende');
});

test('bytes that never become a character are shown as such, and what follows is not lost', () => {
  const ids = [0xff, 0xff, ...encode('ab')];
  assert.equal(tokenTexts(ids, bytes).join(''), '\uFFFD\uFFFDab');
});

test('an empty row has no texts', () => assert.deepEqual(tokenTexts([], bytes), []));

test('special tokens are those that a decoder leaves out', () => {
  const isSpecial = specialTokens(bytes);
  assert.deepEqual([97, 256, 97, 256].map(isSpecial), [false, true, false, true]);
});
