// DyLoRA (Valipour et al. 2023): one run for all ranks, whose adapter can be cut to any of them.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { writeAdapter } from '../../../src/adapters/writeAdapter.js';
import { ProblemError } from '../../../src/common/problem.js';
import { DyLoraOptions, dylora } from '../../../src/methods/dylora.js';
import type { Attached, Values } from '../../../src/methods/method.js';
import { temporaryFolder, tokenizer } from '../../support/adapters.js';
import { fixture, largestDifference } from '../../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../../support/model.js';
import { startValues } from '../../support/startValues.js';
import { changeErrors, readTorchSteps, readValues, takeSteps } from '../../support/torchSteps.js';

const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
const initial = await readValues('dylora', 'initial.safetensors');
const IDS = [[5, 6, 70, 12, 9, 44, 3]];
const R = 5;

function attach(options: object): Attached {
  return dylora.attach(Value.Parse(DyLoraOptions, { type: 'dylora', ...options }), opened.context);
}

const OPTIONS = { r: R, lora_alpha: 8, target_modules: ['q_proj', 'v_proj', 'down_proj'] };

/** A method whose steps have these ranks. */
function atRanks(method: Attached, ranks: readonly number[]): Attached {
  const [name] = Object.keys(method.stepInputs!({ step: 1, totalSteps: 1 }));
  return {
    ...method,
    stepInputs: ({ step }) => ({
      [name!]: { dtype: 'float32', shape: [], data: Float32Array.of(ranks[step - 1]!) },
    }),
  };
}

for (const name of ['plain', 'frozen']) {
  test(`eight steps at given ranks (${name}) are torch’s: losses, gradients’ norms, numbers in the end`, async () => {
    const reference = await readTorchSteps<{ rank: number }>('dylora', `${name}.json`);
    const ranks = reference.steps.map(({ rank }) => rank);
    const taken = await takeSteps(opened, atRanks(attach(reference.options), ranks), initial, reference);
    for (const [at, step] of reference.steps.entries()) {
      const { loss, gradientNorm } = taken[at]!;
      assert.ok(Math.abs(loss - step.loss) <= 1e-4 * step.loss, `loss ${at + 1}: ${loss} for ${step.loss}`);
      const error = Math.abs(gradientNorm - step.gradient_norm) / step.gradient_norm;
      assert.ok(error <= 1e-3, `norm ${at + 1}: ${gradientNorm} for ${step.gradient_norm}`);
    }
    const last = await readValues('dylora', `${name}.safetensors`);
    const values = taken.at(-1)!.values;
    for (const [key, error] of changeErrors(initial, values, last)) assert.ok(error <= 1e-2, `${key}: ${error}`);
    // At other ranks it is another run.
    const other = await takeSteps(
      opened,
      atRanks(attach(reference.options), [...ranks].reverse()),
      initial,
      reference,
    );
    assert.ok([...changeErrors(initial, other.at(-1)!.values, last).values()].every((error) => error > 0.1));
  });
}

test('a step at rank b moves the first b components, frozen the b-th alone', async () => {
  const reference = await readTorchSteps('dylora', 'plain.json');
  const one = { ...reference, weight_decay: 0, steps: reference.steps.slice(0, 1) };
  for (const frozen of [false, true]) {
    const [taken] = await takeSteps(opened, atRanks(attach({ ...OPTIONS, frozen }), [3]), initial, one);
    for (const [name, before] of initial) {
      const after = taken!.values.get(name)!;
      // Rows of A, columns of B.
      const componentOf = (at: number): number =>
        name.endsWith('lora_A') ? Math.floor(at / (before.length / R)) : at % R;
      const moved = new Set([...after.keys()].filter((at) => after[at] !== before[at]).map(componentOf));
      assert.deepEqual([...moved].sort(), frozen ? [2] : [0, 1, 2], name);
    }
  }
});

test('ranks are drawn from 1 to r, by seed and step alone', () => {
  const ranksOf = (method: Attached, steps: readonly number[]): number[] =>
    steps.map((step) => Number(Object.values(method.stepInputs!({ step, totalSteps: 9999 }))[0]!.data[0]));
  const steps = Array.from({ length: 4000 }, (_, at) => at + 1);
  const drawn = ranksOf(attach(OPTIONS), steps);
  // A method that is attached anew, as in a run that is resumed, asked in another order.
  assert.deepEqual(ranksOf(attach(OPTIONS), [...steps].reverse()).reverse(), drawn);
  const counts = Array.from({ length: R }, (_, at) => drawn.filter((rank) => rank === at + 1).length);
  assert.equal(
    counts.reduce((a, b) => a + b),
    steps.length,
  );
  // χ² with 4 degrees of freedom: above 23.5 once in ten thousand draws.
  const expected = steps.length / R;
  assert.ok(counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0) < 23.5, counts.join());
});

