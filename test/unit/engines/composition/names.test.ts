import assert from 'node:assert/strict';
import { test } from 'node:test';
import { adapterNames } from '../../../../src/engines/composition/names.js';

test('adapters are named by what of their folders tells them apart', () => {
  for (const [folders, names] of [
    [
      ['/w/runs/imdb/2026-01-01/adapter', '/w/runs/trec/2026-01-02/adapter'],
      ['imdb', 'trec'],
    ],
    [
      ['/w/runs/imdb/1/adapter', '/w/runs/imdb/2/adapter', '/w/runs/trec/1/adapter'],
      ['imdb/1', 'imdb/2', 'trec/1'],
    ],
    [
      ['/w/a', '/w/b/adapter', '/w/c'],
      ['a', 'b', 'c'],
    ],
    [
      ['C:\\w\\one\\adapter', 'C:\\w\\two\\adapter'],
      ['one', 'two'],
    ],
    [
      ['/w/a', '/w/a/b'],
      ['a', 'a/b'],
    ],
    [
      ['/w/a/adapter', '/w/a/adapter'],
      ['a', 'a'],
    ],
    [['/w/adapter'], ['w']],
    [[], []],
  ] as const) {
    assert.deepEqual(adapterNames(folders), names);
  }
});
