import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { ProblemError } from '../../../src/common/problem.js';
import { TrainingOptions } from '../../../src/config/schema.js';
import { makeBatch } from '../../../src/data/batches.js';
import type { Batch } from '../../../src/data/example.js';
import { readAdapter } from '../../../src/adapters/readAdapter.js';
import { AdaLoraOptions, adalora } from '../../../src/methods/adalora.js';
import { adaLoraConfigFromPeft } from '../../../src/methods/adaloraConfig.js';
import type { Attached, Values } from '../../../src/methods/method.js';
import { startSnapshot } from '../../../src/training/snapshot.js';
import { createStepper } from '../../../src/training/stepper.js';
import { fixture, largestDifference, readInputIds, readJson, readTensors } from '../../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../../support/model.js';
import { startValues } from '../../support/startValues.js';

interface Reference {
  learning_rate: number;
  weight_decay: number;
  max_grad_norm: number;
  schedule: Partial<AdaLoraOptions>;
  steps: { loss: number; ranks: Record<string, number> }[];
  lambdas: Record<string, number[]>;
}

interface WholeReference extends Omit<Reference, 'steps'> {
  steps: {
    loss: number;
    orthogonality: number;
    budget: number;
    ranks: Record<string, number>;
    /** Of some steps: each triplet's, by module. */
    scores?: Record<string, number[]>;
  }[];
}

const AVERAGES = ['adalora.exp_avg_ipt', 'adalora.exp_avg_unc'];

const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
const batches = await readBatches();
const initial = await attachAdapter(opened, fixture('adalora/initial'));
const SMALL = { init_r: 6, target_r: 3, lora_alpha: 32, orth_reg_weight: 0.1 };

async function readBatches(): Promise<Batch[]> {
  const text = await readFile(fixture('lora-reference/lora-steps/batches.json'), 'utf8');
  const rows = JSON.parse(text) as { input_ids: number[]; supervised: (0 | 1)[] }[][];
  return rows.map((each) =>
    makeBatch(
      each.map((row) => ({ ids: row.input_ids, supervised: row.supervised, file: 'batches.json', line: 1 })),
      each.map((_, at) => [at]),
    ),
  );
}

function attach(options: Partial<AdaLoraOptions>): Attached {
  return adalora.attach(Value.Parse(AdaLoraOptions, { type: 'adalora', ...options }), opened.context);
}

interface Run {
  /** With the orthogonality term. */
  readonly losses: readonly number[];
  /** How many λ are not 0 after each step, by module; and what is told. */
  readonly ranks: readonly Record<string, number>[];
  readonly reported: readonly Record<string, number>[];
  readonly values: Values;
}

async function run(
  method: Attached,
  start: Values,
  totalSteps: number,
  options: Partial<TrainingOptions>,
  model = opened,
): Promise<Run> {
  const stepper = await createStepper({
    ...model,
    methods: [method],
    start: startSnapshot(start),
    options: Value.Parse(TrainingOptions, options),
    positionLimit: 64,
  });
  const losses: number[] = [];
  const ranks: Record<string, number>[] = [];
  const reported: Record<string, number>[] = [];
  for (let step = 1; step <= totalSteps; step++) {
    const place = { step, totalSteps };
    method.beforeStep!(place);
    const { loss, terms } = await stepper.step([batches[step - 1]!], place, options.learning_rate!, step);
    losses.push(loss + (terms?.['orthogonality'] ?? 0));
    ranks.push(ranksIn(stepper.values()));
    reported.push(Object.fromEntries(method.report!(stepper.values()).map(({ path, rank }) => [path, rank!])));
  }
  const values = new Map([...stepper.values()].map(([name, data]) => [name, data.slice()]));
  await stepper.dispose();
  return { losses, ranks, reported, values };
}

/** How many λ of each module are not 0. */
function ranksIn(values: Values): Record<string, number> {
  return Object.fromEntries(
    [...values]
      .filter(([name]) => name.endsWith('.lora_E'))
      .map(([name, data]) => [name.replace(/\.lora_E$/, ''), data.filter((lambda) => lambda !== 0).length]),
  );
}

