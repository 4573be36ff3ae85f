// A run that stops at a checkpoint and goes on from it gives what the run left alone gives, bit for bit.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { ProblemError } from '../../../src/common/problem.js';
import { attachMethods } from '../../../src/engines/session.js';
import { AdaLoraOptions } from '../../../src/methods/adalora.js';
import { BitfitOptions } from '../../../src/methods/bitfit.js';
import { ChildTuningOptions } from '../../../src/methods/childTuning.js';
import { DyLoraOptions } from '../../../src/methods/dylora.js';
import { DoraRankOptions } from '../../../src/methods/doraRank.js';
import { FishMaskOptions } from '../../../src/methods/fishMask.js';
import { IntrinsicOptions } from '../../../src/methods/intrinsic.js';
import { LastLayersOptions } from '../../../src/methods/lastLayers.js';
import { SoraOptions } from '../../../src/methods/sora.js';
import { LisaOptions } from '../../../src/methods/lisa.js';
import { AdapterOptions } from '../../../src/methods/bottleneckAdapter.js';
import { Ia3Options } from '../../../src/methods/ia3.js';
import { LokrOptions } from '../../../src/methods/lokr.js';
import { LotrOptions } from '../../../src/methods/lotr.js';
import { MeloraOptions } from '../../../src/methods/melora.js';
import { MoraOptions } from '../../../src/methods/mora.js';
import { PaFiOptions } from '../../../src/methods/pafi.js';
import { PrefixTuningOptions } from '../../../src/methods/prefixTuning.js';
import { SltrainOptions } from '../../../src/methods/sltrain.js';
import { CiatOptions } from '../../../src/methods/ciat.js';
import { PromptTuningOptions } from '../../../src/methods/promptTuning.js';
import type { MethodConfig } from '../../../src/methods/registry.js';
import { checkpointFolder, checkpointSteps, readCheckpoint } from '../../../src/training/checkpoint.js';
import type { TrainingResult } from '../../../src/training/job.js';
import { childOverFull } from '../../support/childTuning.js';
import { fixture } from '../../support/fixtures.js';
import { maskOptions } from '../../support/learnedMask.js';
import { openModel } from '../../support/model.js';
import { prepare } from '../../support/sparse.js';
import type { JobParts } from './jobs.js';
import { UNEVEN, eventsOf, loraMethod, run } from './jobs.js';

const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
const root = await mkdtemp(path.join(tmpdir(), 'peft-resume-'));
after(() => rm(root, { recursive: true, force: true }));
let count = 0;

async function runFolder(): Promise<string> {
  const folder = path.join(root, String(++count));
  await mkdir(folder);
  return folder;
}

type Ran = Awaited<ReturnType<typeof run>>;

/** Stops after a step, reads the newest checkpoint and goes on. */
async function cut(parts: JobParts, at: number, on = opened): Promise<[Ran, Ran]> {
  const folder = await runFolder();
  let stop = false;
  const first = await run(on, {
    ...parts,
    checkpoints: { runFolder: folder },
    emit: (event) => (stop ||= event.type === 'step' && event.step === at),
    stopRequested: () => stop,
  });
  const step = (await checkpointSteps(folder)).at(-1)!;
  assert.equal(step, at, 'a stop writes a checkpoint');
  const from = await readCheckpoint(checkpointFolder(folder, step));
  return [first, await run(on, { ...parts, checkpoints: { runFolder: folder, from } })];
}

function losses(...runs: Ran[]): Map<number, number> {
  return new Map(runs.flatMap(({ events }) => eventsOf(events, 'step').map(({ step, loss }) => [step, loss])));
}

function same(a: TrainingResult, b: TrainingResult): void {
  assert.deepEqual([...a.values.keys()].sort(), [...b.values.keys()].sort());
  for (const [name, numbers] of a.values) assert.deepEqual(b.values.get(name), numbers, name);
}

const SMALL = { per_device_train_batch_size: 2, learning_rate: 1e-2, max_steps: 9 };
const dropped = loraMethod({ r: 4, lora_dropout: 0.3 });
const gpt2 = await openModel(fixture('gpt2', 'tiny-gpt2'));

