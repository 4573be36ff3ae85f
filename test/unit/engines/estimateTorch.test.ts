import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { readAdapter } from '../../../src/adapters/readAdapter.js';
import { writeAdapter } from '../../../src/adapters/writeAdapter.js';
import type { JsonObject } from '../../../src/common/json.js';
import { random } from '../../../src/common/random.js';
import { parseRunFile } from '../../../src/config/parseRunFile.js';
import type { RunConfig } from '../../../src/config/schema.js';
import { contractOf } from '../../../src/engines/estimateDocument.js';
import { estimateTorch } from '../../../src/engines/estimateTorch.js';
import { TORCH_OPTIMIZERS, plannedRun } from '../../../src/engines/plannedRun.js';
import type { TorchOptions } from '../../../src/engines/plannedRun.js';
import { readModelShape } from '../../../src/memory/readShape.js';
import type { ModelShape } from '../../../src/memory/modelShape.js';
import { attachMethod } from '../../../src/methods/registry.js';
import { loadTokenizer } from '../../../src/models/loadTokenizer.js';
import { openCheckpoint } from '../../../src/models/openCheckpoint.js';
import { readModel } from '../../../src/models/readModel.js';
import { readSafetensorsHeader } from '../../../src/models/safetensors.js';
import { fixture } from '../../support/fixtures.js';