/** Scores of a module's triplets, from the averages of single numbers: all λ first, then A and B of each module. */
function scoresIn(method: Attached, [smooth, unsure]: readonly Float32Array[], path: string): number[] {
  const names = method.trainables.map(({ variable: { name } }) => name);
  const inOrder = [
    ...names.filter((name) => name.endsWith('lora_E')),
    ...names.filter((name) => /_[AB]$/.test(name)),
  ];
  const shapes = new Map(
    method.trainables.map(({ variable: { name, shape } }) => [name, shape as readonly number[]]),
  );
  const sizeOf = (name: string): number => shapes.get(name)!.reduce((a, b) => a * b, 1);
  const part = (which: string): { data: number[]; columns: number } => {
    const at = inOrder.indexOf(`${path}.lora_${which}`);
    const from = inOrder.slice(0, at).reduce((sum, name) => sum + sizeOf(name), 0);
    const data = Array.from({ length: sizeOf(inOrder[at]!) }, (_, i) => smooth![from + i]! * unsure![from + i]!);
    return { data, columns: shapes.get(inOrder[at]!)![1]! };
  };
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  const [e, a, b] = [part('E'), part('A'), part('B')];
  return e.data.map(
    (score, triplet) =>
      score +
      mean(a.data.slice(triplet * a.columns, (triplet + 1) * a.columns)) +
      mean(b.data.filter((_, at) => at % b.columns === triplet)),
  );
}

const total = (ranks: Record<string, number>): number => Object.values(ranks).reduce((a, b) => a + b, 0);

for (const name of ['phases', 'defaults']) {
  test(`twelve AdaLoRA steps (${name}) are those of HF PEFT: losses, ranks of every module, last λ`, async () => {
    const text = await readFile(fixture('adalora', name, 'steps.json'), 'utf8');
    const reference = JSON.parse(text) as Reference;
    const method = attach({ ...SMALL, ...reference.schedule });
    const { losses, ranks, values } = await run(method, initial.values, reference.steps.length, {
      learning_rate: reference.learning_rate,
      weight_decay: reference.weight_decay,
      max_grad_norm: reference.max_grad_norm,
    });
    for (const [at, step] of reference.steps.entries()) {
      assert.ok(Math.abs(losses[at]! - step.loss) <= 1e-4, `loss ${at + 1}: ${losses[at]} for ${step.loss}`);
      assert.deepEqual(ranks[at], step.ranks, `ranks after step ${at + 1}`);
    }
    assert.equal(total(ranks.at(-1)!), 3 * 14);
    for (const [path, lambdas] of Object.entries(reference.lambdas)) {
      const own = values.get(`${path}.lora_E`)!;
      assert.ok(largestDifference(own, lambdas) <= 1e-4, `${path}: ${own.join()} for ${lambdas.join()}`);
    }

    // What is saved has the names, shapes and rank pattern that PEFT wrote.
    const saved = method.save(values);
    assert.ok(saved.kind === 'adapter');
    const folder = fixture('adalora', name, 'final');
    const theirs = await readTensors(`${folder}/adapter_model.safetensors`);
    assert.deepEqual(saved.tensors.map((tensor) => tensor.name).sort(), [...theirs.keys()].sort());
    for (const { name: key, shape, data } of saved.tensors) {
      assert.deepEqual(shape, theirs.get(key)!.shape, key);
      assert.ok(largestDifference(data, theirs.get(key)!.data) <= 2e-3, key);
    }
    const config = await readJson(`${folder}/adapter_config.json`);
    const exceptions = new Set(['target_modules']);
    for (const [key, value] of Object.entries(saved.config)) {
      if (!exceptions.has(key)) assert.deepEqual(value, config[key], key);
    }
  });
}

