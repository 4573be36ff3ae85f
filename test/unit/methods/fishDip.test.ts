import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { inspectAdapter } from '../../../src/adapters/inspect.js';
import { mergeAdapter } from '../../../src/adapters/merging/merge.js';
import { writeAdapter } from '../../../src/adapters/writeAdapter.js';
import type { Example } from '../../../src/data/example.js';
import { attachMethods, checkMethods } from '../../../src/engines/session.js';
import { FishDipOptions, sampleCount } from '../../../src/methods/fishDip.js';
import type { Prepared, Values } from '../../../src/methods/method.js';
import type { MethodConfig } from '../../../src/methods/registry.js';
import { checkpointFolder, readCheckpoint } from '../../../src/training/checkpoint.js';
import type { RunEvent } from '../../../src/training/events.js';
import type { Snapshot } from '../../../src/training/snapshot.js';
import { problem, temporaryFolder, tokenizer } from '../../support/adapters.js';
import { fixture, largestDifference } from '../../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../../support/model.js';
import { passesOver, prepare, referenceBatches, steps } from '../../support/sparse.js';
import type { JobParts } from '../training/jobs.js';
import { UNEVEN, eventsOf, loraMethod, run } from '../training/jobs.js';

const folder = temporaryFolder();
const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
const reference = JSON.parse(await readFile(fixture('fish-dip/steps.json'), 'utf8')) as {
  learning_rate: number;
  turn: number;
  num_samples: number;
  keep_ratio: number;
  subsequent_keep_ratio: number;
  moments: { rows: number[]; indices: Record<string, number[]> }[];
  losses: number[];
  indices: Record<string, number[]>;
  values: Record<string, number[]>;
};

function fishDip(options: Partial<FishDipOptions> = {}): MethodConfig {
  return Value.Parse(FishDipOptions, { type: 'fish_dip', ...options });
}

function placesOf(prepared: Prepared): Record<string, number[]> {
  return Object.fromEntries(
    [...prepared]
      .filter(([name]) => name.endsWith('.weight.indices'))
      .map(([name, at]) => [name.replace(/\.indices$/, ''), [...at]]),
  );
}

const { turn: TURN, num_samples, keep_ratio, subsequent_keep_ratio } = reference;
const config = fishDip({ num_samples, keep_ratio, subsequent_keep_ratio, reevaluate_after_steps: TURN });
const batches = await referenceBatches();
const rows = batches.flat();
const first = await prepare([config], opened, rows);
const [before] = attachMethods([config], opened.context, first);
const early = await steps(opened, before!, batches.slice(0, TURN), reference.learning_rate);
const snapshot: Snapshot = {
  values: new Map([...early.snapshot.values].map(([name, numbers]) => [name, numbers.slice()])),
  slots: new Map([...early.snapshot.slots].map(([name, numbers]) => [name, numbers.slice()])),
  state: new Map(),
};
const turned = await before!.turn!({
  ...passesOver(opened, rows, [before!], snapshot.values),
  at: { step: TURN, totalSteps: 12 },
  values: snapshot.values,
  slots: snapshot.slots,
});
const [method] = attachMethods([config], opened.context, [turned.prepared]);
const late = await steps(opened, method!, batches.slice(TURN), reference.learning_rate, {
  snapshot: { values: turned.values, slots: turned.slots!, state: new Map() },
  step: TURN,
});

