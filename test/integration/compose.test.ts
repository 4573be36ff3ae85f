// LoRAHub as a user has it: adapters of three tasks, mixed for a fourth of which there are few rows.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { names, temporaryFolder } from '../support/adapters.js';
import { document, run as cli } from '../unit/cli/support.js';
import { emitted, makeModel, makeRun } from './engineModel.js';

const folder = temporaryFolder();
const model = await makeModel(path.join(folder, 'base'));

async function trained(name: string, method: object): Promise<string> {
  const training = { max_steps: 8, per_device_train_batch_size: 4, learning_rate: 1e-2 };
  const run = await makeRun(path.join(folder, name), model, { method: [method], training });
  const { error } = await emitted(run);
  assert.equal(error, undefined);
  const [only] = await names(path.join(run.folder, 'runs/small'));
  return path.join(run.folder, 'runs/small', only!, 'adapter');
}

const one = await trained('one', { type: 'lora', r: 2 });
const two = await trained('two', { type: 'lora', r: 4, target_modules: ['q_proj'], lora_alpha: 16 });
const rows = path.join(folder, 'few.jsonl');
writeFileSync(
  rows,
  ['a b', 'b c', 'c d'].map((prompt) => `${JSON.stringify({ prompt, completion: ' e' })}\n`).join(''),
);

test('compose: the mixture is no worse on the examples than the base, and is an adapter', async () => {
  const out = path.join(folder, 'mixed');
  const ran = await cli(['compose', one, two, '--data', rows, '--budget', '12', '--out', out, '--json']);
  assert.equal(ran.code, 0, ran.err);
  const told = document(ran) as unknown as {
    adapters: { folder: string; weight: number }[];
    start: number;
    objective: number;
    loss: number;
    trials: { weights: number[]; objective: number }[];
  };
  assert.equal(told.trials.length, 12);
  assert.deepEqual(told.trials[0]!.weights, [0, 0]);
  assert.equal(told.objective, Math.min(...told.trials.map(({ objective }) => objective)));
  assert.ok(told.objective < told.start);
  assert.deepEqual(
    told.adapters.map((each) => each.folder),
    [one, two],
  );
  const record = JSON.parse(readFileSync(path.join(out, 'lorahub.json'), 'utf8')) as { trials: unknown };
  assert.deepEqual(record.trials, told.trials);
  const evaluated = document(await cli(['evaluate', model, '--data', rows, '--adapter', out, '--json']));
  assert.ok(Math.abs(Number(evaluated['loss']) - told.loss) < 1e-4);
  assert.deepEqual(document(await cli(['inspect', out, '--json']))['problems'], []);
  const again = await cli(['compose', one, two, '--data', rows, '--budget', '12', '--out', `${out}-2`, '--json']);
  assert.deepEqual((document(again) as unknown as typeof told).trials, told.trials);
});

test('compose: what cannot be used is named, and nothing is written', async () => {
  const out = path.join(folder, 'none');
  for (const [args, message] of [
    [[one, '--data', rows], /one adapter alone/],
    [[one, two, '--data', rows, '--budget', '0'], /--budget is "0"/],
    [[one, two, '--data', rows, '--bound', '-1'], /--bound is "-1"/],
    [[one, two, '--data', path.join(folder, 'nowhere.jsonl')], /nowhere\.jsonl/],
    [[one, path.join(folder, 'nowhere'), '--data', rows], /folder not found/],
    [[one, two], /--data/],
  ] as const) {
    const ran = await cli(['compose', ...args, '--out', out]);
    assert.equal(ran.code, 2, ran.err);
    assert.match(ran.err, message);
  }
  assert.ok(!(await names(folder)).includes('none'));
});