test('a whole run is that of HF PEFT: losses, orthogonality, budget, scores and ranks of every step, and the result', async () => {
  const text = await readFile(fixture('adalora/schedule/steps.json'), 'utf8');
  const reference = JSON.parse(text) as WholeReference;
  const options = { ...SMALL, ...reference.schedule };
  const method = attach(options);
  const totalSteps = reference.steps.length;
  const stepper = await createStepper({
    ...opened,
    methods: [method],
    start: startSnapshot(initial.values),
    options: Value.Parse(TrainingOptions, {
      learning_rate: reference.learning_rate,
      weight_decay: reference.weight_decay,
      max_grad_norm: reference.max_grad_norm,
      gradient_accumulation_steps: 2,
    }),
    positionLimit: 64,
  });
  const averages: Float32Array[][] = [];
  for (const [at, step] of reference.steps.entries()) {
    const place = { step: at + 1, totalSteps };
    method.beforeStep!(place);
    const two = [2 * at, 2 * at + 1].map((each) => batches[each % batches.length]!);
    const { loss, terms } = await stepper.step(two, place, reference.learning_rate, at);
    const orthogonality = terms!['orthogonality']!;
    const whole = loss + orthogonality;
    assert.ok(Math.abs(whole - step.loss) <= 2e-5, `loss ${at + 1}: ${whole} for ${step.loss}`);
    assert.ok(Math.abs(orthogonality - step.orthogonality) <= 1e-5, `${orthogonality} for ${step.orthogonality}`);
    assert.equal(method.rankBudget!(place).budget, step.budget);
    assert.deepEqual(ranksIn(stepper.values()), step.ranks, `ranks after step ${at + 1}`);
    averages.push(AVERAGES.map((name) => stepper.values().get(name)!.slice()));
    for (const [path, theirs] of Object.entries(step.scores ?? {})) {
      for (const [triplet, score] of scoresIn(method, averages[at]!, path).entries()) {
        assert.ok(Math.abs(score / theirs[triplet]! - 1) <= 1e-3, `step ${at + 1}, ${path}: ${score}`);
      }
    }
  }
  // They take in the last step before the budget is at its end, and none from there.
  const last = totalSteps - options.tfinal!;
  assert.notDeepEqual(averages[last - 2], averages[last - 3]);
  for (const each of averages.slice(last - 1)) assert.deepEqual(each, averages[last - 2]);
  const values = new Map([...stepper.values()].map(([name, data]) => [name, data.slice()]));
  await stepper.dispose();
  assert.equal(total(ranksIn(values)), options.target_r * 14);
  assert.ok(Object.values(ranksIn(values)).includes(0), 'a module has no triplet left');
  for (const [path, lambdas] of Object.entries(reference.lambdas)) {
    const own = values.get(`${path}.lora_E`)!;
    assert.ok(largestDifference(own, lambdas) <= 2e-5, `${path}: ${own.join()} for ${lambdas.join()}`);
  }
  const saved = method.save(values);
  assert.ok(saved.kind === 'adapter');
  const theirs = await readTensors(fixture('adalora/schedule/final/adapter_model.safetensors'));
  assert.deepEqual(saved.tensors.map((tensor) => tensor.name).sort(), [...theirs.keys()].sort());
  for (const { name: key, shape, data } of saved.tensors) {
    assert.deepEqual(shape, theirs.get(key)!.shape, key);
    assert.ok(largestDifference(data, theirs.get(key)!.data) <= 1e-4, key);
  }
  const config = await readJson(fixture('adalora/schedule/final/adapter_config.json'));
  assert.deepEqual(saved.config['rank_pattern'], config['rank_pattern']);
  assert.equal(saved.config['total_step'], totalSteps);
});