test('rows and places of both choices, all steps and what was learned are those of PyTorch', async () => {
  const { losses, batches: count } = await passesOver(opened, rows).rowLosses();
  const hardest = [...losses.keys()].sort((a, b) => losses[b]! - losses[a]!).slice(0, num_samples);
  assert.deepEqual(
    hardest.sort((a, b) => a - b),
    reference.moments[0]!.rows,
  );
  assert.equal(count, Math.ceil(rows.length / 8));
  assert.deepEqual(placesOf(first[0]!), reference.moments[0]!.indices);
  assert.deepEqual(placesOf(turned.prepared), reference.moments[1]!.indices);
  for (const [at, loss] of [...early.losses, ...late.losses].entries()) {
    assert.ok(Math.abs(loss - reference.losses[at]!) <= 1e-4, `loss ${at + 1}: ${loss}`);
  }
  const saved = method!.save(late.values);
  assert.ok(saved.kind === 'adapter');
  const indices = Object.fromEntries(
    saved.indices!.map(({ name, data }) => [name.replace(/\.indices$/, ''), [...data]]),
  );
  assert.deepEqual(indices, reference.indices, 'the union of all places that ever trained');
  for (const { name, data } of saved.tensors) {
    assert.ok(largestDifference(data, reference.values[name.replace(/\.values$/, '')]!) <= 1e-3, name);
  }
});

test('a place that stays goes on with its moments, a new one has none, one that left keeps its difference', () => {
  let [stayed, entered, left] = [0, 0, 0];
  for (const [name, places] of Object.entries(reference.moments[1]!.indices)) {
    const old = new Map((reference.moments[0]!.indices[name] ?? []).map((place, at) => [place, at]));
    for (const part of ['', '/exp_avg', '/exp_avg_sq'] as const) {
      const key = `${name}.values${part}`;
      const [now, was] = part === '' ? [turned.values, snapshot.values] : [turned.slots!, snapshot.slots];
      places.forEach((place, at) => {
        const from = old.get(place);
        assert.equal(now.get(key)?.[at] ?? 0, from === undefined ? 0 : was.get(key)![from], `${key} ${place}`);
        if (from === undefined) entered++;
        else stayed++;
      });
    }
  }
  const leftOf = (values: Values): number[] =>
    [...values].flatMap(([name, numbers]) => (name.endsWith('.left_values') ? [...numbers] : []));
  left = leftOf(turned.values).length;
  assert.ok(stayed > 0 && entered > 0 && left > 0);
  assert.deepEqual(leftOf(late.values), leftOf(turned.values), 'what left no longer moves');
  assert.match(turned.says!, new RegExp(`^After step ${TURN}, .* ${num_samples} rows .* ${entered / 3} numbers`));
});

test('with k places k numbers train; what rests has no slots', () => {
  const linear = opened.model.sites.filter(({ kind, isOutput }) => kind === 'linear' && !isOutput);
  const total = linear.reduce((sum, { shape }) => sum + shape[0]! * shape[1]!, 0);
  const count = (ratio: number): number => Math.floor(ratio * total);
  const trainable = (of: typeof method): number =>
    of!.coverage.modules.reduce((sum, module) => sum + module.trainable, 0);
  assert.equal(trainable(before), count(keep_ratio));
  assert.equal(trainable(method), count(subsequent_keep_ratio));
  const active = [...method!.active!()].reduce((sum, { shape }) => sum + Number(shape[0]), 0);
  assert.equal(active, count(subsequent_keep_ratio));
  assert.ok([...late.snapshot.slots.keys()].every((name) => !name.includes('left_values')));
  const densities = method!.report!(late.values).map(({ density, shape }) => density! * shape![0]! * shape![1]!);
  assert.equal(Math.round(densities.reduce((sum, each) => sum + each, 0)), count(subsequent_keep_ratio));
});

