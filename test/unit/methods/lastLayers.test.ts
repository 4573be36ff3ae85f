import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { LastLayersOptions, firstTrained } from '../../../src/methods/lastLayers.js';
import { LoraOptions } from '../../../src/methods/lora.js';
import type { AttachContext, Attached } from '../../../src/methods/method.js';
import { attachMethod } from '../../../src/methods/registry.js';
import type { MethodConfig } from '../../../src/methods/registry.js';
import { topologicalOrder } from '../../../src/tensor/order.js';
import type { Tensor } from '../../../src/tensor/tensor.js';
import { stepGraph } from '../../../src/training/stepGraph.js';
import { problem } from '../../support/adapters.js';
import { fixture } from '../../support/fixtures.js';
import { openModel } from '../../support/model.js';
import type { Opened } from '../../support/model.js';
import { jobOn } from '../training/jobs.js';

const bundled = await openModel(path.resolve('examples/base-model/peft-studio-tiny'));
const llama = await openModel(fixture('lora-reference/tiny-llama'));

function options(more: Partial<LastLayersOptions> = {}): LastLayersOptions {
  return Value.Parse(LastLayersOptions, { type: 'last_layers', ...more });
}

function attach(context: AttachContext, more: Partial<LastLayersOptions> = {}): Attached {
  return attachMethod(options(more), context);
}

function names({ trainables }: Attached): string[] {
  return trainables.map(({ variable: { name } }) => name);
}

test('the top quarter, rounded, at least one: 9 to 11 of 12 layers, 18 to 23 of 24', () => {
  assert.equal(firstTrained(options(), 12), 9);
  assert.equal(firstTrained(options(), 24), 18);
  assert.equal(firstTrained(options(), 1), 0);
  assert.equal(firstTrained(options(), 30), 22);
  assert.equal(firstTrained(options({ fraction: 1 }), 12), 0);
  assert.equal(firstTrained(options({ num_layers: 5 }), 12), 7);
  assert.throws(() => firstTrained(options({ num_layers: 13 }), 12), problem('last-layers.layers', '13', '12'));
});

test('these layers and what stands behind them train; a head that is the embeddings’ matrix is frozen with these', () => {
  const tied = names(attach(bundled.context));
  assert.ok(tied.every((name) => /^model\.(layers\.4\.|norm\.)/.test(name)));
  assert.equal(tied.length, 9 + 1);
  const own = names(attach(llama.context, { num_layers: 1 }));
  assert.ok(own.every((name) => /^(model\.(layers\.1\.|norm\.)|lm_head\.)/.test(name)));
  assert.ok(own.includes('lm_head.weight'));
  const all = names(attach(llama.context, { fraction: 1 }));
  assert.ok(!all.includes('model.embed_tokens.weight') && all.length === 2 * 9 + 2);
  const { targets } = attach(bundled.context).coverage;
  assert.match(targets[0]!.entry, /the last layer, number 4/);
  assert.match(targets[1]!.entry, /embeddings’ matrix, and frozen/);
});

test('a share of the layers beside their number is told to have no say', () => {
  const { coverage } = attach(bundled.context, { num_layers: 2, fraction: 0.5 });
  assert.deepEqual(
    coverage.warnings.map(({ message }) => message),
    ['fraction is not used: num_layers is 2'],
  );
  assert.deepEqual(attach(bundled.context, { num_layers: 2 }).coverage.warnings, []);
});

test('layers of an encoder-decoder count through, the encoder’s first', async () => {
  const t5 = await openModel(fixture('t5/tiny-t5'));
  const decoder = names(attach(t5.context, { num_layers: 3 }));
  assert.ok(decoder.every((name) => name.startsWith('decoder.')) && decoder.length > 0);
  const deeper = names(attach(t5.context, { num_layers: 4 }));
  assert.ok(deeper.includes('encoder.final_layer_norm.weight'));
  assert.ok(deeper.some((name) => name.startsWith('encoder.block.1.')));
  assert.ok(!deeper.some((name) => name.startsWith('encoder.block.0.') || name === 'shared.weight'));
});

test('a classifier trains along', async () => {
  const bert = await openModel(fixture('encoders/tiny-bert-classes'));
  const trained = names(attach(bert.context, { num_layers: 1 }));
  assert.ok(trained.includes('classifier.weight') && trained.includes('bert.pooler.dense.bias'));
  assert.ok(!trained.some((name) => name.includes('embeddings') || name.includes('layer.0.')));
});

/** How often the weights of layers are read in the graph of some results, by their names. */
function reads(results: readonly Tensor[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const tensor of topologicalOrder(results)) {
    for (const each of tensor.kind === 'applied' ? tensor.inputs : []) {
      if (each.kind === 'weight' && each.name.includes('.layers.'))
        found.set(each.name, (found.get(each.name) ?? 0) + 1);
    }
  }
  return found;
}

function graphOf(opened: Opened, method: MethodConfig) {
  const { model, methods, options: training } = jobOn(opened, { method });
  return stepGraph({ model, methods, options: training, positionLimit: 64 });
}

test('below the lowest layer that trains nothing is differentiated, and nothing has optimizer slots', () => {
  const graph = graphOf(bundled, options());
  const [forward, step] = [reads([graph.lossSum]), reads([graph.lossSum, ...graph.batchGradients])];
  assert.deepEqual(step, forward, 'no frozen weight is read by the backward pass');
  assert.ok([...forward.keys()].every((name) => !name.startsWith('model.layers.4.')));
  const slots = graph.packs.flatMap((pack) => pack.members.map(({ trainable }) => trainable.variable.name));
  assert.deepEqual(slots.sort(), names(attach(bundled.context)).sort());
  // Where the layers below train, too, the backward pass goes through those above.
  const lora = graphOf(bundled, Value.Parse(LoraOptions, { type: 'lora', layers_to_transform: [0] }));
  const weight = 'model.layers.2.mlp.up_proj.weight';
  assert.equal(reads([lora.lossSum, ...lora.batchGradients]).get(weight), 2 * forward.get(weight)!);
});
