// We read what Hugging Face PEFT writes, and compute what it does. Needs Python (install.sh); run with
// PEFT_STUDIO_PYTHON=VENV/bin/python node test/run.mjs test/reference
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, test } from 'node:test';
import { OTHER_PEFT_TYPES } from '../../src/adapters/otherFormats.js';
import { readAdapter } from '../../src/adapters/readAdapter.js';
import { ProblemError } from '../../src/common/problem.js';
import type { JsonObject } from '../../src/common/json.js';
import { random } from '../../src/common/random.js';
import { PEFT_TYPES } from '../../src/methods/registry.js';
import { problem, temporaryFolder } from '../support/adapters.js';
import { fixture, largestDifference, readTensors } from '../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../support/model.js';
import { pythonServer } from './pythonServer.js';

const python = process.env['PEFT_STUDIO_PYTHON'];
const skip = python === undefined && 'set PEFT_STUDIO_PYTHON to a Python with peft (test/reference/install.sh)';
const server = pythonServer(python ?? '');
after(() => server.end());
const folder = temporaryFolder();

const LLAMA = fixture('lora-reference/tiny-llama');
const TIED = fixture('lora-reference/tiny-llama-tied');
const GPT2 = fixture('gpt2/tiny-gpt2');
const T5 = fixture('t5/tiny-t5');
const QV = ['q_proj', 'v_proj'];
const ROWS = [7, 8].map((seed) => {
  const generator = random(seed, 'reference rows');
  return Array.from({ length: 16 }, () => generator.integer(96));
});

type Case = readonly [type: string, model: string, options: JsonObject];

const READ: readonly Case[] = [
  ['LORA', LLAMA, { target_modules: QV, r: 3, lora_alpha: 5 }],
  ['LORA', LLAMA, { target_modules: 'all-linear', r: 2, use_rslora: true }],
  [
    'LORA',
    LLAMA,
    {
      target_modules: '.*(q|down)_proj',
      rank_pattern: { 'layers.1.self_attn.q_proj': 2, down_proj: 5 },
      alpha_pattern: { '.*0.*q_proj': 3 },
    },
  ],
  [
    'LORA',
    LLAMA,
    { target_modules: QV, exclude_modules: ['layers.0.self_attn.q_proj'], init_lora_weights: false },
  ],
  ['LORA', LLAMA, { target_modules: QV, layers_to_transform: [1], layers_pattern: 'layers' }],
  ['LORA', TIED, { target_modules: QV, bias: 'all', init_lora_weights: 'gaussian' }],
  ['LORA', TIED, { target_modules: QV, bias: 'lora_only', init_lora_weights: 'orthogonal' }],
  ['LORA', LLAMA, { target_modules: QV, modules_to_save: ['lm_head', 'embed_tokens'] }],
  ['LORA', LLAMA, { target_modules: ['embed_tokens', 'v_proj'] }],
  ['LORA', LLAMA, { target_modules: QV, use_dora: true }],
  ['LORA', GPT2, { target_modules: ['c_attn', 'c_proj'], fan_in_fan_out: true, bias: 'all' }],
  ['LORA', GPT2, { target_modules: ['c_attn', 'wte'], use_dora: true, fan_in_fan_out: true }],
  ['LORA', GPT2, { target_modules: ['c_attn'], modules_to_save: ['wpe'], fan_in_fan_out: true }],
  ['LORA', T5, { target_modules: ['q', 'wo'], r: 2 }],
  ['LORA', LLAMA, { target_modules: QV, init_lora_weights: 'mica' }],
  ['ADALORA', LLAMA, { target_modules: QV, init_r: 4, target_r: 2, total_step: 10 }],
  [
    'ADALORA',
    GPT2,
    { target_modules: ['c_attn'], init_r: 4, total_step: 10, fan_in_fan_out: true, bias: 'lora_only' },
  ],
  ['LOKR', LLAMA, { target_modules: QV, r: 2, alpha: 3 }],
  ['LOKR', LLAMA, { target_modules: QV, r: 1, decompose_both: true, decompose_factor: 4 }],
  ['LOKR', TIED, { target_modules: QV, r: 3, rank_pattern: { q_proj: 1 }, modules_to_save: ['norm'] }],
  ['IA3', LLAMA, {}],
  [
    'IA3',
    GPT2,
    { target_modules: ['c_attn', 'mlp.c_proj'], feedforward_modules: ['mlp.c_proj'], fan_in_fan_out: true },
  ],
  ['IA3', T5, {}],
  ['PROMPT_TUNING', LLAMA, { num_virtual_tokens: 3 }],
  ['PROMPT_TUNING', GPT2, { num_virtual_tokens: 4 }],
  ['PREFIX_TUNING', LLAMA, { num_virtual_tokens: 3 }],
  ['PREFIX_TUNING', GPT2, { num_virtual_tokens: 3, prefix_projection: true, encoder_hidden_size: 24 }],
];