test('what was saved gives the same logits when it is loaded, and when it is merged', async () => {
  const out = path.join(folder, 'adapter');
  const saved = method!.save(late.values);
  assert.ok(saved.kind === 'adapter');
  assert.equal(saved.config['peft_type'], 'FISH_DIP');
  await writeAdapter(out, saved, { tokenizer, card: '' });
  const again = await attachAdapter(opened, out);
  assert.deepEqual(again.warnings, []);
  const ids = [[3, 5, 9, 2, 40, 77]];
  const applied = await logitsOf(opened, ids, again);
  const own = await logitsOf(opened, ids, { method: method!, values: late.values });
  assert.ok(largestDifference(applied, own) <= 1e-6);
  assert.ok(largestDifference(applied, await logitsOf(opened, ids)) > 1e-2);
  assert.deepEqual((await inspectAdapter(out)).problems, []);
  const report = await mergeAdapter({ ...opened, ...again, tokenizer, out: path.join(folder, 'merged') });
  assert.ok(report.verifiedDifference <= 1e-5, String(report.verifiedDifference));
  for (const { weight, ...site } of opened.model.sites) {
    if (weight === undefined || reference.indices[weight] === undefined) continue;
    const base = await opened.context.read(weight);
    assert.deepEqual(
      method!.merge!({ ...site, weight }, 'weight', base, late.values),
      again.method.merge!({ ...site, weight }, 'weight', base, again.values),
    );
  }
});

/** A run that chooses anew after every second step. */
async function parts(extra: JobParts = {}, on = opened, target_modules = 'all-linear'): Promise<JobParts> {
  const dip = fishDip({ keep_ratio: 0.02, reevaluate_after_steps: 2, num_samples: 3, target_modules });
  const configs = [dip, loraMethod({ r: 2 })];
  const { train = UNEVEN } = extra;
  const prepared = await prepare(configs, on, train);
  const attach = (found: readonly (Prepared | undefined)[]) => attachMethods(configs, on.context, found);
  return {
    methods: attach(prepared),
    attaching: {
      prepared,
      attach,
      covered: () => ({ type: 'log', level: 'info', message: 'covered' }),
    },
    validation: train.slice(0, 3),
    ...extra,
    options: {
      per_device_train_batch_size: 2,
      learning_rate: 1e-2,
      max_steps: 7,
      weight_decay: 0.1,
      ...extra.options,
    },
  };
}

test('stopped and resumed around new choices: bit for bit the run left alone, and each choice is told', async () => {
  const alone = await run(opened, await parts());
  const told = alone.events.flatMap((event) =>
    event.type === 'log' && event.message.includes('chose anew') ? [event.message] : [],
  );
  assert.deepEqual(
    told.map((message) => Number(/^After step (\d+)/.exec(message)![1])),
    [2, 4, 6],
  );
  assert.deepEqual(
    eventsOf(alone.events, 'masks').map(({ step }) => step),
    [0, 3, 4, 5, 7],
    'at evaluations, and after the first step with new places',
  );
  for (const at of [1, 2, 3, 4, 5]) {
    const runFolder = path.join(folder, `stopped-${at}`);
    await mkdir(runFolder);
    let stop = false;
    await run(
      opened,
      await parts({
        checkpoints: { runFolder },
        emit: (event) => (stop ||= event.type === 'step' && event.step === at),
        stopRequested: () => stop,
      }),
    );
    const from = await readCheckpoint(checkpointFolder(runFolder, at));
    const resumed = await run(opened, await parts({ checkpoints: { runFolder, from } }));
    assert.deepEqual([...resumed.values.keys()], [...alone.values.keys()]);
    for (const [name, numbers] of alone.values)
      assert.deepEqual(resumed.values.get(name), numbers, `${at} ${name}`);
  }
});

