import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { ProblemError } from '../../../src/common/problem.js';
import { random } from '../../../src/common/random.js';
import { attachMethods, checkMethods, prepareMethods } from '../../../src/engines/session.js';
import { AdaLoraOptions } from '../../../src/methods/adalora.js';
import { BitfitOptions } from '../../../src/methods/bitfit.js';
import { IntrinsicOptions } from '../../../src/methods/intrinsic.js';
import { LastLayersOptions } from '../../../src/methods/lastLayers.js';
import { LearnedMaskOptions } from '../../../src/methods/learnedMask.js';
import { LisaOptions } from '../../../src/methods/lisa.js';
import type { Attached, Prepared, Values } from '../../../src/methods/method.js';
import { preparesFor } from '../../../src/methods/registry.js';
import type { MethodConfig } from '../../../src/methods/registry.js';
import { PromptTuningOptions } from '../../../src/methods/promptTuning.js';
import { checkpointFolder, readCheckpoint } from '../../../src/training/checkpoint.js';
import { gradientPasses } from '../../../src/training/gradientPasses.js';
import { temporaryFolder } from '../../support/adapters.js';
import { childOptions, childOverFull } from '../../support/childTuning.js';
import { gradientsOfOne } from '../../support/drawnMasks.js';
import { fixture, largestDifference } from '../../support/fixtures.js';
import { openModel } from '../../support/model.js';
import { startValues } from '../../support/startValues.js';
import type { JobParts } from '../training/jobs.js';
import { UNEVEN, jobOn, loraMethod, run } from '../training/jobs.js';

const folder = temporaryFolder();
const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
const options = childOptions({ batch_size: 4 });
const CONFIGS = [loraMethod({ r: 4 }), options];

function prepare(
  configs: readonly MethodConfig[] = CONFIGS,
  parts: JobParts = {},
  on = opened,
): Promise<(Prepared | undefined)[]> {
  return prepareMethods(configs, on.context, (before: readonly Attached[]) =>
    gradientPasses({
      ...jobOn(on, parts),
      methods: before,
      stopRequested: () => false,
      stopped: { code: 'stopped', message: 'stopped' },
    }),
  );
}

const hasMessage =
  (pattern: RegExp) =>
  (error: unknown): boolean =>
    error instanceof ProblemError && pattern.test(error.problem.message);

/** The masks by the trainables' names: 1 where the number trains. */
function masksOf(child: Attached): Map<string, Uint8Array> {
  const inputs = Object.entries(child.stepInputs!({ step: 1, totalSteps: 1 }));
  return new Map(inputs.map(([name, { data }]) => [name.slice(name.indexOf('/') + 1), data as Uint8Array]));
}

/** How many numbers moved. Those that the masks leave out have to be what they were, bit for bit. */
function movedOf(masks: ReadonlyMap<string, Uint8Array>, start: Values, values: Values): number {
  let moved = 0;
  for (const [name, before] of start) {
    const after = values.get(name)!;
    masks.get(name)!.forEach((bit, at) => {
      if (bit === 0) assert.equal(after[at], before[at], `${name}[${at}]`);
      else if (after[at] !== before[at]) moved++;
    });
  }
  return moved;
}

function keptOf(masks: ReadonlyMap<string, Uint8Array>): number {
  return [...masks.values()].flatMap((mask) => [...mask]).reduce((sum, bit) => sum + bit, 0);
}

test('over LoRA exactly round(p·N) numbers train; the others keep theirs, in spite of weight decay', async () => {
  const methods = attachMethods(CONFIGS, opened.context, await prepare());
  const [lora, child] = methods;
  const start = await startValues(lora!.trainables);
  const masks = masksOf(child!);
  const total = [...start.values()].reduce((sum, { length }) => sum + length, 0);
  const kept = keptOf(masks);
  assert.equal(kept, Math.round(0.3 * total));
  assert.match(child!.coverage.warnings[0]!.message, /have no gradient at the start/);
  const density = child!.report!(new Map());
  assert.equal(density.length, lora!.trainables.length);
  assert.ok(density.every(({ path, density: share }) => /lora_B/.test(path) || share === 0));

  const { values } = await run(opened, {
    methods,
    options: {
      per_device_train_batch_size: 4,
      learning_rate: 1e-2,
      weight_decay: 0.1,
      max_steps: 4,
    },
  });
  assert.equal(movedOf(masks, start, values), kept);
});

