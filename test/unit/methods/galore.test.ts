import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { ProblemError } from '../../../src/common/problem.js';
import type { Problem } from '../../../src/common/problem.js';
import { plainProducts } from '../../../src/linalg/products.js';
import { GaloreOptions } from '../../../src/methods/galore.js';
import { projectionOf } from '../../../src/methods/galoreProjection.js';
import type { ProjectionType } from '../../../src/methods/galoreProjection.js';
import type { WeightWork } from '../../../src/methods/method.js';
import { attachMethod } from '../../../src/methods/registry.js';
import { fixedSize } from '../../../src/tensor/dims.js';
import { variable } from '../../../src/tensor/tensor.js';
import { checkpointFolder, readCheckpoint } from '../../../src/training/checkpoint.js';
import { temporaryFolder } from '../../support/adapters.js';
import { fixture } from '../../support/fixtures.js';
import { openModel } from '../../support/model.js';
import { startValues } from '../../support/startValues.js';
import { eventsOf, run } from '../training/jobs.js';

const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
const galore = (options: Partial<GaloreOptions> = {}): GaloreOptions =>
  Value.Parse(GaloreOptions, { type: 'galore', rank: 4, update_proj_gap: 3, ...options });
const TRAINING = { per_device_train_batch_size: 4, learning_rate: 1e-2 };
const folder = temporaryFolder();

function problemOf(action: () => unknown): Problem {
  try {
    action();
  } catch (error) {
    assert.ok(error instanceof ProblemError, String(error));
    return error.problem;
  }
  return assert.fail('nothing was refused');
}

test('every weight trains; moments of targeted matrices have the rank in place of their shorter side', async () => {
  const method = attachMethod(galore(), opened.context);
  const full = attachMethod({ type: 'full' }, opened.context);
  assert.deepEqual(
    method.trainables.map(({ variable: { name } }) => name),
    full.trainables.map(({ variable: { name } }) => name),
  );
  const runFolder = `${folder}/slots`;
  const { reason } = await run(opened, {
    method: galore(),
    options: { ...TRAINING, max_steps: 2, save_steps: 2 },
    checkpoints: { runFolder },
  });
  assert.equal(reason, 'completed');
  const { snapshot } = await readCheckpoint(checkpointFolder(runFolder, 2));
  const sizes = (name: string): number[] =>
    ['exp_avg', 'exp_avg_sq'].map((slot) => snapshot.slots.get(`${name}/${slot}`)!.length);
  const layer = 'model.layers.1';
  // [32, 32], [16, 32], [48, 32], [32, 48], and what is not targeted.
  assert.deepEqual(sizes(`${layer}.self_attn.q_proj.weight`), [32 * 4, 32 * 4]);
  assert.deepEqual(sizes(`${layer}.self_attn.v_proj.weight`), [4 * 32, 4 * 32]);
  assert.deepEqual(sizes(`${layer}.mlp.up_proj.weight`), [48 * 4, 48 * 4]);
  assert.deepEqual(sizes(`${layer}.mlp.down_proj.weight`), [4 * 48, 4 * 48]);
  assert.deepEqual(sizes(`${layer}.input_layernorm.weight`), [32, 32]);
  assert.deepEqual(sizes('lm_head.weight'), [128 * 32, 128 * 32]);
  assert.deepEqual(
    [...snapshot.state].filter(([name]) => name.startsWith(layer)).map(([name, { length }]) => [name, length]),
    [
      [`${layer}.self_attn.q_proj.weight/right`, 32 * 4],
      [`${layer}.self_attn.k_proj.weight/left`, 16 * 4],
      [`${layer}.self_attn.v_proj.weight/left`, 16 * 4],
      [`${layer}.self_attn.o_proj.weight/right`, 32 * 4],
      [`${layer}.mlp.gate_proj.weight/right`, 32 * 4],
      [`${layer}.mlp.up_proj.weight/right`, 32 * 4],
      [`${layer}.mlp.down_proj.weight/left`, 32 * 4],
    ],
  );
});

