// How LoRA starts, against PEFT: test/fixtures/lora-start says how its numbers were made.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { readAdapter } from '../../../src/adapters/readAdapter.js';
import { random } from '../../../src/common/random.js';
import { multiplied, plainProducts, transposed } from '../../../src/linalg/products.js';
import { singularTriplets } from '../../../src/linalg/svd.js';
import { lora } from '../../../src/methods/lora.js';
import type { LoraOptions } from '../../../src/methods/lora.js';
import { preparedStarts } from '../../../src/methods/loraStart.js';
import { lowRankPair, stacked, unstacked } from '../../../src/methods/lowRankPair.js';
import type { AttachContext, Attached, Prepared, Values } from '../../../src/methods/method.js';
import type { Site } from '../../../src/models/site.js';
import { problem } from '../../support/adapters.js';
import { fixture, largestDifference, readTensors } from '../../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../../support/model.js';
import { repeatPeftSteps } from '../../support/peftSteps.js';
import { startValues } from '../../support/startValues.js';
import { attachLora, fakeContext, loraOptions, site, starts } from './fakeModel.js';

const llama = await openModel(fixture('lora-reference', 'tiny-llama'));
const gpt2 = await openModel(fixture('gpt2', 'tiny-gpt2'));
const ROWS = [[5, 9, 77, 31, 8, 64, 3]];

/** As in make.py. */
const CASES: Readonly<Record<string, Partial<LoraOptions>>> = {
  pissa: { r: 4, lora_alpha: 8, init_lora_weights: 'pissa', target_modules: ['q_proj', 'down_proj'] },
  olora: { r: 4, lora_alpha: 8, init_lora_weights: 'olora', target_modules: ['q_proj', 'down_proj'] },
  patterns: {
    r: 4,
    lora_alpha: 6,
    init_lora_weights: 'pissa',
    target_modules: ['k_proj', 'up_proj'],
    rank_pattern: { k_proj: 3 },
    alpha_pattern: { up_proj: 5 },
  },
  rslora: { r: 4, lora_alpha: 4, use_rslora: true, init_lora_weights: 'olora', target_modules: ['v_proj'] },
};

type Init = Parameters<typeof preparedStarts>[1];

/** What a run finds out before it attaches, for all pairs of these options. */
async function findings(options: Partial<LoraOptions>, context: AttachContext): Promise<Prepared> {
  const whole = loraOptions(options);
  const method = lora.attach(whole, context);
  const sites = new Map(context.model.sites.map((each) => [each.path, each]));
  const pairs = method.report!(await drawnValues(method)).map(({ path, rank, scale }) =>
    lowRankPair(sites.get(path)!, rank!, scale!, '', true),
  );
  return preparedStarts(pairs, whole.init_lora_weights as Init, context);
}

/** Numbers of the right sizes, to be asked for a report. */
function drawnValues(method: Attached): Promise<Values> {
  const zeros = method.trainables.map(({ variable: { name, shape } }) => {
    const [rows, columns = 1] = shape as readonly number[];
    return [name, new Float32Array(rows! * columns)] as const;
  });
  return Promise.resolve(new Map(zeros));
}

async function attachStarted(
  options: Partial<LoraOptions>,
  context: AttachContext = llama.context,
): Promise<{ method: Attached; values: Values }> {
  const prepared = await findings(options, context);
  const method = lora.attach(loraOptions(options), { ...context, prepared });
  return { method, values: await startValues(method.trainables) };
}

/** s·B₀·A₀ [out, in] */
function takenPart(values: Values, path: string, r: number, scale: number): Float64Array {
  const [a, b] = ['A', 'B'].map((half) => Float64Array.from(values.get(`${path}.lora_${half}.initial`)!));
  return multiplied(b!, a!, b!.length / r, r).map((value) => scale * value);
}

async function weightOf({ context }: typeof llama, { weight, shape, layout }: Site): Promise<Float64Array> {
  const stored = Float64Array.from(await context.read(weight!));
  return layout === 'in-out' ? transposed(stored, shape[1]!, shape[0]!) : stored;
}

function norm(x: Float64Array | Float32Array): number {
  return Math.sqrt(Array.from(x).reduce((sum, value) => sum + value * value, 0));
}

