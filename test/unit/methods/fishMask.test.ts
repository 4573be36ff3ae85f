import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { readAdapter } from '../../../src/adapters/readAdapter.js';
import { inspectAdapter } from '../../../src/adapters/inspect.js';
import { mergeAdapter } from '../../../src/adapters/merging/merge.js';
import { writeAdapter } from '../../../src/adapters/writeAdapter.js';
import { attachMethods, checkMethods } from '../../../src/engines/session.js';
import { FishMaskOptions } from '../../../src/methods/fishMask.js';
import { markLargest } from '../../../src/methods/largest.js';
import type { Prepared } from '../../../src/methods/method.js';
import type { MethodConfig } from '../../../src/methods/registry.js';
import { placesOf } from '../../../src/methods/sparsePlaces.js';
import { problem, temporaryFolder, tokenizer } from '../../support/adapters.js';
import { fixture, largestDifference, readTensors } from '../../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../../support/model.js';
import { prepare, referenceBatches, steps } from '../../support/sparse.js';
import { startValues } from '../../support/startValues.js';
import { UNEVEN, loraMethod } from '../training/jobs.js';

const folder = temporaryFolder();
const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
const reference = JSON.parse(await readFile(fixture('fish-mask/steps.json'), 'utf8')) as {
  keep_ratio: number;
  learning_rate: number;
  rows: number;
  losses: number[];
  indices: Record<string, number[]>;
  values: Record<string, number[]>;
};

function fish(options: Partial<FishMaskOptions> = {}): MethodConfig {
  return Value.Parse(FishMaskOptions, { type: 'fish_mask', ...options });
}

const batches = await referenceBatches();
const referenceRows = batches.flat();
const config = fish({ keep_ratio: reference.keep_ratio, num_samples: referenceRows.length });
const prepared = await prepare([config], opened, referenceRows);
const [method] = attachMethods([config], opened.context, prepared);
const trained = await steps(opened, method!, batches, reference.learning_rate);

test('the places chosen and twelve steps are those of PyTorch', () => {
  assert.equal(referenceRows.length, reference.rows);
  const places = [...prepared[0]!].filter(([name]) => !name.startsWith('#'));
  const found = Object.fromEntries(places.map(([name, at]) => [name.replace(/\.indices$/, ''), [...at]]));
  assert.deepEqual(found, reference.indices);
  assert.deepEqual(method!.coverage.warnings, []);
  for (const [at, loss] of reference.losses.entries()) {
    assert.ok(Math.abs(trained.losses[at]! - loss) <= 1e-4, `loss ${at + 1}: ${trained.losses[at]} for ${loss}`);
  }
  for (const [name, values] of Object.entries(reference.values)) {
    assert.ok(largestDifference(trained.values.get(`${name}.values`)!, values) <= 1e-3, name);
  }
});

test('int(keep_ratio · N) numbers train, and only these change in a merge', async () => {
  const linear = opened.model.sites.filter(({ kind, isOutput }) => kind === 'linear' && !isOutput);
  const total = linear.reduce((sum, { shape }) => sum + shape[0]! * shape[1]!, 0);
  const kept = [...trained.values.values()].reduce((sum, { length }) => sum + length, 0);
  assert.equal(kept, Math.floor(reference.keep_ratio * total));
  assert.equal(
    method!.coverage.modules.reduce((sum, { trainable }) => sum + trainable, 0),
    kept,
  );
  let moved = 0;
  for (const site of linear) {
    const base = await opened.context.read(site.weight!);
    const merged = method!.merge!(site, 'weight', base, trained.values);
    const places = new Set(reference.indices[site.weight!]);
    merged?.forEach((value, at) => {
      if (places.has(at)) moved += Number(value !== base[at]);
      else assert.equal(value, base[at]);
    });
    assert.equal(merged === undefined, places.size === 0);
  }
  assert.equal(moved, kept);
  const told = method!.report!(trained.values);
  assert.deepEqual(
    told.map(({ path: site }) => site),
    linear.map(({ path: site }) => site),
    'every targeted site in the order of the model, also those that rest',
  );
  for (const { path: site, density, norm, shape } of told) {
    const numbers = reference.values[`${site}.weight`] ?? [];
    assert.ok(Math.abs(norm! - Math.hypot(...numbers)) <= 1e-3);
    assert.equal(density, numbers.length / (shape![0]! * shape![1]!));
  }
});

