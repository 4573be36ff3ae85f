import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRunFile } from '../../../src/config/parseRunFile.js';
import { attachMethods } from '../../../src/engines/session.js';
import { topologicalOrder } from '../../../src/tensor/order.js';
import type { Tensor } from '../../../src/tensor/tensor.js';
import { frozenLayers } from '../../../src/training/frozenLayers.js';
import { lossGraph } from '../../../src/training/lossGraph.js';
import { fixture } from '../../support/fixtures.js';
import { openModel } from '../../support/model.js';
import type { Opened } from '../../support/model.js';

const MODELS: Readonly<Record<string, string>> = {
  llama: 'lora-reference/tiny-llama',
  gpt2: 'gpt2/tiny-gpt2',
  bert: 'encoders/tiny-bert-classes',
  roberta: 'encoders/tiny-roberta-classes',
};

function layersOf(section: string, { model, context }: Opened): number {
  const { config, problems } = parseRunFile(`model: m\ndata: { train: a }\nmethod: ${section}\n`, 'a.peft.yaml');
  assert.ok(config, JSON.stringify(problems));
  const hooks = attachMethods(config.method, context).map((method) => method.hooks);
  return frozenLayers(model, hooks, 32);
}

/** Inputs and weights that results are made of. */
function sources(results: readonly Tensor[]): string[] {
  return topologicalOrder(results).flatMap((tensor) =>
    tensor.kind === 'input' || tensor.kind === 'weight' ? [tensor.name] : [],
  );
}

for (const [name, folder] of Object.entries(MODELS)) {
  test(`${name}: a graph may begin at a layer, and then reads nothing of what is below`, async () => {
    const opened = await openModel(fixture(folder));
    const { model } = opened;
    const whole = lossGraph(model, [], { training: false, positionLimit: 32 });
    assert.deepEqual([...whole.scope.layerInputs.keys()], [...Array(model.layers).keys()]);
    const upper = sources([lossGraph(model, [], { training: false, positionLimit: 32, frozenBelow: 1 }).lossSum]);
    assert.ok(upper.includes('frozen_outputs'));
    assert.ok(!upper.some((each) => /\.(layers|h|layer)\.0\./.test(each) || each === 'token_types'));
    const lower = sources([whole.scope.layerInputs.get(1)!]);
    assert.ok(!lower.some((each) => /\.(layers|h|layer)\.1\./.test(each)));

    assert.equal(layersOf('{ type: last_layers, num_layers: 1 }', opened), 1);
    assert.equal(layersOf('{ type: last_layers, fraction: 1 }', opened), 0);
    assert.equal(layersOf('{ type: full }', opened), 0);
  });
}

test('any methods that leave the first layers alone; not those that act there, or before them', async () => {
  const llama = await openModel(fixture(MODELS['llama']!));
  assert.equal(
    layersOf('{ type: lora, target_modules: [q_proj], layers_to_transform: [1], lora_dropout: 0.1 }', llama),
    1,
  );
  assert.equal(layersOf('{ type: lora }', llama), 0);
  assert.equal(
    layersOf('[{ type: last_layers, num_layers: 1 }, { type: prompt_tuning, num_virtual_tokens: 2 }]', llama),
    0,
  );
  assert.equal(layersOf('[{ type: last_layers, num_layers: 1 }, { type: prefix_tuning }]', llama), 0);
  const t5 = await openModel(fixture('t5/tiny-t5'));
  assert.equal(layersOf('{ type: last_layers, num_layers: 1 }', t5), 0);
});