for (const [name, options] of Object.entries(CASES)) {
  const source = fixture('lora-start', name);

  test(`${name}: what is taken off each weight is what PEFT takes; factors agree up to their signs`, async () => {
    const { method, values } = await attachStarted(options);
    const peft = await readTensors(`${source}/taken.safetensors`);
    const exact = await readTensors(`${source}/exact.safetensors`);
    const initial = await readTensors(`${source}/initial.safetensors`);
    const reports = method.report!(values);
    assert.equal(reports.length, peft.size);
    for (const { path, rank, scale, norm: learned } of reports) {
      const expected = peft.get(`${path}.weight`)!.data;
      const part = takenPart(values, path, rank!, scale!);
      const error = (wanted: Float32Array): number =>
        norm(part.map((value, at) => value - wanted[at]!)) / norm(wanted);
      assert.ok(error(exact.get(`${path}.weight`)!.data) <= 1e-6, `${path}: ${error(expected)}`);
      // PEFT computes in float32: what it loses where the r-th singular value and the next are close.
      assert.ok(error(expected) <= 3e-5, `${path}: ${error(expected)}`);
      for (const half of ['A', 'B']) {
        const own = values.get(`${path}.lora_${half}`)!;
        const theirs = initial.get(`base_model.model.${path}.lora_${half}.weight`)!.data;
        assert.ok(largestDifference(own.map(Math.abs), theirs.map(Math.abs)) <= 1e-4, `${path} ${half}`);
      }
      assert.ok(learned! < 1e-5, `nothing is learned yet: ${learned}`);
    }
  });

  test(`${name}: five steps from PEFT's factors are PEFT's, and are saved as PEFT converts them`, async () => {
    const initial = await readTensors(`${source}/initial.safetensors`);
    const prepared = new Map(
      [...initial].map(([key, { data }]) => [
        `${key.replace('base_model.model.', '').replace('.weight', '')}.initial`,
        data,
      ]),
    );
    const method = lora.attach(loraOptions(options), { ...llama.context, prepared });
    const errors = await repeatPeftSteps(llama, source, { method }, await startValues(method.trainables));
    assert.ok(errors.loss < 1e-5, `loss ${errors.loss}`);
    assert.ok(errors.gradientNorm < 1e-4, `norm ${errors.gradientNorm}`);
    for (const [key, error] of errors.changes) assert.ok(error < 1e-2, `${key}: ${error}`);

    const theirs = await readAdapter(`${source}/final`);
    const { values } = method.load(await theirs.loadTensors(), 'final');
    const saved = method.save(values);
    assert.ok(saved.kind === 'adapter');
    for (const key of ['r', 'lora_alpha', 'rank_pattern', 'alpha_pattern', 'use_rslora', 'init_lora_weights']) {
      assert.deepEqual(saved.config[key], theirs.config[key], key);
    }
    const tensors = await readTensors(`${source}/final/adapter_model.safetensors`);
    assert.deepEqual(
      new Map(saved.tensors.map((tensor) => [tensor.name, tensor])),
      new Map([...tensors].map(([key, tensor]) => [key, { ...tensor, shape: [...tensor.shape] }])),
    );

    const rows = JSON.parse(await readFile(`${source}/rows.json`, 'utf8')) as number[][];
    const expected = (await readTensors(`${source}/logits.safetensors`)).get('logits')!.data;
    assert.ok(largestDifference(await logitsOf(llama, rows, { method, values }), expected) <= 1e-4);
    const plain = await attachAdapter(llama, `${source}/final`);
    assert.ok(largestDifference(await logitsOf(llama, rows, plain), expected) <= 1e-4);
    assert.ok(largestDifference(await logitsOf(llama, rows), expected) > 0.1, 'the steps did something');
  });
}

