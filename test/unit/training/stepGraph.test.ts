import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { AdaLoraOptions } from '../../../src/methods/adalora.js';
import { topologicalOrder } from '../../../src/tensor/order.js';
import { stepGraph } from '../../../src/training/stepGraph.js';
import { openModel } from '../../support/model.js';
import { jobOn } from './jobs.js';

test('a step of many trainables that are updated one by one does not copy the graph for each', async () => {
  const opened = await openModel(path.resolve('examples/base-model/peft-studio-tiny'));
  const sizeFor = (optim: 'adamw' | 'adafactor'): number => {
    const method = Value.Parse(AdaLoraOptions, {
      type: 'adalora',
      init_r: 4,
      target_r: 2,
      tinit: 1,
      tfinal: 1,
      target_modules: 'all-linear',
    });
    const { model, methods, options } = jobOn(opened, { method, options: { optim, max_steps: 9 } });
    const graph = stepGraph({ model, methods, options, positionLimit: 64 });
    const { norm, changes } = graph.update(graph.batchGradients, graph.lossSum);
    return topologicalOrder([graph.lossSum, norm, ...changes.values()]).length;
  };
  // AdamW updates all in a few vectors; Adafactor has rules of rows and columns for each of the matrices.
  const [vectors, each] = [sizeFor('adamw'), sizeFor('adafactor')];
  assert.ok(each < 4 * vectors, `${each} nodes against ${vectors}`);
});
