// A trained LoRA as a GGUF adapter, as a user makes it.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { readGgufHeader } from '../../src/models/gguf.js';
import { names, temporaryFolder } from '../support/adapters.js';
import { document, run as cli } from '../unit/cli/support.js';
import { emitted, makeModel, makeRun } from './engineModel.js';

const folder = temporaryFolder();
const model = await makeModel(path.join(folder, 'base'));

async function trained(name: string, method: object): Promise<string> {
  const training = { max_steps: 2, per_device_train_batch_size: 4, learning_rate: 1e-2 };
  const run = await makeRun(path.join(folder, name), model, { method: [method], training });
  const { error } = await emitted(run);
  assert.equal(error, undefined);
  const [only] = await names(path.join(run.folder, 'runs/small'));
  return path.join(run.folder, 'runs/small', only!);
}

const lora = await trained('lora', { type: 'lora', r: 4, target_modules: ['q_proj', 'down_proj'] });
const ia3 = await trained('ia3', { type: 'ia3' });

test('convert --to gguf: a run of LoRA, and what the command says of it', async () => {
  const out = path.join(folder, 'adapter.gguf');
  const ran = await cli(['convert', lora, '--to', 'gguf', '--out', out, '--json']);
  assert.equal(ran.code, 0, ran.err);
  const { conversion, tensors, modules, base } = document(ran);
  assert.deepEqual(conversion, { kind: 'gguf', dtype: 'F32', architecture: 'llama', alpha: 8 });
  assert.deepEqual([tensors, base, (modules as unknown[]).length], [8, model, 4]);
  const header = readGgufHeader(out);
  assert.equal(header.tensors.size, 8);
  assert.equal(header.metadata.get('general.type'), 'adapter');

  const half = path.join(folder, 'half.gguf');
  const said = await cli(['convert', path.join(lora, 'adapter'), '--to', 'gguf', '--dtype', 'f16', '--out', half]);
  assert.equal(said.code, 0, said.err);
  assert.match(said.out, /llama\.cpp's llama models/);
  assert.match(said.out, /Modules +4, of rank 4/);
  for (const { type } of readGgufHeader(half).tensors.values()) assert.equal(type.name, 'F16');
});

test('convert --to gguf: what cannot be done is named, and nothing is written', async () => {
  const out = path.join(folder, 'none.gguf');
  const gguf = ['--to', 'gguf'];
  for (const [args, message] of [
    [[ia3, ...gguf], /of type IA3[^]*--to lora/],
    [[lora, ...gguf, '--rank', '2'], /--rank is given, and does nothing here/],
    [[lora, ...gguf, '--energy', '0.5'], /--energy is given/],
    [[lora, ...gguf, '--dtype', 'Q8_0'], /--dtype is "Q8_0"[^]*F32, F16/],
    [[lora, '--to', 'lora', '--rank', '2', '--dtype', 'F16'], /--dtype is given/],
    [[lora, '--rank', '2', '--model', model], /--model is given/],
    [[lora, ...gguf, '--model', path.join(folder, 'nowhere')], /nowhere/],
    [[path.join(folder, 'nothing'), ...gguf], /nothing/],
  ] as const) {
    const ran = await cli(['convert', ...args, '--out', out]);
    assert.equal(ran.code, 2, ran.err);
    assert.match(ran.err, message);
  }
  assert.ok(!(await names(folder)).includes('none.gguf'));
  const there = await cli(['convert', lora, ...gguf, '--out', model]);
  assert.equal(there.code, 2);
  assert.match(there.err, /left as it is/);
});
