// Methods whose adapters have other ranks than they were trained with, from a run to what reads its adapter.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { ProblemError } from '../../src/common/problem.js';
import { names, temporaryFolder } from '../support/adapters.js';
import { readJson } from '../support/fixtures.js';
import { document, run as cli } from '../unit/cli/support.js';
import { eventsOf } from '../unit/training/jobs.js';
import { emitted, makeModel, makeRun } from './engineModel.js';

const folder = temporaryFolder();
const model = await makeModel(path.join(folder, 'base'));
const TRAINING = { max_steps: 12, per_device_train_batch_size: 4, learning_rate: 1e-2, save_steps: 12 };

async function trained(
  name: string,
  method: object,
): Promise<{ file: string; adapter: string; events: Awaited<ReturnType<typeof emitted>>['events'] }> {
  const run = await makeRun(path.join(folder, name), model, { method, training: TRAINING });
  const { events, error } = await emitted(run);
  assert.equal(error, undefined);
  return { file: run.file, adapter: eventsOf(events, 'finished')[0]!.adapter, events };
}

test('DyLoRA: its adapter is evaluated at a rank, converted to it, and merged then; the losses are those of the run', async () => {
  const { file, adapter, events } = await trained('dylora', { type: 'dylora', r: 4, eval_ranks: [1, 2] });
  const told = eventsOf(events, 'rank-evaluation').at(-1)!.ranks;
  for (const { rank, loss } of told) {
    const found = document(await cli(['evaluate', file, '--adapter', adapter, '--rank', String(rank), '--json']));
    assert.ok(Math.abs(Number(found['loss']) - loss) <= 1e-4 * loss, `rank ${rank}: ${found['loss']}, ${loss}`);
    const out = path.join(folder, `cut-${rank}`);
    const converted = await cli(['convert', adapter, '--rank', String(rank), '--out', out, '--json']);
    assert.equal(converted.code, 0, converted.err);
    assert.deepEqual(document(converted)['conversion'], { kind: 'rank', rank });
    assert.deepEqual(document(converted)['warnings'], []);
    const again = document(await cli(['evaluate', file, '--adapter', out, '--json']));
    assert.ok(Math.abs(Number(again['loss']) - loss) <= 1e-4 * loss);
    assert.deepEqual(await names(out), await names(adapter));
  }
  const merged = await cli([
    'merge',
    path.join(folder, 'cut-1'),
    '--out',
    path.join(folder, 'merged'),
    '--dtype',
    'F32',
  ]);
  assert.equal(merged.code, 0, merged.err);
  const generated = await cli([
    'generate',
    file,
    '--adapter',
    adapter,
    '--rank',
    '2',
    '--prompt',
    'Say red: ',
    '--max-new-tokens',
    '3',
    '--json',
  ]);
  assert.equal(generated.code, 0, generated.err);
});

test('SoRA: what is left is a LoRA with its ranks, which can be cut with a warning', async () => {
  const method = { type: 'sora', r: 4, sparse_lambda_2: 0.05, sparse_lambda: 0 };
  const { file, adapter, events } = await trained('sora', method);
  const ranks = eventsOf(events, 'ranks');
  const sum = (at: number): number => ranks.at(at)!.sites.reduce((total, { rank }) => total + rank!, 0);
  assert.ok(sum(-1) < sum(0) && sum(-1) > 0, `${sum(0)}, ${sum(-1)}`);
  const inspected = document(await cli(['inspect', adapter, '--json']));
  const modules = inspected['modules'] as { path: string; rank: number }[];
  const last = new Map(ranks.at(-1)!.sites.map(({ path: at, rank }) => [at, rank]));
  for (const { path: at, rank } of modules) assert.equal(rank, last.get(at), at);
  assert.equal(modules.length, [...last.values()].filter((rank) => rank! > 0).length);
  const found = document(await cli(['evaluate', file, '--adapter', adapter, '--json']));
  const loss = eventsOf(events, 'evaluation').at(-1)!.loss;
  assert.ok(Math.abs(Number(found['loss']) - loss) <= 1e-4 * loss);
  const out = path.join(folder, 'sora-1');
  const converted = await cli(['convert', adapter, '--rank', '1', '--out', out]);
  assert.equal(converted.code, 0);
  assert.match(converted.err, /was not trained to be cut/);
  assert.equal((await readJson(path.join(out, 'adapter_config.json')))['r'], 1);
});

test('convert and --rank refuse what makes no sense, and write nothing', async () => {
  const { file, adapter } = await trained('lora', { type: 'lora', r: 2 });
  const out = path.join(folder, 'none');
  for (const [args, said] of [
    [['convert', adapter, '--rank', '3', '--out', out], /cannot have rank 3: it has rank 2/],
    [['convert', adapter, '--rank', '0', '--out', out], /cannot have rank 0/],
    [['convert', adapter, '--out', out], /does not say what the adapter is to become/],
    [['convert', adapter, '--rank', '1', '--out', path.join(adapter, 'in')], /lies in/],
    [['convert', path.join(folder, 'nothing'), '--rank', '1', '--out', out], /folder not found/],
    [['evaluate', file, '--rank', '1'], /--adapter DIR/],
    [['evaluate', file, '--adapter', adapter, '--rank', '9'], /cannot have rank 9/],
  ] as const) {
    const ran = await cli(args);
    assert.equal(ran.code, 2, args.join(' '));
    assert.match(ran.err, said);
  }
  assert.deepEqual(await names(out), []);
  // Several adapters of one run are no one adapter.
  const both = await makeRun(path.join(folder, 'both'), model, {
    method: [
      { type: 'dylora', r: 2 },
      { type: 'lora', r: 2, target_modules: ['q_proj'] },
    ],
    training: { ...TRAINING, max_steps: 2 },
  });
  const { events, error } = await emitted(both);
  assert.equal(error, undefined);
  const ran = await cli([
    'convert',
    path.dirname(eventsOf(events, 'finished')[0]!.adapter),
    '--rank',
    '1',
    '--out',
    out,
  ]);
  assert.equal(ran.code, 2);
  assert.match(ran.err, /stands for 2 adapters/);
});

for (const [type, name, data] of [
  ['dylora', 'the first step', { train: 'train.jsonl' }],
  ['sora', 'the first step', { train: 'train.jsonl' }],
  ['dylora', 'the evaluation before it', { train: 'train.jsonl', validation: 'validation.jsonl' }],
] as const) {
  test(`a value that is not finite is found with ${type}, whose steps read a number of their own: ${name}`, async () => {
    const at = path.join(folder, `poisoned ${type} ${name}`);
    const base = await makeModel(`${at} base`, { poison: 'model.layers.1.mlp.up_proj' });
    const run = await makeRun(at, base, { method: { type }, training: TRAINING, data });
    const { error } = await emitted(run);
    assert.ok(error instanceof ProblemError);
    assert.match(error.problem.message, /the result of model\.layers\.1\.mlp\.up_proj is not finite/);
  });
}