for (const accumulation of [1, 2]) {
  test(`a run that is resumed at a change of the subspaces, or between two, goes on bit for bit; ${accumulation} batches a step`, async () => {
    const options = {
      ...TRAINING,
      max_steps: 8,
      save_steps: 1,
      save_total_limit: 9,
      gradient_accumulation_steps: accumulation,
    };
    const runFolder = `${folder}/resume-${accumulation}`;
    const parts = { method: galore(), options };
    const whole = await run(opened, { ...parts, checkpoints: { runFolder } });
    const base = await startValues(whole.methods[0]!.trainables);
    assert.ok(
      [...whole.values].every(
        ([name, numbers]) => !base.has(name) || numbers.some((value, at) => value !== base.get(name)![at]),
      ),
    );
    // Subspaces are found before steps 1, 4 and 7.
    for (const step of [2, 3, 4, 6]) {
      const from = await readCheckpoint(checkpointFolder(runFolder, step));
      const again = await run(opened, { ...parts, checkpoints: { runFolder: `${runFolder}-${step}`, from } });
      assert.deepEqual(
        eventsOf(again.events, 'step').map(({ loss, gradientNorm }) => [loss, gradientNorm]),
        eventsOf(whole.events, 'step')
          .slice(step)
          .map(({ loss, gradientNorm }) => [loss, gradientNorm]),
      );
      for (const [name, numbers] of whole.values) assert.deepEqual(again.values.get(name), numbers, name);
      const last = (at: string): Promise<unknown> =>
        readCheckpoint(checkpointFolder(at, 8)).then(({ snapshot }) => snapshot);
      assert.deepEqual(await last(`${runFolder}-${step}`), await last(runFolder));
    }
  });
}

