// Delta files, as a user makes them and reads them again.
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { openCheckpoint } from '../../src/models/openCheckpoint.js';
import { readSafetensorsHeader } from '../../src/models/safetensors.js';
import { writeSafetensors } from '../../src/models/writeSafetensors.js';
import { names, temporaryFolder } from '../support/adapters.js';
import { fixture, readJson, readTensors } from '../support/fixtures.js';
import { document, run as cli } from '../unit/cli/support.js';
import { emitted, makeModel, makeRun } from './engineModel.js';

const folder = temporaryFolder();
const model = await makeModel(path.join(folder, 'base'));
const biased = path.join(folder, 'gpt2');
cpSync(fixture('gpt2', 'tiny-gpt2'), biased, { recursive: true });
await writeFile(path.join(biased, 'tokenizer.json'), await readFile(path.join(model, 'tokenizer.json')));

async function trained(name: string, method: object, result: string): Promise<string> {
  const training = { max_steps: 3, per_device_train_batch_size: 4, learning_rate: 1e-2 };
  const run = await makeRun(path.join(folder, name), model, { method: [method], training });
  const { error } = await emitted(run);
  assert.equal(error, undefined);
  const [only] = await names(path.join(run.folder, 'runs/small'));
  return path.join(run.folder, 'runs/small', only!, result);
}

async function convert(...args: string[]): Promise<Record<string, unknown>> {
  const ran = await cli(['convert', ...args, '--json']);
  assert.equal(ran.code, 0, ran.err);
  return document(ran);
}

const bytes = (file: string): Promise<Buffer> => readFile(path.join(file, 'adapter_model.safetensors'));

test('an adapter of sparse differences becomes a delta and the same adapter again, bit for bit', async () => {
  for (const type of ['pafi', 'lt_sft']) {
    const adapter = await trained(
      type,
      type === 'pafi' ? { type, keep_ratio: 0.05 } : { type, ft_params_proportion: 0.02 },
      'adapter',
    );
    const [delta, again] = [path.join(folder, `${type}.safetensors`), path.join(folder, `${type}-again`)];
    const { tensors } = await convert(adapter, '--to', 'delta', '--out', delta);
    const list = tensors as { name: string; kind: string; norm: number }[];
    assert.ok(list.length > 4 && list.every(({ kind, norm }) => kind === 'sparse' && norm > 0));
    // Under the base's own names.
    const base = await openCheckpoint(model);
    assert.ok(list.every(({ name }) => base.tensors.has(name)));
    await convert(delta, '--to', 'sparse', '--out', again);
    assert.deepEqual(await bytes(again), await bytes(adapter));
    assert.deepEqual(
      await readJson(`${again}/adapter_config.json`),
      await readJson(`${adapter}/adapter_config.json`),
    );
  }
});

test('BitFit becomes a delta of dense biases and BitFit again, bit for bit; and a LoRA where weights are wanted', async () => {
  // The fixture's numbers with a base that has biases.
  const tensors = [...(await readTensors(fixture('gpt2', 'tiny-gpt2', 'model.safetensors'))).values()];
  const own = tensors
    .filter(({ name }) => name.endsWith('.bias') && !name.endsWith('.attn.bias'))
    .map(({ name, shape, data }) => ({
      name: `${name.startsWith('transformer.') ? '' : 'transformer.'}${name}.difference`,
      shape,
      dtype: 'F32' as const,
      data: data.map((_, at) => Math.fround(Math.sin(at + shape[0]!) / 7)),
    }));
  const adapter = path.join(folder, 'bitfit');
  await mkdir(adapter);
  await writeSafetensors(path.join(adapter, 'adapter_model.safetensors'), own);
  await writeFile(
    path.join(adapter, 'adapter_config.json'),
    JSON.stringify({
      peft_type: 'BITFIT',
      bias_terms: 'all',
      base_model_name_or_path: biased,
      task_type: 'CAUSAL_LM',
    }),
  );
  const [delta, again] = [path.join(folder, 'biases.safetensors'), path.join(folder, 'bitfit-again')];
  const told = await convert(adapter, '--to', 'delta', '--out', delta);
  assert.ok((told['tensors'] as { kind: string }[]).every(({ kind }) => kind === 'dense'));
  await convert(delta, '--to', 'bitfit', '--out', again);
  const [before, after] = [
    await readTensors(`${adapter}/adapter_model.safetensors`),
    await readTensors(`${again}/adapter_model.safetensors`),
  ];
  assert.equal(before.size, after.size);
  for (const [name, { data }] of before) assert.deepEqual(after.get(name)!.data, data, name);

  const sparse = await cli(['convert', delta, '--to', 'sparse', '--out', path.join(folder, 'none')]);
  assert.equal(sparse.code, 2);
  assert.match(sparse.err, /no place for[^]*--to bitfit/);
  const lora = await cli(['convert', delta, '--to', 'lora', '--rank', '1', '--out', path.join(folder, 'none')]);
  assert.equal(lora.code, 2);
  assert.match(lora.err, /only biases or norms have changed[^]*--to delta/);

  // A header that describes an adapter of fewer biases than the file has.
  const header = await readSafetensorsHeader(delta);
  const fewer = path.join(folder, 'fewer.safetensors');
  const adapter_config = JSON.stringify({ peft_type: 'BITFIT', bias_terms: ['intermediate'] });
  await writeSafetensors(
    fewer,
    [...(await readTensors(delta)).values()].map((each) => ({ ...each, dtype: 'F32' as const })),
    { ...header.metadata, adapter_config },
  );
  const left = await cli(['convert', fewer, '--to', 'bitfit', '--out', path.join(folder, 'none')]);
  assert.equal(left.code, 2, left.out);
  assert.match(left.err, /the delta changes .*\.bias, which the adapter that its header describes does not train/);
});

