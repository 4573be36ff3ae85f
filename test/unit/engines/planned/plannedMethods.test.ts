import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { MODELS } from '../../../../bench/memoryModels.js';
import type { JsonObject } from '../../../../src/common/json.js';
import { ProblemError } from '../../../../src/common/problem.js';
import { random } from '../../../../src/common/random.js';
import { parseRunFile } from '../../../../src/config/parseRunFile.js';
import { plannedMethods } from '../../../../src/engines/planned/plannedMethods.js';
import { maskedNumbers } from '../../../../src/language/trainable.js';
import { parameterCount } from '../../../../src/memory/modelShape.js';
import { planMemory } from '../../../../src/memory/planMemory.js';
import { readModelShape } from '../../../../src/memory/readShape.js';
import { countTrained } from '../../../../src/memory/trained.js';
import type { Attached } from '../../../../src/methods/method.js';
import { attachMethod, checkPrepared } from '../../../../src/methods/registry.js';
import type { MethodConfig } from '../../../../src/methods/registry.js';
import { openCheckpoint } from '../../../../src/models/openCheckpoint.js';
import { readModel } from '../../../../src/models/readModel.js';
import { fixedSize } from '../../../../src/tensor/dims.js';
import { createOptimizer } from '../../../../src/training/optimizers/optimizer.js';
import { memoryRun } from '../../memory/support.js';
import { trainingOptions } from '../../training/jobs.js';

const BUNDLED = 'examples/base-model/peft-studio-tiny';
const checkpoint = await openCheckpoint(BUNDLED);
const model = readModel(checkpoint);
const shape = readModelShape(checkpoint.config, BUNDLED);

function methodsOf(section: string): readonly MethodConfig[] {
  const { config, problems } = parseRunFile(
    `model: m\ndata: { train: a.jsonl }\nmethod: ${section}\n`,
    'a.peft.yaml',
  );
  assert.ok(config, JSON.stringify(problems));
  return config.method;
}

/** How many numbers the methods train when they are attached to the model's header. */
function attachedCount(configs: readonly MethodConfig[]): number {
  const before: Attached[] = [];
  let count = 0;
  configs.forEach((config, index) => {
    const context = {
      model,
      modelName: BUNDLED,
      read: () => Promise.reject(new Error('no weights are read')),
      random: (...stream: (string | number)[]) => random(0, index, ...stream),
      instance: index === 0 ? '' : `${index}:`,
      before: [...before],
    };
    count += maskedNumbers(config, model);
    if (checkPrepared(config, context)) return;
    const attached = attachMethod(config, context);
    before.push(attached);
    for (const { variable } of attached.trainables) {
      count += variable.shape.reduce<number>((product, size) => product * Number(size), 1);
    }
  });
  return count;
}

function plannedCount(configs: readonly MethodConfig[]): number {
  const { methods, resting, shape: split } = plannedMethods(shape, configs);
  const { base, copied, added } = countTrained(split, methods);
  return base + copied + added + resting;
}

