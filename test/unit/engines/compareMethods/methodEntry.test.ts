import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allEntries, parseEntries } from '../../../../src/engines/compareMethods/methodEntry.js';
import { METHODS } from '../../../../src/methods/registry.js';
import { problem } from '../../../support/adapters.js';

test('types with commas between; options in braces are YAML; + joins methods of one run', () => {
  assert.deepEqual(
    parseEntries(' lora , lora{ r = 4, target_modules=[q_proj, "v,proj"] },full + child_tuning{p=0.2} '),
    [
      { label: 'lora', methods: [{ type: 'lora' }] },
      {
        label: 'lora{r=4,target_modules=["q_proj","v,proj"]}',
        methods: [{ type: 'lora', r: 4, target_modules: ['q_proj', 'v,proj'] }],
      },
      { label: 'full+child_tuning{p=0.2}', methods: [{ type: 'full' }, { type: 'child_tuning', p: 0.2 }] },
    ],
  );
  assert.deepEqual(parseEntries('lora{bias=all,rank_pattern={q_proj: 2, k_proj: 1}}')[0]!.methods, [
    { type: 'lora', bias: 'all', rank_pattern: { q_proj: 2, k_proj: 1 } },
  ]);
  assert.deepEqual(parseEntries('lora{}')[0]!.label, 'lora');
});

test('a label names its entry again', () => {
  const text = 'lora{r=4,target_modules=["q_proj"],bias=all},full+child_tuning{p=0.2}';
  const entries = parseEntries(text);
  assert.equal(entries.map(({ label }) => label).join(','), text);
  assert.deepEqual(parseEntries(entries.map(({ label }) => label).join(',')), entries);
});

test('a method that only guides others stands behind LoRA', () => {
  assert.deepEqual(parseEntries('child_tuning{p=0.1}'), [
    { label: 'lora+child_tuning{p=0.1}', methods: [{ type: 'lora' }, { type: 'child_tuning', p: 0.1 }] },
  ]);
});

test('every method is an entry of its own, and none is left out', () => {
  const entries = allEntries();
  assert.equal(entries.length, METHODS.length);
  for (const [at, { type }] of METHODS.entries()) assert.equal(entries[at]!.methods.at(-1)!.type, type);
});

test('what names no method is refused with what is meant', () => {
  const refused = (text: string, code: string, ...said: string[]): void =>
    assert.throws(() => parseEntries(text), problem(code, ...said));
  refused('lorra', 'compare.method', 'lorra', 'lora');
  refused('lora,lora', 'compare.twice', 'lora');
  refused('lora{r=4},lora{ r=4 }', 'compare.twice', 'lora{r=4}');
  for (const text of [
    '',
    'lora,',
    'lora{r=4',
    'lora}',
    'lora{r}',
    'lora{type=full}',
    'lora{=4}',
    'lora +',
    'lo ra',
  ]) {
    refused(text, 'compare.entry', 'types with commas');
  }
  assert.throws(() => parseEntries('lora{r=[1}'), /lora/);
});
