// Hugging Face PEFT and Transformers read what we write. Needs Python (install.sh); run with
// PEFT_STUDIO_PYTHON=VENV/bin/python node test/run.mjs test/reference
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { mergeAdapter } from '../../src/adapters/merging/merge.js';
import { writeAdapter } from '../../src/adapters/writeAdapter.js';
import { random } from '../../src/common/random.js';
import { attachMethods } from '../../src/engines/session.js';
import { AdaLoraOptions } from '../../src/methods/adalora.js';
import { DoraRankOptions } from '../../src/methods/doraRank.js';
import type { Ia3Options } from '../../src/methods/ia3.js';
import { LokrOptions } from '../../src/methods/lokr.js';
import type { LoraOptions } from '../../src/methods/lora.js';
import type { Attached, Values } from '../../src/methods/method.js';
import type { PromptTuningOptions } from '../../src/methods/promptTuning.js';
import { attachMethod } from '../../src/methods/registry.js';
import type { MethodConfig } from '../../src/methods/registry.js';
import { fixedSize } from '../../src/tensor/dims.js';
import { temporaryFolder, tokenizer } from '../support/adapters.js';
import { fixture, largestDifference, readTensors } from '../support/fixtures.js';
import type { Opened } from '../support/model.js';
import { attachAdapter, logitsOf, openModel } from '../support/model.js';
import { startValues } from '../support/startValues.js';
import { emitted, makeModel, makeRun } from '../integration/engineModel.js';
import { eventsOf, loraMethod } from '../unit/training/jobs.js';
import { pythonServer } from './pythonServer.js';

const python = process.env['PEFT_STUDIO_PYTHON'];
const skip = python === undefined && 'set PEFT_STUDIO_PYTHON to a Python with peft (test/reference/install.sh)';

const server = pythonServer(python ?? '');
after(() => server.end());
const folder = temporaryFolder();
// Ids that every base has.
const ROWS = [7, 8].map((seed) => {
  const generator = random(seed, 'reference rows');
  return Array.from({ length: 24 }, () => generator.integer(96));
});
let count = 0;

/** Runs one of the scripts on ROWS; tensors by name and row, and the notes beside them. */
async function reference(
  script: string,
  ...folders: string[]
): Promise<{ logits: (name: string) => Float32Array; notes: Record<string, string> }> {
  const [ids, out] = [path.join(folder, 'ids.json'), path.join(folder, `out-${++count}.safetensors`)];
  await writeFile(ids, JSON.stringify(ROWS));
  await server.run(script, ...folders, ids, out);
  const tensors = await readTensors(out);
  const bytes = await readFile(out);
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + Number(bytes.readBigUInt64LE(0)))) as {
    __metadata__?: Record<string, string>;
  };
  return {
    logits: (name) => Float32Array.from(ROWS.flatMap((_, at) => [...tensors.get(`${name}.${at}`)!.data])),
    notes: header.__metadata__ ?? {},
  };
}

/**
 * PEFT 0.21 warns of the rank pattern of every AdaLoRA adapter, of those that it saved itself, too, and reads it; and of its own
 * merge of modules whose weight is tied.
 */
const OF_ITS_OWN =
  /^The following rank_pattern keys did not match .*\.lora_E'|^Model has `tie_word_embeddings=True` and a tied layer/;

/** PEFT's logits with our adapter, and Transformers' of our merge where there is one, are ours. */
async function compare(
  opened: Opened,
  base: string,
  adapter: string,
  parts: { method: Attached; values: Values },
): Promise<void> {
  const ours = await logitsOf(opened, ROWS, parts);
  const plain = await logitsOf(opened, ROWS);
  assert.ok(largestDifference(ours, plain) > 1e-2, 'the adapter does something');

  const { logits, notes } = await reference('peft_loads_ours.py', base, adapter);
  const { warnings = '[]', ...keys } = notes;
  assert.deepEqual(keys, { missing_keys: '[]', unexpected_keys: '[]' });
  const told = (JSON.parse(warnings) as string[]).filter((warning) => !OF_ITS_OWN.test(warning));
  assert.deepEqual(told, []);
  assert.ok(largestDifference(logits('base'), plain) <= 1e-4);
  assert.ok(
    largestDifference(logits('logits'), ours) <= 1e-4,
    `${largestDifference(logits('logits'), ours)} apart`,
  );

  if (parts.method.merge === undefined) return;
  const out = path.join(folder, `merged-${++count}`);
  await mergeAdapter({ ...opened, ...parts, methods: [parts.method], tokenizer, out, dtype: 'F32' });
  const merged = await reference('logits.py', out);
  assert.ok(largestDifference(merged.logits('logits'), ours) <= 1e-4);
}

