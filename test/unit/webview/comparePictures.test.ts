import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ComparedRun } from '../../../src/engines/runComparison.js';
import { comparePictures } from '../../../webview/comparePictures.js';

const run = (label: string, loss: readonly number[], evaluation: readonly number[] = []): ComparedRun => ({
  folder: `/runs/${label}`,
  label,
  method: 'lora',
  end: 'completed',
  trainable: undefined,
  steps: loss.length,
  seconds: 0,
  peakMemory: undefined,
  metrics: {},
  loss: { steps: loss.map((_, at) => at + 1), values: loss },
  evaluationLoss: { steps: evaluation.map((_, at) => at), values: evaluation },
  norms: undefined,
  problems: [],
});

test('a curve per run that has one, each in a colour of its own', () => {
  const pictures = comparePictures([run('a', [4, 4, 4], [3]), run('b', []), run('c', [2, 1])]);
  assert.deepEqual(
    pictures.map(({ id, curves }) => [id, curves.map(({ name }) => name)]),
    [
      ['loss', ['a', 'c']],
      ['evaluation', ['a']],
    ],
  );
  const [a, c] = pictures[0]!.curves;
  assert.notEqual(a!.color, c!.color);
  // An average of equal values is that value, from the first on; of 2 and 1, the weights are 0.9 and 1 of 1.9.
  assert.deepEqual(
    Array.from(a!.y).map((value) => Number(value.toFixed(9))),
    [4, 4, 4],
  );
  assert.ok(Math.abs(c!.y[1]! - (0.9 * 2 + 1) / 1.9) < 1e-12);
});

test('runs without a step have no picture', () => {
  assert.deepEqual(comparePictures([run('a', []), run('b', [])]), []);
});
