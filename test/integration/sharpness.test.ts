// Sharpness-aware minimization against its definition, written with gradients of the same loss.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeBatch } from '../../src/data/batches.js';
import type { Values } from '../../src/methods/method.js';
import { trainedFeeds } from '../../src/methods/trainedFeeds.js';
import { gradients } from '../../src/tensor/grad.js';
import { mul } from '../../src/tensor/ops/elementwise.js';
import { batchFeeds, intFeed, lossGraph } from '../../src/training/lossGraph.js';
import { startSnapshot } from '../../src/training/snapshot.js';
import { createStepper } from '../../src/training/stepper.js';
import { fixture, largestDifference } from '../support/fixtures.js';
import { openModel } from '../support/model.js';
import { startValues } from '../support/startValues.js';
import { UNEVEN, jobOn, loraMethod } from '../unit/training/jobs.js';

const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
const batch = makeBatch(
  UNEVEN,
  UNEVEN.map((_, at) => [at]),
);
const [RATE, RHO] = [0.1, 0.5];

for (const adaptive of [false, true]) {
  test(`the step is that of the gradient at θ + ε${adaptive ? ', ε relative to the weights' : ''}`, async () => {
    const options = { optim: 'sgd' as const, max_grad_norm: 0, sam_rho: RHO, sam_adaptive: adaptive };
    const job = jobOn(opened, { method: loraMethod({ r: 4, init_lora_weights: false }), options });
    const { trainables, hooks } = job.methods[0]!;
    const start = await startValues(trainables);
    const wrt = trainables.map(({ variable }) => variable);
    const { lossSum } = lossGraph(opened.model, [hooks], { training: true, positionLimit: 64 });
    const mean = mul(lossSum, 1 / batch.targets.length);
    const program = await opened.runtime.compile(
      {
        loss: mean,
        ...Object.fromEntries(gradients(mean, wrt).map((each, at) => [`gradient ${wrt[at]!.name}`, each])),
      },
      opened.weights,
    );
    let passes = 0;
    const gradientAt = async (values: Values): Promise<{ loss: number; gradient: Map<string, Float32Array> }> => {
      passes++;
      const found = await program.run({
        ...batchFeeds(batch),
        dropout_seed: intFeed(0),
        ...trainedFeeds(job.methods, values, program.reads),
      });
      const gradient = new Map(wrt.map(({ name }) => [name, found[`gradient ${name}`]!.data as Float32Array]));
      return { loss: Number(found['loss']!.data[0]), gradient };
    };
    const first = await gradientAt(start);
    // Foret et al. 2021, eq. 2; Kwon et al. 2021, eq. 8 with T = |θ|.
    const weighed = (name: string, at: number): number =>
      first.gradient.get(name)![at]! * (adaptive ? Math.abs(start.get(name)![at]!) : 1);
    let squares = 0;
    for (const [name, numbers] of start) numbers.forEach((_, at) => (squares += weighed(name, at) ** 2));
    const scale = RHO / (Math.sqrt(squares) + 1e-12);
    const ascended = new Map(
      [...start].map(([name, numbers]) => [
        name,
        numbers.map((value, at) => value + scale * weighed(name, at) * (adaptive ? Math.abs(value) : 1)),
      ]),
    );
    const second = await gradientAt(ascended);
    await program.dispose();
    assert.equal(passes, 2);

    const stepper = await createStepper({ ...job, start: startSnapshot(), positionLimit: 64 });
    const { loss } = await stepper.step([batch], { step: 1, totalSteps: 1 }, RATE, 0);
    assert.ok(Math.abs(loss - first.loss) <= 1e-5, 'the loss told is the first one');
    let moved = 0;
    for (const [name, numbers] of stepper.values()) {
      const wanted = start.get(name)!.map((value, at) => value - RATE * second.gradient.get(name)![at]!);
      assert.ok(largestDifference(numbers, wanted) <= 1e-5, name);
      const plain = start.get(name)!.map((value, at) => value - RATE * first.gradient.get(name)![at]!);
      moved = Math.max(moved, largestDifference(numbers, plain));
    }
    assert.ok(moved > 1e-3, 'another step than without');
    await stepper.dispose();
  });
}