test('PEFT loads the adapter that a run of the engine wrote', { skip }, async () => {
  const base = await makeModel(path.join(folder, 'base'));
  const run = await makeRun(path.join(folder, 'run'), base, {
    training: { max_steps: 6, per_device_train_batch_size: 4, learning_rate: 2e-2 },
  });
  const { events, error } = await emitted(run);
  assert.equal(error, undefined);
  const adapter = eventsOf(events, 'finished')[0]!.adapter;
  const opened = await openModel(base);
  await compare(opened, base, adapter, await attachAdapter(opened, adapter));
});

const TINY = fixture('lora-reference/tiny-llama');
const TIED = fixture('lora-reference/tiny-llama-tied');
const GPT2 = fixture('gpt2/tiny-gpt2');
const GPT2_BARE = fixture('gpt2/tiny-gpt2-bare');
const T5 = fixture('t5/tiny-t5');
const T5_GATED = fixture('t5/tiny-t5-gated');
const cases: [name: string, base: string, options: Partial<LoraOptions>][] = [
  [
    'rank_pattern and alpha_pattern',
    TINY,
    { r: 4, rank_pattern: { 'layers.1.self_attn.q_proj': 2, down_proj: 6 }, alpha_pattern: { v_proj: 16 } },
  ],
  ['use_rslora', TINY, { r: 4, lora_alpha: 6, use_rslora: true }],
  ['a regular expression', TINY, { target_modules: '.*layers\\.1\\..*(q|v)_proj' }],
  ['exclude_modules', TINY, { exclude_modules: ['layers.0.self_attn.q_proj', 'up_proj'] }],
  [
    'layers_to_transform beside a whole path',
    TINY,
    { target_modules: ['q_proj', 'lm_head'], layers_to_transform: [1] },
  ],
  ['modules_to_save', TINY, { target_modules: ['q_proj'], modules_to_save: ['lm_head', 'embed_tokens'] }],
  ['embedding and output layer as targets', TINY, { target_modules: ['embed_tokens', 'lm_head', 'v_proj'] }],
  ['bias: all', TIED, { bias: 'all' }],
  ['bias: lora_only', TIED, { bias: 'lora_only', target_modules: ['q_proj', 'up_proj'] }],
  ["GPT-2's c_attn", GPT2, { target_modules: ['c_attn'] }],
  ['every Conv1D and bias of GPT-2 without the prefix', GPT2_BARE, { bias: 'all' }],
  ['a whole Conv1D and learned positions', GPT2, { target_modules: ['c_attn'], modules_to_save: ['c_fc', 'wpe'] }],
  ['queries and values of both stacks of T5', T5, { target_modules: ['q', 'v'] }],
  ['every linear of T5 1.1 and whole norms', T5_GATED, { modules_to_save: ['final_layer_norm'] }],
  [
    'a layer of either stack of T5',
    T5,
    { target_modules: ['q', 'wo'], layers_to_transform: [1], layers_pattern: 'block' },
  ],
  ['embeddings of GPT-2 without the prefix', GPT2_BARE, { target_modules: ['wte', 'wpe', 'c_attn'] }],
  ['embedding and tied head', TIED, { target_modules: ['embed_tokens', 'lm_head', 'v_proj'] }],
  ['a start off the base', TINY, { init_lora_weights: 'pissa', r: 3, rank_pattern: { down_proj: 2 } }],
  ["a start off GPT-2's Conv1D, rank-stabilized", GPT2, { init_lora_weights: 'olora', use_rslora: true, r: 3 }],
  ['DoRA with patterns', TINY, { use_dora: true, rank_pattern: { down_proj: 6 }, alpha_pattern: { v_proj: 16 } }],
  ['DoRA with biases, rank-stabilized', TIED, { use_dora: true, use_rslora: true, bias: 'all' }],
  ['DoRA of embedding and tied head', TIED, { use_dora: true, target_modules: ['embed_tokens', 'lm_head'] }],
  [
    "DoRA of GPT-2's Conv1D and embeddings",
    GPT2,
    { use_dora: true, target_modules: ['wte', 'wpe', 'c_attn', 'c_fc'] },
  ],
  ['DoRA of both stacks of T5', T5, { use_dora: true, target_modules: ['q', 'v', 'wo'] }],
  ['DoRA with a start off the base', TINY, { use_dora: true, init_lora_weights: 'milora', r: 3 }],
];