test('a model minus its base, in shards or as it is, and what the file makes of the base again', async () => {
  const full = await trained('full', { type: 'full' }, 'model');
  const delta = path.join(folder, 'full.safetensors');
  const { tensors, norm } = await convert(full, '--to', 'delta', '--model', model, '--out', delta);
  assert.ok(Number(norm) > 0);
  const [base, tuned] = [await openCheckpoint(model), await openCheckpoint(full)];
  const file = await readTensors(delta);
  for (const { name, kind } of tensors as { name: string; kind: string }[]) {
    if (kind !== 'dense') continue; // rows of tokens that no text had
    const [before, after] = [await base.read(name), await tuned.read(name)];
    assert.deepEqual(
      file.get(name)!.data,
      after.map((value, at) => value - before[at]!),
      name,
    );
  }
  const header = await readSafetensorsHeader(delta);
  assert.equal(header.metadata['base_model_name_or_path'], model);
  assert.match(header.metadata['base_sha256']!, /^[0-9a-f]{64}$/);
  // To a LoRA from the file and from the model itself: the same.
  const [one, two] = [path.join(folder, 'of-delta'), path.join(folder, 'of-model')];
  const ofDelta = await convert(delta, '--to', 'lora', '--rank', '3', '--out', one);
  const ofModel = await convert(full, '--to', 'lora', '--rank', '3', '--model', model, '--out', two);
  assert.ok(Math.abs(Number(ofDelta['lost']) - Number(ofModel['lost'])) < 1e-3);
  const layers = ofModel['layers'] as { layer: string; norm: number; error: number }[];
  assert.ok(layers.some(({ layer }) => layer === 'model.layers.0'));
  assert.ok(layers.every(({ error }) => error > 0 && error < 1));
  // Its matrices as sparse differences, of all numbers.
  const sparse = await cli(['convert', delta, '--to', 'sparse', '--out', path.join(folder, 'dense-as-sparse')]);
  assert.equal(sparse.code, 0, sparse.err);
  assert.match(sparse.out, /FISH_MASK/);
});

test('a delta is refused on another base, and what is none, or damaged, is named', async () => {
  const delta = path.join(folder, 'pafi.safetensors');
  const out = path.join(folder, 'nothing');
  const other = path.join(folder, 'other');
  cpSync(model, other, { recursive: true });
  const tensors = [...(await readTensors(path.join(model, 'model.safetensors'))).values()];
  await writeSafetensors(
    path.join(other, 'model.safetensors'),
    tensors.map((each) => ({ ...each, dtype: 'F32', data: each.data.map((value) => value + 0.5) })),
  );
  for (const [args, message] of [
    [[delta, '--to', 'sparse', '--model', other], /other numbers in the tensors/],
    [[delta, '--to', 'bitfit'], /which is no bias/],
    [[delta, '--to', 'sparse', '--model', biased], /which the base does not have/],
    [[path.join(model, 'model.safetensors'), '--to', 'sparse'], /is no delta/],
    [[model, '--to', 'sparse'], /does not say what it was trained from/],
    [[path.join(folder, 'nowhere.safetensors'), '--to', 'sparse'], /there is no folder or file/],
    [[delta, '--to', 'delta'], /ends in \.safetensors/],
    [[delta, '--to', 'lora'], /how much to keep/],
    [[delta, '--to', 'sparse', '--rank', '2'], /--rank is given/],
  ] as const) {
    const ran = await cli(['convert', ...args, '--out', out]);
    assert.equal(ran.code, 2, `${args.join(' ')}\n${ran.out}${ran.err}`);
    assert.match(ran.err, message);
  }
  const own = path.join(folder, 'bitfit');
  for (const args of [
    [own, '--to', 'delta', '--out', path.join(own, 'delta.safetensors')],
    [own, '--to', 'gguf', '--out', path.join(own, 'delta.gguf')],
    [model, '--to', 'lora', '--rank', '2', '--model', other, '--out', path.join(model, 'lora')],
  ]) {
    const inside = await cli(['convert', ...args]);
    assert.equal(inside.code, 2, inside.err);
    assert.match(inside.err, /cli\.out-inside/);
  }
  const twice = await cli(['convert', delta, '--to', 'delta', '--out', `${out}.safetensors`]);
  assert.equal(twice.code, 2);
  assert.match(twice.err, /is a delta file already/);
  const damaged = path.join(folder, 'damaged.safetensors');
  const whole = await readFile(delta);
  await writeFile(damaged, whole.subarray(0, whole.length - 8));
  const cut = await cli(['convert', damaged, '--to', 'sparse', '--out', out]);
  assert.equal(cut.code, 2);
  assert.match(cut.err, /safetensors\./);
  assert.ok(!(await names(folder)).includes('nothing'));
});