describe('starts that take a part off the base', () => {
  const all = { target_modules: 'all-linear', r: 3, lora_alpha: 5, lora_dropout: 0.1 } as const;
  for (const init_lora_weights of ['pissa', 'pissa_niter_4', 'milora', 'olora'] as const) {
    for (const [name, opened] of Object.entries({ llama, gpt2 })) {
      test(`${init_lora_weights} leaves the logits of ${name} as they are, to the last bit`, async () => {
        const adapter = await attachStarted({ ...all, init_lora_weights }, opened.context);
        assert.deepEqual(await logitsOf(opened, ROWS, adapter), await logitsOf(opened, ROWS));
      });
    }
  }

  test('of a Conv1D they take what they would of the same weight as a linear one', async () => {
    const options = loraOptions({ init_lora_weights: 'pissa', target_modules: ['c_fc'], r: 2, lora_alpha: 3 });
    const { method, values } = await attachStarted(options, gpt2.context);
    const { path, scale } = method.report!(values)[0]!;
    const found = gpt2.model.sites.find((each) => each.path === path)!;
    assert.equal(found.layout, 'in-out');
    const w = await weightOf(gpt2, found);
    const [out, columns] = found.shape as [number, number];
    const { u, s, v } = await singularTriplets(plainProducts(w, out, columns), 2, 'largest');
    const part = multiplied(
      u.map((value, at) => value * s[at % 2]!),
      transposed(v, columns, 2),
      out,
      2,
    );
    assert.ok(largestDifference(takenPart(values, path, 2, scale!), part) < 1e-5);
  });

  test('milora takes the smallest singular values, pissa the largest: what is left has the others', async () => {
    for (const [init_lora_weights, from] of [
      ['milora', 0],
      ['pissa', 3],
    ] as const) {
      const options = { ...all, init_lora_weights, target_modules: ['v_proj'] };
      const { method, values } = await attachStarted(options);
      const { path, scale } = method.report!(values)[0]!;
      const found = llama.model.sites.find((each) => each.path === path)!;
      const [rows, columns] = found.shape as [number, number];
      const w = await weightOf(llama, found);
      const part = takenPart(values, path, 3, scale!);
      const spectrum = async (x: Float64Array): Promise<Float64Array> =>
        (await singularTriplets(plainProducts(x, rows, columns), Math.min(rows, columns), 'largest')).s;
      const [before, left] = [await spectrum(w), await spectrum(w.map((value, at) => value - part[at]!))];
      const others = before.slice(from, from + before.length - 3);
      assert.ok(largestDifference(left, [...others, 0, 0, 0]) < 1e-5);
    }
  });

  test('pissa_niter_K comes close to pissa, closer with more iterations, and is the same for a seed', async () => {
    const w = random(4, 'wide');
    const wide = fakeContext([site('linear', 'wide', [60, 90])]);
    const weights = Float32Array.from({ length: 60 * 90 }, () => w.normal());
    const context = { ...wide, read: () => Promise.resolve(weights) };
    const part = async (init_lora_weights: 'pissa' | `pissa_niter_${number}`): Promise<Float64Array> => {
      const { values } = await attachStarted({ r: 6, init_lora_weights, target_modules: ['wide'] }, context);
      return takenPart(values, 'wide', 6, 8 / 6);
    };
    const exact = await part('pissa');
    const left = (x: Float64Array): number => norm(x.map((value, at) => weights[at]! - value));
    const [one, many] = [await part('pissa_niter_1'), await part('pissa_niter_16')];
    assert.ok(left(exact) < left(many) && left(many) < left(one), [exact, many, one].map(left).join());
    assert.ok(left(many) / left(exact) - 1 < 1e-3);
    assert.deepEqual(await part('pissa_niter_1'), one);
  });

  test('merging gives W + s·(B·A − B₀·A₀)', async () => {
    const { method, values: start } = await attachStarted({ ...all, init_lora_weights: 'pissa' });
    const draws = random(2, 'moved');
    const values = new Map(
      [...start].map(([name, data]) => [
        name,
        name.endsWith('.initial') ? data : data.map((value) => value + 0.1 * draws.normal()),
      ]),
    );
    const found = llama.model.sites.find(({ path }) => path.endsWith('up_proj'))!;
    const base = await llama.context.read(found.weight!);
    const [a, b] = ['A', 'B'].map((half) => Float64Array.from(values.get(`${found.path}.lora_${half}`)!));
    const taken = takenPart(values, found.path, 3, 5 / 3);
    const expected = multiplied(b!, a!, found.shape[0]!, 3).map(
      (value, at) => base[at]! + (5 / 3) * value - taken[at]!,
    );
    const merged = method.merge!(found, 'weight', base, values)!;
    assert.ok(largestDifference(merged, expected) < 1e-5);
    assert.ok(largestDifference(merged, base) > 0.01);
  });

  test('A and B train and are counted, A₀ and B₀ rest', async () => {
    const options = loraOptions({ r: 2, init_lora_weights: 'olora', target_modules: ['q_proj'] });
    const { method } = await attachStarted(options);
    const names = [...method.active!()].map(({ name }) => name);
    assert.deepEqual(
      names,
      [0, 1].flatMap((layer) => ['A', 'B'].map((half) => `model.layers.${layer}.self_attn.q_proj.lora_${half}`)),
    );
    assert.equal(method.trainables.length, 8);
    assert.equal(method.coverage.modules[0]!.trainable, 2 * (32 + 32));
  });

  test('an embedding beside them starts as ever, and is stored with zeros up to the doubled rank', async () => {
    const options = { r: 2, lora_alpha: 4, init_lora_weights: 'pissa' } as const;
    const { method, values } = await attachStarted({ ...options, target_modules: ['q_proj', 'embed_tokens'] });
    const path = 'model.embed_tokens';
    assert.ok(values.get(`${path}.lora_embedding_A`)!.every((value) => value === 0));
    const saved = method.save(values);
    assert.ok(saved.kind === 'adapter');
    const tensor = saved.tensors.find(({ name }) => name.endsWith(`${path}.lora_embedding_B`))!;
    assert.deepEqual(tensor.shape, [32, 4]);
    const loaded = method.load(new Map(saved.tensors.map((each) => [each.name, each])), 'saved').values;
    assert.deepEqual(loaded, values);
  });

  test('a rank that the weight does not have is refused, an embedding aside', () => {
    const wide = fakeContext([site('linear', 'wide', [6, 40]), site('embedding', 'table', [16, 4])]);
    const attach = (options: Partial<LoraOptions>): Attached => attachLora(options, wide);
    for (const init_lora_weights of ['pissa', 'pissa_niter_2', 'milora', 'olora'] as const) {
      assert.throws(
        () => attach({ r: 7, init_lora_weights, target_modules: ['wide'] }),
        problem('lora.init-rank', 'no 7 parts in wide [6, 40]'),
      );
      attach({ r: 6, init_lora_weights, target_modules: ['wide'] });
      attach({ r: 7, init_lora_weights, target_modules: ['table'] });
    }
  });

  test('without what was found out there is no start', async () => {
    const method = attachLora({ init_lora_weights: 'pissa', target_modules: ['q_proj'], r: 2 });
    await assert.rejects(starts(method), problem('method.not-prepared', 'LoRA has no start for'));
  });
});

