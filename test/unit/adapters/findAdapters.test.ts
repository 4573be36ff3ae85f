import assert from 'node:assert/strict';
import { mkdir, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';
import { findAdapter } from '../../../src/adapters/findAdapters.js';
import type { FoundAdapter } from '../../../src/adapters/findAdapters.js';
import { findBase, readBaseModules, unmatchedModules } from '../../../src/adapters/findBase.js';
import { writeSafetensors } from '../../../src/models/writeSafetensors.js';
import type { IntegersToWrite, TensorToWrite } from '../../../src/models/writeSafetensors.js';
import type { AdapterParts } from '../../support/adapters.js';
import { adapterParts, temporaryFolder, writeParts } from '../../support/adapters.js';
import { fixture } from '../../support/fixtures.js';

const folder = temporaryFolder();
let count = 0;
const fresh = (): string => path.join(folder, String(++count));

async function changed(change: (parts: AdapterParts) => void): Promise<FoundAdapter> {
  const parts = await adapterParts('peft-adapter');
  change(parts);
  return (await findAdapter(await writeParts(fresh(), parts)))!;
}

async function written(files: Readonly<Record<string, string>>): Promise<FoundAdapter | undefined> {
  const at = fresh();
  await mkdir(at);
  for (const [name, content] of Object.entries(files)) await writeFile(path.join(at, name), content);
  return findAdapter(at);
}

describe('an adapter folder in a list', () => {
  test('is told by its config and its header', async () => {
    const found = (await findAdapter(fixture('lora-reference/peft-adapter')))!;
    assert.deepEqual(
      [found.format, found.method, found.base, found.rank, found.alpha, found.modules.length],
      ['peft', 'lora', 'tiny-llama', 4, 8, 14],
    );
    assert.deepEqual([found.irregular, found.problem], [[], undefined]);
    assert.ok(found.trainable! > 0 && found.bytes > 4 * found.trainable! && found.modified > 0);
  });
  test('of AdaLoRA has the rank it was led to', async () => {
    const found = await written({ 'adapter_config.json': '{"peft_type":"ADALORA","r":12,"target_r":8}' });
    assert.equal(found!.rank, 8);
  });
  test('counts the values of a mask without their places, and the bits of one that was learned', async () => {
    const counted = async (tensors: readonly (IntegersToWrite | TensorToWrite)[]): Promise<number | undefined> => {
      const at = fresh();
      await mkdir(at);
      await writeFile(path.join(at, 'adapter_config.json'), '{"peft_type":"FISH_MASK"}');
      await writeSafetensors(path.join(at, 'adapter_model.safetensors'), tensors);
      return (await findAdapter(at))!.trainable;
    };
    const places: IntegersToWrite = {
      name: 'a.weight.indices',
      shape: [3],
      data: Int32Array.of(0, 2, 9),
      dtype: 'I32',
    };
    const moves: TensorToWrite = { name: 'a.weight.values', shape: [3], data: new Float32Array(3), dtype: 'F32' };
    assert.equal(await counted([places, moves]), 3);
    assert.equal(await counted([{ ...places, name: 'a.weight.mask' }]), 96);
  });
  test('of the adapters library is known by its config', async () => {
    const config = {
      config: { architecture: null, reduction_factor: 16 },
      model_name: 'bert-base-uncased',
      name: 'sst',
    };
    const found = (await written({ 'adapter_config.json': JSON.stringify(config), 'pytorch_adapter.bin': 'x' }))!;
    assert.deepEqual([found.format, found.method, found.base], ['adapters', 'bottleneck', 'bert-base-uncased']);
    assert.equal(found.problem!.code, 'adapter.pickle');
  });
  test('that cannot be read says why', async () => {
    const codes = async (files: Readonly<Record<string, string>>): Promise<string> =>
      (await written(files))!.problem!.code;
    assert.equal(await codes({ 'adapter_config.json': '{ "r": ' }), 'adapter.config.json');
    assert.equal(await codes({ 'adapter_config.json': '{"r":8}' }), 'adapter.no-weights');
    assert.equal(await codes({ 'adapter_config.json': '{"peft_type":"LORA"}' }), 'adapter.no-weights');
    const config = { 'adapter_config.json': '{"peft_type":"LORA"}' };
    assert.equal(await codes({ ...config, 'adapter_model.bin': '' }), 'adapter.pickle');
    assert.match(await codes({ ...config, 'adapter_model.safetensors': 'version https://' }), /^safetensors\./);
  });
  test('whose weights are cut short says so and keeps what its config says', async () => {
    const at = await writeParts(fresh(), await adapterParts('peft-adapter'));
    await truncate(path.join(at, 'adapter_model.safetensors'), 5000);
    const found = (await findAdapter(at))!;
    assert.match(found.problem!.code, /^safetensors\./);
    assert.deepEqual([found.method, found.rank], ['lora', 4]);
  });
  test('that is gone is undefined', async () => {
    assert.equal(await findAdapter(path.join(folder, 'nothing')), undefined);
    assert.equal(await written({ 'config.json': '{}' }), undefined);
  });
});

describe('an irregular adapter', () => {
  test('names a module that one layer lacks', async () => {
    const found = await changed(({ tensors }) => {
      const kept = tensors.filter(({ name }) => !name.includes('layers.1.self_attn.q_proj'));
      tensors.splice(0, tensors.length, ...kept);
    });
    assert.deepEqual(found.irregular, ['self_attn.q_proj in 1 of 2 layers (not in 1)']);
  });
  test('that was made for some layers is regular', async () => {
    const found = await changed((parts) => {
      parts.tensors = parts.tensors.filter(({ name }) => !name.includes('layers.1.self_attn.q_proj'));
      parts.config = { ...parts.config, layers_to_transform: [0, 1] };
    });
    assert.deepEqual(found.irregular, []);
  });
  test('that names each module by its path has all it should: what SoRA left no rank is none of its targets', async () => {
    const leave = (name: string): boolean => !name.includes('layers.1.self_attn.q_proj');
    const named = async (targets: (paths: readonly string[]) => readonly string[]) =>
      changed((parts) => {
        parts.tensors = parts.tensors.filter(({ name }) => leave(name));
        const paths = parts.tensors
          .filter(({ name }) => name.endsWith('.lora_A.weight'))
          .map(({ name }) => name.replace(/^base_model\.model\.|\.lora_A\.weight$/g, ''));
        parts.config = { ...parts.config, target_modules: targets(paths) };
      });
    assert.deepEqual((await named((paths) => paths)).irregular, []);
    const lost = await named((paths) => [...paths, 'model.layers.1.self_attn.q_proj']);
    assert.deepEqual(lost.irregular, ['self_attn.q_proj in 1 of 2 layers (not in 1)']);
  });
  test('names ranks that the config does not', async () => {
    const found = await changed((parts) => {
      parts.config = { ...parts.config, rank_pattern: {} };
    });
    assert.deepEqual([found.irregular.length, found.faults.length, found.repairable], [0, 1, true]);
    assert.match(found.faults[0]!, /modules are of rank 2, 6, the config says r 4/);
  });
  test('that does not name its method is what its tensors say, with a fault', async () => {
    const found = await changed((parts) => {
      const named = Object.entries(parts.config);
      parts.config = Object.fromEntries(named.filter(([key]) => key !== 'peft_type'));
    });
    assert.deepEqual([found.method, found.base, found.problem], ['lora', 'tiny-llama', undefined]);
    assert.match(found.faults[0]!, /^peft_type is not given, and the tensors are those of LORA$/);
    assert.equal(found.repairable, true);
  });
  test('names halves without their other', async () => {
    const found = await changed(({ tensors }) => {
      tensors.splice(
        tensors.findIndex(({ name }) => name.includes('layers.0.mlp.up_proj.lora_B')),
        1,
      );
    });
    assert.equal(found.irregular[0], 'model.layers.0.mlp.up_proj without A or without B');
    assert.equal(found.repairable, undefined);
    assert.match(found.irregular[1]!, /^mlp\.up_proj in 1 of 2 layers/);
  });
});

describe('the base model of an adapter', () => {
  const model = fixture('lora-reference/tiny-llama');
  test('is found as a path, seen from a folder, in the hub and in its cache', async () => {
    const at = async (name: string | undefined): Promise<string> =>
      (await findBase(name, [path.dirname(model)])).key;
    assert.equal(await at(model), model);
    assert.equal(await at('tiny-llama'), model);
    assert.equal(await at('org/name'), 'org/name');
    assert.equal(await at('org/name@main'), 'org/name');
    assert.equal(await at('/x/models--org--name/snapshots/abc'), 'org/name');
    assert.equal(await at(undefined), '');
  });
  test('that is missing keeps its name and has no place', async () => {
    const gone = await findBase('C:\\models\\Llama', [folder]);
    assert.deepEqual([gone.label, gone.place, gone.remote], ['Llama', undefined, false]);
    assert.equal((await findBase('org/name', [folder])).remote, true);
  });
  test('is compared with the modules', async () => {
    const { modules } = (await findAdapter(fixture('lora-reference/peft-adapter')))!;
    const base = (await readBaseModules(model))!;
    assert.deepEqual(unmatchedModules(modules, base), []);
    const [first] = modules;
    const strange = [
      { ...first!, path: 'model.layers.9.self_attn.q_proj' },
      { ...first!, a: [2, 31] },
    ];
    const [absent, misfit] = unmatchedModules(strange, base);
    assert.equal(absent, '1 of 2 modules are not in the base, such as model.layers.9.self_attn.q_proj');
    assert.match(misfit!, /^1 of 2 modules do not fit: .* is \[32, 48\], the adapter's is \[32, 31\]$/);
  });
  test('may have further names in front, and packed matrices', () => {
    const module = { path: 'model.layers.0.mlp.up_proj', rank: 2, a: [2, 8], b: [9, 2] };
    const packed = { shapes: new Map([['layers.0.mlp.up_proj', []]]), tails: new Map<string, number[]>() };
    assert.deepEqual(unmatchedModules([module], packed), []);
    const behind = (shape: number[]): readonly string[] =>
      unmatchedModules([module], { shapes: new Map(), tails: new Map([['layers.0.mlp.up_proj', shape]]) });
    assert.deepEqual(behind([9, 8]), []);
    assert.deepEqual(behind([]), []);
    assert.match(behind([9, 7])[0]!, /do not fit/);
  });
});
