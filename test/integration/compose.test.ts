// LoRAHub as a user has it: adapters of three tasks, mixed for a fourth of which there are few rows.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { names, temporaryFolder } from '../support/adapters.js';
import { createInterrupt } from '../../src/cli/interrupt.js';
import { main } from '../../src/cli/main.js';
import { bestAlone, bestTrial, recordAfter } from '../../src/engines/composition/record.js';
import type { HubEvent, HubRecord } from '../../src/engines/composition/record.js';
import { HUB_RECORD } from '../../src/adapters/adapterFiles.js';
import { captureIo, document, run as cli } from '../unit/cli/support.js';
import type { Ran } from '../unit/cli/support.js';
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

/** The lines of `--json`. */
function told(ran: Ran): HubEvent[] {
  return ran.out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as HubEvent);
}

async function lossWith(adapter: string, data = rows): Promise<number> {
  return Number(document(await cli(['evaluate', model, '--data', data, '--adapter', adapter, '--json']))['loss']);
}

function near(one: number | null | undefined, other: number): void {
  assert.ok(Math.abs((one ?? NaN) - other) < 1e-4, `${one} is not ${other}`);
}

test('compose: the mixture is no worse on the examples than the base, and is an adapter', async () => {
  const out = path.join(folder, 'mixed');
  const held = path.join(folder, 'held.jsonl');
  writeFileSync(held, `${JSON.stringify({ prompt: 'b a', completion: ' e d' })}\n`.repeat(2));
  const args = ['compose', one, two, '--data', rows, '--budget', '12'];
  const ran = await cli([...args, '--evaluate', held, '--out', out, '--json']);
  assert.equal(ran.code, 0, ran.err);
  const events = told(ran);
  assert.deepEqual(
    events.map(({ type }) => type),
    ['began', 'compared', ...Array<string>(12).fill('trial'), 'finished'],
  );
  const last = events.at(-1)!;
  assert.ok(last.type === 'finished');
  const { search } = last;
  assert.equal(last.out, out);
  assert.deepEqual([search.rows, search.tokens, search.base], [3, 6, model]);
  assert.deepEqual(search.trials[0]!.weights, [0, 0]);
  const best = search.trials[bestTrial(search.trials)!]!;
  assert.equal(best.objective, Math.min(...search.trials.map(({ objective }) => objective!)));
  assert.ok(best.objective! < search.trials[0]!.objective!);
  assert.deepEqual(
    search.adapters,
    [one, two].map((each, at) => ({ folder: each, weight: best.weights[at] })),
  );
  for (const [at, event] of events.filter((each) => each.type === 'trial').entries()) {
    const { trial, penalty, loss, objective, weights } = event;
    assert.equal(trial, at + 1);
    assert.equal(objective, loss! + penalty);
    assert.ok(Math.abs(penalty - 0.025 * (Math.abs(weights[0]!) + Math.abs(weights[1]!))) < 1e-12);
    assert.equal(event.best, Math.min(...search.trials.slice(0, trial).map((each) => each.objective!)));
  }
  // What is told live adds up to what is told at the end, but for what is measured behind it.
  const live = events.slice(0, -1).reduce(recordAfter, undefined as HubRecord | undefined);
  const { heldOut, ...without } = search;
  assert.deepEqual(live, without);
  assert.deepEqual(JSON.parse(readFileSync(path.join(out, HUB_RECORD), 'utf8')), search);

  near(best.loss, await lossWith(out));
  near(search.compared!.alone[0], await lossWith(one));
  near(search.compared!.alone[1], await lossWith(two));
  near(heldOut!.mixture.loss, await lossWith(out, held));
  near(heldOut!.alone.loss, await lossWith([one, two][bestAlone(search)!]!, held));
  near(heldOut!.base.loss, Number(document(await cli(['evaluate', model, '--data', held, '--json']))['loss']));
  assert.deepEqual(document(await cli(['inspect', out, '--json']))['problems'], []);

  const again = told(await cli([...args, '--json'])).at(-1)!;
  assert.ok(again.type === 'finished' && again.out === null, 'without --out nothing is written');
  assert.deepEqual(again.search.trials, search.trials);
});

