import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProblemError } from '../../../src/common/problem.js';
import { allocation, scheduleProblem } from '../../../src/methods/adaloraBudget.js';

const SCHEDULE = { tinit: 500, tfinal: 1500, deltaT: 10 };
const at = (step: number) => allocation(SCHEDULE, 120, 80, { step, totalSteps: 3000 });

test('the budget is flat, cubic, flat, in the run of the authors’ README', () => {
  assert.deepEqual(at(1), { budget: 120, allocates: false, scores: true });
  assert.deepEqual(at(500), { budget: 120, allocates: false, scores: true });
  // Half way: 80 + 40 · (1/2)³.
  assert.deepEqual(at(1000), { budget: 85, allocates: true, scores: true });
  // A quarter of the way: 80 + 40 · (3/4)³ = 96.875.
  assert.deepEqual(at(750), { budget: 96, allocates: true, scores: true });
  assert.deepEqual(at(751).allocates, false);
  assert.deepEqual(at(1499).scores, true);
  for (const step of [1500, 1501, 3000]) {
    assert.deepEqual(at(step), { budget: 80, allocates: true, scores: false });
  }
  const curve = Array.from({ length: 3000 }, (_, step) => at(step + 1).budget);
  assert.ok(curve.every((budget, step) => step === 0 || budget <= curve[step - 1]!));
});

test('the last allocation comes even between two intervals', () => {
  const last = allocation({ tinit: 0, tfinal: 0, deltaT: 7 }, 10, 5, { step: 12, totalSteps: 12 });
  assert.deepEqual(last, { budget: 5, allocates: true, scores: false });
});

test('a run with no step to prune in is refused', () => {
  assert.throws(
    () => allocation({ tinit: 6, tfinal: 6, deltaT: 1 }, 10, 5, { step: 1, totalSteps: 12 }),
    (error) => error instanceof ProblemError && error.problem.code === 'adalora.schedule',
  );
});

test('a schedule fits where one step is left between its ends', () => {
  assert.equal(scheduleProblem(13, { tinit: 6, tfinal: 6 }), undefined);
  assert.match(
    scheduleProblem(12, { tinit: 6, tfinal: 6 })!.message,
    /^a run of 12 steps .* tinit is 6, tfinal is 6$/,
  );
  assert.match(scheduleProblem(5, { tinit: 0, tfinal: 9 }, true)!.message, /^a run of at most 5 steps/);
});
