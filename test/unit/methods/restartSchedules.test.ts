// When ReLoRA and COLA merge, what their learning rates are meanwhile, and what they refuse.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { ColaOptions, colaProblem } from '../../../src/methods/cola.js';
import { ReLoraOptions, reloraMerges, reloraProblem } from '../../../src/methods/relora.js';
import { attachMethod } from '../../../src/methods/registry.js';
import type { MethodConfig } from '../../../src/methods/registry.js';
import { rateAt } from '../../../src/training/schedule.js';
import { problem } from '../../support/adapters.js';
import { fixture } from '../../support/fixtures.js';
import { openModel } from '../../support/model.js';
import { trainingOptions } from '../training/jobs.js';

const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
const TARGETS = ['q_proj', 'v_proj', 'down_proj'];
const IN_SMALL = { r: 2, lora_alpha: 4, lora_dropout: 0, target_modules: TARGETS };

function re(options: Partial<ReLoraOptions> = {}): MethodConfig {
  return Value.Parse(ReLoraOptions, { type: 'relora', ...IN_SMALL, relora: 3, ...options });
}

function chain(options: Partial<ColaOptions> = {}): MethodConfig {
  return Value.Parse(ColaOptions, { type: 'cola', ...IN_SMALL, ...options });
}

test('the learning rate rises anew after each merge, to where the schedule is', () => {
  const rates = (
    method: MethodConfig,
    options: Parameters<typeof trainingOptions>[0],
    totalSteps: number,
  ): number[] => {
    const attached = attachMethod(method, opened.context);
    return Array.from({ length: totalSteps }, (_, at) =>
      rateAt(trainingOptions({ learning_rate: 1, ...options }), [attached], { step: at + 1, totalSteps }),
    );
  };
  const near = (found: readonly number[], wanted: readonly number[]): void => {
    assert.equal(found.length, wanted.length);
    found.forEach((rate, at) => assert.ok(Math.abs(rate - wanted[at]!) < 1e-12, `step ${at + 1}: ${rate}`));
  };
  const linear = (taken: number, steps = 12): number => (steps - taken) / steps;
  near(
    rates(re({ relora: 5, restart_warmup_steps: 2 }), { lr_scheduler_type: 'linear' }, 12),
    [0, 1, 2, 3, 4]
      .map((taken) => linear(taken))
      .concat([0, linear(7) / 2, ...[7, 8, 9].map((taken) => linear(taken)), 0, linear(12) / 2]),
  );
  // No warm-up but that of the schedule; the last cycle has one step.
  near(
    rates(
      re({ relora: 3, restart_warmup_steps: 0 }),
      { lr_scheduler_type: 'constant_with_warmup', warmup_steps: 2 },
      7,
    ),
    [0, 0.5, 1, 1, 1, 1, 1],
  );
  near(
    rates(re({ relora: 3, restart_warmup_steps: 2 }), { lr_scheduler_type: 'constant' }, 7),
    [1, 1, 1, 0, 0.5, 1, 0],
  );
  // A quarter of the steps, and half of that.
  const byDefault = attachMethod(Value.Parse(ReLoraOptions, { type: 'relora', ...IN_SMALL }), opened.context);
  const long = { lr_scheduler_type: 'constant', learning_rate: 1 } as const;
  const at = (step: number, totalSteps: number): number =>
    rateAt(trainingOptions(long), [byDefault], { step, totalSteps });
  assert.deepEqual([at(100, 400), at(101, 400), at(126, 400), at(151, 400), at(301, 400)], [1, 0, 0.5, 1, 0]);
  assert.deepEqual(
    [2, 3, 4].map((step) => at(step, 4)),
    [1, 1, 1],
  );
  assert.deepEqual([at(5001, 20000), at(5051, 20000), at(5101, 20000)], [0, 0.5, 1]);
  assert.deepEqual(
    [3, 99, 100, 200].map((step) => byDefault.turnsAfter!({ step, totalSteps: 400 })),
    [false, false, true, true],
  );
  assert.equal(byDefault.turnsAfter!({ step: 400, totalSteps: 400 }), false);

  const link = (taken: number, steps: number): number => (taken < 1 ? 0 : (steps - taken) / (steps - 1));
  near(
    rates(chain({ chain_length: 3 }), { lr_scheduler_type: 'linear', warmup_steps: 1 }, 10),
    [3, 4, 3].flatMap((steps) => Array.from({ length: steps }, (_, taken) => link(taken, steps))),
  );
});

test('what a run has no room for is refused, with what to do', () => {
  assert.equal(reloraProblem(8, { relora: 3 }), undefined);
  assert.equal(reloraProblem(1, {}), undefined);
  assert.deepEqual(
    [8, 9, 10].map((steps) => reloraMerges({ relora: 3 }, steps)),
    [2, 2, 3],
  );
  assert.deepEqual(
    [1, 2, 3, 5, 9, 400].map((steps) => reloraMerges({}, steps)),
    [0, 1, 2, 2, 2, 3],
  );
  assert.equal(reloraProblem(8, { relora: 8 })!.code, 'relora.schedule');
  assert.match(reloraProblem(8, { relora: 9 }, true)!.message, /at most 8 steps ends before the first merge/);
  assert.match(reloraProblem(8, { relora: 3, restart_warmup_steps: 3 })!.message, /3 steps, and the next merge/);
  assert.equal(reloraProblem(8, { relora: 3, restart_warmup_steps: 2 }), undefined);
  assert.equal(reloraProblem(8, { restart_warmup_steps: 2 })!.code, 'relora.warmup');
  assert.equal(colaProblem(3, { chain_length: 3 }), undefined);
  assert.match(colaProblem(2, { chain_length: 3 })!.message, /2 steps is too short for a chain of 3/);
  const attach = (options: Partial<ReLoraOptions>) => () => attachMethod(re(options), opened.context);
  assert.throws(attach({ optimizer_random_pruning: 0.9 }), problem('relora.pruning', 'reset_optimizer_on_relora'));
  assert.throws(
    attach({
      reset_optimizer_on_relora: false,
      optimizer_random_pruning: 0.9,
      optimizer_magnitude_pruning: 0.9,
    }),
    problem('relora.pruning', 'one of them'),
  );
  assert.doesNotThrow(attach({ reset_optimizer_on_relora: false }));
  assert.throws(attach({ target_modules: ['no_proj'] }), problem('targets.no-match'));
});
