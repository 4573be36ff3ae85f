import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import type { Example } from '../../../src/data/example.js';
import { attachMethods } from '../../../src/engines/session.js';
import { LtSftOptions } from '../../../src/methods/ltSft.js';
import { phaseAt, phaseProblem } from '../../../src/methods/ltSftPhases.js';
import type { Attached, SavedAdapter } from '../../../src/methods/method.js';
import type { MethodConfig } from '../../../src/methods/registry.js';
import { checkpointFolder, checkpointSteps, readCheckpoint } from '../../../src/training/checkpoint.js';
import { problem } from '../../support/adapters.js';
import { fixture, largestDifference, relativeDistance } from '../../support/fixtures.js';
import { logitsOf, openModel } from '../../support/model.js';
import type { JobParts } from '../training/jobs.js';
import { UNEVEN, eventsOf, run } from '../training/jobs.js';

const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
const root = await mkdtemp(path.join(tmpdir(), 'peft-lt-sft-'));
after(() => rm(root, { recursive: true, force: true }));

function lt(options: Partial<LtSftOptions> = {}): MethodConfig {
  return Value.Parse(LtSftOptions, { type: 'lt_sft', ...options });
}

function saved(method: Attached, values: ReadonlyMap<string, Float32Array>): SavedAdapter {
  const found = method.save(values);
  assert.ok(found.kind === 'adapter');
  return found;
}

interface Reference {
  rows: number;
  runs: Record<
    string,
    {
      options: {
        optim: 'adamw' | 'sgd';
        proportion: number;
        iterations: number;
        full: number;
        sparse: number;
        full_l1_reg: number;
        sparse_l1_reg: number;
      };
      count: number;
      phases: { losses: number[]; l1: number[] }[];
      indices: Record<string, number[]>;
      values: Record<string, number[]>;
    }
  >;
}

const reference = JSON.parse(await readFile(fixture('lt-sft', 'steps.json'), 'utf8')) as Reference;
const batches = JSON.parse(await readFile(fixture('lora-reference', 'lora-steps/batches.json'), 'utf8')) as {
  input_ids: number[];
  supervised: (0 | 1)[];
}[][];
const rows = batches
  .flat()
  .slice(0, reference.rows)
  .map((row, at): Example => ({
    ids: row.input_ids,
    supervised: row.supervised,
    file: 'rows.jsonl',
    line: at + 1,
  }));

for (const [name, wanted] of Object.entries(reference.runs)) {
  test(`both phases are PyTorch's: ${name}`, async () => {
    const { optim, proportion, iterations, full, sparse, full_l1_reg, sparse_l1_reg } = wanted.options;
    const ran = await run(opened, {
      method: lt({
        ft_params_proportion: proportion,
        n_ft_iterations: iterations,
        full_ft_share: full / (full + sparse),
        full_l1_reg,
        sparse_l1_reg,
        target_modules: ['q_proj', 'v_proj'],
      }),
      train: rows,
      options: {
        optim,
        learning_rate: optim === 'sgd' ? 0.5 : 3e-3,
        momentum: 0,
        weight_decay: 0,
        lr_scheduler_type: 'linear',
        per_device_train_batch_size: reference.rows,
        max_steps: iterations * (full + sparse),
        logging_steps: 1,
      },
    });
    const steps = eventsOf(ran.events, 'step');
    const losses = wanted.phases.flatMap((phase) => phase.losses);
    assert.equal(steps.length, losses.length);
    steps.forEach(({ loss }, at) =>
      assert.ok(Math.abs(loss - losses[at]!) < 2e-5 * losses[at]!, `step ${at + 1}`),
    );
    const terms = wanted.phases.flatMap((phase) => phase.l1);
    if (full_l1_reg > 0) {
      steps.forEach(({ terms: own }, at) => assert.ok(Math.abs(own!['l1']! - terms[at]!) < 1e-6, `l1 ${at + 1}`));
      assert.ok(terms.every((term, at) => at % full === 0 || term > 1e-4));
    }
    const { tensors, indices } = saved(ran.methods[0]!, ran.values);
    assert.deepEqual(
      new Map(indices!.map((each) => [each.name.replace(/\.indices$/, ''), [...each.data]])),
      new Map(Object.entries(wanted.indices)),
    );
    assert.equal(
      tensors.reduce((sum, { data }) => sum + data.length, 0),
      wanted.count,
    );
    for (const { name: key, data } of tensors) {
      const own = Float32Array.from(wanted.values[key.replace(/\.values$/, '')]!);
      assert.ok(relativeDistance(data, own) < 2e-3, `${key}: ${relativeDistance(data, own)}`);
    }
  });
}

