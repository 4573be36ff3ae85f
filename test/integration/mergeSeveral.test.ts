// Several adapters merged one after the other, and the base restored from what is merged, as a user does it.
import assert from 'node:assert/strict';
import { chmod, chown, cp, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { isJsonObject } from '../../src/common/json.js';
import { storedTensors } from '../../src/models/copySafetensors.js';
import { readSafetensorsHeader } from '../../src/models/safetensors.js';
import { writeSafetensors } from '../../src/models/writeSafetensors.js';
import { names, temporaryFolder } from '../support/adapters.js';
import { drawnAdapter } from '../support/drawnAdapter.js';
import { readJson } from '../support/fixtures.js';
import { openModel } from '../support/model.js';
import { document, run as cli } from '../unit/cli/support.js';
import { makeModel } from './engineModel.js';

const folder = temporaryFolder();
const base = await makeModel(path.join(folder, 'base'));
const opened = await openModel(base);
const at = (name: string): string => path.join(folder, name);
await drawnAdapter(at('lora'), 1, { type: 'lora', target_modules: ['q_proj', 'down_proj'] }, opened);
await drawnAdapter(at('dora'), 2, { type: 'lora', use_dora: true, target_modules: ['q_proj', 'v_proj'] }, opened);

/** The bytes of each tensor of a model folder, with its type, by name. */
async function tensorsOf(model: string): Promise<ReadonlyMap<string, string>> {
  const files = (await names(model)).filter((name) => name.endsWith('.safetensors'));
  const found = new Map<string, string>();
  for (const name of files) {
    const file = path.join(model, name);
    const bytes = await readFile(file);
    for (const { name: tensor, dtype, offset, length } of storedTensors([await readSafetensorsHeader(file)])) {
      found.set(tensor, `${dtype} ${bytes.toString('base64', offset, offset + length)}`);
    }
  }
  return found;
}

/** Runs `merge` and returns the folder written. */
async function merged(name: string, ...args: string[]): Promise<string> {
  const out = at(name);
  const ran = await cli(['merge', ...args, '--out', out]);
  assert.equal(ran.code, 0, ran.err);
  return out;
}

test('several adapters: each is merged into what those before it made', async () => {
  for (const [first, second] of [
    ['lora', 'dora'],
    ['dora', 'lora'],
  ] as const) {
    const both = await merged(`${first}-${second}`, at(first), at(second), '--model', base, '--dtype', 'F32');
    const one = await merged(`${first}-alone`, at(first), '--model', base, '--dtype', 'F32');
    const then = await merged(`${first}-then-${second}`, at(second), '--model', one, '--dtype', 'F32');
    assert.deepEqual(await tensorsOf(both), await tensorsOf(then));
    const record = await readJson(path.join(both, 'peft_studio_merge.json'));
    assert.deepEqual(record['merged_adapters'], [at(first), at(second)]);
  }
  // A magnitude goes by the weight that it finds: the order counts.
  assert.notDeepEqual(await tensorsOf(at('lora-dora')), await tensorsOf(at('dora-lora')));
});

test('what cannot be merged is named, and nothing is written', async () => {
  await drawnAdapter(at('prompt'), 3, { type: 'prompt_tuning', num_virtual_tokens: 2 }, opened);
  const ran = await cli(['merge', at('lora'), at('prompt'), '--model', base, '--out', at('none')]);
  assert.equal(ran.code, 2, ran.err);
  assert.match(ran.err, /merge\.not-mergeable/);
  assert.ok(ran.err.includes(at('prompt')), ran.err);
  assert.ok((await names(folder)).every((name) => !name.startsWith('none')));
});

test('adapters of other base models are refused, unless the base is named', async () => {
  const file = path.join(at('lora'), 'adapter_config.json');
  await cp(at('lora'), at('elsewhere'), { recursive: true });
  const config = { ...(await readJson(file)), base_model_name_or_path: '/elsewhere' };
  await writeFile(path.join(at('elsewhere'), 'adapter_config.json'), JSON.stringify(config));
  const refused = await cli(['merge', at('lora'), at('elsewhere'), '--out', at('refused')]);
  assert.equal(refused.code, 2);
  assert.match(refused.err, /adapter\.several-bases/);
  const ran = await cli(['merge', at('lora'), at('elsewhere'), '--model', base, '--out', at('named'), '--json']);
  assert.equal(ran.code, 0, ran.err);
  const { adapters, warnings } = document(ran);
  assert.deepEqual(adapters, [
    { folder: at('lora'), peft_type: 'LORA' },
    { folder: at('elsewhere'), peft_type: 'LORA' },
  ]);
  assert.ok(Array.isArray(warnings));
  assert.ok(warnings.some((each) => isJsonObject(each) && each['code'] === 'adapter.several-bases'));
});

test('an adapter that is named twice is merged twice, which is told', async () => {
  const ran = await cli(['merge', at('lora'), at('lora'), '--model', base, '--out', at('doubled'), '--json']);
  assert.equal(ran.code, 0, ran.err);
  const { warnings, adapters } = document(ran);
  assert.ok(Array.isArray(warnings) && Array.isArray(adapters) && adapters.length === 2);
  assert.ok(warnings.some((each) => isJsonObject(each) && each['code'] === 'adapter.twice'));
});

test('unmerge copies the base where it is as it was merged', async () => {
  const own = at('own-base');
  await cp(base, own, { recursive: true });
  const model = await merged('from-own', at('lora'), '--model', own, '--dtype', 'BF16');
  const ran = await cli(['unmerge', model, '--out', at('copied'), '--json']);
  assert.equal(ran.code, 0, ran.err);
  assert.deepEqual([document(ran)['from'], document(ran)['base']], ['base', own]);
  assert.deepEqual(await tensorsOf(at('copied')), await tensorsOf(base));
  assert.deepEqual(await names(at('copied')), await names(base));

  // It was moved: where it is now is to be said.
  await cp(own, at('moved'), { recursive: true });
  await rm(own, { recursive: true });
  const gone = await cli(['unmerge', model, '--out', at('again')]);
  assert.equal(gone.code, 2);
  assert.match(gone.err, /unmerge\.no-original/);
  assert.ok(gone.err.includes(own) && gone.err.includes('original'), gone.err);
  const moved = await cli(['unmerge', model, '--model', at('moved'), '--out', at('again')]);
  assert.equal(moved.code, 0, moved.err);
  assert.deepEqual(await tensorsOf(at('again')), await tensorsOf(base));

  // One bit of it is another.
  const file = path.join(at('moved'), 'model.safetensors');
  const bytes = await readFile(file);
  bytes[bytes.length - 1]! ^= 1;
  await writeFile(file, bytes);
  const changed = await cli(['unmerge', model, '--model', at('moved'), '--out', at('third')]);
  assert.equal(changed.code, 2);
  assert.match(changed.err, /model\.safetensors is another file/);
  assert.ok((await names(folder)).every((name) => !name.startsWith('third')));
});

for (const dtype of ['F32', 'BF16']) {
  test(`unmerge restores the base from what the merge kept: ${dtype}`, async () => {
    const own = at(`kept-base-${dtype}`);
    await cp(base, own, { recursive: true });
    const name = `kept-${dtype}`;
    const model = await merged(name, at('lora'), at('dora'), '--model', own, '--dtype', dtype, '--keep-original');
    await rm(own, { recursive: true });
    // Where a program looks for the weights of the model, there are no others.
    assert.deepEqual(
      (await names(model)).filter((each) => each.endsWith('.safetensors')),
      ['model.safetensors'],
    );
    const ran = await cli(['unmerge', model, '--out', at(`${name}-base`), '--json']);
    assert.equal(ran.code, 0, ran.err);
    assert.equal(document(ran)['from'], 'kept');
    assert.deepEqual(await tensorsOf(at(`${name}-base`)), await tensorsOf(base));
    const config = (of: string): Promise<string> => readFile(path.join(of, 'config.json'), 'utf8');
    assert.equal(await config(at(`${name}-base`)), await config(base));
    assert.deepEqual(await names(at(`${name}-base`)), await names(base));

    const kept = await readSafetensorsHeader(path.join(model, 'original/weights.safetensors'));
    const all = (await tensorsOf(base)).size;
    // As they were read, what no adapter changes is in the merged model; in another type all are others.
    if (dtype === 'F32') assert.ok(kept.tensors.size > 0 && kept.tensors.size < all / 2);
    else assert.equal(kept.tensors.size, all);

    const file = path.join(model, dtype === 'F32' ? 'model.safetensors' : 'original/weights.safetensors');
    const bytes = await readFile(file);
    for (let at = 1; at <= bytes.length / 2; at += 97) bytes[bytes.length - at]! ^= 1;
    await writeFile(file, bytes);
    const damaged = await cli(['unmerge', model, '--out', at('damaged')]);
    assert.equal(damaged.code, 2);
    assert.match(damaged.err, /unmerge\.damaged/);
    assert.ok((await names(folder)).every((each) => !each.startsWith('damaged')));
  });
}

test('a folder that was not merged is said to be none', async () => {
  const ran = await cli(['unmerge', base, '--out', at('unmerged')]);
  assert.equal(ran.code, 2);
  assert.match(ran.err, /unmerge\.no-record/);
  for (const [place, said] of [
    [at('nowhere'), /folder not found/],
    [path.join(base, 'config.json'), /is a file, not a folder/],
  ] as const) {
    const none = await cli(['unmerge', place, '--out', at('unmerged')]);
    assert.equal(none.code, 2, none.err);
    assert.match(none.err, said);
  }
});

test('nothing is written into what is read, through a link neither', async () => {
  const [merge, unmerge] = [
    ['merge', at('lora'), '--model', base],
    ['unmerge', await merged('whole', at('lora'), '--model', base)],
  ];
  await symlink(at('lora'), at('link'));
  for (const [args, out] of [
    [merge, path.join(at('lora'), 'merged')],
    [merge, path.join(at('link'), 'deep', 'merged')],
    [merge, path.join(base, 'merged')],
    [merge, path.join(base, 'merged.gguf')],
    [unmerge, path.join(at('whole'), 'base')],
    [['repair', at('lora')], path.join(at('lora'), 'repaired')],
  ] as const) {
    const ran = await cli([...args, '--out', out]);
    assert.equal(ran.code, 2, ran.err);
    assert.match(ran.err, /cli\.out-inside/);
  }
  for (const read of [at('lora'), base, at('whole')]) {
    assert.ok((await names(read)).every((name) => !/^(?:merged|deep|base|repaired)/.test(name)));
  }
});

test('a merged model that was merged again is restored, and its base of it', async () => {
  const once = await merged('once', at('lora'), '--model', base);
  const twice = await merged('twice', at('dora'), '--model', once);
  const restored = at('once-again');
  assert.equal((await cli(['unmerge', twice, '--out', restored])).code, 0);
  assert.deepEqual(await names(restored), await names(once));
  assert.deepEqual(await tensorsOf(restored), await tensorsOf(once));
  assert.equal((await cli(['unmerge', restored, '--out', at('base-again')])).code, 0);
  assert.deepEqual(await tensorsOf(at('base-again')), await tensorsOf(base));
});

test('a base that may only be read is restored all the same', async () => {
  const own = await mkdtemp(path.join(tmpdir(), 'peft-read-only-'));
  try {
    const [there, model] = [path.join(own, 'base'), path.join(own, 'merged')];
    await cp(base, there, { recursive: true });
    assert.equal((await cli(['merge', at('lora'), '--model', there, '--out', model])).code, 0);
    for (const name of await names(there)) await chmod(path.join(there, name), 0o444);
    const ran = await asUser(own, () => cli(['unmerge', model, '--out', path.join(own, 'restored')]));
    assert.equal(ran.code, 0, ran.err);
    assert.deepEqual(await names(path.join(own, 'restored')), await names(base));
  } finally {
    await rm(own, { recursive: true });
  }
});

/** Work without the rights of root, who may write everything. @param own a folder that becomes the user's */
async function asUser<T>(own: string, work: () => Promise<T>): Promise<T> {
  if (process.geteuid?.() !== 0) return work();
  const nobody = 65_534;
  for (const name of ['.', ...(await readdir(own, { recursive: true }))])
    await chown(path.join(own, name), nobody, nobody);
  process.seteuid!(nobody);
  try {
    return await work();
  } finally {
    process.seteuid!(0);
  }
}

test('of what lies beside kept weights only what a merge keeps is copied, and no link that leads elsewhere', async () => {
  const model = await merged('hostile', at('lora'), '--model', base, '--keep-original');
  const original = path.join(model, 'original');
  await mkdir(path.join(original, 'more'));
  await writeFile(path.join(original, 'setup.py'), 'print()');
  const ran = await cli(['unmerge', model, '--out', at('own-alone')]);
  assert.equal(ran.code, 0, ran.err);
  assert.deepEqual(await names(at('own-alone')), await names(base));
  execFileSync('mkfifo', [path.join(original, 'vocab.json')]);
  const piped = await cli(['unmerge', model, '--out', at('piped')]);
  assert.equal(piped.code, 2);
  assert.match(piped.err, /adapter\.no-file/);
  await rm(path.join(original, 'vocab.json'));
  const secret = at('secret.json');
  await writeFile(secret, '{}');
  await symlink(secret, path.join(original, 'added_tokens.json'));
  const linked = await cli(['unmerge', model, '--out', at('linked')]);
  assert.equal(linked.code, 2);
  assert.match(linked.err, /adapter\.link-outside/);
  assert.ok(!(await names(folder)).includes('linked'));
});

test('a copy of the output layer that a tied base does not read is kept, where merging unties the two', async () => {
  const own = at('tied');
  await cp(base, own, { recursive: true });
  const { tensors, read } = opened.checkpoint;
  const { shape } = tensors.get('model.embed_tokens.weight')!;
  const copy = {
    name: 'lm_head.weight',
    shape,
    dtype: 'F32',
    data: new Float32Array(shape[0]! * shape[1]!).fill(0.5),
  } as const;
  const all = [...tensors].map(
    ([name, info]) => ({ name, shape: info.shape, dtype: 'F32', data: () => read(name) }) as const,
  );
  await writeSafetensors(path.join(own, 'model.safetensors'), [...all, copy]);
  await drawnAdapter(at('embedding'), 4, { type: 'lora', target_modules: ['embed_tokens'] }, opened);
  const model = await merged('untied', at('embedding'), '--model', own, '--keep-original');
  const ran = await cli(['unmerge', model, '--out', at('tied-again')]);
  assert.equal(ran.code, 0, ran.err);
  assert.deepEqual(await tensorsOf(at('tied-again')), await tensorsOf(own));
});

test('what a merge kept is whole, or nothing is restored', async () => {
  const model = await merged('kept-whole', at('lora'), '--model', base, '--keep-original');
  for (const [name, code, break_] of [
    ['no-config', /unmerge\.damaged/, (of: string) => rm(path.join(of, 'original', 'config.json'))],
    [
      'other-config',
      /unmerge\.damaged/,
      (of: string) => writeFile(path.join(of, 'original', 'config.json'), '{}'),
    ],
    ['no-weights', /checkpoint\.no-weights/, (of: string) => rm(path.join(of, 'model.safetensors'))],
    ['no-record', /merge\.record\.json/, (of: string) => writeFile(path.join(of, 'peft_studio_merge.json'), '{')],
  ] as const) {
    await cp(model, at(name), { recursive: true });
    await break_(at(name));
    const ran = await cli(['unmerge', at(name), '--out', at(`${name}-base`)]);
    assert.equal(ran.code, 2, ran.err);
    assert.match(ran.err, code);
    assert.ok(!(await names(folder)).includes(`${name}-base`));
  }
});