test('compose: the mixture of a record is written without a search, also of one that was stopped', async () => {
  const first = path.join(folder, 'mixed');
  const record = path.join(first, HUB_RECORD);
  const weights = (at: string): Buffer => readFileSync(path.join(at, 'adapter_model.safetensors'));
  const again = path.join(folder, 'again');
  assert.equal((await cli(['compose', record, '--out', again])).code, 0);
  assert.deepEqual(weights(again), weights(first));
  assert.deepEqual(readFileSync(path.join(again, HUB_RECORD)), readFileSync(record));
  assert.match(readFileSync(path.join(again, 'README.md'), 'utf8'), /the best of 12 that were tried/);

  const whole = JSON.parse(readFileSync(record, 'utf8')) as HubRecord;
  const alone = {
    ...whole,
    trials: whole.trials.slice(0, 2),
    adapters: [{ folder: one, weight: 1 }, whole.adapters[1]!],
  };
  const input = JSON.stringify({
    ...alone,
    adapters: alone.adapters.map((each, at) => ({ ...each, weight: 1 - at })),
  });
  const byHand = path.join(folder, 'by-hand');
  const ran = await cli(['compose', '-', '--out', byHand, '--json'], { input });
  assert.equal(ran.code, 0, ran.err);
  assert.match(readFileSync(path.join(byHand, 'README.md'), 'utf8'), /set by hand/);
  near(whole.compared!.alone[0], await lossWith(byHand));
});

test('compose: Ctrl-C ends a search, and nothing is written', async () => {
  const out = path.join(folder, 'cut');
  const interrupt = createInterrupt(() => undefined);
  let trials = 0;
  const { io } = captureIo({ interrupt });
  const code = await main(['compose', one, two, '--data', rows, '--budget', '400', '--out', out, '--json'], {
    ...io,
    json(event: object) {
      if ('type' in event && event.type === 'trial' && (trials += 1) === 3) interrupt.signal();
    },
  });
  assert.equal(code, 130);
  assert.ok(trials < 10, String(trials));
  assert.ok(!(await names(folder)).includes('cut'));
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
    [[path.join(folder, 'mixed', HUB_RECORD), '--budget', '3'], /--budget has no part in writing its mixture/],
    [[path.join(folder, 'mixed', 'adapter_config.json')], /is no record of a search/],
    [[path.join(folder, 'nowhere.json')], /there is no such file/],
  ] as const) {
    const ran = await cli(['compose', ...args, '--out', out]);
    assert.equal(ran.code, 2, ran.err);
    assert.match(ran.err, message);
  }
  const half = path.join(folder, 'half.jsonl');
  writeFileSync(half, `${JSON.stringify({ prompt: 'a b', completion: ' e' })}\n{ not json\n`);
  const [began] = told(await cli(['compose', one, two, '--data', half, '--budget', '4', '--json']));
  assert.ok(began?.type === 'began');
  assert.deepEqual([began.search.rows, began.search.broken], [1, 1]);
  const taken = await cli(['compose', one, two, '--data', rows, '--out', folder, '--json']);
  assert.equal(taken.code, 2);
  assert.deepEqual(
    told(taken).map(({ type }) => type),
    ['failed'],
    'before anything is tried',
  );
  for (const args of [[one, two, '--data', rows], [path.join(folder, 'mixed', HUB_RECORD)]]) {
    const inside = await cli(['compose', ...args, '--out', path.join(one, 'mixture')]);
    assert.equal(inside.code, 2, inside.err);
    assert.match(inside.err, /cli\.out-inside/);
  }
  const unwritten = await cli(['compose', path.join(folder, 'mixed', HUB_RECORD)]);
  assert.match(unwritten.err, /needs --out/);
  assert.ok(!(await names(folder)).includes('none'));
});
