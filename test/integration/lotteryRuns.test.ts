// LT-SFT through the engine: what a run tells and leaves in its folder, stopped in either phase.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { resumeFolder } from '../../src/engines/resumeRun.js';
import { maskOf } from '../../src/engines/maskOf.js';
import { openModel } from '../../src/engines/session.js';
import { names, temporaryFolder } from '../support/adapters.js';
import { largestDifference } from '../support/fixtures.js';
import { eventsOf } from '../unit/training/jobs.js';
import { emitted, makeModel, makeRun } from './engineModel.js';

const folder = temporaryFolder();
const model = await makeModel(path.join(folder, 'base'));
const METHOD = { type: 'lt_sft', ft_params_proportion: 0.05, target_modules: ['q_proj', 'down_proj'] };
const TRAINING = {
  max_steps: 8,
  per_device_train_batch_size: 4,
  learning_rate: 1e-2,
  eval_steps: 2,
  eval_generations: 1,
  eval_generation_tokens: 4,
};

test('stopped while all weights train, then in the second phase, then resumed to the end', async () => {
  const run = await makeRun(path.join(folder, 'run'), model, { method: [METHOD], training: TRAINING });
  let steps = 0;
  const stopAt = (at: number) => ({
    emit: (event: { type: string; step?: number }) => {
      if (event.type === 'step') steps = event.step!;
    },
    stopRequested: () => steps >= at,
  });
  const first = await emitted(run, stopAt(3));
  assert.equal(first.error, undefined);
  const [only] = await names(path.join(run.folder, 'runs/small'));
  const own = path.join(run.folder, 'runs/small', only!);
  // A model whose targeted weights have all trained, and no others.
  const [whole, base] = [await openModel(path.join(own, 'model'), 0), await openModel(model, 0)];
  for (const name of base.checkpoint.tensors.keys()) {
    const moved = largestDifference(await whole.checkpoint.read(name), await base.checkpoint.read(name));
    assert.equal(moved > 0, /q_proj|down_proj/.test(name), name);
  }
  const second = await resumeFolder(own);
  const between = await emitted(second.run, { ...stopAt(6), resume: second.point });
  assert.equal(between.error, undefined);
  assert.deepEqual(
    (await names(own)).filter((each) => /adapter|model/.test(each)),
    ['adapter'],
    'the model of the first phase is not the result any more',
  );
  const third = await resumeFolder(own);
  const last = await emitted(third.run, { resume: third.point });
  assert.equal(last.error, undefined);
  assert.deepEqual(
    (await names(own)).filter((each) => /adapter|model/.test(each)),
    ['adapter'],
  );

  const alone = await makeRun(path.join(folder, 'alone'), model, { method: [METHOD], training: TRAINING });
  const { events } = await emitted(alone);
  const losses = (all: typeof events): unknown => eventsOf(all, 'step').map(({ step, loss }) => [step, loss]);
  assert.deepEqual(losses([...first.events, ...between.events, ...last.events]), losses(events));
  // The held-out rows are answered by what each phase has.
  assert.deepEqual(
    eventsOf(events, 'generations').map(({ step }) => step),
    [0, 2, 4, 6, 8],
  );
  // All numbers of the targeted weights, then those that were chosen; told again by a run that goes on from there.
  const total = 2 * (32 * 32 + 32 * 48);
  const kept = Math.floor(0.05 * total);
  const covered = (all: typeof events): number[] => eventsOf(all, 'coverage').map(({ trainable }) => trainable);
  assert.deepEqual(covered(events), [total, kept]);
  assert.deepEqual(covered(last.events), [total, kept]);
  // The panel's picture of a mask is that of the second phase.
  const masks = eventsOf(events, 'masks').at(-1)!;
  let places = 0;
  for (const { path: site, shape, density } of masks.sites) {
    const { indices } = await maskOf(own, site, shape!);
    assert.equal(indices.length, Math.round(density * shape!.reduce((size, length) => size * length, 1)));
    places += indices.length;
  }
  assert.equal(places, kept);
});
