import assert from 'node:assert/strict';
import { it } from 'node:test';
import { escapeLoneDots, looksLikeRegex, regexFault } from '../../../src/config/patterns.js';

it('escapes dots that stand for themselves, and no others', () => {
  const cases: [string, string | undefined][] = [
    ['layers.1.q', 'layers\\.1\\.q'],
    ['.*q_proj', undefined],
    ['.+\\.q', undefined],
    ['[.]q', undefined],
    ['a.{2}', undefined],
    ['[.].', '[.]\\.'],
    ['a\\..b', 'a\\.\\.b'],
    ['a\\', undefined],
    ['.', '\\.'],
  ];
  for (const [pattern, escaped] of cases) assert.equal(escapeLoneDots(pattern), escaped, pattern);
});

it('tells regular expressions from names', () => {
  assert.deepEqual(['q_proj', 'layers.0.mlp', 'h-1', '^q', 'q|v', 'q\\.'].map(looksLikeRegex), [
    false,
    false,
    false,
    true,
    true,
    true,
  ]);
  assert.equal(regexFault('a(b|c)'), undefined);
  assert.match(regexFault('a(b') ?? '', /group/i);
});