/** An adapter of random numbers, as we write it; some of them as `adjusted` has them. */
async function compareRandom(
  config: MethodConfig,
  base: string,
  name: string,
  adjusted: (name: string, numbers: Float32Array) => Float32Array = (_, numbers) => numbers,
): Promise<void> {
  const opened = await openModel(base);
  const [method] = attachMethods([config], { ...opened.context, modelName: base }) as [Attached];
  const generator = random(3, name);
  const values = new Map(
    method.trainables.map(({ variable }) => [
      variable.name,
      adjusted(
        variable.name,
        Float32Array.from({ length: fixedSize(variable.shape) }, () => generator.normal() / 4),
      ),
    ]),
  );
  const saved = method.save(values);
  assert.ok(saved.kind === 'adapter');
  const adapter = path.join(folder, `adapter-${++count}`);
  await writeAdapter(adapter, saved, { tokenizer, card: '' });
  await compare(opened, base, adapter, { method, values });
}

for (const [name, base, options] of cases) {
  test(`PEFT loads our adapter: ${name}`, { skip }, () => compareRandom(loraMethod(options), base, name));
}

/** Methods that prune components of rank 5, and leave modules with none. */
const pruned: [name: string, base: string, config: MethodConfig][] = [
  ...(
    [
      ['Llama', TINY, {}],
      ['biases, and a whole module', TIED, { bias: 'lora_only', modules_to_save: ['norm'] }],
      ["GPT-2's Conv1D", GPT2, { target_modules: ['c_attn', 'c_proj'] }],
      ['T5', T5, { target_modules: ['q', 'v', 'wo'] }],
    ] as const
  ).map(([name, base, options]): [string, string, MethodConfig] => [
    `AdaLoRA, ${name}`,
    base,
    Value.Parse(AdaLoraOptions, { type: 'adalora', init_r: 5, target_r: 2, ...options }),
  ]),
  ...(
    [
      ['Llama', TINY, {}],
      ["GPT-2's Conv1D", GPT2, { target_modules: ['c_attn', 'c_proj'] }],
      ['T5', T5, { target_modules: ['q', 'v', 'wo'] }],
    ] as const
  ).map(([name, base, options]): [string, string, MethodConfig] => [
    `dynamic-rank DoRA, ${name}`,
    base,
    Value.Parse(DoraRankOptions, { type: 'dora_rank', r: 2, start_rank: 5, ...options }),
  ]),
];

for (const [name, base, config] of pruned) {
  test(`PEFT loads what was left in all modules but those of rank 0: ${name}`, { skip }, async () => {
    let modules = 0;
    await compareRandom(config, base, name, (variable, numbers) => {
      if (!/\.lora_(E|scaler)$/.test(variable)) return numbers;
      // Of the first module nothing is left, of the next ones 1 to 5 components.
      const rank = modules++ % 6;
      return numbers.map((factor, at) => ((at * 2) % 5 < rank ? factor : 0));
    });
    assert.ok(modules > 3);
  });
}

