import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ComparedRun } from '../../../src/engines/runComparison.js';
import { compareTables } from '../../../webview/compareTables.js';

const run = (label: string, more: Partial<ComparedRun>): ComparedRun => ({
  folder: `/runs/${label}`,
  label,
  method: 'lora',
  end: 'completed',
  trainable: 1234,
  steps: 10,
  seconds: 5,
  peakMemory: 2048,
  metrics: {},
  loss: { steps: [], values: [] },
  evaluationLoss: { steps: [], values: [] },
  norms: undefined,
  problems: [],
  ...more,
});

test('a column per run, and a dash where a run has nothing', () => {
  const [results, settings, norms] = compareTables({
    runs: [
      run('a', { metrics: { eval_loss: 0.5 }, norms: [{ layer: 0, norm: 2 }] }),
      run('b', { peakMemory: undefined, norms: [{ layer: undefined, norm: 3 }] }),
    ],
    settings: [{ key: 'method.r', values: ['8', undefined] }],
  });
  const valuesOf = (name: string): readonly string[] | undefined =>
    results!.rows.find((row) => row.name === name)?.values;
  assert.deepEqual(valuesOf('trainable'), ['1,234', '1,234']);
  assert.deepEqual(valuesOf('peak memory'), ['2 KiB', '–']);
  assert.deepEqual(valuesOf('eval loss'), ['0.5000', '–']);
  assert.deepEqual(settings!.rows, [{ name: 'method.r', values: ['8', '–'] }]);
  assert.deepEqual(norms!.rows, [
    { name: 'layer 0', values: ['2.000', '–'] },
    { name: 'outside the layers', values: ['–', '3.000'] },
  ]);
});