test('each change of the subspaces is told, with what they have in common with those before', async () => {
  const { events } = await run(opened, { method: galore(), options: { ...TRAINING, max_steps: 7 } });
  const told = eventsOf(events, 'log').map(({ message }) => message);
  assert.equal(told.length, 3);
  assert.equal(told[0], 'Step 1: the subspaces of 14 matrices are found.');
  for (const [at, step] of [
    [1, 4],
    [2, 7],
  ] as const) {
    const [, mean, least, most] = told[at]!.match(
      /on average (\d+) % .*\((\d+) % at model\.layers.*, (\d+) % at model/,
    )!.map(Number);
    assert.ok(told[at]!.startsWith(`Step ${step}: the subspaces of 14 matrices are found anew`));
    assert.ok(0 <= least! && least! <= mean! && mean! <= most! && most! <= 100 && least! < most!, told[at]);
  }
});

test('the panel has the rank and the scale of each matrix', () => {
  const report = attachMethod(galore({ target_modules: ['v_proj', 'up_proj'], rank: 20 }), opened.context).report!(
    new Map(),
  );
  assert.deepEqual(
    report.map(({ path, rank, scale }) => [path, rank, scale]),
    [0, 1].flatMap((layer) => [
      // [16, 32] has no more than 16.
      [`model.layers.${layer}.self_attn.v_proj`, 16, 0.25],
      [`model.layers.${layer}.mlp.up_proj`, 20, 0.25],
    ]),
  );
});

test('a run that is asked to stop while subspaces are found keeps what it has learned', async () => {
  let refreshing = 0;
  const runFolder = `${folder}/stop`;
  const { reason, steps, events } = await run(opened, {
    method: galore(),
    options: { ...TRAINING, max_steps: 7 },
    checkpoints: { runFolder },
    emit: (event) => {
      if (event.type === 'progress' && event.total === 14 && event.done === 5) refreshing++;
    },
    // In the second change, before step 4.
    stopRequested: () => refreshing === 2,
  });
  assert.deepEqual([reason, steps], ['stopped', 3]);
  assert.deepEqual(
    eventsOf(events, 'checkpoint').map(({ step }) => step),
    // Two steps are an epoch.
    [2, 3],
  );
  const from = await readCheckpoint(checkpointFolder(runFolder, 3));
  const options = { ...TRAINING, max_steps: 7 };
  const again = await run(opened, { method: galore(), options, checkpoints: { runFolder, from } });
  const whole = await run(opened, { method: galore(), options });
  for (const [name, numbers] of whole.values) assert.deepEqual(again.values.get(name), numbers, name);
});

test('a gradient that is not finite is told by its step, not by the subspaces', async () => {
  const start = await startValues(attachMethod(galore(), opened.context).trainables);
  const name = 'model.layers.0.self_attn.q_proj.weight';
  start.set(
    name,
    start.get(name)!.map(() => 3e38),
  );
  const { reason, steps, ...rest } = await run(opened, {
    method: galore(),
    options: { ...TRAINING, max_steps: 2 },
    start,
  });
  assert.deepEqual([reason, steps], ['failed', 0]);
  assert.ok('problem' in rest);
  assert.match(rest.problem.message, /step 1/);
});

test('a rank that reduces nothing is refused; of some matrices it is told', () => {
  const none = problemOf(() => attachMethod(galore({ rank: 32 }), opened.context));
  assert.equal(none.code, 'galore.rank');
  assert.match(none.message, /rank 32/);
  const { coverage } = attachMethod(galore({ rank: 16 }), opened.context);
  const [warning, ...others] = coverage.warnings;
  assert.deepEqual([warning?.code, warning?.severity, others.length], ['galore.rank', 'warning', 0]);
  assert.match(warning!.message, /4 of the 14 targeted ones.*k_proj/);
  assert.deepEqual(attachMethod(galore({ rank: 15 }), opened.context).coverage.warnings, []);
});

test('patterns that match nothing, and modules that have no matrix, are refused', () => {
  assert.equal(
    problemOf(() => attachMethod(galore({ target_modules: ['qproj'] }), opened.context)).code,
    'targets.no-match',
  );
  assert.equal(
    problemOf(() => attachMethod(galore({ target_modules: ['norm'] }), opened.context)).code,
    'targets.no-match',
  );
});

/** One after the other, on this thread. */
const work: WeightWork = { products: plainProducts, progress: () => Promise.resolve() };

test('types of projection: shapes, and how much of a gradient is kept', async () => {
  const [rows, columns, rank] = [6, 4, 2];
  // Singular values 3, 2, 1 and 0 along the axes.
  const gradient = new Float32Array(rows * columns);
  for (const [i, value] of [3, 2, 1].entries()) gradient[i * columns + i] = value;
  const shapes: Readonly<Record<ProjectionType, readonly number[]>> = {
    std: [6, 2],
    reverse_std: [2, 4],
    left: [2, 4],
    right: [6, 2],
    full: [2, 2],
  };
  for (const proj_type of ['std', 'reverse_std', 'left', 'right', 'full'] as const) {
    const projection = projectionOf(variable('w', [rows, columns]), { rank, scale: 1, proj_type });
    assert.deepEqual(projection.rule.shape, shapes[proj_type]);
    const bases = await projection.refreshed(gradient, work);
    for (const { variable: basis } of projection.state) {
      const numbers = bases.get(basis.name)!;
      assert.equal(numbers.length, fixedSize(basis.shape));
      // The axes of 3 and 2, each with the sign that makes its largest number positive.
      numbers.forEach((value, at) => {
        const expected = Math.floor(at / rank) === at % rank ? 1 : 0;
        assert.ok(Math.abs(value - expected) < 1e-6, `${proj_type} ${at}: ${value}`);
      });
    }
    assert.ok(Math.abs((await projection.overlap(bases, bases, work))! - 1) < 1e-6);
    const zeros = new Map([...bases].map(([name, numbers]) => [name, numbers.map(() => 0)]));
    assert.equal(await projection.overlap(zeros, bases, work), undefined);
    // Axes 2 and 1 of the gradient turned upside down: one of the two stays.
    const other = await projection.refreshed(
      gradient.map((value) => (value === 3 ? 0.5 : value)),
      work,
    );
    assert.ok(Math.abs((await projection.overlap(bases, other, work))! - 0.5) < 1e-6);
  }
});