/** The values in which a rank is measured in the course of a run. */
function valuesAt(method: Attached, rank: number): Values {
  const found = method.lowerRanks!.find((each) => each.rank === rank);
  return found === undefined ? initial : found.values(initial);
}

test('at every rank: applied as training has it, merged, and cut on disk, it is the same model', async () => {
  const method = attach({ ...OPTIONS, eval_ranks: [1, 2, 3, 4] });
  const saved = method.save(initial);
  assert.ok(saved.kind === 'adapter' && saved.nested);
  const one = { learning_rate: 1, weight_decay: 0, max_grad_norm: 0, steps: [{ loss: 0, gradient_norm: 0 }] };
  const losses: number[] = [];
  for (let rank = 1; rank <= R; rank++) {
    const values = valuesAt(method, rank);
    const logits = await logitsOf(opened, IDS, { method, values });
    // By hand: the first components, and PEFT's LoRA of this rank with the same alpha.
    const tensors = saved.tensors.map(({ name, shape, data }) => {
      const [rows, columns] = shape as [number, number];
      return name.includes('lora_A')
        ? { name, shape: [rank, columns], data: data.slice(0, rank * columns) }
        : { name, shape: [rows, rank], data: data.filter((_, at) => at % columns < rank) };
    });
    const folder = path.join(temporaryFolder(), `rank-${rank}`);
    const config = { ...saved.config, r: rank };
    await writeAdapter(folder, { kind: 'adapter', config, tensors }, { tokenizer, card: '' });
    const cut = await attachAdapter(opened, folder);
    assert.ok(largestDifference(await logitsOf(opened, IDS, cut), logits) <= 1e-4, `rank ${rank}`);
    for (const site of opened.model.sites.filter(({ kind }) => kind === 'linear')) {
      const base = await opened.context.read(site.weight!);
      const [ours, lora] = [
        method.merge!(site, 'weight', base, values),
        cut.method.merge!(site, 'weight', base, cut.values),
      ];
      assert.ok(largestDifference(ours ?? base, lora ?? base) <= 1e-5, site.path);
    }
    // A training step at that rank computes the loss of the model that the cut adapter makes.
    const [own] = await takeSteps(opened, atRanks(method, [rank]), initial, one);
    const [theirs] = await takeSteps(opened, cut.method, cut.values, one);
    assert.ok(Math.abs(own!.loss - theirs!.loss) <= 1e-5, `rank ${rank}: ${own!.loss}, ${theirs!.loss}`);
    losses.push(own!.loss);
  }
  assert.equal(new Set(losses).size, R);
});

test('starts as the base model; trains A and B of rank r, and loads what it saved', async () => {
  const method = attach({ r: 3 });
  const values = await startValues(method.trainables);
  assert.equal(largestDifference(await logitsOf(opened, IDS, { method, values }), await logitsOf(opened, IDS)), 0);
  const linear = opened.model.sites.filter((site) => site.kind === 'linear' && !site.isOutput);
  const counted = method.coverage.modules.reduce((sum, { trainable }) => sum + trainable, 0);
  assert.equal(
    counted,
    linear.reduce((sum, { shape: [out, own] }) => sum + 3 * (out! + own!), 0),
  );
  const whole = attach(OPTIONS);
  const saved = whole.save(initial);
  assert.ok(saved.kind === 'adapter');
  assert.deepEqual([saved.config['peft_type'], saved.config['r'], saved.config['lora_alpha']], ['LORA', R, 8]);
  assert.deepEqual(saved.config['rank_pattern'], {});
  const { values: loaded } = whole.load(new Map(saved.tensors.map((each) => [each.name, each])), 'here');
  assert.deepEqual(new Map([...loaded].sort()), new Map([...initial].sort()));
});

test('a rank to evaluate at above r is refused, at its place', () => {
  assert.throws(
    () => attach({ r: 4, eval_ranks: [2, 5] }),
    (error) =>
      error instanceof ProblemError &&
      error.problem.code === 'dylora.rank' &&
      'option' in error.problem &&
      String(error.problem.option) === 'eval_ranks,1',
  );
});
