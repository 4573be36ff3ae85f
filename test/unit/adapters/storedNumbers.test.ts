// An adapter that whole tensors are missing from is sound otherwise: its config says how many numbers there were.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { attachAdapter } from '../../../src/adapters/attachAdapter.js';
import { combineAdapters } from '../../../src/adapters/combining/combine.js';
import { checkTensors, inspectAdapter } from '../../../src/adapters/inspect.js';
import { readAdapter } from '../../../src/adapters/readAdapter.js';
import { writeAdapter } from '../../../src/adapters/writeAdapter.js';
import type { JsonObject } from '../../../src/common/json.js';
import type { NamedIndices, NamedTensor, SavedAdapter } from '../../../src/methods/method.js';
import { writeSafetensors } from '../../../src/models/writeSafetensors.js';
import { problem, temporaryFolder, tokenizer } from '../../support/adapters.js';
import { fixture, readJson } from '../../support/fixtures.js';
import { openModel } from '../../support/model.js';

const root = temporaryFolder();
const { context } = await openModel(fixture('lora-reference', 'tiny-llama'));
let count = 0;

const Q = 'model.layers.0.self_attn.q_proj';
const K = 'model.layers.0.self_attn.k_proj';

function saved(
  config: JsonObject,
  tensors: readonly NamedTensor[],
  indices?: readonly NamedIndices[],
): SavedAdapter {
  return {
    kind: 'adapter',
    config: { base_model_name_or_path: 'base', task_type: 'CAUSAL_LM', ...config },
    tensors,
    ...(indices === undefined ? {} : { indices }),
  };
}

const named = (name: string, ...data: number[]): NamedTensor => ({
  name,
  shape: [data.length],
  data: Float32Array.from(data),
});

function sparse(peftType: string, places: Readonly<Record<string, readonly number[]>>): SavedAdapter {
  const all = Object.entries(places);
  return saved(
    { peft_type: peftType, target_modules: 'all-linear' },
    all.map(([module, own]) => named(`${module}.weight.values`, ...own.map((place) => place / 100))),
    all.map(([module, own]) => ({ name: `${module}.weight.indices`, data: Int32Array.from(own) })),
  );
}

async function written(adapter: SavedAdapter): Promise<string> {
  const folder = path.join(root, String(++count));
  await writeAdapter(folder, adapter, { tokenizer, card: '' });
  return folder;
}

/** The same with only those tensors whose names pass. */
async function without(adapter: SavedAdapter, keep: (name: string) => boolean): Promise<string> {
  const folder = await written(adapter);
  await writeSafetensors(path.join(folder, 'adapter_model.safetensors'), [
    ...adapter.tensors.filter(({ name }) => keep(name)).map((each) => ({ ...each, dtype: 'F32' as const })),
    ...(adapter.indices ?? [])
      .filter(({ name }) => keep(name))
      .map((each) => ({ ...each, shape: [each.data.length], dtype: 'I32' as const })),
  ]);
  return folder;
}

const stored = async (folder: string): Promise<unknown> =>
  (await readJson(path.join(folder, 'adapter_config.json')))['stored_numbers'];

const CASES: readonly (readonly [adapter: SavedAdapter, numbers: number, left: number])[] = [
  ...['FISH_MASK', 'PAFI', 'SAM', 'LT_SFT', 'FISH_DIP'].map(
    (type) => [sparse(type, { [Q]: [1, 5, 9], [K]: [0, 7] }), 5, 3] as const,
  ),
  [
    saved({ peft_type: 'BITFIT', bias_terms: 'all' }, [
      named(`${Q}.bias.difference`, 1, 2),
      named(`${K}.bias.difference`, 3),
    ]),
    3,
    2,
  ],
  [
    saved({ peft_type: 'LAST_LAYERS', fraction: 0.25 }, [named(`${Q}.weight`, 1, 2), named(`${K}.weight`, 3, 4)]),
    4,
    2,
  ],
  [
    saved(
      { peft_type: 'LEARNED_MASK', target_modules: 'all-linear' },
      [],
      [
        { name: `${Q}.weight.mask`, data: Int32Array.of(1, 2) },
        { name: `${K}.weight.mask`, data: Int32Array.of(3) },
      ],
    ),
    3,
    2,
  ],
];

for (const [adapter, numbers, left] of CASES) {
  test(`${String(adapter.config['peft_type'])}: a file without a module's tensors is incomplete`, async () => {
    const whole = await written(adapter);
    assert.equal(await stored(whole), numbers);
    assert.deepEqual((await inspectAdapter(whole)).problems, []);
    await checkTensors(await readAdapter(whole));
    const part = await without(adapter, (name) => !name.startsWith(K));
    const { problems } = await inspectAdapter(part);
    assert.deepEqual(
      problems.map(({ code }) => code),
      ['adapter.incomplete'],
    );
    await assert.rejects(
      async () => checkTensors(await readAdapter(part)),
      problem('adapter.incomplete', `hold ${left} numbers`, `${numbers}, as stored_numbers`),
    );
    // From before the key.
    const file = path.join(part, 'adapter_config.json');
    await writeFile(file, JSON.stringify({ ...(await readJson(file)), stored_numbers: undefined }));
    assert.deepEqual((await inspectAdapter(part)).problems, []);
    await checkTensors(await readAdapter(part));
  });
}

test('an incomplete adapter is not attached, and not added to another', async () => {
  const adapter = sparse('FISH_MASK', { [Q]: [1, 5, 9], [K]: [0, 7] });
  const part = await readAdapter(await without(adapter, (name) => !name.startsWith(K)));
  await assert.rejects(attachAdapter(part, context), problem('adapter.incomplete'));
  const whole = await readAdapter(await written(adapter));
  const parts = [whole, part].map((each) => ({ adapter: each, weight: 1 }));
  await assert.rejects(combineAdapters(parts, context), problem('adapter.incomplete'));
});

test('a sum has a count of its own, and LT-SFT may hold no numbers at all', async () => {
  const a = await readAdapter(await written(sparse('LT_SFT', { [Q]: [1, 5, 9] })));
  const b = await readAdapter(await written(sparse('LT_SFT', { [Q]: [5, 10], [K]: [2] })));
  const parts = [a, b].map((adapter) => ({ adapter, weight: 1 }));
  const sum = await written((await combineAdapters(parts, context)).saved);
  assert.equal(await stored(sum), 5);
  await attachAdapter(await readAdapter(sum), context);
  const nothing = await written(sparse('LT_SFT', {}));
  assert.equal(await stored(nothing), 0);
  await attachAdapter(await readAdapter(nothing), context);
  assert.deepEqual((await inspectAdapter(nothing)).problems, []);
});

test('PEFT’s own formats get no key of ours', async () => {
  const folder = await written(saved({ peft_type: 'LORA', r: 2 }, [named('a', 1)]));
  assert.doesNotMatch(await readFile(path.join(folder, 'adapter_config.json'), 'utf8'), /stored_numbers/);
});
