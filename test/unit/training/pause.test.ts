// A pause changes nothing but the time, and a checkpoint on the way ends nothing.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkpointFolder, readCheckpoint } from '../../../src/training/checkpoint.js';
import { createWishes } from '../../../src/training/wishes.js';
import type { WishesTaken } from '../../../src/training/wishes.js';
import { temporaryFolder } from '../../support/adapters.js';
import { fixture } from '../../support/fixtures.js';
import { openModel } from '../../support/model.js';
import type { JobParts } from './jobs.js';
import { UNEVEN, eventsOf, loraMethod, recordingRuntime, run } from './jobs.js';

const opened = await openModel(fixture('lora-reference/tiny-llama'));
const idle = recordingRuntime(() => undefined);
const options = { max_steps: 6, per_device_train_batch_size: 2, logging_steps: 1, eval_steps: 3, save_steps: 100 };

/** Runs with wishes; `at` is told each step and the beginning of each pause. */
async function wishing(
  parts: JobParts,
  at: (what: 'step' | 'paused', step: number, wishes: WishesTaken) => void,
): Promise<Awaited<ReturnType<typeof run>>> {
  const wishes = createWishes();
  return run(opened, {
    ...parts,
    options: { ...options, ...parts.options },
    wishes,
    stopRequested: wishes.stop,
    emit: (event) => {
      if (event.type === 'step' || event.type === 'paused') at(event.type, event.step, wishes);
    },
  });
}

test('a paused run goes on with the numbers of one that never waited, bit for bit', async () => {
  const method = loraMethod({ r: 4, lora_dropout: 0.1 });
  const through = await run(opened, { method, options });
  const paused = await wishing({ method }, (what, step, wishes) => {
    if (what === 'step' && (step === 2 || step === 4)) wishes.take('pause');
    if (what === 'paused') setTimeout(() => wishes.take('continue'), 5);
  });
  assert.deepEqual(
    eventsOf(paused.events, 'paused').map(({ step }) => step),
    [2, 4],
  );
  const continued = eventsOf(paused.events, 'continued');
  assert.deepEqual(
    continued.map(({ step }) => step),
    [2, 4],
  );
  assert.ok(continued.every(({ seconds }) => seconds > 0));
  const curve = (events: typeof through.events): unknown[] =>
    events.flatMap((event) => {
      if (event.type !== 'step' && event.type !== 'evaluation') return [];
      return [{ ...event, seconds: 0 }];
    });
  assert.ok(curve(through.events).length >= 6);
  assert.deepEqual(curve(paused.events), curve(through.events));
  assert.deepEqual(paused.values, through.values);
  assert.deepEqual(paused.metrics, through.metrics);
  assert.equal(paused.reason, 'completed');
});

test('nothing is computed in a pause, and the time of a step leaves it out', async () => {
  let runs = 0;
  const counting = recordingRuntime(() => runs++);
  let before = 0;
  const { events } = await wishing({ runtime: counting }, (what, step, wishes) => {
    if (what === 'step' && step === 2) wishes.take('pause');
    if (what !== 'paused') return;
    before = runs;
    void sleep(60).then(() => {
      assert.equal(runs, before);
      wishes.take('continue');
    });
  });
  assert.ok(before > 0 && runs > before);
  const [{ seconds } = { seconds: 0 }] = eventsOf(events, 'continued');
  assert.ok(seconds >= 0.05);
  assert.ok(eventsOf(events, 'step').every((step) => step.seconds < seconds));
});

test('a stop ends a pause: the checkpoint of the last step is written', async () => {
  const runFolder = temporaryFolder();
  const { reason, steps, events } = await wishing(
    { runtime: idle, checkpoints: { runFolder } },
    (what, step, wishes) => {
      if (what === 'step' && step === 2) wishes.take('pause');
      if (what === 'paused') setImmediate(() => wishes.take('stop'));
    },
  );
  assert.equal(reason, 'stopped');
  assert.equal(steps, 2);
  assert.equal(eventsOf(events, 'continued').length, 1);
  assert.deepEqual(readdirSync(runFolder), ['checkpoint-2']);
});

test('a checkpoint is written when it is asked for, while it trains and in a pause, and the run goes on', async () => {
  const runFolder = temporaryFolder();
  const { reason, events } = await wishing(
    { runtime: idle, checkpoints: { runFolder }, options: { save_total_limit: 9 } },
    (what, step, wishes) => {
      if (what === 'step' && step === 1) wishes.take('checkpoint');
      if (what === 'step' && step === 3) wishes.take('pause');
      if (what !== 'paused') return;
      wishes.take('checkpoint');
      void sleep(20).then(() => wishes.take('continue'));
    },
  );
  assert.equal(reason, 'completed');
  assert.deepEqual(
    eventsOf(events, 'checkpoint').map(({ step }) => step),
    [1, 3, 6],
  );
  const order = events.map(({ type }) => type);
  assert.ok(order.lastIndexOf('continued') > order.indexOf('checkpoint', order.indexOf('paused')));
});

test('a pause that is taken back before the step ends, or comes at the last step, is none', async () => {
  const { events, reason } = await wishing({ runtime: idle }, (what, step, wishes) => {
    if (what !== 'step') return;
    if (step === 2) {
      wishes.take('pause');
      wishes.take('continue');
    }
    if (step === 6) wishes.take('pause');
  });
  assert.equal(reason, 'completed');
  assert.deepEqual(eventsOf(events, 'paused'), []);
});

test('a run that goes on from a checkpoint before an evaluation that was due makes up for it', async () => {
  const parts = { method: loraMethod({ r: 4, lora_dropout: 0.1 }), validation: UNEVEN.slice(0, 3) };
  const evaluations = (ran: Awaited<ReturnType<typeof run>>): unknown[] =>
    eventsOf(ran.events, 'evaluation').map((event) => ({ ...event, seconds: 0 }));
  const through = await run(opened, { ...parts, options });
  assert.equal(evaluations(through).length, 3);
  for (const how of ['killed in a pause', 'stopped'] as const) {
    const runFolder = temporaryFolder();
    const cut = await wishing({ ...parts, checkpoints: { runFolder } }, (what, step, wishes) => {
      if (what === 'step' && step === 3) wishes.take(how === 'stopped' ? 'stop' : 'pause');
      if (what !== 'paused') return;
      // What a kill leaves is what the checkpoint of the pause holds.
      wishes.take('checkpoint');
      void sleep(20).then(() => wishes.take('stop'));
    });
    assert.deepEqual([cut.reason, cut.steps], ['stopped', 3]);
    const from = await readCheckpoint(checkpointFolder(runFolder, 3));
    const resumed = await run(opened, { ...parts, options, checkpoints: { runFolder, from } });
    assert.deepEqual([...evaluations(cut), ...evaluations(resumed)], evaluations(through), how);
    assert.deepEqual(resumed.values, through.values);
    assert.deepEqual(resumed.metrics, through.metrics);
  }
});