describe('both factors train from the start', () => {
  // With numbers in B, A has gradients too: the masks leave out some of each.
  const configs = [loraMethod({ r: 4, init_lora_weights: false }), options];
  const STEPS = { learning_rate: 1e-2, weight_decay: 0.1, max_steps: 3 };
  const started = async (): Promise<{ methods: Attached[]; start: Values; masks: Map<string, Uint8Array> }> => {
    const methods = attachMethods(configs, opened.context, await prepare(configs));
    const start = await startValues(methods[0]!.trainables);
    return { methods, start, masks: masksOf(methods[1]!) };
  };

  test('sharpness-aware minimization moves what the masks leave, and another way', async () => {
    const { methods, start, masks } = await started();
    const plain = await run(opened, { methods, options: { ...STEPS, per_device_train_batch_size: 8 } });
    const sharp = await run(opened, {
      methods,
      options: { ...STEPS, per_device_train_batch_size: 8, sam_rho: 0.5 },
    });
    assert.equal(movedOf(masks, start, sharp.values), keptOf(masks));
    assert.ok(farthest(plain.values, sharp.values) > 1e-3);
  });

  test('accumulated gradients give the step of one large batch', async () => {
    const { methods, start, masks } = await started();
    const [large, small] = await Promise.all(
      [{ per_device_train_batch_size: 8 }, { per_device_train_batch_size: 2, gradient_accumulation_steps: 4 }].map(
        (batches) => run(opened, { methods, options: { ...STEPS, ...batches } }),
      ),
    );
    for (const { values } of [large!, small!]) assert.equal(movedOf(masks, start, values), keptOf(masks));
    assert.ok(farthest(start, large!.values) > 1e-2);
    const difference = farthest(large!.values, small!.values);
    assert.ok(difference <= 1e-5, `${difference}`);
  });

  function farthest(a: Values, b: Values): number {
    return Math.max(...[...a].map(([name, numbers]) => largestDifference(numbers, b.get(name)!)));
  }
});

const gpt2 = await openModel(fixture('gpt2', 'tiny-gpt2'));
const OVER: readonly { readonly on: typeof opened; readonly config: MethodConfig }[] = [
  // It has biases.
  { on: gpt2, config: Value.Parse(BitfitOptions, { type: 'bitfit' }) },
  { on: opened, config: Value.Parse(LastLayersOptions, { type: 'last_layers', num_layers: 1 }) },
  { on: opened, config: Value.Parse(LearnedMaskOptions, { type: 'learned_mask' }) },
  { on: opened, config: Value.Parse(IntrinsicOptions, { type: 'intrinsic', intrinsic_dim: 200 }) },
];

/** The masks that F draws at the first step of a run of seed 3. */
async function drawnFirst(on: typeof opened, parent: Attached, child: Attached): Promise<Map<string, Uint8Array>> {
  const seed = random(3, 'dropout', 1).integer(2 ** 31);
  const variables = parent.trainables.map(({ variable }) => variable);
  const drawn = (await gradientsOfOne(on.runtime, child, variables, [seed])).get(seed)!;
  return new Map([...drawn].map(([name, kept]) => [name, Uint8Array.from(kept, (each) => (each > 0 ? 1 : 0))]));
}

