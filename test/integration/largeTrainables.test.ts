// Large trainables have one buffer, which a step reads and writes: nothing may be read after it is written.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import path from 'node:path';
import { makeBatch } from '../../src/data/batches.js';
import { fixedShape, fixedSize } from '../../src/tensor/dims.js';
import { gradients } from '../../src/tensor/grad.js';
import { mul } from '../../src/tensor/ops/elementwise.js';
import { batchFeeds, intFeed, lossGraph } from '../../src/training/lossGraph.js';
import { startSnapshot } from '../../src/training/snapshot.js';
import { createStepper } from '../../src/training/stepper.js';
import { ROOT, largestDifference } from '../support/fixtures.js';
import { openModel } from '../support/model.js';
import { startValues } from '../support/startValues.js';
import { UNEVEN, jobOn } from '../unit/training/jobs.js';

const opened = await openModel(path.join(ROOT, 'examples/base-model/peft-studio-tiny'));
const batch = makeBatch(
  UNEVEN,
  UNEVEN.map((_, at) => [at]),
);
const RATE = 0.5;

for (const max_grad_norm of [0, 1e9]) {
  for (const gradient_accumulation_steps of [1, 2]) {
    test(`one step of SGD on every weight is θ − η g: clipping at ${max_grad_norm}, ${gradient_accumulation_steps} batches`, async () => {
      const options = { optim: 'sgd' as const, max_grad_norm, gradient_accumulation_steps, learning_rate: RATE };
      const job = jobOn(opened, { method: { type: 'full' }, options });
      const { trainables, hooks } = job.methods[0]!;
      assert.ok(
        trainables.some(({ variable }) => fixedSize(variable.shape) >= 2 ** 18),
        'one is large',
      );
      const start = await startValues(trainables);
      const { lossSum } = lossGraph(opened.model, [hooks], { training: true, positionLimit: 64 });
      const mean = mul(lossSum, 1 / batch.targets.length);
      const wrt = trainables.map(({ variable }) => variable);
      const program = await opened.runtime.compile(
        Object.fromEntries(gradients(mean, wrt).map((gradient, at) => [`gradient ${wrt[at]!.name}`, gradient])),
        opened.weights,
      );
      const expected = await program.run({
        ...batchFeeds(batch),
        dropout_seed: intFeed(0),
        ...Object.fromEntries(
          wrt.map(({ name, shape }) => [
            name,
            { dtype: 'float32', shape: fixedShape(shape), data: start.get(name)! },
          ]),
        ),
      });
      await program.dispose();

      const stepper = await createStepper({ ...job, start: startSnapshot(), positionLimit: 64 });
      const halves = [0, 4].map((from) =>
        makeBatch(
          UNEVEN,
          [0, 1, 2, 3].map((at) => [from + at]),
        ),
      );
      const batches = gradient_accumulation_steps === 1 ? [batch] : halves;
      await stepper.step(batches, { step: 1, totalSteps: 1 }, RATE, 0);
      for (const [name, numbers] of stepper.values()) {
        const gradient = expected[`gradient ${name}`]!.data as Float32Array;
        const wanted = start.get(name)!.map((value, at) => value - RATE * gradient[at]!);
        assert.ok(gradient.some((value) => value !== 0));
        assert.ok(largestDifference(numbers, wanted) <= 1e-5, name);
      }
      await stepper.dispose();
    });
  }
}

test('a step that is not finite leaves every weight as it was', async () => {
  const job = jobOn(opened, { method: { type: 'full' }, options: { max_grad_norm: 0 } });
  const start = await startValues(job.methods[0]!.trainables);
  const name = 'model.norm.weight';
  const broken = new Map(start).set(
    name,
    start.get(name)!.map(() => 3e38),
  );
  const stepper = await createStepper({ ...job, start: startSnapshot(broken), positionLimit: 64 });
  const { loss, gradientNorm } = await stepper.step([batch], { step: 1, totalSteps: 1 }, 1, 0);
  assert.ok(!Number.isFinite(loss) || !Number.isFinite(gradientNorm));
  for (const [each, numbers] of stepper.values()) assert.deepEqual(numbers, broken.get(each), each);
  await stepper.dispose();
});
