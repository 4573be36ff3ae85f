import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { inspectAdapter } from '../../../src/adapters/inspect.js';
import { mergeAdapter } from '../../../src/adapters/merging/merge.js';
import { writeAdapter } from '../../../src/adapters/writeAdapter.js';
import { random, shuffle } from '../../../src/common/random.js';
import { attachMethods, checkMethods } from '../../../src/engines/session.js';
import { markLargest } from '../../../src/methods/largest.js';
import type { Prepared } from '../../../src/methods/method.js';
import type { MethodConfig } from '../../../src/methods/registry.js';
import { SamOptions, samScores } from '../../../src/methods/sam.js';
import { placesOf } from '../../../src/methods/sparsePlaces.js';
import { problem, temporaryFolder, tokenizer } from '../../support/adapters.js';
import { fixture, largestDifference } from '../../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../../support/model.js';
import { passesOver, prepare, referenceBatches, steps } from '../../support/sparse.js';
import { UNEVEN, loraMethod } from '../training/jobs.js';

const folder = temporaryFolder();
const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
const reference = JSON.parse(await readFile(fixture('sam/steps.json'), 'utf8')) as {
  keep_ratio: number;
  learning_rate: number;
  rows: number;
  losses: number[];
  indices: Record<string, number[]>;
  per_tensor: Record<string, number[]>;
  values: Record<string, number[]>;
};
const linear = opened.model.sites.filter(({ kind, isOutput }) => kind === 'linear' && !isOutput);

function sam(options: Partial<SamOptions> = {}): MethodConfig {
  return Value.Parse(SamOptions, { type: 'sam', keep_ratio: reference.keep_ratio, ...options });
}

function placesIn(prepared: Prepared | undefined): Record<string, number[]> {
  const places = [...prepared!].filter(([name]) => !name.startsWith('#'));
  return Object.fromEntries(places.map(([name, at]) => [name.replace(/\.indices$/, ''), [...at]]));
}

const batches = await referenceBatches();
const rows = batches.flat();
const prepared = await prepare([sam()], opened, rows);
const [method] = attachMethods([sam()], opened.context, prepared);
const trained = await steps(opened, method!, batches, reference.learning_rate);

test('the places chosen and twelve steps are those of PyTorch', () => {
  assert.equal(rows.length, reference.rows);
  assert.deepEqual(placesIn(prepared[0]), reference.indices);
  for (const [at, loss] of reference.losses.entries()) {
    assert.ok(Math.abs(trained.losses[at]! - loss) <= 1e-4, `loss ${at + 1}: ${trained.losses[at]} for ${loss}`);
  }
  for (const [name, values] of Object.entries(reference.values)) {
    assert.ok(largestDifference(trained.values.get(`${name}.values`)!, values) <= 1e-3, name);
  }
});

test('a run that goes on from the sixth step does the same, bit for bit', async () => {
  const [again] = attachMethods([sam()], opened.context, prepared);
  const half = await steps(opened, again!, batches.slice(0, 6), reference.learning_rate);
  const from = { snapshot: half.snapshot, step: 6 };
  const [resumed] = attachMethods([sam()], opened.context, prepared);
  const rest = await steps(opened, resumed!, batches.slice(6), reference.learning_rate, from);
  assert.deepEqual([...half.losses, ...rest.losses], trained.losses);
  assert.deepEqual(rest.values, trained.values);
});

test('by tensor the authors’ code chooses the same: int(keep_ratio · n) of each, none of a small one', async () => {
  const [found] = await prepare([sam({ ranking: 'per_tensor' })], opened, rows);
  assert.deepEqual(placesIn(found), reference.per_tensor);
  const few = sam({ ranking: 'per_tensor', keep_ratio: 1 / 1100 });
  const [tiny] = await prepare([few], opened, rows.slice(0, 2));
  const large = linear.filter(({ shape }) => shape[0]! * shape[1]! >= 1100);
  assert.ok(large.length > 0 && large.length < linear.length);
  assert.deepEqual(
    Object.entries(placesIn(tiny)).map(([name, { length }]) => [name, length]),
    large.map(({ weight }) => [weight, 1]),
  );
});

test('the same rows in another order give the same places', async () => {
  const other = shuffle([...rows], random(7, 'order'));
  assert.notDeepEqual(other, rows);
  for (const options of [sam(), sam({ hessian: 'hutchinson', num_probes: 2 })]) {
    const [one, two] = [await prepare([options], opened, rows), await prepare([options], opened, other)];
    assert.deepEqual(placesIn(two[0]), placesIn(one[0]));
  }
});