test('an adapter that is written and read back does the same, applied and merged', async () => {
  const out = path.join(folder, 'adapter');
  const saved = method!.save(trained.values);
  assert.ok(saved.kind === 'adapter');
  await writeAdapter(out, saved, { tokenizer, card: '' });
  const again = await attachAdapter(opened, out);
  assert.deepEqual(again.warnings, []);
  for (const [name, values] of trained.values) assert.deepEqual(again.values.get(name), values);
  const rows = [[3, 5, 9, 2, 40, 77]];
  const applied = await logitsOf(opened, rows, again);
  assert.deepEqual(applied, await logitsOf(opened, rows, { method: method!, values: trained.values }));
  assert.ok(largestDifference(applied, await logitsOf(opened, rows)) > 1e-2);

  const found = await inspectAdapter(out);
  assert.deepEqual(found.problems, []);
  assert.deepEqual([found.method, found.base], ['fish_mask', 'tiny-llama']);
  assert.equal(
    found.trainable,
    [...trained.values.values()].reduce((sum, { length }) => sum + length, 0),
  );
  const report = await mergeAdapter({ ...opened, ...again, tokenizer, out: path.join(folder, 'merged') });
  assert.ok(report.verifiedDifference <= 1e-5, String(report.verifiedDifference));
  const merged = await openModel(path.join(folder, 'merged'));
  assert.ok(largestDifference(applied, await logitsOf(merged, rows)) <= 1e-5);
});

test('places that are damaged are told', async () => {
  const saved = method!.save(trained.values);
  assert.ok(saved.kind === 'adapter');
  const [first, ...others] = saved.indices!;
  const changed = async (name: string, data: Int32Array): Promise<string> => {
    const out = path.join(folder, name);
    await writeAdapter(out, { ...saved, indices: [{ ...first!, data }, ...others] }, { tokenizer, card: '' });
    return out;
  };
  const beyond = await changed(
    'beyond',
    Int32Array.from(first!.data, (place) => place + 1e6),
  );
  await assert.rejects(
    attachAdapter(opened, beyond),
    problem('sparse-delta.indices', 'adapter_model.safetensors'),
  );
  const twice = await changed(
    'twice',
    Int32Array.from(first!.data, () => first!.data[0]!),
  );
  await assert.rejects(attachAdapter(opened, twice), problem('sparse-delta.indices', 'rising'));
  const negative = await changed(
    'negative',
    Int32Array.from(first!.data, (_, at) => at - 1),
  );
  await assert.rejects(attachAdapter(opened, negative), problem('sparse-delta.indices', 'holds -1'));
  // Without the base model it shows, too, that places do not rise.
  for (const out of [twice, negative]) {
    assert.deepEqual(
      (await inspectAdapter(out)).problems.map(({ code }) => code),
      ['sparse-delta.indices'],
    );
  }
  const short = await changed('short', first!.data.slice(1));
  assert.match((await inspectAdapter(short)).problems[0]!.message, /numbers and .*\.indices \d+ places/);
  await assert.rejects(attachAdapter(opened, short), problem('adapter.shape'));
  const { folder: read } = await readAdapter(short);
  assert.equal(read, short);
});

test('fewer rows than asked for are told, and so is a ratio that keeps nothing', async () => {
  const few = fish({ num_samples: 100 });
  const [mask] = attachMethods([few], opened.context, await prepare([few], opened, UNEVEN));
  assert.match(mask!.coverage.warnings[0]!.message, /from 8 rows, all that there are, instead of 100/);
  const drawn = fish({ num_samples: 8, num_draws: 5 });
  const [idle] = attachMethods([drawn], opened.context, await prepare([drawn], opened, UNEVEN));
  assert.deepEqual(
    idle!.coverage.warnings.map(({ message }) => message),
    ['num_draws is not used: fisher is empirical'],
  );
  // An adapter's config holds the option for good: nothing is to be done about it any more.
  const out = path.join(folder, 'idle');
  const saved = idle!.save(await startValues(idle!.trainables));
  assert.ok(saved.kind === 'adapter');
  await writeAdapter(out, saved, { tokenizer, card: '' });
  assert.deepEqual((await attachAdapter(opened, out)).warnings, []);
  await assert.rejects(
    prepare([fish({ keep_ratio: 1e-9 })], opened, UNEVEN),
    problem('sparse-delta.nothing', '1e-9'),
  );
});