// In `defaults` one module has no triplet left, in `schedule` two.
for (const [name, modulePath, rank] of [
  ['phases', 'model.layers.0.mlp.up_proj', 5],
  ['defaults', 'model.layers.1.self_attn.k_proj', 0],
  ['schedule', 'model.layers.1.self_attn.q_proj', 0],
] as const) {
  test(`an adapter that PEFT saved with a rank pattern (${name}) gives its logits, merged too`, async () => {
    const folder = fixture('adalora', name, 'final');
    const adapter = await attachAdapter(opened, folder);
    const { logits } = Object.fromEntries(await readTensors(`${folder}/logits.safetensors`));
    const ids = await readInputIds(`${folder}/logits.safetensors`);
    assert.ok(largestDifference(await logitsOf(opened, ids, adapter), logits!.data) <= 1e-3);
    assert.ok(largestDifference(await logitsOf(opened, ids), logits!.data) > 0.1);

    const site = opened.model.sites.find(({ path }) => path === modulePath)!;
    const base = await opened.context.read(site.weight!);
    const merged = adapter.method.merge!(site, 'weight', base, adapter.values)!;
    const norm = Math.hypot(...merged.map((value, at) => value - base[at]!));
    const reported = adapter.method.report!(adapter.values).find(({ path }) => path === modulePath)!;
    assert.ok(Math.abs(norm - reported.norm!) <= 1e-4 * norm, `${norm}, ${reported.norm}`);
    assert.equal(reported.rank, rank);
    const read = await readAdapter(folder);
    const inspected = await read.format.inspect(read);
    assert.deepEqual([inspected.problems, inspected.unknown], [[], []]);
    const module = inspected.modules.find(({ path }) => path === modulePath)!;
    assert.equal(module.rank, rank);
    assert.ok(Math.abs(module.norm! - reported.norm!) <= 1e-5 * norm);
  });
}

describe('allocation', () => {
  test('equal scores: the first triplets stay, as many as the budget has', async () => {
    const method = attach({ init_r: 4, target_r: 2, target_modules: ['q_proj', 'v_proj'] });
    const start = await startValues(method.trainables);
    const ones = [...start].map(([name, data]): [string, Float32Array] => [
      name,
      name.endsWith('lora_E') ? data.map(() => 1) : new Float32Array(data.length),
    ]);
    // P and Q of zeros: no gradient, and all scores 0. b(1) = int(8 + 8 · (1/2)³) = 9, b(2) = 8.
    const { ranks, values } = await run(method, new Map(ones), 2, { learning_rate: 1e-3, weight_decay: 0 });
    assert.deepEqual(
      ranks.map((each) => Object.values(each)),
      [
        [4, 4, 1, 0],
        [4, 4, 0, 0],
      ],
    );
    // Modules without a triplet are saved as PEFT saves them, as empty tensors, and read back.
    const saved = method.save(values);
    assert.ok(saved.kind === 'adapter');
    const shapes = saved.tensors.filter(({ name }) => name.endsWith('lora_A')).map(({ shape }) => shape);
    assert.deepEqual(
      shapes,
      [4, 4, 0, 0].map((rank) => [rank, 32]),
    );
    const loaded = method.load(new Map(saved.tensors.map((each) => [each.name, each])), 'adapter');
    for (const { variable } of method.trainables) {
      assert.deepEqual(loaded.values.get(variable.name), values.get(variable.name), variable.name);
    }
  });

  test('a budget of all triplets prunes none', async () => {
    const method = attach({ ...SMALL, target_r: 6 });
    const { ranks } = await run(method, await startValues(method.trainables), 2, { learning_rate: 1e-2 });
    assert.equal(total(ranks.at(-1)!), 6 * 14);
  });

  test('the rank may only fall', () => {
    assert.throws(
      () => attach({ init_r: 4, target_r: 5 }),
      (error) => error instanceof ProblemError && error.problem.code === 'adalora.rank',
    );
  });

  test('ranks are told as they were allocated, although every λ trains on in between; so is the budget', async () => {
    const schedule = { tinit: 2, tfinal: 2, deltaT: 3 };
    const method = attach({ ...SMALL, ...schedule });
    const start = await startValues(method.trainables);
    const states = method.state!.map(({ variable, start: first }) => [variable.name, first?.()] as const);
    const begun = new Map([...start, ...states.flatMap(([name, data]) => (data ? [[name, data] as const] : []))]);
    assert.ok(
      method.report!(begun).every(({ rank }) => rank === SMALL.init_r),
      'every λ starts at 0',
    );
    const { ranks, reported } = await run(method, start, 10, { learning_rate: 1e-2 });
    const budgets = reported.map((_, at) => method.rankBudget!({ step: at + 1, totalSteps: 10 }));
    const all = 14 * SMALL.init_r;
    assert.deepEqual(reported.slice(0, 2).map(total), [all, all]);
    for (const step of [3, 6, 8, 9, 10]) {
      assert.deepEqual(reported[step - 1], ranks[step - 1], `allocated after step ${step}`);
      assert.equal(total(reported[step - 1]!), budgets[step - 1]!.budget);
    }
    assert.deepEqual([reported[3], reported[4], reported[6]], [ranks[2], ranks[2], ranks[5]]);
    assert.ok(total(ranks[4]!) > total(reported[4]!), 'λ that became 0 have moved again');
    assert.deepEqual(budgets.at(-1), { budget: 14 * SMALL.target_r, target: 14 * SMALL.target_r });
    assert.ok(method.report!(start, true).every(({ norm, scale }) => norm === undefined && scale === undefined));
  });

  test('ranks are told where the budget begins to fall, after each allocation, and no more once they stay', () => {
    const told = (options: Partial<AdaLoraOptions>, totalSteps: number): number[] => {
      const method = attach({ ...SMALL, ...options });
      const steps = Array.from({ length: totalSteps }, (_, at) => at + 1);
      return steps.filter((step) => method.reportsAfter!({ step, totalSteps }));
    };
    assert.deepEqual(told({ tinit: 2, tfinal: 3, deltaT: 3 }, 12), [2, 3, 6, 9]);
    // The last allocation, at the end of the budget's fall, is one between two intervals.
    assert.deepEqual(told({ tinit: 2, tfinal: 4, deltaT: 3 }, 12), [2, 3, 6, 8]);
    const long = told({ tfinal: 1000, deltaT: 2 }, 3000);
    assert.deepEqual([long.length, long[0], long.at(-1)], [1000, 2, 2000]);
  });
});

