import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { readAdapter } from '../../../src/adapters/readAdapter.js';
import { writeAdapter } from '../../../src/adapters/writeAdapter.js';
import { names, problem, temporaryFolder, tokenizer } from '../../support/adapters.js';
import { fixture, readJson } from '../../support/fixtures.js';
import { attachAdapter, openModel } from '../../support/model.js';

const folder = temporaryFolder();
const extra = { tokenizer, card: '# card\n' };

for (const name of ['peft-adapter', 'peft-adapter-embedding', 'lora-steps/modules-to-save/final']) {
  test(`${name} written again is the same adapter, in keys that PEFT writes`, async () => {
    const source = fixture('lora-reference', name);
    const opened = await openModel(fixture('lora-reference/tiny-llama'));
    const { method, values } = await attachAdapter(opened, source);
    const saved = method.save(values);
    assert.ok(saved.kind === 'adapter');
    const out = path.join(folder, name.replaceAll('/', '-'));
    await writeAdapter(out, saved, extra);

    assert.deepEqual(await names(out), [
      'README.md',
      'adapter_config.json',
      'adapter_model.safetensors',
      'tokenizer.json',
    ]);
    const [written, original] = [await readAdapter(out), await readAdapter(source)];
    const copies = [...original.tensors.keys()].filter((key) => key.endsWith('.base_layer.weight'));
    assert.deepEqual(
      [...written.tensors.keys(), ...copies].sort(),
      [...original.tensors.keys()].sort(),
      'the same tensors, but for copies of the base',
    );
    for (const [key, { shape, dtype }] of written.tensors) {
      assert.equal(dtype, 'F32');
      assert.deepEqual(shape, original.tensors.get(key)!.shape);
      assert.deepEqual(await written.read(key), await original.read(key));
    }
    for (const [key, value] of Object.entries(written.config)) {
      assert.ok(key in original.config, `PEFT writes no ${key}`);
      if (key !== 'target_modules') assert.deepEqual(value, original.config[key], key);
    }
    const keys = Object.keys(await readJson(`${out}/adapter_config.json`));
    assert.deepEqual(keys, [...keys].sort());
    assert.match(await readFile(`${out}/adapter_config.json`, 'utf8'), /^\{\n {2}"alpha_pattern"/);
    const again = await attachAdapter(opened, out);
    assert.deepEqual(again.values, values);
  });
}

const config = { peft_type: 'LORA' };
const data = Float32Array.of(1, 2, 3, 4);

test('the order of patterns, which decides between two that match, is kept', async () => {
  const pattern = { q_proj: 2, 'layers.0.self_attn.q_proj': 4, a: 1 };
  const out = path.join(folder, 'patterns');
  const tensors = [{ name: 't', shape: [2, 2], data }];
  await writeAdapter(out, { kind: 'adapter', config: { rank_pattern: pattern, ...config }, tensors }, extra);
  const written = await readJson(`${out}/adapter_config.json`);
  assert.deepEqual(Object.keys(written), ['peft_type', 'rank_pattern']);
  assert.deepEqual(Object.keys(written['rank_pattern']!), Object.keys(pattern));
});

test('★65 tensors that share their numbers are each written', async () => {
  const shape = [2, 2];
  const out = path.join(folder, 'shared');
  const tensors = ['lm_head', 'embed_tokens'].map((name) => ({ name, shape, data }));
  await writeAdapter(out, { kind: 'adapter', config, tensors }, extra);
  const written = await (await readAdapter(out)).loadTensors();
  assert.deepEqual([...written.values()], tensors);
});

test('an existing folder is refused and left as it is', async () => {
  const out = path.join(folder, 'existing');
  await mkdir(out);
  await writeFile(path.join(out, 'precious'), 'x');
  await assert.rejects(
    writeAdapter(out, { kind: 'adapter', config, tensors: [] }, extra),
    problem('folder.exists', out),
  );
  assert.deepEqual(await names(out), ['precious']);
});

test('a failure leaves nothing', async () => {
  const parent = path.join(folder, 'failing');
  const tensors = [
    { name: 'good', shape: [2, 2], data },
    { name: 'short', shape: [3, 3], data },
  ];
  await assert.rejects(
    writeAdapter(path.join(parent, 'out'), { kind: 'adapter', config, tensors }, extra),
    problem('safetensors.data-length', 'short'),
  );
  assert.deepEqual(await names(parent), []);
});

test('a folder that cannot be made is said', async () => {
  await writeFile(path.join(folder, 'file'), '');
  await assert.rejects(
    writeAdapter(path.join(folder, 'file', 'out'), { kind: 'adapter', config, tensors: [] }, extra),
    problem('folder.no-parent', path.join(folder, 'file')),
  );
});

test('more than the disk holds is refused before anything is written', async () => {
  const parent = path.join(folder, 'big');
  const tensors = [{ name: 'big', shape: [2 ** 25, 2 ** 25], data }];
  await assert.rejects(
    writeAdapter(path.join(parent, 'out'), { kind: 'adapter', config, tensors }, extra),
    problem('folder.no-space', /\d+ MB are free/),
  );
  assert.deepEqual(await names(parent), []);
});