/** Methods that go over the data, or the weights, before they attach. */
async function prepared(...configs: readonly MethodConfig[]): Promise<JobParts['methods']> {
  return attachMethods(configs, opened.context, await prepare(configs, opened, UNEVEN));
}

/** Ranks, norms and budgets as told after each step. */
function ranks(...runs: Ran[]): Map<number, object> {
  return new Map(runs.flatMap(({ events }) => eventsOf(events, 'ranks').map((told) => [told.step, told])));
}

const cases: Record<string, JobParts & { on?: typeof opened; cuts?: readonly number[] }> = {
  'AdamW, dropout, accumulation, held-out rows': {
    method: dropped,
    validation: UNEVEN.slice(0, 3),
    options: { ...SMALL, gradient_accumulation_steps: 2, eval_steps: 4 },
  },
  'packed rows': {
    method: dropped,
    packing: true,
    maxLength: 40,
    options: { ...SMALL, per_device_train_batch_size: 1 },
  },
  'SGD with momentum': { method: dropped, options: { ...SMALL, optim: 'sgd', momentum: 0.9 } },
  Adafactor: { method: dropped, options: { ...SMALL, optim: 'adafactor' } },
  'sharpness-aware': { method: dropped, options: { ...SMALL, sam_rho: 0.05 } },
  'full fine-tuning': { method: { type: 'full' }, options: SMALL },
  AdaLoRA: {
    method: Value.Parse(AdaLoraOptions, {
      type: 'adalora',
      init_r: 4,
      target_r: 2,
      tinit: 2,
      tfinal: 2,
      deltaT: 2,
    }),
    // Ranks are told between two allocations, too.
    validation: UNEVEN.slice(0, 3),
    options: { ...SMALL, weight_decay: 0.1, gradient_accumulation_steps: 2, eval_steps: 1 },
    // While the budget is whole, while it falls (between two allocations), and once it stays.
    cuts: [1, 5, 8],
  },
  'dynamic-rank DoRA': {
    method: Value.Parse(DoraRankOptions, { type: 'dora_rank', r: 2, start_rank: 4, prune_interval_step: 2 }),
    validation: UNEVEN.slice(0, 3),
    options: { ...SMALL, max_steps: 14, weight_decay: 0.1, gradient_accumulation_steps: 2, eval_steps: 1 },
    // Before the pruning, between two of its steps, and after it.
    cuts: [1, 5, 9],
  },
  'SoRA with rising ξ': {
    method: Value.Parse(SoraOptions, {
      type: 'sora',
      sparse_lambda_2: 0.02,
      lambda_schedule: 'exp_linear',
      max_lambda: 0.2,
      lambda_num: 3,
      lora_dropout: 0.2,
      sparse_lr: 2e-2,
    }),
    validation: UNEVEN.slice(0, 3),
    options: { ...SMALL, weight_decay: 0.1, gradient_accumulation_steps: 2, eval_steps: 1 },
    // In the first level and in the second.
    cuts: [1, 5],
  },
  DyLoRA: {
    method: Value.Parse(DyLoraOptions, { type: 'dylora', r: 4, lora_dropout: 0.2, eval_ranks: [1, 2] }),
    validation: UNEVEN.slice(0, 3),
    options: { ...SMALL, weight_decay: 0.1, gradient_accumulation_steps: 2, eval_steps: 2 },
  },
  'DyLoRA, one component a step': {
    method: Value.Parse(DyLoraOptions, { type: 'dylora', r: 4, frozen: true }),
    options: { ...SMALL, sam_rho: 0.05 },
  },
  'prompt tuning': {
    method: Value.Parse(PromptTuningOptions, { type: 'prompt_tuning', num_virtual_tokens: 3 }),
    options: SMALL,
  },
  'prefix tuning with a projection': {
    method: Value.Parse(PrefixTuningOptions, {
      type: 'prefix_tuning',
      num_virtual_tokens: 3,
      prefix_projection: true,
    }),
    options: SMALL,
  },
  '(IA)³ with a whole module': {
    method: Value.Parse(Ia3Options, { type: 'ia3', modules_to_save: ['lm_head'], init_ia3_weights: false }),
    options: SMALL,
  },
  'LoTR, its factors shared': {
    method: Value.Parse(LotrOptions, { type: 'lotr', r: 2, share: 'shape' }),
    options: { ...SMALL, weight_decay: 0.1, gradient_accumulation_steps: 2 },
  },
  'LoTR whose factors rest': {
    method: Value.Parse(LotrOptions, { type: 'lotr', r: 2, train_factors: false }),
    options: SMALL,
  },
  'LoKr with dropout': {
    method: Value.Parse(LokrOptions, { type: 'lokr', r: 2, rank_dropout: 0.3, module_dropout: 0.3 }),
    options: { ...SMALL, weight_decay: 0.1, gradient_accumulation_steps: 2 },
  },
  'MELoRA with dropout': {
    method: Value.Parse(MeloraOptions, { type: 'melora', l_num: 4, r: 2, lora_dropout: 0.3 }),
    options: { ...SMALL, weight_decay: 0.1, gradient_accumulation_steps: 2 },
  },
  'MoRA with dropout': {
    method: Value.Parse(MoraOptions, { type: 'mora', r: 2, lora_dropout: 0.3 }),
    options: { ...SMALL, weight_decay: 0.1 },
  },
  'SLTrain with dropout': {
    methods: await prepared(
      Value.Parse(SltrainOptions, { type: 'sltrain', r: 2, sp_ratio: 0.05, lora_dropout: 0.3 }),
    ),
    options: { ...SMALL, weight_decay: 0.1, gradient_accumulation_steps: 2 },
  },
  'bottleneck adapter': {
    method: Value.Parse(AdapterOptions, {
      type: 'adapter',
      placement: 'houlsby',
      bottleneck_size: 4,
      dropout: 0.2,
    }),
    options: SMALL,
  },
  CIAT: {
    method: Value.Parse(CiatOptions, { type: 'ciat', bottleneck_size: 4, dropout: 0.2 }),
    options: SMALL,
  },
  'Child-Tuning-F': { methods: childOverFull({ mode: 'F' }, opened.context).methods, options: SMALL },
  'Child-Tuning-D over LoRA': {
    methods: await prepared(dropped, Value.Parse(ChildTuningOptions, { type: 'child_tuning', mode: 'D' })),
    options: { ...SMALL, weight_decay: 0.1, gradient_accumulation_steps: 2 },
  },
  'FISH Mask': {
    methods: await prepared(Value.Parse(FishMaskOptions, { type: 'fish_mask', keep_ratio: 0.02 })),
    options: { ...SMALL, weight_decay: 0.1 },
  },
  'PaFi, accumulated': {
    methods: await prepared(Value.Parse(PaFiOptions, { type: 'pafi', keep_ratio: 0.02 })),
    options: { ...SMALL, gradient_accumulation_steps: 2 },
  },
  BitFit: { on: gpt2, method: Value.Parse(BitfitOptions, { type: 'bitfit' }), options: SMALL },
  'a subspace': {
    method: Value.Parse(IntrinsicOptions, { type: 'intrinsic', intrinsic_dim: 40 }),
    options: { ...SMALL, weight_decay: 0.1 },
  },
  'last layers': { method: Value.Parse(LastLayersOptions, { type: 'last_layers' }), options: SMALL },
  'learned masks': { method: maskOptions(), options: SMALL },
  'last layers, outputs of the first ones kept': {
    method: Value.Parse(LastLayersOptions, { type: 'last_layers' }),
    options: { ...SMALL, cache_frozen_layers: true },
  },
  LISA: {
    method: Value.Parse(LisaOptions, { type: 'lisa', lisa_activated_layers: 1, lisa_interval_steps: 2 }),
    options: SMALL,
  },
};

