import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { attachMethods } from '../../../src/engines/session.js';
import { AdaLoraOptions } from '../../../src/methods/adalora.js';
import { DoraRankOptions } from '../../../src/methods/doraRank.js';
import type { MethodConfig } from '../../../src/methods/registry.js';
import { topologicalOrder } from '../../../src/tensor/order.js';
import { stepGraph } from '../../../src/training/stepGraph.js';
import { openModel } from '../../support/model.js';
import { eventsOf, jobOn, run } from './jobs.js';

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

test('several methods may each have a term of the loss, which counts as it does alone', async () => {
  const opened = await openModel(path.resolve('examples/base-model/peft-studio-tiny'));
  const termsOf = async (...configs: readonly MethodConfig[]): Promise<Readonly<Record<string, number>>> => {
    const { events } = await run(opened, {
      methods: attachMethods(configs, opened.context),
      options: { max_steps: 3, per_device_train_batch_size: 2, gradient_accumulation_steps: 2 },
    });
    // Before the first step all start alike.
    return eventsOf(events, 'step')[0]!.terms!;
  };
  const both = [
    Value.Parse(DoraRankOptions, { type: 'dora_rank', r: 2, target_modules: ['q_proj'] }),
    Value.Parse(AdaLoraOptions, { type: 'adalora', target_modules: ['v_proj'] }),
  ];
  const [variance, orthogonality] = [await termsOf(both[0]!), await termsOf(both[1]!)];
  const together = await termsOf(...both);
  assert.deepEqual(Object.keys(together), ['variance', 'orthogonality']);
  assert.equal(together['variance'], variance['variance']);
  // Its numbers are drawn anew for each method of a run.
  assert.ok(Math.abs(together['orthogonality']! / orthogonality['orthogonality']! - 1) < 0.01);
});

test('terms of one name, of two methods of a kind, add up', async () => {
  const opened = await openModel(path.resolve('examples/base-model/peft-studio-tiny'));
  const variance = async (...targets: readonly string[]): Promise<number> => {
    const configs = targets.map((each) =>
      Value.Parse(DoraRankOptions, { type: 'dora_rank', r: 2, target_modules: [each] }),
    );
    const { events } = await run(opened, {
      methods: attachMethods(configs, opened.context),
      options: { max_steps: 3, per_device_train_batch_size: 2 },
    });
    return eventsOf(events, 'step')[0]!.terms!['variance']!;
  };
  const [first, second] = [await variance('q_proj'), await variance('up_proj')];
  const together = await variance('q_proj', 'up_proj');
  assert.ok(Math.abs(together / (first + second) - 1) < 0.02, `${together} of ${first} and ${second}`);
});
