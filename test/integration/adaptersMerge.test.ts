import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { mergeAdapter } from '../../src/adapters/merging/merge.js';
import type { MergeJob, MergeReport } from '../../src/adapters/merging/merge.js';
import { findMerged } from '../../src/adapters/merging/mergeRecord.js';
import { random } from '../../src/common/random.js';
import type { MethodConfig } from '../../src/methods/registry.js';
import { attachMethod } from '../../src/methods/registry.js';
import type { Attached, Values } from '../../src/methods/method.js';
import { LoraOptions } from '../../src/methods/lora.js';
import { fixedSize } from '../../src/tensor/dims.js';
import { Value } from '@sinclair/typebox/value';
import { names, problem, temporaryFolder, tokenizer } from '../support/adapters.js';
import { fixture, largestDifference, readInputIds, readJson, readTensors } from '../support/fixtures.js';
import type { Opened } from '../support/model.js';
import { attachAdapter, logitsOf, openModel } from '../support/model.js';

const folder = temporaryFolder();
const plain = await openModel(fixture('lora-reference/tiny-llama'));
const tied = await openModel(fixture('lora-reference/tiny-llama-tied'));
const rows = await readInputIds(fixture('lora-reference/tiny-llama/logits.safetensors'));
const EMBEDDING = 'model.embed_tokens.weight';
const HEAD = 'lm_head.weight';
let count = 0;

interface Adapter {
  readonly method: Attached;
  readonly values: Values;
}

const nextOut = (): string => path.join(folder, String(++count), 'merged');

function merge(opened: Opened, adapter: Adapter, options: Partial<MergeJob> = {}): Promise<MergeReport> {
  return mergeAdapter({ ...opened, ...adapter, methods: [adapter.method], tokenizer, out: nextOut(), ...options });
}

/** LoRA with random A and B (or whatever trains) on a model. */
function adapterOn(opened: Opened, options: Partial<LoraOptions>): Adapter {
  const method = attachMethod(
    Value.Default(LoraOptions, { type: 'lora', ...options }) as MethodConfig,
    opened.context,
  );
  const generator = random(1, 'values');
  const values = new Map(
    method.trainables.map(({ variable }) => [
      variable.name,
      Float32Array.from({ length: fixedSize(variable.shape) }, () => generator.normal() / 4),
    ]),
  );
  return { method, values };
}

/** Largest difference of logits between the merged folder and the adapter applied to its base. */
async function mergedDifference(report: MergeReport, opened: Opened, adapter: Adapter): Promise<number> {
  const merged = await openModel(report.out);
  return largestDifference(await logitsOf(merged, rows), await logitsOf(opened, rows, adapter));
}

for (const name of ['peft-adapter', 'peft-adapter-embedding']) {
  test(`merging ${name} gives the logits of PEFT's merge_and_unload`, async () => {
    const source = fixture('lora-reference', name);
    const expected = await readTensors(`${source}/logits.safetensors`);
    const ids = await readInputIds(`${source}/logits.safetensors`);
    const adapter = await attachAdapter(plain, source);
    const report = await merge(plain, adapter);
    const found = await logitsOf(await openModel(report.out), ids);
    assert.ok(largestDifference(found, expected.get('merged_logits')!.data) <= 1e-4);
    assert.ok(largestDifference(found, expected.get('base_logits')!.data) > 1e-2);
    assert.ok(report.verifiedDifference > 0 && report.verifiedDifference <= 1e-4);
    assert.deepEqual(
      [report.roundingDifference, report.tied, report.dtype, report.warnings],
      [0, 'not tied', 'F32', []],
    );
    assert.equal(report.tensorsChanged, name === 'peft-adapter' ? 14 : 4);
    assert.deepEqual(await names(path.dirname(report.out)), ['merged']);
    assert.deepEqual(await names(report.out), [
      'config.json',
      'generation_config.json',
      'model.safetensors',
      'tokenizer.json',
    ]);
    assert.deepEqual(await readJson(`${report.out}/config.json`), plain.checkpoint.config);
  });
}