for (const [name, { on, cuts = [1, 5], ...parts }] of Object.entries(cases)) {
  test(`resumed = left alone: ${name}`, async () => {
    const whole = await run(on ?? opened, parts);
    assert.equal(whole.reason, 'completed');
    for (const at of cuts) {
      const [first, rest] = await cut(parts, at, on);
      assert.equal(rest.reason, 'completed');
      assert.deepEqual(losses(first, rest), losses(whole));
      same(rest, whole);
      assert.deepEqual(rest.metrics, whole.metrics);
      assert.deepEqual(ranks(first, rest), ranks(whole));
    }
  });
}

test('an AdaLoRA run that was killed behind its last step saves the adapter that it would have saved', async () => {
  const method = Value.Parse(AdaLoraOptions, { type: 'adalora', tinit: 1, tfinal: 2 });
  const [, { methods, values }] = await cut({ method, options: SMALL }, SMALL.max_steps);
  const saved = methods[0]!.save(values);
  assert.ok(saved.kind === 'adapter');
  assert.equal(saved.config['total_step'], SMALL.max_steps);
});

test('other rows, other options: the checkpoint is another job’s', async () => {
  const folder = await runFolder();
  const parts: JobParts = { method: dropped, options: SMALL };
  await run(opened, { ...parts, checkpoints: { runFolder: folder } });
  const from = await readCheckpoint(checkpointFolder(folder, 9));
  const resumed = (more: JobParts): Promise<unknown> =>
    run(opened, { ...parts, ...more, checkpoints: { runFolder: folder, from } });
  const isOther = (error: unknown): boolean =>
    error instanceof ProblemError && error.problem.code === 'resume.other-job';
  await assert.rejects(resumed({ train: UNEVEN.slice(1) }), isOther);
  await assert.rejects(resumed({ options: { ...SMALL, learning_rate: 2e-2 } }), isOther);
  await assert.rejects(resumed({ train: UNEVEN.map((row) => ({ ...row, label: 1 })) }), isOther);
  await assert.rejects(
    resumed({ train: UNEVEN.map((row) => ({ ...row, types: row.ids.map(() => 1) })) }),
    isOther,
  );
  await assert.rejects(resumed({ masking: { maskTokenId: 4, vocabSize: 128 } }), isOther);
  await resumed({ options: { ...SMALL, logging_steps: 2 } });
});