const SECTIONS = [
  '{ type: lora }',
  '{ type: lora, r: 16, target_modules: [q_proj, v_proj] }',
  '{ type: lora, target_modules: [embed_tokens, lm_head, down_proj] }',
  "{ type: lora, target_modules: '.*\\.[1-3]\\.mlp\\.(up|down)_proj' }",
  '{ type: lora, target_modules: [q_proj, up_proj], layers_to_transform: [0, 2] }',
  '{ type: lora, exclude_modules: [o_proj] }',
  "{ type: lora, rank_pattern: { q_proj: 4, 'layers.1.mlp.up_proj': 32 } }",
  '{ type: lora, use_dora: true, rank_pattern: { q_proj: 4 } }',
  '{ type: lora, use_dora: true, target_modules: [embed_tokens, lm_head, down_proj] }',
  '{ type: lora, modules_to_save: [lm_head, norm] }',
  '{ type: lora, target_modules: [q_proj], modules_to_save: [embed_tokens] }',
  '{ type: adalora, init_r: 6, target_r: 2, modules_to_save: [model.norm] }',
  '{ type: dora_rank }',
  '{ type: dora_rank, r: 3, start_rank: 7, target_modules: [k_proj, up_proj], layers_to_transform: [1] }',
  '{ type: sora, r: 5 }',
  '{ type: sora, target_modules: [q_proj, down_proj], layers_to_transform: [1] }',
  '{ type: dylora }',
  '{ type: dylora, r: 3, target_modules: [embed_tokens, v_proj] }',
  '{ type: lisa, lisa_activated_layers: 2 }',
  '{ type: lisa, lisa_activated_layers: 5 }',
  '{ type: fish_mask, keep_ratio: 0.01 }',
  '{ type: fish_mask, keep_ratio: 0.3, target_modules: [embed_tokens, lm_head, norm, k_proj] }',
  '{ type: last_layers }',
  '{ type: last_layers, num_layers: 3 }',
  '{ type: last_layers, fraction: 1 }',
  '{ type: learned_mask }',
  '{ type: learned_mask, target_modules: [q_proj, lm_head], layers_to_transform: [1] }',
  '{ type: full }',
  '{ type: galore, rank: 8 }',
  '{ type: galore, rank: 8, target_modules: [q_proj, up_proj], layers_to_transform: [1] }',
  '{ type: adapter }',
  '{ type: ciat }',
  '{ type: adapter_fusion }',
  '{ type: adapter_fusion, share_layers: true, placement: houlsby }',
  '{ type: adapter_fusion, value: false, placement: houlsby, bottleneck_size: 5 }',
  '{ type: adapter_fusion, stage1: MT-A }',
  '{ type: ciat, bottleneck_size: 3, layer_adapters: false }',
  '{ type: adapter, placement: houlsby, bottleneck_size: 5, leave_out: [1] }',
  '{ type: adapter, placement: parallel, scaling: channel, reduction_factor: { "0": 4, default: 8 } }',
  '[{ type: lora }, { type: child_tuning }]',
  '[{ type: lora, r: 2 }, { type: prompt_tuning, num_virtual_tokens: 7 }]',
  '{ type: prompt_tuning, num_virtual_tokens: 12 }',
  '{ type: prefix_tuning, num_virtual_tokens: 7 }',
  '{ type: prefix_tuning, num_virtual_tokens: 7, prefix_projection: true }',
  '[{ type: lora }, { type: prefix_tuning, prefix_projection: true, encoder_hidden_size: 24 }]',
  '{ type: intrinsic }',
  '{ type: intrinsic, intrinsic_dim: 50, variant: DID, target_modules: [q_proj, norm] }',
  '{ type: melora }',
  '{ type: melora, l_num: 4, r: 3, target_modules: [q_proj, down_proj], modules_to_save: [norm] }',
  '{ type: mora }',
  '{ type: mora, mora_type: 1, r: 5, target_modules: [k_proj, up_proj], layers_to_transform: [0, 2] }',
  '{ type: sltrain }',
  '{ type: sltrain, r: 3, sp_ratio: 0.07, target_modules: [k_proj, up_proj], layers_to_transform: [1] }',
  '{ type: relora }',
  '{ type: relora, r: 3, relora: 10, target_modules: [k_proj, up_proj], modules_to_save: [norm] }',
  "{ type: cola, chain_length: 5, rank_pattern: { q_proj: 4, 'layers.1.mlp.up_proj': 32 } }",
  '{ type: ia3 }',
  '{ type: ia3, target_modules: all-linear, exclude_modules: [q_proj], modules_to_save: [norm] }',
  "{ type: ia3, target_modules: [q_proj, 'layers.1.mlp.down_proj'], feedforward_modules: [] }",
];

for (const section of SECTIONS) {
  test(`as many numbers as attaching gives: ${section}`, () => {
    const configs = methodsOf(section);
    const count = attachedCount(configs);
    assert.ok(count > 0);
    assert.equal(plannedCount(configs), count);
  });
}

test('FISH-DIP is planned with the larger of its two shares', () => {
  const dip = plannedCount(methodsOf('{ type: fish_dip, subsequent_keep_ratio: 0.2 }'));
  assert.equal(dip, plannedCount(methodsOf('{ type: fish_mask, keep_ratio: 0.2 }')));
});

test('biases, all or those of adapted modules', () => {
  const gpt2 = readModelShape(MODELS.gpt2.config, 'gpt2');
  const trained = (section: string): number => {
    const { shape: split, methods } = plannedMethods(gpt2, methodsOf(section));
    const { base, added } = countTrained(split, methods);
    assert.equal(added, 12 * (768 + 2304));
    return base;
  };
  const one = 'type: lora, r: 1, target_modules: [c_attn]';
  assert.equal(trained(`{ ${one} }`), 0);
  assert.equal(trained(`{ ${one}, bias: lora_only }`), 12 * 2304);
  assert.equal(trained(`{ ${one}, bias: all }`), 12 * (2304 + 768 + 3072 + 768 + 2 * 768) + 768);
});