test('of a quadratic loss with a known diagonal Hessian those numbers are chosen that lower it most', () => {
  // ½ Σ hᵢ (θᵢ − θ*ᵢ)²: freeing number i alone lowers the loss by ½ hᵢ (θᵢ − θ*ᵢ)² = gᵢ² / 2hᵢ.
  const generator = random(2, 'quadratic');
  const h = Float32Array.from({ length: 40 }, () => 0.5 + 4 * generator.uniform());
  const distance = Float32Array.from(h, () => generator.normal());
  const gradient = h.map((each, at) => each * distance[at]!);
  const drop = h.map((each, at) => (each * distance[at]! ** 2) / 2);
  const best = placesOf(markLargest([drop], 10)[0]!);
  const chosen = (curvature?: Float32Array): Int32Array => {
    // Sums over three rows.
    const tripled = (values: Float32Array): Float32Array => values.map((value) => 3 * value);
    const own = curvature && new Map([['w', tripled(curvature)]]);
    const scores = samScores(new Map([['w', tripled(gradient)]]), own, 3, 0.1);
    return placesOf(markLargest([scores.get('w')!], 10)[0]!);
  };
  assert.deepEqual(chosen(h), best);
  // A negative curvature counts by its size; without any the largest gradients are chosen, which are others.
  assert.deepEqual(chosen(h.map((each, at) => (at % 2 === 0 ? -each : each))), best);
  assert.deepEqual(chosen(), placesOf(markLargest([gradient.map(Math.abs)], 10)[0]!));
  assert.notDeepEqual(chosen(), best);
  // Below ε all curvatures are one.
  assert.deepEqual(chosen(new Float32Array(40).fill(1e-6)), chosen());
});

test('Hutchinson’s estimate enters the score, divided by the rows as gradients are', async () => {
  const options = { hessian: 'hutchinson', num_probes: 4, epsilon: 1e-3 } as const;
  const [found] = await prepare([sam(options)], opened, UNEVEN);
  const passes = passesOver(opened, UNEVEN);
  const weights = linear.map(({ weight }) => weight!);
  const { sums: g } = await passes.rowGradients({ weights });
  const { sums: h } = await passes.hessianDiagonal({ weights, probes: 4 });
  const n = UNEVEN.length;
  const scores = weights.map((name) =>
    g.get(name)!.map((each, at) => (each / n) ** 2 / Math.max(Math.abs(h.get(name)![at]! / n), 1e-3)),
  );
  const total = scores.reduce((sum, { length }) => sum + length, 0);
  const marks = markLargest(scores, Math.floor(reference.keep_ratio * total));
  const expected = weights.flatMap((name, at) => {
    const places = [...placesOf(marks[at]!)];
    return places.length === 0 ? [] : [[name, places] as const];
  });
  assert.deepEqual(placesIn(found), Object.fromEntries(expected));
  const [plain] = await prepare([sam()], opened, UNEVEN);
  assert.notDeepEqual(placesIn(found), placesIn(plain));
});

test('the base is unchanged at the start; saved, loaded and merged it does the same, and what rests stays bit for bit', async () => {
  const prompt = [[3, 5, 9, 2, 40, 77]];
  const start = new Map([...trained.values].map(([name, { length }]) => [name, new Float32Array(length)]));
  const base = await logitsOf(opened, prompt);
  assert.deepEqual(await logitsOf(opened, prompt, { method: method!, values: start }), base);
  const out = path.join(folder, 'adapter');
  const saved = method!.save(trained.values);
  assert.ok(saved.kind === 'adapter');
  assert.equal(saved.config['peft_type'], 'SAM');
  await writeAdapter(out, saved, { tokenizer, card: '' });
  const again = await attachAdapter(opened, out);
  assert.deepEqual(again.warnings, []);
  const applied = await logitsOf(opened, prompt, again);
  assert.deepEqual(applied, await logitsOf(opened, prompt, { method: method!, values: trained.values }));
  assert.ok(largestDifference(applied, base) > 1e-2);
  const found = await inspectAdapter(out);
  assert.deepEqual(found.problems, []);
  assert.deepEqual([found.method, found.base], ['sam', 'tiny-llama']);
  const report = await mergeAdapter({ ...opened, ...again, tokenizer, out: path.join(folder, 'merged') });
  assert.ok(report.verifiedDifference <= 1e-5, String(report.verifiedDifference));
  const merged = await openModel(path.join(folder, 'merged'));
  let [kept, total] = [0, 0];
  for (const { weight } of linear) {
    const [before, after] = [await opened.context.read(weight!), await merged.context.read(weight!)];
    const places = new Set(reference.indices[weight!]);
    before.forEach((value, at) => {
      total++;
      if (places.has(at)) kept++;
      else assert.equal(after[at], value);
    });
  }
  assert.equal(kept, Math.floor(reference.keep_ratio * total));
});

test('fewer rows than asked for are told, and what cannot be is refused before a pass', () => {
  assert.match(method!.coverage.warnings[0]!.message, /from \d+ rows, all that there are, instead of 1024/);
  const [idle] = attachMethods([sam({ num_probes: 3, epsilon: 1 })], opened.context, prepared);
  assert.deepEqual(
    idle!.coverage.warnings.slice(1).map(({ message }) => message),
    ['num_probes is not used: hessian is constant', 'epsilon is not used: hessian is constant'],
  );
  const check = (...configs: MethodConfig[]) => checkMethods(configs, opened.context);
  assert.throws(() => check(sam({ keep_ratio: 1e-9 })), problem('sparse-delta.nothing', '1e-9'));
  assert.throws(
    () => check(sam({ keep_ratio: 3e-4, ranking: 'per_tensor' })),
    problem('sparse-delta.nothing', 'any weight', 'ranking: global'),
  );
  check(sam({ keep_ratio: 3e-4 }));
  assert.throws(() => check({ type: 'full' }, sam()), problem('method.combination', 'sam', 'full'));
  check(loraMethod({ r: 4 }), sam());
  assert.throws(() => attachMethods([sam()], opened.context), problem('method.not-prepared', 'SAM'));
});
