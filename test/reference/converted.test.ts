// Hugging Face PEFT and Transformers read what adapters were converted to. Needs Python (install.sh); run with
// PEFT_STUDIO_PYTHON=VENV/bin/python node test/run.mjs test/reference/converted.test.ts
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { writeDeltaFile } from '../../src/adapters/converting/deltaFile.js';
import { exactFactors } from '../../src/adapters/converting/exactFactors.js';
import { foundStarts, onOriginalBase } from '../../src/adapters/converting/originalBase.js';
import { readAdapter } from '../../src/adapters/readAdapter.js';
import { toDelta } from '../../src/adapters/converting/toDelta.js';
import { toLora, tunedByAdapter } from '../../src/adapters/converting/toLora.js';
import { writeAdapter } from '../../src/adapters/writeAdapter.js';
import { random } from '../../src/common/random.js';
import { AdaLoraOptions } from '../../src/methods/adalora.js';
import { LotrOptions } from '../../src/methods/lotr.js';
import { MeloraOptions } from '../../src/methods/melora.js';
import type { Attached, SavedAdapter, Values } from '../../src/methods/method.js';
import { attachMethod } from '../../src/methods/registry.js';
import type { MethodConfig } from '../../src/methods/registry.js';
import { readSafetensorsHeader } from '../../src/models/safetensors.js';
import { fixedSize } from '../../src/tensor/dims.js';
import { temporaryFolder, tokenizer } from '../support/adapters.js';
import { fixture, largestDifference, readInputIds, readTensors } from '../support/fixtures.js';
import { logitsOf, openModel } from '../support/model.js';
import { pythonServer } from './pythonServer.js';

const python = process.env['PEFT_STUDIO_PYTHON'];
const skip = python === undefined && 'set PEFT_STUDIO_PYTHON to a Python with peft (test/reference/install.sh)';
const server = pythonServer(python ?? '');
after(() => server.end());
const folder = temporaryFolder();
const ROWS = [[7, 8, 20, 33, 5, 61, 2, 90]];
const LLAMA = fixture('lora-reference', 'tiny-llama');
const GPT2 = fixture('gpt2', 'tiny-gpt2');
let count = 0;

/** Logits that a script of this folder computes; nothing is missed or passed over. */
async function logitsBy(script: string, args: string[], rows: number[][] = ROWS): Promise<Float32Array> {
  const [ids, out] = [path.join(folder, 'ids.json'), path.join(folder, 'out.safetensors')];
  await writeFile(ids, JSON.stringify(rows));
  await server.run(script, ...args, ids, out);
  const { metadata } = await readSafetensorsHeader(out);
  for (const key of ['missing_keys', 'unexpected_keys', 'warnings'])
    assert.equal(metadata[key] ?? '[]', '[]', key);
  const tensors = await readTensors(out);
  return Float32Array.from(rows.flatMap((_, at) => [...tensors.get(`logits.${at}`)!.data]));
}

async function written(saved: SavedAdapter): Promise<string> {
  const own = path.join(folder, String(++count));
  await writeAdapter(own, saved, { tokenizer, card: '' });
  return own;
}

/** Random numbers; of λ the first module has none that is not 0. */
function drawn({ trainables }: Attached, name: string): Values {
  const generator = random(3, name);
  let modules = 0;
  return new Map(
    trainables.map(({ variable: { name: own, shape } }) => {
      const live = own.endsWith('.lora_E') ? modules++ % 6 : Infinity;
      const draw = (_: unknown, at: number): number => (at < live ? 0.3 * generator.normal() : 0);
      return [own, Float32Array.from({ length: fixedSize(shape) }, draw)];
    }),
  );
}

const exact: readonly [name: string, base: string, config: MethodConfig][] = [
  ['AdaLoRA', LLAMA, Value.Parse(AdaLoraOptions, { type: 'adalora', init_r: 5, target_r: 2, lora_alpha: 7 })],
  [
    "AdaLoRA of GPT-2's Conv1D with biases and a whole module",
    GPT2,
    Value.Parse(AdaLoraOptions, {
      type: 'adalora',
      init_r: 5,
      target_r: 2,
      bias: 'lora_only',
      target_modules: ['c_attn', 'c_fc'],
      modules_to_save: ['wpe'],
    }),
  ],
  ['MELoRA', LLAMA, Value.Parse(MeloraOptions, { type: 'melora', l_num: 2, r: 3 })],
  ['LoTR', LLAMA, Value.Parse(LotrOptions, { type: 'lotr', r: 3, scale: 5 })],
];

for (const [name, base, config] of exact) {
  test(`PEFT loads the exact LoRA of ${name}`, { skip }, async () => {
    const opened = await openModel(base);
    const method = attachMethod(config, opened.context);
    const values = drawn(method, name);
    const own = method.save(values);
    assert.ok(own.kind === 'adapter');
    const factors = await exactFactors(await readAdapter(await written(own)));
    assert.ok(factors !== undefined);
    const { saved } = await toLora(tunedByAdapter(method, values), { factors }, opened.context);
    const ours = await logitsOf(opened, ROWS, { method, values });
    assert.ok(largestDifference(ours, await logitsOf(opened, ROWS)) > 1e-2);
    const difference = largestDifference(await logitsBy('peft_loads_ours.py', [base, await written(saved)]), ours);
    assert.ok(difference <= 1e-4, `${difference} apart`);
  });
}

test('PEFT loads what it had saved unconverted, back on the original base', { skip }, async () => {
  for (const name of ['pissa', 'olora', 'dora']) {
    const trained = await readAdapter(fixture('original-base', name, 'trained'));
    const opened = await openModel(LLAMA);
    const { saved } = await onOriginalBase(trained, await foundStarts(trained, opened.context));
    const own = await written(saved);
    const file = fixture('original-base', name, 'logits.safetensors');
    const { data } = (await readTensors(file)).get('logits')!;
    const logits = await logitsBy('peft_loads_ours.py', [LLAMA, own], await readInputIds(file));
    const difference = largestDifference(logits, data);
    assert.ok(difference <= 1e-4, `${name}: ${difference} apart`);
  }
});

test('Transformers adds a delta file to its base', { skip }, async () => {
  const opened = await openModel(GPT2);
  const options = Value.Parse(AdaLoraOptions, {
    type: 'adalora',
    init_r: 5,
    target_r: 2,
    bias: 'all',
    target_modules: ['c_attn'],
  });
  const method = attachMethod(options, opened.context);
  const values = drawn(method, 'delta');
  const found = await toDelta(tunedByAdapter(method, values), opened.context);
  const file = path.join(folder, 'delta.safetensors');
  await writeDeltaFile(file, found.tensors, found.about);
  const ours = await logitsOf(opened, ROWS, { method, values });
  const difference = largestDifference(await logitsBy('apply_delta.py', [GPT2, file]), ours);
  assert.ok(difference <= 1e-4, `${difference} apart`);
});