describe('orthogonal', () => {
  const wide = fakeContext([site('linear', 'wide', [256, 512])]);
  const options: Partial<LoraOptions> = { init_lora_weights: 'orthogonal', target_modules: ['wide'] };

  test('neither A nor B is zero, B·A is; numbers are normal with half of the variance 1/100', async () => {
    const values = await starts(attachLora({ ...options, r: 16 }, wide));
    const [a, b] = ['A', 'B'].map((half) => Float64Array.from(values.get(`wide.lora_${half}`)!));
    const product = multiplied(b!, a!, 256, 16);
    assert.ok(largestDifference(product, new Float64Array(product.length)) < 1e-6);
    for (const half of [a!, b!]) {
      // Half of the rows of an orthogonal matrix: the squares of a column add up to ½ on the average.
      const deviation = norm(half) / Math.sqrt(half.length);
      assert.ok(Math.abs(deviation - Math.sqrt(0.5) / 10) < 0.03 * 0.0707, `${deviation}`);
    }
    // Of rank r/2 each, as PEFT has them.
    const { s } = await singularTriplets(plainProducts(a!, 16, 512), 16, 'largest');
    assert.ok(s[7]! > 0.5 && s[8]! < 1e-5, [...s].join());
  });

  test('an odd rank is refused, also of one module', () => {
    assert.throws(() => attachLora({ ...options, r: 5 }, wide), problem('lora.odd-rank', 'wide has 5'));
    assert.throws(
      () => attachLora({ ...options, r: 4, rank_pattern: { wide: 3 } }, wide),
      problem('lora.odd-rank', 'wide has 3'),
    );
  });
});

test('what is stacked comes apart again', () => {
  const draws = random(1, 'stack');
  const part = (r: number): { r: number; a: Float32Array; b: Float32Array } => ({
    r,
    a: Float32Array.from({ length: r * 5 }, () => draws.normal()),
    b: Float32Array.from({ length: 3 * r }, () => draws.normal()),
  });
  const [one, other] = [part(2), part(3)];
  assert.deepEqual(unstacked(stacked(one, other), 2), [one, other]);
});