const BUNDLED = 'examples/base-model/peft-studio-tiny';
const checkpoint = await openCheckpoint(BUNDLED);
const shape = readModelShape(checkpoint.config, BUNDLED);
const folder = mkdtempSync(path.join(tmpdir(), 'peft-estimate-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function configOf(sections: JsonObject = {}): RunConfig {
  const text = JSON.stringify({ model: 'm', data: { train: 'a.jsonl' }, method: { type: 'lora' }, ...sections });
  const { config, problems } = parseRunFile(text, 'a.peft.json');
  assert.ok(config, JSON.stringify(problems));
  return config;
}

const estimated = (
  sections: JsonObject = {},
  options: TorchOptions = { dtype: 'float32' },
  of: ModelShape = shape,
) => estimateTorch(of, configOf(sections), options).estimate;

/** Bytes of the tensors of an adapter's file, by its header. */
async function tensorBytes(file: string): Promise<number> {
  let bytes = 0;
  for (const [name, { length }] of (await readSafetensorsHeader(file)).tensors) {
    // PEFT writes the base's own matrix beside an adapted embedding.
    if (!name.includes('base_layer.weight')) bytes += length;
  }
  return bytes;
}

const METHODS: readonly JsonObject[] = [
  { type: 'lora', r: 5 },
  { type: 'lora', target_modules: ['embed_tokens', 'v_proj'], modules_to_save: ['model.norm', 'lm_head'] },
  { type: 'adalora', init_r: 3, target_r: 2 },
  { type: 'lotr', r: 3, share: 'shape' },
  { type: 'melora', l_num: 4, r: 3, modules_to_save: ['model.norm'] },
  { type: 'mora', r: 3 },
  { type: 'mora', r: 30, mora_type: 1, target_modules: ['k_proj', 'up_proj'] },
  { type: 'lokr', r: 3, decompose_both: true, modules_to_save: ['model.norm'] },
  { type: 'lokr', r: 64, decompose_factor: 4, target_modules: ['q_proj', 'down_proj'] },
  { type: 'prompt_tuning', num_virtual_tokens: 9 },
];
for (const method of METHODS) {
  test(`an adapter of the bundled model has the size that was told: ${JSON.stringify(method)}`, async () => {
    const config = configOf({ method });
    const attached = attachMethod(config.method[0]!, {
      model: readModel(checkpoint),
      modelName: BUNDLED,
      read: (name) => checkpoint.read(name),
      random: (...stream) => random(0, ...stream),
    });
    const values = new Map<string, Float32Array>();
    // AdaLoRA writes no triplets whose λ is 0.
    for (const { variable, start } of attached.trainables) values.set(variable.name, (await start()).fill(1));
    const saved = attached.save(values);
    assert.equal(saved.kind, 'adapter');
    const place = path.join(folder, `${METHODS.indexOf(method)}`);
    await writeAdapter(place, saved, { tokenizer: await loadTokenizer(BUNDLED), card: '' });
    const told = estimated({ method });
    const written = await tensorBytes(path.join(place, 'adapter_model.safetensors'));
    assert.equal(told.results[0]?.bytes, written);
    assert.equal(told.plan.adapterFileBytes, written);
  });
}

const PEFT_ADAPTERS = [
  ['lora-reference/peft-adapter', 'lora-reference/tiny-llama'],
  ['lora-reference/peft-adapter-embedding', 'lora-reference/tiny-llama'],
  ['gpt2/peft-adapter-embeddings', 'gpt2/tiny-gpt2'],
  ['decoders/tiny-qwen2/adapter', 'decoders/tiny-qwen2'],
  ['decoders/tiny-gemma3/adapter', 'decoders/tiny-gemma3'],
  ['adalora/whole', 'lora-reference/tiny-llama-tied'],
  ['lokr/both-split', 'lora-reference/tiny-llama'],
  ['module-updates/melora-llama', 'lora-reference/tiny-llama'],
  ['module-updates/mora-6-gpt2', 'gpt2/tiny-gpt2'],
  ['lokr/patterns', 'lora-reference/tiny-llama-tied'],
  ['prompt-tuning/llama', 'lora-reference/tiny-llama'],
] as const;
for (const [name, base] of PEFT_ADAPTERS) {
  test(`an adapter that Hugging Face PEFT wrote has the size that was told: ${name}`, async () => {
    const adapter = await readAdapter(fixture(name));
    const { options } = adapter.format.options(adapter.config, adapter.configFile);
    const { config } = await openCheckpoint(fixture(base));
    const told = estimateTorch(
      readModelShape(config, base),
      { ...configOf(), method: [options] },
      { dtype: 'float32' },
    ).estimate;
    assert.equal(told.results[0]?.bytes, await tensorBytes(adapter.weightsFile));
  });
}

test('the run file decides batch, length, accumulation and optimizer', () => {
  const config = configOf({
    data: { train: 'a.jsonl', max_length: 77 },
    training: {
      per_device_train_batch_size: 3,
      gradient_accumulation_steps: 5,
      optim: 'sgd',
      momentum: 0.9,
      learning_rate: 0.1,
    },
  });
  const { run } = plannedRun(shape, config, { dtype: 'bfloat16', quantization: 'nf4-double' });
  const { batch, length, accumulation, optimizer, weights, compute, attention, checkpointing } = run;
  assert.deepEqual([batch, length, accumulation], [3, 77, 5]);
  assert.deepEqual(optimizer, { kind: 'sgd', momentum: true });
  assert.deepEqual(weights, { dtype: 'bf16', quantization: { kind: 'nf4', doubleQuantization: true } });
  assert.deepEqual([compute, attention, checkpointing], ['bf16', 'sdpa', false]);
});

test("AdamW is the Trainer's fused one, unless another is named", () => {
  const optimizer = (optim?: TorchOptions['optim']) =>
    plannedRun(shape, configOf(), { dtype: 'float32', ...(optim === undefined ? {} : { optim }) }).run.optimizer;
  assert.deepEqual(optimizer(), { kind: 'adamw', implementation: 'fused' });
  assert.deepEqual(optimizer('adamw_torch'), TORCH_OPTIMIZERS.adamw_torch);
  assert.deepEqual(optimizer('adamw_8bit'), { kind: 'adamw-8bit' });
});

test('the document: its five sums are the total, in bytes', () => {
  const found = estimated({ method: [{ type: 'lora' }, { type: 'child_tuning' }] });
  const { total, weights, activations, gradients, optimizer, other, trainable, parameters } = contractOf(found);
  assert.equal(weights + activations + gradients + optimizer + other, total);
  assert.equal(weights, 4 * parameters);
  assert.equal(parameters, 1_246_592);
  assert.equal(trainable, 97_280);
  assert.deepEqual(
    found.results.map(({ method }) => method),
    ['lora'],
  );
});

test('a whole model is what full fine-tuning and LISA write', () => {
  for (const type of ['full', 'lisa']) {
    const [result] = estimated({ method: { type } }, { dtype: 'bfloat16' }).results;
    assert.deepEqual(result, { method: type, what: 'model', bytes: 2 * 1_246_592 });
  }
});

test('what PEFT does otherwise is said', () => {
  const said = (method: JsonObject | JsonObject[], options: Partial<TorchOptions> = {}): string =>
    estimated({ method }, { dtype: 'float32', ...options }).notes.join('\n');
  assert.match(said({ type: 'fish_mask' }), /PEFT has no fish_mask/);
  assert.match(said([{ type: 'lora' }, { type: 'child_tuning' }]), /PEFT has no Child-Tuning/);
  assert.match(said([{ type: 'lora' }, { type: 'prompt_tuning' }]), /PEFT attaches one adapter/);
  assert.match(said({ type: 'lora' }, { quantization: 'nf4' }), /prepare_model_for_kbit_training/);
  assert.match(said({ type: 'lora' }, { sharding: { kind: 'fsdp', devices: 4 } }), /per device, of 4/);
  assert.doesNotMatch(said({ type: 'lora' }), /PEFT has no|attaches/);
});