for (const [name, opened] of [
  ['modules-to-save', plain],
  ['bias-all', tied],
] as const) {
  test(`merged equals adapter applied: ${name}`, async () => {
    const adapter = await attachAdapter(opened, fixture('lora-reference/lora-steps', name, 'final'));
    const report = await merge(opened, adapter, { dtype: 'F32' });
    assert.ok((await mergedDifference(report, opened, adapter)) <= 1e-4);
    const written = await openModel(report.out);
    const [key, parameter] =
      name === 'bias-all' ? ['model.layers.1.mlp.up_proj.bias', 'model.layers.1.mlp.up_proj.bias'] : [HEAD, HEAD];
    assert.deepEqual(await written.checkpoint.read(key), adapter.values.get(parameter));
  });
}

test('★21 an adapter on a tied output layer: it is untied, the embedding untouched', async () => {
  const adapter = adapterOn(tied, { target_modules: ['lm_head'] });
  const report = await merge(tied, adapter, { dtype: 'F32' });
  assert.deepEqual([report.tied, report.tensorsChanged], ['untied', 1]);
  assert.equal((await readJson(`${report.out}/config.json`))['tie_word_embeddings'], false);
  const { checkpoint } = await openModel(report.out);
  const base = await tied.checkpoint.read(EMBEDDING);
  assert.deepEqual(await checkpoint.read(EMBEDDING), base);
  assert.ok(largestDifference(await checkpoint.read(HEAD), base) > 0.1);
  assert.equal(checkpoint.tensors.size, tied.checkpoint.tensors.size + 1);
  assert.ok((await mergedDifference(report, tied, adapter)) <= 1e-4);
});

test('★21 an adapter on a tied embedding: the output layer keeps its numbers', async () => {
  const adapter = adapterOn(tied, { target_modules: ['embed_tokens'] });
  const report = await merge(tied, adapter, { dtype: 'F32' });
  assert.equal(report.tied, 'untied');
  const { checkpoint } = await openModel(report.out);
  const base = await tied.checkpoint.read(EMBEDDING);
  assert.deepEqual(await checkpoint.read(HEAD), base);
  assert.ok(largestDifference(await checkpoint.read(EMBEDDING), base) > 0.1);
  assert.ok((await mergedDifference(report, tied, adapter)) <= 1e-4);
});

test('embedding and output layer that stay equal stay one', async () => {
  const elsewhere = await merge(tied, adapterOn(tied, { target_modules: ['q_proj'] }));
  const adapter = adapterOn(tied, { target_modules: ['q_proj'], modules_to_save: ['embed_tokens', 'lm_head'] });
  const same = adapter.values.get(EMBEDDING)!;
  const values = new Map([...adapter.values, [HEAD, same]]);
  const both = await merge(tied, { method: adapter.method, values });
  for (const report of [elsewhere, both]) {
    assert.equal(report.tied, 'kept');
    assert.equal((await readJson(`${report.out}/config.json`))['tie_word_embeddings'], true);
    const { checkpoint } = await openModel(report.out);
    assert.deepEqual([...checkpoint.tensors.keys()].sort(), [...tied.checkpoint.tensors.keys()].sort());
  }
});

test("the base's dtype, and what its rounding does, in shards", async () => {
  const adapter = adapterOn(tied, { target_modules: ['q_proj', 'down_proj'] });
  const activities = new Set<string>();
  const report = await merge(tied, adapter, {
    maxShardBytes: 20_000,
    onProgress: ({ activity, done, total }) => {
      assert.ok(done <= total);
      activities.add(activity);
    },
  });
  assert.equal(report.dtype, 'BF16');
  assert.ok(report.verifiedDifference <= 1e-4);
  assert.ok(report.roundingDifference > report.verifiedDifference && report.roundingDifference < 0.5);
  const merged = await openModel(report.out);
  assert.ok([...merged.checkpoint.tensors.values()].every(({ dtype }) => dtype === 'BF16'));
  assert.ok((await names(report.out)).filter((name) => name.endsWith('.safetensors')).length > 1);
  const config = await readJson(`${report.out}/config.json`);
  assert.equal(config['dtype'] ?? config['torch_dtype'], 'bfloat16');
  const untouched = 'model.layers.0.mlp.up_proj.weight';
  assert.deepEqual(await merged.checkpoint.read(untouched), await tied.checkpoint.read(untouched));
  const bytes = [...merged.checkpoint.tensors.values()].reduce(
    (sum, { shape }) => sum + 2 * shape.reduce((a, b) => a * b),
    0,
  );
  assert.equal(report.bytes, bytes);
  assert.deepEqual([...activities], ['Merging and comparing logits']);
  const half = await merge(tied, adapter, { dtype: 'F16' });
  assert.ok(half.roundingDifference > 0 && half.roundingDifference < report.roundingDifference);
});

