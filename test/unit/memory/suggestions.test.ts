import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planMemory } from '../../../src/memory/planMemory.js';
import { savingsTogether, suggestSavings } from '../../../src/memory/suggestions.js';
import { MODEL_NAMES, memoryRun, shapeOf } from './support.js';

const keys = (suggestion: { changes: readonly { path: readonly string[] }[] }): readonly string[] =>
  suggestion.changes.map(({ path }) => path.join('.'));

test('ranked by what they save, and they save what they say', () => {
  for (const name of MODEL_NAMES) {
    const shape = shapeOf(name);
    const run = memoryRun({ batch: 8, length: 1024, attention: 'eager' });
    const now = planMemory(shape, run).total;
    const found = suggestSavings(shape, run);
    assert.ok(found.length > 0);
    found.forEach((suggestion, at) => {
      assert.equal(planMemory(shape, suggestion.run).total, suggestion.total);
      assert.equal(now - suggestion.total, suggestion.saved);
      assert.ok(suggestion.saved > 0 && suggestion.changes.length > 0);
      assert.ok(at === 0 || found[at - 1]!.saved >= suggestion.saved);
      assert.match(suggestion.title, / saves [\d.]+ [KMGT]iB: /);
    });
  }
});

test('full fine-tuning of a 7B model in 24 GB: LoRA suffices, 4-bit is not offered', () => {
  const run = memoryRun({ methods: [{ kind: 'full' }], batch: 1, length: 256 });
  const found = suggestSavings(shapeOf('llama2'), run, 24e9);
  assert.deepEqual(keys(found[0]!), ['method.type', 'method.r']);
  assert.equal(found[0]!.fits, true);
  assert.ok(found.every((suggestion) => !keys(suggestion).includes('model_options.load_in_4bit')));
  assert.ok(found.some((suggestion) => suggestion.fits === false));
});

test('LoRA of a 7B model with few tokens: 4-bit saves most, then 8-bit', () => {
  const found = suggestSavings(shapeOf('llama2'), memoryRun({ batch: 1, length: 64 }));
  assert.equal(keys(found[0]!)[0], 'model_options.load_in_4bit');
  assert.equal(keys(found[1]!)[0], 'model_options.load_in_8bit');
});

test('half the batch keeps the rows of a step', () => {
  const found = suggestSavings(shapeOf('smollm2'), memoryRun({ batch: 6, accumulation: 2, length: 512 }));
  const half = found.find((suggestion) => keys(suggestion)[0]!.endsWith('train_batch_size'))!;
  assert.deepEqual(
    half.changes.map(({ value }) => value),
    [3, 4],
  );
});

test('what is already so is not offered', () => {
  const run = memoryRun({
    batch: 1,
    checkpointing: true,
    weights: { dtype: 'bf16', quantization: { kind: 'nf4', doubleQuantization: true } },
    optimizer: { kind: 'adamw-8bit' },
  });
  const offered = suggestSavings(shapeOf('llama2'), run).flatMap(keys);
  for (const path of offered) assert.match(path, /^(data\.max_length|method\.r)$/);
});

test('where no change suffices alone, the fewest of the largest that do together; halves of halves are one', () => {
  const shape = shapeOf('llama2');
  const run = memoryRun({ batch: 8, length: 1024 });
  const limit = 8e9;
  assert.ok(suggestSavings(shape, run).every(({ total }) => total > limit));
  const found = savingsTogether(shape, run, limit)!;
  assert.ok(found.total <= limit);
  assert.equal(planMemory(shape, found.run).total, found.total);
  assert.equal(planMemory(shape, run).total - found.total, found.saved);
  const paths = keys(found);
  assert.equal(new Set(paths).size, paths.length);
  assert.ok(found.name.split(' + ').length > 1);
  assert.equal(savingsTogether(shape, run, 1e9), undefined);
});