/** Numbers of the weights that are targeted where nothing else is said. */
const TARGETED = opened.model.sites
  .filter(({ kind, path: at }) => kind === 'linear' && at !== 'lm_head')
  .reduce((sum, { shape }) => sum + shape[0]! * shape[1]!, 0);

const SMALL = {
  per_device_train_batch_size: 2,
  learning_rate: 1e-2,
  lr_scheduler_type: 'linear',
  max_steps: 8,
} as const;

test('exactly k numbers of the targeted weights change, and the adapter gives the run’s model', async () => {
  const ran = await run(opened, { method: lt({ ft_params_proportion: 0.03 }), options: SMALL });
  const [method] = ran.methods;
  let changed = 0;
  for (const site of opened.model.sites) {
    if (site.weight === undefined) continue;
    const base = await opened.context.read(site.weight);
    const merged = method!.merge!(site, 'weight', base, ran.values) ?? base;
    changed += merged.reduce((sum, value, at) => sum + (value === base[at] ? 0 : 1), 0);
  }
  assert.equal(changed, Math.floor(0.03 * TARGETED));
  const adapter = saved(method!, ran.values);
  assert.equal(
    adapter.tensors.reduce((sum, { data }) => sum + data.length, 0),
    changed,
  );
  assert.equal(adapter.config['peft_type'], 'LT_SFT');
  // As it is read from disk: the places come out of the file.
  const prepared = new Map(adapter.indices!.map(({ name, data }) => [name, data]));
  const [read] = attachMethods([lt({ ft_params_proportion: 0.03 })], opened.context, [prepared]);
  const { values } = read!.load(new Map(adapter.tensors.map((each) => [each.name, each])), 'adapter');
  const row = [[5, 6, 70, 12, 9, 44, 3]];
  const ours = await logitsOf(opened, row, { method: method!, values: ran.values });
  assert.deepEqual(await logitsOf(opened, row, { method: read!, values }), ours);
  assert.ok(largestDifference(ours, await logitsOf(opened, row)) > 1e-3);
});

test('what every step trained is told, and the shares of the mask after the turn', async () => {
  const ran = await run(opened, {
    method: lt(),
    validation: UNEVEN.slice(0, 2),
    options: { ...SMALL, eval_steps: 2 },
  });
  const masks = eventsOf(ran.events, 'masks');
  const densities = (step: number): number[] =>
    masks.find((each) => each.step === step)!.sites.map(({ density }) => density);
  assert.ok(densities(4).every((density) => density === 1));
  assert.ok(densities(5).every((density) => density < 0.1) && densities(5).some((density) => density > 0));
  const rates = eventsOf(ran.events, 'step').map(({ learningRate }) => learningRate);
  assert.deepEqual(rates.slice(4), rates.slice(0, 4), 'a schedule for each phase');
  assert.deepEqual(rates.map((rate) => Number(rate.toFixed(6))).slice(0, 4), [0.01, 0.0075, 0.005, 0.0025]);
});

const bert = await openModel(fixture('encoders', 'tiny-bert'), {
  type: 'SEQ_CLS',
  labels: ['no', 'yes', 'maybe'],
});
const told = UNEVEN.map((row, at): Example => ({
  ...row,
  ids: row.ids.map((id) => id % 60),
  supervised: row.ids.map(() => 0),
  label: at % 3,
}));

