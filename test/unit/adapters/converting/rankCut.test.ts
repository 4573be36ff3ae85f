// A LoRA of its first components: the ranks of an adapter that was trained at all of them.
import assert from 'node:assert/strict';
import { cp, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { cutAdapter, writeConverted } from '../../../../src/adapters/converting/convert.js';
import { atRank } from '../../../../src/adapters/converting/rankCut.js';
import { readAdapter } from '../../../../src/adapters/readAdapter.js';
import { writeAdapter } from '../../../../src/adapters/writeAdapter.js';
import type { JsonObject } from '../../../../src/common/json.js';
import { DyLoraOptions, dylora } from '../../../../src/methods/dylora.js';
import { names, problem, temporaryFolder, tokenizer } from '../../../support/adapters.js';
import { fixture, largestDifference, readJson, readTensors } from '../../../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../../../support/model.js';
import { readValues } from '../../../support/torchSteps.js';

const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
const values = await readValues('dylora', 'initial.safetensors');
const IDS = [[5, 6, 70, 12, 9, 44, 3]];
const folder = temporaryFolder();
const OPTIONS = { type: 'dylora', r: 5, lora_alpha: 8, target_modules: ['q_proj', 'v_proj', 'down_proj'] };
const method = dylora.attach(Value.Parse(DyLoraOptions, { ...OPTIONS, eval_ranks: [1, 2, 3, 4] }), opened.context);

const nested = path.join(folder, 'nested');
const saved = method.save(values);
assert.ok(saved.kind === 'adapter');
await writeAdapter(nested, saved, { tokenizer, card: '# dylora adapter\n' });

/** The same tensors as a LoRA that nothing says how it was trained of, with other options. */
async function plain(name: string, options: JsonObject = {}): Promise<string> {
  const own = path.join(folder, name);
  assert.ok(saved.kind === 'adapter');
  await writeAdapter(
    own,
    { kind: 'adapter', config: { ...saved.config, ...options }, tensors: saved.tensors },
    { tokenizer, card: '' },
  );
  return own;
}

for (const rank of [1, 2, 3, 4, 5]) {
  test(`rank ${rank} of a nested adapter: what training measures at it, and no warning`, async () => {
    const out = path.join(folder, `rank-${rank}`);
    const converted = await cutAdapter(await readAdapter(nested), rank);
    assert.deepEqual(converted.warnings, []);
    await writeConverted(out, converted, nested);
    const config = await readJson(path.join(out, 'adapter_config.json'));
    assert.deepEqual([config['r'], config['lora_alpha'], config['alpha_pattern']], [rank, 8, {}]);
    const tensors = await readTensors(path.join(out, 'adapter_model.safetensors'));
    for (const [key, { shape }] of tensors) assert.equal(shape[key.includes('lora_A') ? 0 : 1], rank, key);
    const cut = await attachAdapter(opened, out);
    assert.deepEqual(cut.warnings, []);
    const at = method.lowerRanks!.find((each) => each.rank === rank)?.values(values) ?? values;
    const wanted = await logitsOf(opened, IDS, { method, values: at });
    assert.ok(largestDifference(await logitsOf(opened, IDS, cut), wanted) <= 1e-4);
    // It can be cut again, and says what became of it.
    assert.ok((await readAdapter(out)).nested);
    assert.match(await readFile(path.join(out, 'README.md'), 'utf8'), /^# dylora adapter\n\nCut from rank 5 /);
    assert.deepEqual(await names(out), await names(nested));
  });
}

test('any other LoRA: the components that stay count as much as before, and it is said what is lost', async () => {
  const own = await plain('plain');
  const { adapter, from, warnings } = atRank(await readAdapter(own), 2);
  assert.deepEqual(
    [from, warnings.map(({ code, severity }) => [code, severity])],
    [5, [['convert.not-nested', 'warning']]],
  );
  assert.deepEqual([adapter.config['r'], adapter.config['lora_alpha']], [2, (8 * 2) / 5]);
  const whole = await attachAdapter(opened, own);
  const zeroed = new Map(
    [...whole.values].map(([name, data]) => [
      name,
      name.endsWith('lora_A') ? data.map((value, at) => (at < (2 * data.length) / 5 ? value : 0)) : data,
    ]),
  );
  const wanted = await logitsOf(opened, IDS, { method: whole.method, values: zeroed });
  const out = path.join(folder, 'plain-2');
  await writeConverted(out, await cutAdapter(await readAdapter(own), 2), own);
  assert.ok(largestDifference(await logitsOf(opened, IDS, await attachAdapter(opened, out)), wanted) <= 1e-4);
  // At its own rank nothing is cut off.
  assert.deepEqual(atRank(await readAdapter(own), 5).warnings, []);
});

test('modules of several ranks, rank-stabilized: lower ones stay, each with its scale', async () => {
  const own = await plain('patterns', {
    use_rslora: true,
    rank_pattern: { 'model.layers.0.self_attn.q_proj': 1 },
    alpha_pattern: { v_proj: 3 },
  });
  // One module has rank 1.
  const file = path.join(own, 'adapter_model.safetensors');
  const tensors = [...(await readTensors(file)).values()].map((each) => {
    if (!each.name.includes('layers.0.self_attn.q_proj')) return each;
    const isA = each.name.includes('lora_A');
    const shape = isA ? [1, each.shape[1]!] : [each.shape[0]!, 1];
    return {
      ...each,
      shape,
      data: isA ? each.data.slice(0, shape[1]) : each.data.filter((_, at) => at % 5 === 0),
    };
  });
  const uneven = path.join(folder, 'uneven');
  await writeAdapter(
    uneven,
    { kind: 'adapter', config: await readJson(path.join(own, 'adapter_config.json')), tensors },
    { tokenizer, card: '' },
  );
  const before = await attachAdapter(opened, uneven);
  const out = path.join(folder, 'uneven-2');
  await writeConverted(out, await cutAdapter(await readAdapter(uneven), 2), uneven);
  const after = await attachAdapter(opened, out);
  const [old, now] = [before, after].map(
    ({ method: each, values: numbers }) => new Map(each.report!(numbers).map((told) => [told.path, told])),
  );
  for (const [at, { rank, scale }] of now!) {
    assert.equal(rank, Math.min(2, old!.get(at)!.rank!), at);
    assert.ok(Math.abs(scale! - old!.get(at)!.scale!) <= 1e-12, at);
  }
  assert.deepEqual(after.warnings, []);
});

test('refused: ranks that are none, methods without components, damaged files', async () => {
  const adapter = await readAdapter(nested);
  for (const rank of [0, -1, 2.5, 6, NaN])
    assert.throws(() => atRank(adapter, rank), problem('convert.rank', 'rank 5', '1 to 5'));
  const adalora = await readAdapter(fixture('adalora/phases/final'));
  assert.throws(() => atRank(adalora, 1), problem('convert.method', 'ADALORA'));
  const half = { ...adapter, tensors: new Map([...adapter.tensors].filter(([name]) => !name.includes('lora_B'))) };
  assert.throws(() => atRank(half, 1), problem('adapter.shape', 'B is []'));
  const none = { ...adapter, tensors: new Map() };
  assert.throws(() => atRank(none, 1), problem('convert.rank', 'no pair'));
  // What is there already is not written over.
  const converted = await cutAdapter(adapter, 1);
  const taken = path.join(folder, 'taken');
  await cp(nested, taken, { recursive: true });
  await writeFile(path.join(taken, 'note'), 'mine');
  await assert.rejects(writeConverted(taken, converted, nested), problem('folder.exists'));
  assert.equal((await readAdapter(taken)).config['r'], 5);
});