for (const { on, config } of OVER) {
  for (const mode of ['D', 'F'] as const) {
    test(`${mode} over ${config.type}: what the masks leave moves, and a resumed run is exact`, async () => {
      const configs = [config, childOptions(mode === 'D' ? { mode, batch_size: 4 } : { mode })];
      const methods = attachMethods(configs, on.context, await prepare(configs, {}, on));
      const [parent, child] = methods;
      const start = await startValues(parent!.trainables);
      const parts = (max_steps: number): JobParts => ({
        methods,
        options: {
          per_device_train_batch_size: 4,
          learning_rate: 1e-2,
          // Of F it acts on all numbers.
          weight_decay: mode === 'D' ? 0.1 : 0,
          max_steps,
          seed: 3,
        },
      });
      const masks = mode === 'D' ? masksOf(child!) : await drawnFirst(on, parent!, child!);
      if (mode === 'F') {
        // Where z is zero they have no gradient.
        for (const each of [masks, start]) each.delete('lambda');
      } else {
        const total = [...start.values()].reduce((sum, { length }) => sum + length, 0);
        assert.equal(keptOf(masks), Math.round(0.3 * total));
      }
      // F draws anew at each step.
      const { values } = await run(on, parts(mode === 'D' ? 3 : 1));
      assert.equal(movedOf(masks, start, values), keptOf(masks));

      const alone = await run(on, parts(4));
      const runFolder = path.join(folder, `${mode}-${config.type}`);
      await mkdir(runFolder);
      let stop = false;
      await run(on, {
        ...parts(4),
        checkpoints: { runFolder },
        emit: (event) => (stop ||= event.type === 'step' && event.step === 2),
        stopRequested: () => stop,
      });
      const from = await readCheckpoint(checkpointFolder(runFolder, 2));
      const resumed = await run(on, { ...parts(4), checkpoints: { runFolder, from } });
      assert.deepEqual(resumed.values, alone.values);
    });
  }
}

test('after a method that chooses for itself what trains, it is refused before anything is prepared', () => {
  for (const before of [
    Value.Parse(AdaLoraOptions, { type: 'adalora' }),
    Value.Parse(LisaOptions, { type: 'lisa' }),
  ]) {
    assert.throws(
      () => checkMethods([before, options], opened.context),
      hasMessage(new RegExp(`cannot be combined with ${before.type}`)),
    );
  }
  checkMethods(CONFIGS, opened.context);
});

test('listed alone, or without what was prepared, it says so', () => {
  assert.throws(() => attachMethods([options], opened.context), hasMessage(/trains nothing of its own/));
  assert.throws(() => attachMethods(CONFIGS, opened.context), hasMessage(/has no mask/));
});

test("squared gradients are the sum over rows of the squares of plain SGD's steps", async () => {
  const [lora] = attachMethods([loraMethod({ r: 4 })], opened.context);
  const variables = lora!.trainables.map(({ variable }) => variable).filter(({ name }) => name.includes('lora_B'));
  const rows = UNEVEN.slice(0, 2);
  const { squares: sums } = await gradientPasses({
    ...jobOn(opened),
    train: rows,
    methods: [lora!],
    stopRequested: () => false,
    stopped: { code: 'stopped', message: 'stopped' },
  }).squaredGradients({ variables, batchSize: 1 });
  const rate = 1;
  const expected = new Map(variables.map(({ name }) => [name, new Float32Array(sums.get(name)!.length)]));
  for (const row of rows) {
    const { values } = await run(opened, {
      methods: [lora!],
      train: [row],
      options: {
        optim: 'sgd',
        lr_scheduler_type: 'constant',
        learning_rate: rate,
        max_grad_norm: 0,
        weight_decay: 0,
        max_steps: 1,
      },
    });
    // B starts at zero, so what it is after the step is the gradient.
    for (const [name, total] of expected)
      values.get(name)!.forEach((step, at) => (total[at]! += (step / rate) ** 2));
  }
  for (const [name, total] of expected) {
    const scale = Math.max(...total);
    assert.ok(scale > 0);
    total.forEach((value, at) =>
      assert.ok(Math.abs(value - sums.get(name)![at]!) <= 1e-4 * scale, `${name}[${at}]`),
    );
  }
});

test('packed rows with virtual tokens before each text: a row may be longer by them, as in training', async () => {
  const prompt = Value.Parse(PromptTuningOptions, { type: 'prompt_tuning', num_virtual_tokens: 5 });
  const [, found] = await prepare([prompt, options], { packing: true, maxLength: 30 });
  assert.ok(found!.size > 0);
});