const RUNS: Record<string, { on: typeof opened; parts: JobParts }> = {
  once: { on: opened, parts: { method: lt({ sparse_l1_reg: 1 }), options: SMALL } },
  'twice, with accumulation': {
    on: opened,
    parts: {
      method: lt({ n_ft_iterations: 2, ft_params_proportion: 0.05 }),
      validation: UNEVEN.slice(0, 3),
      options: { ...SMALL, per_device_train_batch_size: 1, gradient_accumulation_steps: 2, eval_steps: 3 },
    },
  },
  'twice, with a head for classes': {
    on: bert,
    parts: { method: lt({ n_ft_iterations: 2 }), train: told, options: SMALL },
  },
};

for (const [name, { on, parts }] of Object.entries(RUNS)) {
  test(`stopped and resumed in either phase, and between them, bit for bit the run left alone: ${name}`, async () => {
    const alone = await run(on, parts);
    for (const at of [1, 2, 3, 4, 5, 6, 7]) {
      const folder = path.join(root, `${name}-${at}`);
      await mkdir(folder);
      let stop = false;
      await run(on, {
        ...parts,
        checkpoints: { runFolder: folder },
        emit: (event) => (stop ||= event.type === 'step' && event.step === at),
        stopRequested: () => stop,
      });
      assert.deepEqual(await checkpointSteps(folder), [at]);
      const from = await readCheckpoint(checkpointFolder(folder, at));
      const resumed = await run(on, { ...parts, checkpoints: { runFolder: folder, from } });
      assert.deepEqual([...resumed.values.keys()].sort(), [...alone.values.keys()].sort());
      for (const [key, numbers] of alone.values)
        assert.deepEqual(resumed.values.get(key), numbers, `${at}: ${key}`);
    }
  });
}

for (const [name, goesBy] of Object.entries({
  'the best model': { load_best_model_at_end: true, metric_for_best_model: 'eval_row_accuracy' },
  'an early end': { early_stopping_patience: 1, early_stopping_threshold: 1e3 },
} as const)) {
  test(`${name} goes by evaluations of the last second phase: it has all k numbers`, async () => {
    const runFolder = path.join(root, name);
    await mkdir(runFolder);
    const ran = await run(opened, {
      method: lt({ n_ft_iterations: 2, ft_params_proportion: 0.05 }),
      validation: UNEVEN.slice(0, 3),
      checkpoints: { runFolder },
      // The first evaluation that counts stays the best: no row is ever right, and no loss better by so much.
      options: { ...SMALL, learning_rate: 1e-4, eval_steps: 1, save_steps: 8, ...goesBy },
    });
    const evaluations = eventsOf(ran.events, 'evaluation');
    assert.ok(evaluations.every(({ rowAccuracy }) => rowAccuracy === 0));
    assert.equal(evaluations.at(-1)!.step, 8);
    assert.ok(ran.reason === 'completed');
    assert.equal(
      saved(ran.methods[0]!, ran.values).tensors.reduce((sum, { data }) => sum + data.length, 0),
      2 * Math.floor(Math.floor(0.05 * TARGETED) / 2),
    );
  });
}

test('the head of the task goes back with the weights, and is saved beside the differences', async () => {
  const starts: number[] = [];
  const ran = await run(bert, {
    method: lt({ n_ft_iterations: 2 }),
    train: told,
    options: { ...SMALL, per_device_train_batch_size: 8 },
    emit: (event) => event.type === 'step' && starts.push(event.loss),
  });
  // All rows in each step: the first loss of phase 2 is that of phase 1, and of the second iteration where the first ended.
  const [first, , third, fourth, fifth, , seventh] = starts;
  assert.ok(Math.abs(first! - third!) < 1e-6 * first!);
  assert.ok(Math.abs(fifth! - seventh!) < 1e-6 * fifth!);
  assert.ok(fifth! < fourth!);
  const { tensors, config } = saved(ran.methods[0]!, ran.values);
  assert.deepEqual(config['modules_to_save'], ['classifier', 'score', 'pooler']);
  assert.ok(tensors.some((each) => each.name.endsWith('classifier.weight')));
});