test('what cannot be is refused before anything is prepared', () => {
  const check = (...configs: MethodConfig[]) => checkMethods(configs, opened.context);
  assert.throws(() => check(fish({ target_modules: ['q_porj'] })), problem('targets.no-match', 'q_porj'));
  assert.throws(() => check(fish({ keep_ratio: 1e-9 })), problem('sparse-delta.nothing', '1e-9'));
  assert.throws(() => check({ type: 'full' }, fish()), problem('method.combination', 'full'));
  check(loraMethod({ r: 4 }), fish());
  assert.throws(() => attachMethods([fish()], opened.context), problem('method.not-prepared'));
});

test('a matrix that two modules share stays one, and that is told', async () => {
  const tied = await openModel(fixture('lora-reference', 'tiny-llama-tied'));
  const head = fish({ target_modules: ['lm_head'], num_samples: 8 });
  const found = await prepare([head], tied, UNEVEN);
  const [mask] = attachMethods([head], tied.context, found);
  assert.match(mask!.coverage.warnings[0]!.message, /lm_head and model\.embed_tokens are one matrix/);
  const sites = tied.model.sites.filter(({ weight }) => weight === 'model.embed_tokens.weight');
  assert.equal(sites.length, 2);
  const values = new Map(
    mask!.trainables.map(({ variable: { name, shape } }) => [name, new Float32Array(Number(shape[0])).fill(1)]),
  );
  const base = await tied.context.read('model.embed_tokens.weight');
  const [one, other] = sites.map((site) => mask!.merge!(site, 'weight', base, values)!);
  assert.deepEqual(one, other);
  assert.notDeepEqual(one, base);
});

test('by the expected Fisher information of all classes the places are those of PyTorch, and the head trains whole', async () => {
  const bert = await openModel(fixture('encoders', 'tiny-bert-classes'));
  const sums = await readTensors(fixture('fisher', 'fisher.safetensors'));
  const rows = JSON.parse(await readFile(fixture('fisher', 'rows.json'), 'utf8')) as {
    bert: { input_ids: number[]; label: number }[];
  };
  const train = rows.bert.map(({ input_ids: ids, label }) => {
    return { ids, supervised: ids.map(() => 0 as const), label, file: 'rows.json', line: 1 };
  });
  const target = '.*encoder\\.layer.*\\.(query|key|value|dense)';
  const chosen = async (fisher: 'empirical' | 'expected'): Promise<Prepared> => {
    const own = fish({ fisher, keep_ratio: 0.01, target_modules: target, num_samples: 4 });
    return (await prepare([own], bert, train))[0]!;
  };
  const placesOfTorch = (kind: string): Map<string, Int32Array> => {
    const names = bert.model.sites.map(({ weight }) => weight!).filter((name) => sums.has(`${kind}/${name}`));
    const parts = names.map((name) => sums.get(`${kind}/${name}`)!.data);
    const total = parts.reduce((sum, { length }) => sum + length, 0);
    const marks = markLargest(parts, Math.floor(0.01 * total));
    const places = names.map((name, at) => [`${name}.indices`, placesOf(marks[at]!)] as const);
    return new Map(places.filter(([, { length }]) => length > 0));
  };
  for (const [fisher, kind] of [
    ['empirical', 'empirical'],
    ['expected', 'classes'],
  ] as const) {
    const found = [...(await chosen(fisher))].filter(([name]) => !name.startsWith('#'));
    assert.deepEqual(new Map(found), placesOfTorch(kind));
  }
  assert.notDeepEqual(placesOfTorch('classes'), placesOfTorch('empirical'));
  const own = fish({ fisher: 'expected', keep_ratio: 0.01, target_modules: target });
  const [method] = attachMethods([own], bert.context, [await chosen('expected')]);
  const trainable = method!.trainables.map(({ variable }) => variable.name);
  assert.ok(trainable.includes('classifier.weight') && trainable.includes('classifier.bias'));
});

test('expected answers are drawn by seed and row, more of them where asked for', async () => {
  const chosen = async (options: Partial<FishMaskOptions>): Promise<Prepared> =>
    (
      await prepare([fish({ num_samples: 8, keep_ratio: 0.05, fisher: 'expected', ...options })], opened, UNEVEN)
    )[0]!;
  const one = await chosen({});
  assert.deepEqual(await chosen({}), one);
  assert.notDeepEqual(await chosen({ num_draws: 5 }), one);
  assert.notDeepEqual(await chosen({ fisher: 'empirical' }), one);
});