async function written(
  cases: readonly Case[],
): Promise<{ folders: string[]; logits: Float32Array[]; types: string[] }> {
  const jobs = cases.map(([type, model, options], at) => ({
    model,
    folder: path.join(folder, `${type}-${at}-${cases.length}`),
    type,
    options,
  }));
  const [list, ids, out] = ['jobs.json', 'ids.json', 'out.safetensors'].map((name) => path.join(folder, name));
  await writeFile(list!, JSON.stringify(jobs));
  await writeFile(ids!, JSON.stringify(ROWS));
  await server.run('peft_writes.py', list!, ids!, out!);
  const tensors = await readTensors(out!);
  const bytes = await readFile(out!);
  const { __metadata__: notes } = JSON.parse(bytes.toString('utf8', 8, 8 + Number(bytes.readBigUInt64LE(0)))) as {
    __metadata__: Record<string, string>;
  };
  return {
    folders: jobs.map((job) => job.folder),
    logits: jobs.map((_, at) =>
      Float32Array.from(ROWS.flatMap((__, row) => [...tensors.get(`${at}.${row}`)!.data])),
    ),
    types: JSON.parse(notes['peft_types']!) as string[],
  };
}

test('what PEFT computes with an adapter that it wrote is what we compute', { skip }, async () => {
  const { folders, logits, types } = await written(READ);
  for (const [at, [type, model, options]] of READ.entries()) {
    const name = `${type} ${path.basename(model)} ${JSON.stringify(options)}`;
    const opened = await openModel(model);
    const ours = await logitsOf(opened, ROWS, await attachAdapter(opened, folders[at]!));
    assert.ok(largestDifference(ours, await logitsOf(opened, ROWS)) > 1e-2, `${name} does something`);
    const difference = largestDifference(ours, logits[at]!);
    assert.ok(difference <= 1e-4, `${name}: ${difference} apart`);
  }
  // Each type that PEFT has is read here, or refused by its name.
  const read = new Set(READ.map(([type]) => type));
  const known = PEFT_TYPES.filter((type) => types.includes(type));
  assert.deepEqual([...read].sort(), [...known].sort());
  assert.deepEqual([...known, ...OTHER_PEFT_TYPES].sort(), types);
});

test('options of PEFT that would change the arithmetic are named', { skip }, async () => {
  const { folders } = await written([
    ['LORA', LLAMA, { target_modules: QV, trainable_token_indices: [3, 5] }],
    ['LORA', LLAMA, { target_modules: QV, lora_bias: true }],
    ['LORA', LLAMA, { target_modules: QV, alora_invocation_tokens: [5, 6] }],
    [
      'LORA',
      LLAMA,
      {
        target_modules: QV,
        layer_replication: [
          [0, 2],
          [1, 2],
        ],
      },
    ],
  ]);
  const opened = await openModel(LLAMA);
  for (const [at, key] of [
    'trainable_token_indices',
    'lora_bias',
    'alora_invocation_tokens',
    'layer_replication',
  ].entries()) {
    await assert.rejects(attachAdapter(opened, folders[at]!), problem('adapter.config', key));
  }
});

test(
  'a type that is not read is named with the Python that merges it, and the merged model is read',
  { skip },
  async () => {
    const { folders, logits } = await written([['LOHA', LLAMA, { target_modules: QV, r: 2, alpha: 4 }]]);
    const told = await readAdapter(folders[0]!).then(
      () => assert.fail('it was read'),
      (error: unknown) => (error instanceof ProblemError ? error.problem : assert.fail(String(error))),
    );
    assert.match(told.message, /LOHA, which Hugging Face PEFT has/);
    const code = /`(.+)`/.exec(told.mend ?? '')?.[1];
    assert.ok(code !== undefined);
    await server.run('snippet.py', folder, code);
    const merged = await openModel(path.join(folder, 'merged'));
    assert.ok(largestDifference(await logitsOf(merged, ROWS), logits[0]!) <= 1e-4);
  },
);
