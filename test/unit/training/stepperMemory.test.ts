import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { startSnapshot } from '../../../src/training/snapshot.js';
import { createStepper } from '../../../src/training/stepper.js';
import type { Stepper } from '../../../src/training/stepper.js';
import { fixture } from '../../support/fixtures.js';
import { openModel } from '../../support/model.js';
import { startValues } from '../../support/startValues.js';
import { jobOn } from './jobs.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

test('numbers that a stepper starts from are let go of: each graph that is built anew would keep those before', async () => {
  const job = jobOn(await openModel(fixture('lora-reference', 'tiny-llama')), { method: { type: 'full' } });
  const begun = async (): Promise<{ stepper: Stepper; start: readonly WeakRef<ArrayBufferLike>[] }> => {
    const values = await startValues(job.methods[0]!.trainables);
    const stepper = await createStepper({ ...job, start: startSnapshot(values), positionLimit: 64 });
    return { stepper, start: [...values.values()].map(({ buffer }) => new WeakRef(buffer)) };
  };
  const { stepper, start } = await begun();
  await new Promise((resolve) => setImmediate(resolve));
  collect();
  assert.equal(start.filter((each) => each.deref() !== undefined).length, 0);
  assert.ok(stepper.values().size > 0);
  await stepper.dispose();
});