test('stopped before anything is chosen, what was learned is a model of whole weights', async () => {
  let stop = false;
  const ran = await run(opened, {
    method: lt(),
    options: SMALL,
    emit: (event) => (stop ||= event.type === 'step' && event.step === 2),
    stopRequested: () => stop,
  });
  const found = ran.methods[0]!.save(ran.values);
  assert.ok(found.kind === 'model');
  assert.equal(found.weights.length, 14);
});

test('differences that do not count are not written', async () => {
  const ran = await run(opened, { method: lt(), options: SMALL });
  const [method] = ran.methods;
  const names = [...ran.values.keys()];
  const values = new Map([...ran.values].map(([key, data]) => [key, data.slice()]));
  values.get(names[0]!)!.fill(-5e-8);
  values.get(names[1]!)![0] = 1e-8;
  const { tensors, indices } = saved(method!, values);
  assert.ok(!tensors.some((each) => each.name === names[0]));
  assert.equal(tensors.find((each) => each.name === names[1])!.data.length, values.get(names[1]!)!.length - 1);
  assert.equal(
    indices!.find((each) => each.name === names[1]!.replace('values', 'indices'))!.data.length,
    values.get(names[1]!)!.length - 1,
  );
});

test('phases share out the steps: each has one, iterations are alike', () => {
  const kinds = (n: number, share: number, totalSteps: number): string =>
    Array.from({ length: totalSteps }, (_, at) => {
      const place = phaseAt({ n_ft_iterations: n, full_ft_share: share }, { step: at + 1, totalSteps });
      assert.ok(place.started <= at && at < place.ends);
      return place.kind === 'full' ? String(place.iteration) : 'abc'[place.iteration];
    }).join('');
  assert.equal(kinds(1, 0.5, 8), '0000aaaa');
  assert.equal(kinds(1, 0.01, 4), '0aaa');
  assert.equal(kinds(1, 0.99, 4), '000a');
  assert.equal(kinds(3, 0.5, 8), '00a1b22c');
  assert.equal(kinds(2, 0.5, 4), '0a1b');
  assert.equal(phaseProblem(4, { n_ft_iterations: 2 }), undefined);
  assert.match(phaseProblem(3, { n_ft_iterations: 2 })!.message, /^a run of 3 steps is too short for 4 phases/);
});

test('a share that keeps nothing is refused', () => {
  const attach = (options: Partial<LtSftOptions>): unknown => attachMethods([lt(options)], opened.context);
  assert.throws(() => attach({ ft_params_proportion: 1e-6 }), problem('lt-sft.nothing', 'at least 6.5e-5'));
  assert.throws(
    () => attach({ ft_params_proportion: 1e-4, n_ft_iterations: 2 }),
    problem('lt-sft.nothing', 'in 2 parts'),
  );
});

test('weights that lie transposed, and one that modules share', async () => {
  const gpt2 = await openModel(fixture('gpt2', 'tiny-gpt2'));
  const ran = await run(gpt2, {
    method: lt({ ft_params_proportion: 0.1, n_ft_iterations: 2, target_modules: ['c_fc', 'wte'] }),
    options: SMALL,
  });
  const [method] = ran.methods;
  let [total, changed] = [0, 0];
  for (const [name, site] of new Map(gpt2.model.sites.map((each) => [each.weight ?? '', each]))) {
    if (!/c_fc|wte/.test(name)) continue;
    const base = await gpt2.context.read(name);
    const merged = method!.merge!(site, 'weight', base, ran.values)!;
    total += base.length;
    changed += merged.reduce((sum, value, at) => sum + (value === base[at] ? 0 : 1), 0);
  }
  assert.equal(changed, 2 * Math.floor(Math.floor(0.1 * total) / 2));
});