test('BitFit, all biases or some kinds of them', () => {
  const count = (key: 'gpt2' | 'bertBase' | 'bertLarge', section: string): number => {
    const { shape: split, methods } = plannedMethods(readModelShape(MODELS[key].config, key), methodsOf(section));
    return countTrained(split, methods).base;
  };
  assert.equal(count('gpt2', '{ type: bitfit }'), 12 * (2304 + 768 + 3072 + 768 + 2 * 768) + 768);
  assert.equal(count('gpt2', '{ type: bitfit, bias_terms: [intermediate, head] }'), 12 * 3072 + 768);
  // What the authors count without the classifier.
  assert.equal(count('bertBase', '{ type: bitfit }'), 102_912);
  assert.equal(count('bertLarge', '{ type: bitfit }'), 272_384);
  assert.equal(count('bertLarge', '{ type: bitfit, bias_terms: [query, intermediate] }'), 122_880);
});

test('every expert is adapted', () => {
  const mixtral = readModelShape(MODELS.mixtral.config, 'mixtral');
  const { shape: split, methods } = plannedMethods(
    mixtral,
    methodsOf('{ type: lora, r: 4, target_modules: [w1] }'),
  );
  assert.equal(split.blocks.length, 1);
  assert.equal(countTrained(split, methods).added, 32 * 8 * 4 * (4096 + 14336));
});

test('layers that are treated differently come apart, and add up to the model', () => {
  const { shape: split } = plannedMethods(
    shape,
    methodsOf('{ type: lora, target_modules: [q_proj], layers_to_transform: [1, 3] }'),
  );
  assert.deepEqual(
    split.blocks.map(({ layers }) => layers),
    [3, 2],
  );
  assert.equal(parameterCount(split), parameterCount(shape));
});

test('LISA holds gradients of the layers that train at a time', () => {
  const planned = plannedMethods(shape, methodsOf('{ type: lisa, lisa_activated_layers: 1 }'));
  const plan = planMemory(planned.shape, memoryRun({ methods: planned.methods, resting: planned.resting }));
  const layer = parameterCount(shape) - parameterCount({ ...shape, blocks: [] });
  const gradients = plan.moments.at(-1)!.parts.find(({ name }) => name === 'gradients')!.bytes;
  assert.equal(plan.trainable, parameterCount(shape));
  assert.equal(gradients, 2 * (parameterCount(shape) - (layer * 4) / 5));
  assert.match(planned.notes.join(), /PEFT has no LISA/);
});

for (const options of [
  '',
  ', proj_type: reverse_std',
  ', proj_type: left',
  ', proj_type: right',
  ', proj_type: full',
]) {
  for (const kind of ['adamw', 'adafactor', 'sgd'] as const) {
    test(`GaLore keeps what its slots and bases hold: ${kind}${options}`, () => {
      const configs = methodsOf(
        `{ type: galore, rank: 40, target_modules: [k_proj, up_proj, down_proj]${options} }`,
      );
      const planned = plannedMethods(shape, configs);
      const run = memoryRun({ methods: planned.methods, optimizer: { kind }, weights: { dtype: 'fp32' } });
      const bytes = planMemory(planned.shape, run).parts.find(({ name }) => name === 'optimizer')!.bytes;
      const attached = attachMethod(configs[0]!, {
        model,
        modelName: BUNDLED,
        read: () => Promise.reject(new Error('no weights are read')),
        random: (...stream) => random(0, ...stream),
      });
      const optimizer = createOptimizer(trainingOptions({ optim: kind }));
      const slots = attached.trainables.flatMap((each) => optimizer.slots(each));
      const sizes = [...slots, ...attached.state!].map(({ variable }) => fixedSize(variable.shape));
      assert.equal(
        bytes,
        sizes.reduce((sum, size) => sum + 4 * size, 0),
      );
      assert.match(planned.notes.join(), /PEFT has no GaLore/);
    });
  }
}

test('what matches nothing is refused, as attaching refuses it', () => {
  assert.throws(
    () => plannedMethods(shape, methodsOf('{ type: lora, target_modules: [q_porj] }')),
    (error: unknown) => error instanceof ProblemError && error.problem.code === 'targets.no-match',
  );
});

test('methods of the run file are planned on every family', () => {
  const configs = methodsOf('[{ type: lora }, { type: child_tuning }]');
  for (const { config, id } of Object.values(MODELS) as readonly { config: JsonObject; id: string }[]) {
    const planned = plannedMethods(readModelShape(config, id), configs);
    assert.ok(countTrained(planned.shape, planned.methods).added > 0, id);
  }
});

test('the bundled model has the shape that its header tells', () => {
  const config = JSON.parse(readFileSync(`${BUNDLED}/config.json`, 'utf8')) as JsonObject;
  const header = [...checkpoint.tensors.values()].reduce(
    (sum, { shape: sizes }) => sum + sizes.reduce((product, size) => product * size, 1),
    0,
  );
  assert.equal(parameterCount(readModelShape(config, BUNDLED)), header);
});
