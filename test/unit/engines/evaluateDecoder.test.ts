import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evaluateDecoder } from '../../../src/engines/evaluateDecoder.js';
import { createDecoder } from '../../../src/generation/decoder.js';
import { createEvaluator } from '../../../src/training/evaluate.js';
import type { Example } from '../../../src/data/example.js';
import { fixture } from '../../support/fixtures.js';
import { openModel } from '../../support/model.js';

const EXAMPLES: readonly Example[] = [
  { ids: [5, 17, 3, 99, 54], supervised: [0, 0, 1, 1, 1], file: 'a', line: 1 },
  { ids: [8, 2, 7], supervised: [1, 0, 1], file: 'a', line: 2 },
  { ids: [64, 2, 90, 12], supervised: [0, 1, 0, 1], file: 'a', line: 3 },
];

test('row by row through a decoder comes to what the evaluation of a whole graph finds', async () => {
  const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
  const setup = { ...opened, methods: [], values: new Map<string, Float32Array>(), positionLimit: 16 };
  const evaluator = await createEvaluator({ ...setup, batchSize: 2 });
  const wanted = await evaluator.evaluate(EXAMPLES, setup.values);
  const decoder = await createDecoder(setup);
  const places: (readonly number[])[] = [];
  const found = await evaluateDecoder(decoder, EXAMPLES, (...place) => {
    places.push(place);
    return Promise.resolve(true);
  });
  assert.ok(Math.abs(found.loss - wanted.loss) < 1e-5, `${found.loss}, ${wanted.loss}`);
  assert.deepEqual({ ...found, loss: 0 }, { ...wanted, loss: 0 });
  assert.deepEqual(places, [
    [1, 3],
    [2, 3],
    [3, 3],
  ]);
  const stopped = await evaluateDecoder(decoder, EXAMPLES, () => Promise.resolve(false));
  assert.equal(stopped.rows, 1);
  await Promise.all([evaluator.dispose(), decoder.dispose()]);
});