const prompts: [name: string, base: string, init: PromptTuningOptions['prompt_tuning_init']][] = [
  ['Llama', TINY, 'RANDOM'],
  ['GPT-2', GPT2, 'SAMPLE_VOCAB'],
  ['Gemma 1, which scales its embeddings', fixture('decoders/tiny-gemma'), 'RANDOM'],
  ['Gemma 2', fixture('decoders/tiny-gemma2'), 'SAMPLE_VOCAB'],
  ['Gemma 3', fixture('decoders/tiny-gemma3'), 'SAMPLE_VOCAB'],
];

for (const [name, base, init] of prompts) {
  test(`PEFT loads our virtual tokens: ${name}`, { skip }, () =>
    compareRandom({ type: 'prompt_tuning', num_virtual_tokens: 5, prompt_tuning_init: init }, base, name),
  );
}

const prefixes: [name: string, base: string, projects: boolean][] = [
  ['Llama, whose heads share keys', TINY, false],
  ['Mistral, which sees a window', fixture('lora-reference/tiny-mistral'), true],
  ['GPT-2', GPT2, false],
  ['Gemma 3', fixture('decoders/tiny-gemma3'), true],
  ['T5, of other depths on both sides', T5, false],
  ['T5 with a gated feed-forward part', T5_GATED, true],
];

for (const [name, base, prefix_projection] of prefixes) {
  test(`PEFT loads our prefix: ${name}`, { skip }, () =>
    compareRandom({ type: 'prefix_tuning', num_virtual_tokens: 5, prefix_projection }, base, name),
  );
}

const scales: [name: string, base: string, options: Partial<Ia3Options>][] = [
  ['its modules for Llama', TINY, {}],
  ['biases, and a whole module', TIED, { modules_to_save: ['model.norm'] }],
  ["GPT-2's Conv1D", GPT2, {}],
  [
    'all linear modules, some of them by their input',
    TINY,
    { target_modules: 'all-linear', feedforward_modules: ['o_proj'] },
  ],
  [
    'feed-forward modules by an ending',
    TINY,
    { target_modules: ['q_proj', 'down_proj'], feedforward_modules: ['n_proj'] },
  ],
  ['T5', T5, {}],
];

for (const [name, base, options] of scales) {
  test(`PEFT loads our (IA)³ vectors: ${name}`, { skip }, () =>
    compareRandom({ type: 'ia3', init_ia3_weights: true, ...options }, base, name),
  );
}

const kroneckers: [name: string, base: string, options: Partial<LokrOptions>][] = [
  ['KronA: both whole, of chosen sizes', TINY, { r: 64, alpha: 32, decompose_factor: 4 }],
  ['the second split', TINY, { r: 2 }],
  ['both split', TINY, { r: 1, decompose_both: true, target_modules: ['q_proj', 'down_proj', 'lm_head'] }],
  [
    'patterns, and a whole module',
    TIED,
    {
      r: 4,
      rank_pattern: { q_proj: 1 },
      alpha_pattern: { 'layers.1.mlp.up_proj': 3 },
      modules_to_save: ['model.norm'],
    },
  ],
  ['T5', T5, { r: 2, target_modules: ['q', 'wo'] }],
];

for (const [name, base, options] of kroneckers) {
  test(`PEFT loads our LoKr factors: ${name}`, { skip }, () =>
    compareRandom(Value.Parse(LokrOptions, { type: 'lokr', ...options }), base, name),
  );
}

test('PEFT loads virtual tokens that started from a text', { skip }, async () => {
  const opened = await openModel(TINY);
  const encoder = { ...tokenizer, encode: () => [7, 8, 9] };
  const config: MethodConfig = {
    type: 'prompt_tuning',
    num_virtual_tokens: 4,
    prompt_tuning_init: 'TEXT',
    prompt_tuning_init_text: 'Translate:',
  };
  const method = attachMethod(config, { ...opened.context, modelName: TINY, tokenizer: encoder });
  const values = await startValues(method.trainables);
  const saved = method.save(values);
  assert.ok(saved.kind === 'adapter');
  const adapter = path.join(folder, `adapter-${++count}`);
  await writeAdapter(adapter, saved, { tokenizer, card: '' });
  await compare(opened, TINY, adapter, { method, values });
});