describe('F', () => {
  const P = 0.3;
  const drawing = childOverFull({ mode: 'F', p: P }, opened.context);
  const variables = drawing.full.trainables.map(({ variable }) => variable);

  test('needs no passes, says which options it does not use, and D that it does not rescale', () => {
    assert.equal(preparesFor(childOptions({ mode: 'F' })), false);
    assert.equal(preparesFor(childOptions({})), true);
    const { coverage } = childOverFull({ mode: 'F', batches: 3, max_grad_norm: 0 }, opened.context).child;
    assert.deepEqual(
      coverage.warnings.map(({ message }) => message),
      ['batches is not used: mode is F', 'max_grad_norm is not used: mode is F'],
    );
    assert.deepEqual(drawing.child.coverage.warnings, []);
  });

  test('reports the share of every tensor, and no mask that could be opened', () => {
    assert.deepEqual(
      drawing.child.report!(new Map()),
      variables.map(({ name }) => ({ path: name, density: P })),
    );
  });

  test('the mean of g over the draws is the gradient; the share that stays is p', async () => {
    const draws = 2000;
    const [vector] = variables.filter(({ name }) => name === 'model.norm.weight');
    const [matrix] = variables.filter(({ name }) => name.endsWith('0.self_attn.k_proj.weight'));
    const seeds = Array.from({ length: draws }, (_, at) => at * 977 + 5);
    const drawn = await gradientsOfOne(opened.runtime, drawing.child, [vector!, matrix!], seeds);
    for (const { name } of [vector!, matrix!]) {
      const all = [...drawn.values()].map((each) => each.get(name)!);
      const size = all[0]!.length;
      const means = Array.from({ length: size }, (_, at) => all.reduce((sum, each) => sum + each[at]!, 0) / draws);
      // Of m / p the variance is (1 − p) / p; among thousands of numbers some are beyond four deviations.
      const deviation = Math.sqrt((1 - P) / P / draws);
      const far = means.filter((mean) => Math.abs(mean - 1) > 4 * deviation).length;
      assert.ok(far <= 1 + 1e-3 * size, `${name}: ${far} of ${size}`);
      const kept = all.reduce((sum, each) => sum + each.filter((value) => value > 0).length, 0);
      const total = size * draws;
      const share = Math.abs(kept / total - P) / Math.sqrt((P * (1 - P)) / total);
      assert.ok(share <= 4, `${name}: ${share} deviations`);
    }
  });

  test('the masks of two tensors, and of two steps, have nothing to do with each other', async () => {
    const pair = variables.filter(({ name }) => /0\.mlp\.(gate|up)_proj\.weight/.test(name));
    const drawn = await gradientsOfOne(opened.runtime, drawing.child, pair, [1, 2]);
    const masks = [...drawn.values()].flatMap((each) => [...each.values()]);
    assert.equal(masks.length, 4);
    for (const [at, mask] of masks.entries()) {
      for (const other of masks.slice(at + 1)) {
        const both = mask.filter((value, i) => value > 0 && other[i]! > 0).length / mask.length;
        const deviation = Math.sqrt((P ** 2 * (1 - P ** 2)) / mask.length);
        assert.ok(Math.abs(both - P ** 2) <= 4 * deviation, `${both}`);
      }
    }
  });

  test('one mask for a step, however many batches it has: exactly its numbers move', async () => {
    const methods = attachMethods([loraMethod({ r: 4, init_lora_weights: false }), childOptions({ mode: 'F' })], {
      ...opened.context,
    });
    const [lora, child] = methods;
    const start = await startValues(lora!.trainables);
    const options = { learning_rate: 1e-2, max_steps: 1, seed: 3 };
    const [large, small] = await Promise.all(
      [{ per_device_train_batch_size: 8 }, { per_device_train_batch_size: 2, gradient_accumulation_steps: 4 }].map(
        (batches) => run(opened, { methods, options: { ...options, ...batches } }),
      ),
    );
    const seed = random(3, 'dropout', 1).integer(2 ** 31);
    const ofLora = lora!.trainables.map(({ variable }) => variable);
    const drawn = await gradientsOfOne(opened.runtime, child!, ofLora, [seed]);
    for (const { values } of [large!, small!]) {
      for (const [name, mask] of drawn.get(seed)!) {
        mask.forEach((kept, at) =>
          assert.equal(values.get(name)![at] !== start.get(name)![at], kept > 0, `${name}[${at}]`),
        );
      }
    }
  });

  test('weight decay acts on all numbers, as in the authors’ code', async () => {
    const { full, methods } = drawing;
    const start = await startValues(full.trainables);
    const { values } = await run(opened, {
      methods,
      options: { weight_decay: 0.1, max_steps: 1, learning_rate: 1e-2 },
    });
    const name = 'model.layers.0.self_attn.q_proj.weight';
    assert.ok(values.get(name)!.every((value, at) => value !== start.get(name)![at]));
  });
});
