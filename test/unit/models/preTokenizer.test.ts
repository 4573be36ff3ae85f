import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json } from '../../../src/common/json.js';
import { GPT2_PATTERN, hasForeignPattern, split, wordPattern } from '../../../src/models/preTokenizer.js';

test('patterns of known models are known, all others are foreign wherever they stand', () => {
  const known = [GPT2_PATTERN, wordPattern(String.raw`\p{N}`), wordPattern(String.raw`\p{N}{1,3}`)].map(split);
  assert.equal(hasForeignPattern({ type: 'Sequence', pretokenizers: known }), false);
  const harmless: Json[] = [null, 'x', [], {}, { pattern: { String: '(a+)+' } }];
  for (const part of [undefined, ...harmless]) assert.equal(hasForeignPattern(part), false);
  for (const pattern of ['(a+)+b', `${GPT2_PATTERN} `, '']) {
    assert.equal(
      hasForeignPattern({ type: 'Sequence', pretokenizers: [...known, split(pattern)] }),
      true,
      pattern,
    );
  }
  assert.equal(hasForeignPattern({ pattern: { Regex: ['x'] } }), true);
});