test('tensors of a module that do not belong together are named, whichever of them was cut', async () => {
  const tensors = await readTensors(fixture('adalora/schedule/final/adapter_model.safetensors'));
  const method = attach(SMALL);
  const key = 'base_model.model.model.layers.0.self_attn.q_proj.lora_E';
  const cut = { ...tensors.get(key)!, shape: [1, 1], data: new Float32Array(1) };
  assert.throws(
    () => method.load(new Map([...tensors, [key, cut]]), 'cut'),
    (error) =>
      error instanceof ProblemError &&
      error.problem.code === 'adapter.shape' &&
      error.problem.message.endsWith('q_proj: A, B and E are [3, 32], [32, 3], [1, 1]'),
  );
});

test('a start is that of the base model, with P and Q of deviation 0.02', async () => {
  const method = attach({});
  const values = await startValues(method.trainables);
  const ids = [[5, 9, 33, 70]];
  assert.equal(largestDifference(await logitsOf(opened, ids, { method, values }), await logitsOf(opened, ids)), 0);
  for (const half of ['lora_A', 'lora_B']) {
    const numbers = [...values].filter(([name]) => name.endsWith(half)).flatMap(([, data]) => [...data]);
    const deviation = Math.sqrt(numbers.reduce((sum, x) => sum + x * x, 0) / numbers.length);
    assert.ok(Math.abs(deviation / 0.02 - 1) < 0.05, `${half}: ${deviation}`);
  }
});

