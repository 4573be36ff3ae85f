// Hugging Face PEFT reads what SoRA left, what DyLoRA was cut to and what ReLoRA and COLA merged. Needs Python (install.sh); run with
// PEFT_STUDIO_PYTHON=VENV/bin/python node test/run.mjs test/reference/ranks.test.ts
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { cutAdapter, writeConverted } from '../../src/adapters/converting/convert.js';
import { readAdapter } from '../../src/adapters/readAdapter.js';
import { writeAdapter } from '../../src/adapters/writeAdapter.js';
import { random } from '../../src/common/random.js';
import { ColaOptions } from '../../src/methods/cola.js';
import { DyLoraOptions } from '../../src/methods/dylora.js';
import type { Attached, Values } from '../../src/methods/method.js';
import { attachMethod } from '../../src/methods/registry.js';
import { ReLoraOptions } from '../../src/methods/relora.js';
import { afterMerges } from '../../src/methods/restartedLora.js';
import { SoraOptions } from '../../src/methods/sora.js';
import { fixedSize } from '../../src/tensor/dims.js';
import { temporaryFolder, tokenizer } from '../support/adapters.js';
import { fixture, largestDifference, readTensors } from '../support/fixtures.js';
import { logitsOf, openModel } from '../support/model.js';
import type { Opened } from '../support/model.js';
import { startValues } from '../support/startValues.js';
import { pythonServer } from './pythonServer.js';

const python = process.env['PEFT_STUDIO_PYTHON'];
const skip = python === undefined && 'set PEFT_STUDIO_PYTHON to a Python with peft (test/reference/install.sh)';
const server = pythonServer(python ?? '');
after(() => server.end());
const folder = temporaryFolder();
const ROWS = [[7, 8, 20, 33, 5, 61, 2, 90]];

/** PEFT's logits with an adapter; it warns of nothing and misses nothing. */
async function peftLogits(base: string, adapter: string): Promise<Float32Array> {
  const [ids, out] = [path.join(folder, 'ids.json'), path.join(folder, 'out.safetensors')];
  await writeFile(ids, JSON.stringify(ROWS));
  await server.run('peft_loads_ours.py', base, adapter, ids, out);
  const bytes = await readFile(out);
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + Number(bytes.readBigUInt64LE(0)))) as {
    __metadata__: Record<string, string>;
  };
  const { missing_keys, unexpected_keys, warnings } = header.__metadata__;
  assert.deepEqual([missing_keys, unexpected_keys, warnings ?? '[]'], ['[]', '[]', '[]']);
  const tensors = await readTensors(out);
  return Float32Array.from(ROWS.flatMap((_, at) => [...tensors.get(`logits.${at}`)!.data]));
}

/** Random numbers of A and B, and of gates of which the first module has none that is not 0, the next ones 1 to r. */
async function drawn({ trainables }: Attached, r: number): Promise<Values> {
  const generator = random(3, 'reference ranks');
  const values = await startValues(trainables);
  let module = 0;
  for (const [name, numbers] of values) {
    const live = name.endsWith('.gate') ? module++ % (r + 1) : numbers.length;
    values.set(
      name,
      numbers.map((_, at) => (at < live ? 0.3 * generator.normal() : 0)),
    );
  }
  return values;
}

async function written(method: Attached, values: Values, name: string): Promise<string> {
  const saved = method.save(values);
  assert.ok(saved.kind === 'adapter');
  const own = path.join(folder, name);
  await writeAdapter(own, saved, { tokenizer, card: '' });
  return own;
}

async function same(
  opened: Opened,
  base: string,
  adapter: string,
  method: Attached,
  values: Values,
): Promise<void> {
  const ours = await logitsOf(opened, ROWS, { method, values });
  assert.ok(largestDifference(ours, await logitsOf(opened, ROWS)) > 1e-2);
  const difference = largestDifference(await peftLogits(base, adapter), ours);
  assert.ok(difference <= 1e-4, `${difference} apart`);
}

for (const [name, at, targets] of [
  ['Llama', 'lora-reference/tiny-llama', 'all-linear'],
  ["GPT-2's Conv1D", 'gpt2/tiny-gpt2', ['c_attn', 'c_proj']],
] as const) {
  test(`PEFT loads the components that SoRA left, and none of modules without: ${name}`, { skip }, async () => {
    const opened = await openModel(fixture(at));
    const options = Value.Parse(SoraOptions, { type: 'sora', r: 3, target_modules: targets });
    const method = attachMethod(options, opened.context);
    const values = await drawn(method, 3);
    await same(opened, fixture(at), await written(method, values, `sora ${name}`), method, values);
  });

  for (const [form, options] of [
    ['ReLoRA, factors', { type: 'relora', r: 2, target_modules: targets }],
    ['ReLoRA, one matrix', { type: 'relora', r: 24, target_modules: targets }],
    ['COLA, ranks of their own', { type: 'cola', r: 3, target_modules: targets, rank_pattern: { '.*proj': 5 } }],
  ] as const) {
    test(`PEFT loads everything that was merged: ${form}, ${name}`, { skip }, async () => {
      const opened = await openModel(fixture(at));
      const schema = options.type === 'cola' ? ColaOptions : ReLoraOptions;
      const method = attachMethod(Value.Parse(schema, options), { ...opened.context, prepared: afterMerges(2) });
      const generator = random(4, 'reference merges');
      const values = new Map(
        method.trainables.map(({ variable: { name: key, shape } }) => [
          key,
          Float32Array.from({ length: fixedSize(shape) }, () => 0.1 * generator.normal()),
        ]),
      );
      await same(opened, fixture(at), await written(method, values, `${form} ${name}`), method, values);
    });
  }

  test(`PEFT loads DyLoRA's adapter, and what it was cut to: ${name}`, { skip }, async () => {
    const opened = await openModel(fixture(at));
    const options = { type: 'dylora', r: 3, lora_alpha: 5, eval_ranks: [1, 2], target_modules: targets };
    const method = attachMethod(Value.Parse(DyLoraOptions, options), opened.context);
    const values = await drawn(method, 3);
    const whole = await written(method, values, `dylora ${name}`);
    await same(opened, fixture(at), whole, method, values);
    for (const { rank, values: lower } of method.lowerRanks!) {
      const out = `${whole}-${rank}`;
      await writeConverted(out, await cutAdapter(await readAdapter(whole), rank), whole);
      await same(opened, fixture(at), out, method, lower(values));
    }
  });
}