test('a model merged from a GGUF file has its end ids', async () => {
  const { gguf } = await readJson(fixture('gguf/model.json'));
  const file = path.join(folder, 'base.gguf');
  await writeFile(file, Buffer.from(String(gguf), 'base64'));
  const opened = await openModel(file);
  const report = await merge(opened, adapterOn(opened, { target_modules: ['q_proj'] }));
  assert.deepEqual(await readJson(`${report.out}/generation_config.json`), { bos_token_id: 1, eos_token_id: 2 });
});

test('a merged model says what it was merged from, where that is asked for', async () => {
  const record = { adapters: ['/adapters/sql'], base: 'org/name@abc' };
  const base_files: Record<string, string> = {};
  for (const name of ['config.json', 'model.safetensors']) {
    const bytes = await readFile(path.join(plain.checkpoint.source, name));
    base_files[name] = createHash('sha256').update(bytes).digest('hex');
  }
  const report = await merge(plain, adapterOn(plain, { target_modules: ['q_proj'] }), { record });
  const found = await findMerged(report.out);
  assert.deepEqual([found?.base, found?.problem], ['org/name@abc', undefined]);
  assert.deepEqual(found?.record, {
    merged_adapters: ['/adapters/sql'],
    base_model_name_or_path: 'org/name@abc',
    dtype: 'F32',
    verified_difference: report.verifiedDifference,
    base_files,
  });
  await openModel(report.out);
});

test('a method that cannot be merged says so', async () => {
  const method = attachMethod({ type: 'full' }, plain.context);
  await assert.rejects(
    merge(plain, { method, values: new Map() }),
    problem('merge.not-mergeable', "'full'", 'whole model'),
  );
});

test('a merge that is not the adapter is noticed before anything is written', async () => {
  const { method, values } = adapterOn(plain, { target_modules: ['v_proj'] });
  const wrong: Attached = {
    ...method,
    merge: (site, kind, base, at) => method.merge!(site, kind, base, at)?.map((value) => value * 1.01),
  };
  const out = nextOut();
  await assert.rejects(merge(plain, { method: wrong, values }, { out }), problem('merge.not-equal'));
  assert.deepEqual(await names(path.dirname(out)), []);
});

test('numbers that are not finite, or not in F16, end the merge', async () => {
  const adapter = adapterOn(plain, { target_modules: ['v_proj'] });
  const [name] = adapter.values.keys();
  const out = nextOut();
  const filled = (value: number): Adapter => ({
    ...adapter,
    values: new Map([...adapter.values, [name!, adapter.values.get(name!)!.map(() => value)]]),
  });
  await assert.rejects(merge(plain, filled(NaN), { out }), problem('merge.non-finite', 'v_proj.weight'));
  await assert.rejects(
    merge(plain, filled(1e7), { out, dtype: 'F16' }),
    problem('merge.overflow', 'v_proj.weight'),
  );
  assert.deepEqual(await names(path.dirname(out)), []);
});

test('an adapter that changes nothing is said to', async () => {
  const { method, values } = adapterOn(plain, { target_modules: ['v_proj'] });
  const zero = new Map([...values].map(([name, each]) => [name, each.map(() => 0)]));
  const report = await merge(plain, { method, values: zero });
  assert.equal(report.tensorsChanged, 0);
  assert.deepEqual(
    report.warnings.map(({ code }) => code),
    ['merge.nothing-changed'],
  );
});

test('an existing folder is refused; a merge that is broken off leaves nothing', async () => {
  const adapter = adapterOn(plain, { target_modules: ['v_proj'] });
  const out = nextOut();
  const stop = merge(plain, adapter, {
    out,
    onProgress: ({ done }) => {
      if (done === 5) throw new Error('stopped');
    },
  });
  await assert.rejects(stop, /stopped/);
  assert.deepEqual(await names(path.dirname(out)), []);
  await mkdir(out);
  await writeFile(path.join(out, 'precious'), 'x');
  await assert.rejects(merge(plain, adapter, { out }), problem('folder.exists', out));
  assert.deepEqual(await names(out), ['precious']);
});
