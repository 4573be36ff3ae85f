// A whole fine-tune, and adapters that are no LoRA, as the nearest LoRA, as a user makes it.
import assert from 'node:assert/strict';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { openCheckpoint } from '../../src/models/openCheckpoint.js';
import { writeSafetensors } from '../../src/models/writeSafetensors.js';
import { names, temporaryFolder } from '../support/adapters.js';
import { fixture, readJson } from '../support/fixtures.js';
import { document, run as cli } from '../unit/cli/support.js';
import { emitted, makeModel, makeRun } from './engineModel.js';

const folder = temporaryFolder();
const model = await makeModel(path.join(folder, 'base'));

async function trained(name: string, method: object, result: string): Promise<string> {
  const training = { max_steps: 6, per_device_train_batch_size: 4, learning_rate: 1e-2 };
  const run = await makeRun(path.join(folder, name), model, { method: [method], training });
  const { error } = await emitted(run);
  assert.equal(error, undefined);
  const [only] = await names(path.join(run.folder, 'runs/small'));
  return path.join(run.folder, 'runs/small', only!, result);
}

const loss = async (name: string, ...more: string[]): Promise<number> => {
  const data = path.join(folder, 'full', 'train.jsonl');
  const ran = await cli(['evaluate', name, '--data', data, ...more, '--json']);
  assert.equal(ran.code, 0, ran.err);
  return Number(document(ran)['loss']);
};

const full = await trained('full', { type: 'full' }, 'model');
const sparse = await trained('sparse', { type: 'pafi', keep_ratio: 0.1 }, 'adapter');

test('convert --to lora: a whole model, at full rank and at a low one', async () => {
  const tuned = await loss(full);
  const untuned = await loss(model);
  assert.ok(tuned < untuned - 0.1);
  const losses: number[] = [];
  for (const [at, how] of [
    ['--energy', '1'],
    ['--energy', '0.8'],
    ['--rank', '1'],
  ].entries()) {
    const out = path.join(folder, `full-${at}`);
    const ran = await cli(['convert', full, '--to', 'lora', ...how, '--model', model, '--out', out, '--json']);
    assert.equal(ran.code, 0, ran.err);
    assert.ok((document(ran)['modules'] as unknown[]).length > 4);
    assert.deepEqual(document(await cli(['inspect', out, '--json']))['problems'], []);
    losses.push(await loss(model, '--adapter', out));
  }
  assert.ok(Math.abs(losses[0]! - tuned) < 1e-3, `${losses[0]} ${tuned}`);
  assert.ok(losses[1]! < untuned && losses[2]! < untuned);
});

test('convert --to lora: an adapter that is none', async () => {
  const out = path.join(folder, 'sparse-lora');
  const ran = await cli(['convert', sparse, '--to', 'lora', '--energy', '1', '--out', out]);
  assert.equal(ran.code, 0, ran.err);
  assert.match(ran.out, /Lost +[\d.e-]+ %/);
  assert.ok(Math.abs((await loss(model, '--adapter', out)) - (await loss(model, '--adapter', sparse))) < 1e-3);
});

test('convert --to lora: what cannot be done is named, and nothing is written', async () => {
  const out = path.join(folder, 'none');
  for (const [args, message] of [
    [[full, '--to', 'lora', '--rank', '2'], /does not say what it was trained from/],
    [[sparse, '--to', 'lora'], /how much to keep/],
    [[sparse, '--to', 'onnx'], /--to is "onnx"/],
    [[sparse, '--to', 'lora', '--rank', '2.5'], /--rank is "2.5"/],
    [[sparse, '--to', 'lora', '--energy', '2'], /--energy is "2"/],
    [[model, '--to', 'lora', '--rank', '2', '--model', model], /no matrix of the base has changed/],
    [[path.join(folder, 'nowhere'), '--to', 'lora', '--rank', '2', '--model', model], /nowhere/],
  ] as const) {
    const ran = await cli(['convert', ...args, '--out', out]);
    assert.equal(ran.code, 2, ran.err);
    assert.match(ran.err, message);
  }
  assert.ok(!(await names(folder)).includes('none'));
});

test('convert --to lora: a GGUF base, a model in shards, a GGUF model, and vocabularies of two sizes', async () => {
  const { gguf } = await readJson(fixture('gguf', 'model.json'));
  const file = path.join(folder, 'base.gguf');
  await writeFile(file, Buffer.from(String(gguf), 'base64'));
  const base = await openCheckpoint(file);
  // What the file holds, a little moved, as a folder in two shards.
  const moved = await Promise.all(
    [...base.tensors].map(async ([name, { shape }], at) => ({
      name,
      shape,
      dtype: 'F32' as const,
      data: (await base.read(name)).map((value, place) => value + 0.01 * Math.sin(at + place)),
    })),
  );
  const shards = path.join(folder, 'shards');
  await mkdir(shards);
  const files = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
  const halves = [moved.slice(0, 4), moved.slice(4)];
  for (const [at, half] of halves.entries()) await writeSafetensors(path.join(shards, files[at]!), half);
  const weight_map = Object.fromEntries(halves.flatMap((half, at) => half.map(({ name }) => [name, files[at]])));
  await writeFile(path.join(shards, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map }));
  await writeFile(path.join(shards, 'config.json'), JSON.stringify(base.config));
  await cp(path.join(model, 'tokenizer.json'), path.join(shards, 'tokenizer.json'));
  for (const [at, [source, other]] of [
    [shards, file],
    [file, shards],
  ].entries()) {
    const out = path.join(folder, `of-gguf-${at}`);
    const args = ['convert', source!, '--to', 'lora', '--rank', '1000', '--model', other!, '--out', out, '--json'];
    const ran = await cli(args);
    assert.equal(ran.code, 0, ran.err);
    const { lost, modules, whole } = document(ran);
    assert.ok(Number(lost) < 1e-5, String(lost));
    const matrices = moved.filter(({ shape }) => shape.length === 2).length;
    // A tied head is adapted beside the embedding.
    assert.equal((modules as unknown[]).length, matrices + (base.tensors.has('lm_head.weight') ? 0 : 1));
    assert.equal((whole as unknown[]).length, moved.length - matrices);
  }
  const larger = await makeModel(path.join(folder, 'larger'), { vocabulary: 300 });
  const args = [
    'convert',
    larger,
    '--to',
    'lora',
    '--rank',
    '2',
    '--model',
    model,
    '--out',
    path.join(folder, 'none'),
  ];
  const ran = await cli(args);
  assert.equal(ran.code, 2);
  assert.match(ran.err, /the model has 300 tokens, the base \d+[^]*resize_token_embeddings/);
});