for (const options of [
  { optim: 'sgd', momentum: 0.9, learning_rate: 0.1 },
  { optim: 'adafactor', adafactor_beta1: 0.9, gradient_accumulation_steps: 2 },
] as const) {
  test(`${options.optim}: its slots go over a new choice, and a resumed run is the run left alone`, async () => {
    const alone = await run(opened, await parts({ options }));
    assert.ok([...alone.values.values()].every((numbers) => numbers.every(Number.isFinite)));
    for (const at of [2, 3]) {
      const runFolder = path.join(folder, `${options.optim}-${at}`);
      await mkdir(runFolder);
      let stop = false;
      await run(
        opened,
        await parts({
          options,
          checkpoints: { runFolder },
          emit: (event) => (stop ||= event.type === 'step' && event.step === at),
          stopRequested: () => stop,
        }),
      );
      const from = await readCheckpoint(checkpointFolder(runFolder, at));
      const moments = [...from.snapshot.slots].filter(([name]) => name.includes('.weight.values/'));
      assert.ok(moments.length > 0 && moments.some(([, numbers]) => numbers.some((value) => value !== 0)));
      const resumed = await run(opened, await parts({ options, checkpoints: { runFolder, from } }));
      assert.deepEqual(resumed.values, alone.values);
    }
  });
}

const t5 = await openModel(fixture('t5', 'tiny-t5'));
const bert = await openModel(fixture('encoders', 'tiny-bert-classes'));
const small = (ids: readonly number[]): number[] => ids.map((id) => 1 + (id % 50));
const ELSEWHERE = {
  'an encoder-decoder, with the embeddings that its stacks share': {
    on: t5,
    train: UNEVEN.map((row): Example => ({
      ...row,
      ids: small(row.ids),
      supervised: row.ids.map((_, at) => (at === 0 ? 0 : 1)),
      source: small(row.ids.slice(0, 3)),
    })),
  },
  'an encoder with a head for classes': {
    on: bert,
    train: UNEVEN.map((row, at): Example => ({
      ...row,
      ids: small(row.ids),
      supervised: row.ids.map(() => 0),
      label: at % 3,
    })),
  },
};
for (const [name, { on, train }] of Object.entries(ELSEWHERE)) {
  test(`${name}: learns over new choices, and a resumed run is the run left alone`, async () => {
    const runFolder = path.join(folder, name.replaceAll(' ', '-'));
    await mkdir(runFolder);
    const alone = await run(on, await parts({ train }, on, '.*'));
    const losses = eventsOf(alone.events, 'evaluation').map(({ loss }) => loss);
    assert.ok(losses.at(-1)! < losses[0]!, losses.join());
    let stop = false;
    const stopped = {
      train,
      checkpoints: { runFolder },
      emit: (event: RunEvent) => void (stop ||= event.type === 'step' && event.step === 3),
      stopRequested: () => stop,
    };
    await run(on, await parts(stopped, on, '.*'));
    const from = await readCheckpoint(checkpointFolder(runFolder, 3));
    const resumed = await run(on, await parts({ train, checkpoints: { runFolder, from } }, on, '.*'));
    assert.deepEqual(resumed.values, alone.values);
  });
}

test('a tenth of the batches, at least 3 and at most 25, are chosen from', () => {
  assert.deepEqual([1, 30, 39, 40, 120, 250, 1000].map(sampleCount), [3, 3, 3, 4, 12, 25, 25]);
});

test('fewer rows than asked for are told', async () => {
  const many = fishDip({ num_samples: 100 });
  const [mask] = attachMethods([many], opened.context, await prepare([many], opened, UNEVEN));
  assert.match(mask!.coverage.warnings[0]!.message, /from 8 rows, all that there are, instead of 100/);
  assert.deepEqual(before!.coverage.warnings, []);
});

test('what cannot be is refused before a pass', () => {
  const check = (...configs: MethodConfig[]) => checkMethods(configs, opened.context);
  assert.throws(() => check(fishDip({ keep_ratio: 1e-9 })), problem('sparse-delta.nothing', '1e-9'));
  assert.throws(() => check(fishDip({ subsequent_keep_ratio: 1e-9 })), problem('sparse-delta.nothing', '1e-9'));
  assert.throws(() => check({ type: 'full' }, fishDip()), problem('method.combination', 'fish_dip', 'full'));
  check(loraMethod({ r: 4 }), fishDip());
  assert.throws(() => attachMethods([fishDip()], opened.context), problem('method.not-prepared', 'FISH-DIP'));
});
