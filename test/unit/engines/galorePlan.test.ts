import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { parseRunFile } from '../../../src/config/parseRunFile.js';
import { estimateRun } from '../../../src/engines/estimate.js';
import { attachMethods, parameterCount } from '../../../src/engines/session.js';
import type { MemoryPlan, PartName } from '../../../src/memory/plan.js';
import { runSession, stepMemory } from '../../../src/training/stepMemory.js';
import { startSnapshot } from '../../../src/training/snapshot.js';
import { createStepper } from '../../../src/training/stepper.js';
import { ROOT } from '../../support/fixtures.js';
import { openModel } from '../../support/model.js';

const opened = await openModel(path.join(ROOT, 'examples/base-model/peft-studio-tiny'));
const { checkpoint, model } = opened;
const BATCH = { rows: 8, length: 100, supervised: 80 };
/** Numbers of all linear weights but the head's. */
const TARGETED = 983_040;

function configOf(method: string, training = '{}') {
  const text = `model: m\ndata: { train: a.jsonl }\nmethod: ${method}\ntraining: ${training}\n`;
  const { config, problems } = parseRunFile(text, 'a.peft.yaml');
  assert.ok(config, JSON.stringify(problems));
  const methods = attachMethods(config.method, opened.context);
  const planned = config.method.map((each, at) => ({ config: each, attached: methods[at] }));
  const header = { checkpoint, model, parameters: parameterCount(model) };
  return { config, methods, plan: estimateRun(header, planned, config, { batch: BATCH }).plan };
}

function bytesOf({ moments }: MemoryPlan, moment: string, part: PartName): number {
  const found = moments.find(({ name }) => name === moment);
  assert.ok(found, `there is a moment ${moment}`);
  return found.parts.filter(({ name }) => name === part).reduce((sum, { bytes }) => sum + bytes, 0);
}

for (const training of [
  '{}',
  '{ optim: sgd, momentum: 0.9 }',
  '{ optim: adafactor }',
  '{ gradient_accumulation_steps: 2 }',
]) {
  test(`GaLore's plan has the numbers that a run holds: ${training}`, async () => {
    const { config, methods, plan } = configOf('{ type: galore, rank: 16 }', training);
    const stepper = await createStepper({
      ...opened,
      methods,
      start: startSnapshot(),
      options: config.training,
      positionLimit: 128,
    });
    const { held } = stepper;
    await stepper.dispose();
    assert.equal(bytesOf(plan, 'step', 'optimizer'), held.optimizer);
    assert.equal(bytesOf(plan, 'step', 'state'), held.state);
    assert.equal(bytesOf(plan, 'step', 'adapter'), held.trainables + held.changedWeights);
    // Bases are read by the step, and written by nobody: there is one of each.
    const bases = methods[0]!.state!.reduce(
      (sum, { variable: { shape } }) => sum + 4 * Number(shape[0]) * Number(shape[1]),
      0,
    );
    assert.equal(held.state, bases);
    const [looked, stepped] = ['refresh', 'step'].map((moment) => bytesOf(plan, moment, 'gradients'));
    assert.ok(looked! >= stepped! + 4 * TARGETED, 'as subspaces are found all targeted gradients are there');
  });
}

test('moments take less than those of full fine-tuning, and less with a smaller rank', () => {
  const [full, large, small] = ['{ type: full }', '{ type: galore, rank: 64 }', '{ type: galore, rank: 4 }'].map(
    (method) => configOf(method).plan,
  ) as [MemoryPlan, MemoryPlan, MemoryPlan];
  const optimizer = (plan: MemoryPlan): number => bytesOf(plan, 'step', 'optimizer');
  assert.ok(optimizer(large) < 0.75 * optimizer(full) && optimizer(small) < 0.5 * optimizer(full));
  assert.ok(small.total < large.total);
  assert.deepEqual(
    full.moments.map(({ name }) => name),
    ['step'],
  );
});

test('a gradient is let go of once it is projected: never are all of them there', () => {
  const most = (method: string): number => {
    const { methods, config } = configOf(method);
    const { sessions } = stepMemory({
      model,
      methods,
      options: config.training,
      positionLimit: 128,
      evaluates: false,
      rebuilt: false,
      rested: new Set(),
    });
    // Of a short row there is little else.
    return runSession(sessions[0]!, { step: { rows: 1, length: 8, supervised: 7 } }).touched;
  };
  const all = 4 * parameterCount(model);
  const [full, galore] = [most('{ type: full }'), most('{ type: galore, rank: 4 }')];
  assert.ok(full > all && galore < 1.5 * all, `${full} and ${galore}, ${all} of gradients`);
});