test('the newest checkpoints stay and the best one; what a killed run left half written goes', async () => {
  const folder = await runFolder();
  await mkdir(path.join(folder, 'checkpoint-2.0a1b2c3d-4-5e6f70.tmp'));
  await mkdir(path.join(folder, 'checkpoint-1.removed'));
  await writeFile(path.join(folder, 'checkpoint-2.0a1b2c3d-4-5e6f70.tmp/part'), 'half');
  // Rows of random tokens: what is learned on some makes the others worse, so that the first evaluation is the best.
  const options = { ...SMALL, learning_rate: 0.3, save_steps: 2, save_total_limit: 2, eval_steps: 3 };
  const parts: JobParts = { method: dropped, train: UNEVEN.slice(0, 4), validation: UNEVEN.slice(4) };
  const { metrics, events, values } = await run(opened, {
    ...parts,
    options: { ...options, load_best_model_at_end: true },
    checkpoints: { runFolder: folder },
  });
  const evaluations = eventsOf(events, 'evaluation');
  const best = evaluations.reduce((a, b) => (b.loss < a.loss ? b : a));
  assert.equal(metrics['eval_loss'], best.loss);
  const steps = await checkpointSteps(folder);
  assert.deepEqual(steps.slice(-2), [8, 9]);
  assert.ok(best.step === 9 || steps.includes(best.step), `${steps.join()} and the best, ${best.step}`);
  const { snapshot } = await readCheckpoint(checkpointFolder(folder, best.step));
  for (const [name, numbers] of snapshot.values) assert.deepEqual(values.get(name), numbers);
  assert.ok((await readdir(folder)).every((name) => /^checkpoint-\d+$/.test(name)));
});

test('early stopping ends a run whose metric no longer improves', async () => {
  const { reason, steps, events } = await run(opened, {
    method: dropped,
    train: UNEVEN.slice(0, 4),
    validation: UNEVEN.slice(4),
    options: { ...SMALL, learning_rate: 0.3, max_steps: 40, eval_steps: 1, early_stopping_patience: 2 },
  });
  assert.equal(reason, 'early-stopped');
  const evaluated = eventsOf(events, 'evaluation').map(({ loss }) => loss);
  const best = Math.min(...evaluated);
  assert.ok(evaluated.slice(-2).every((loss) => loss >= best));
  assert.equal(steps, evaluated.length - 1);
});