describe('biases and modules in full', async () => {
  const tied = await openModel(fixture('lora-reference', 'tiny-llama-tied'));
  const folder = fixture('adalora', 'whole');
  const adapter = await attachAdapter(tied, folder);
  const ids = await readInputIds(`${folder}/logits.safetensors`);

  test("an adapter of PEFT's gives its logits, and is saved with its names", async () => {
    const { logits } = Object.fromEntries(await readTensors(`${folder}/logits.safetensors`));
    assert.deepEqual(adapter.warnings, []);
    assert.ok(largestDifference(await logitsOf(tied, ids, adapter), logits!.data) <= 1e-3);
    const without = new Map([...adapter.values].map(([name, data]) => [name, data.map(() => 0)] as const));
    const zeros = await logitsOf(tied, ids, { method: adapter.method, values: without });
    assert.ok(largestDifference(zeros, logits!.data) > 0.1);

    const saved = adapter.method.save(adapter.values);
    assert.ok(saved.kind === 'adapter');
    const theirs = await readTensors(`${folder}/adapter_model.safetensors`);
    assert.deepEqual(saved.tensors.map(({ name }) => name).sort(), [...theirs.keys()].sort());
    for (const { name, shape, data } of saved.tensors) {
      assert.deepEqual(shape, theirs.get(name)!.shape, name);
      assert.equal(largestDifference(data, theirs.get(name)!.data), 0, name);
    }
    assert.deepEqual([saved.config['bias'], saved.config['modules_to_save']], ['all', ['norm']]);
  });

  test('inspection counts them, merging takes them over', async () => {
    const read = await readAdapter(folder);
    const { whole, unknown, problems } = await read.format.inspect(read);
    assert.deepEqual([unknown, problems], [[], []]);
    // Seven biases and two norms in each of two layers, and the last norm.
    assert.equal(whole.length, 2 * (7 + 2) + 1);
    const site = tied.model.sites.find(({ path }) => path === 'model.norm')!;
    const merged = adapter.method.merge!(site, 'weight', await tied.context.read(site.weight!), adapter.values);
    assert.deepEqual(merged, adapter.values.get('model.norm.weight'));
  });

  test('inspection says which keys of the config it passed over', async () => {
    const read = await readAdapter(folder);
    const { problems } = await read.format.inspect({ ...read, config: { ...read.config, use_later: false } });
    assert.deepEqual(
      problems.map(({ code, severity }) => [code, severity]),
      [['adapter.unknown-key', 'warning']],
    );
  });

  test('a head that is tied to the embedding is told to differ from it, as LoRA tells', () => {
    const options = { type: 'adalora', target_modules: ['lm_head', 'q_proj'] };
    const { warnings } = adalora.attach(Value.Parse(AdaLoraOptions, options), tied.context).coverage;
    assert.deepEqual(
      warnings.map(({ code }) => code),
      ['lora.tied'],
    );
  });

  test('a run trains them from the numbers of the base, beside a budget of triplets only', async () => {
    const options = { type: 'adalora', init_r: 4, target_r: 2, bias: 'lora_only', target_modules: ['q_proj'] };
    const method = adalora.attach(Value.Parse(AdaLoraOptions, options), tied.context);
    assert.deepEqual(
      method.trainables.slice(-2).map(({ variable: { name } }) => name),
      [0, 1].map((layer) => `model.layers.${layer}.self_attn.q_proj.bias`),
    );
    const start = await startValues(method.trainables);
    const { values, ranks } = await run(method, start, 2, { learning_rate: 1e-2, weight_decay: 0 }, tied);
    assert.equal(total(ranks.at(-1)!), 2 * 2);
    for (const name of [0, 1].map((layer) => `model.layers.${layer}.self_attn.q_proj.bias`)) {
      assert.deepEqual(start.get(name), await tied.context.read(name));
      assert.ok(largestDifference(values.get(name)!, start.get(name)!) > 1e-3);
    }
  });
});

test('PEFT saves a target above the first rank, which is read: ranks never fell', () => {
  const config = { peft_type: 'ADALORA', init_r: 4, target_r: 8, target_modules: ['q_proj'], total_step: 10 };
  const { options } = adaLoraConfigFromPeft(config, 'adapter_config.json');
  assert.deepEqual([options.init_r, options.target_r], [4, 4]);
  adalora.attach(options, opened.context);
});
