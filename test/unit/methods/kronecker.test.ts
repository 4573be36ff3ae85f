import assert from 'node:assert/strict';
import { test } from 'node:test';
import { random } from '../../../src/common/random.js';
import { effectiveRank } from '../../../src/linalg/effectiveRank.js';
import { plainProducts } from '../../../src/linalg/products.js';
import { singularTriplets } from '../../../src/linalg/svd.js';
import {
  factorized,
  kroneckerEffectiveRank,
  kroneckerFacts,
  kroneckerOutput,
  mapFactor,
  mergeKronecker,
  pairVariables,
} from '../../../src/methods/kronecker.js';
import type { KroneckerPair } from '../../../src/methods/kronecker.js';
import type { Values } from '../../../src/methods/method.js';
import { onnxRuntime } from '../../../src/runtime/onnxruntime.js';
import { mul } from '../../../src/tensor/ops/elementwise.js';
import { fixedSize } from '../../../src/tensor/dims.js';
import { input, variable } from '../../../src/tensor/tensor.js';
import { gradientErrors, sumAll } from '../../support/finiteDifferences.js';
import { fixture, largestDifference } from '../../support/fixtures.js';
import { readFile } from 'node:fs/promises';
import { site } from './fakeModel.js';

// l = 3, k = 4; m = 2, n = 5.
const SHAPE = { l: 3, m: 2, k: 4, n: 5 };
const LINEAR = site('linear', 'model.layers.0.q_proj', [12, 10]);
const PAIRS: Readonly<Record<string, KroneckerPair>> = {
  'both whole': {
    site: LINEAR,
    scale: 1.5,
    shape: SHAPE,
    w1: { kind: 'whole', whole: variable('w1', [3, 2]) },
    w2: { kind: 'whole', whole: variable('w2', [4, 5]) },
  },
  'second split': {
    site: LINEAR,
    scale: -0.5,
    shape: SHAPE,
    w1: { kind: 'whole', whole: variable('w1', [3, 2]) },
    w2: { kind: 'product', a: variable('w2_a', [4, 2]), b: variable('w2_b', [2, 5]) },
  },
  'both split': {
    site: LINEAR,
    scale: 2,
    shape: SHAPE,
    w1: { kind: 'product', a: variable('w1_a', [3, 1]), b: variable('w1_b', [1, 2]) },
    w2: { kind: 'product', a: variable('w2_a', [4, 1]), b: variable('w2_b', [1, 5]) },
  },
};

function drawn(pair: KroneckerPair): Values {
  const generator = random(3, 'kronecker');
  return new Map(
    pairVariables(pair).map(({ name, shape }) => [
      name,
      Float32Array.from({ length: fixedSize(shape) }, () => generator.normal()),
    ]),
  );
}

/** s·(w1 ⊗ w2), by the definition. */
function built(pair: KroneckerPair, values: Values): Float64Array {
  const full = (factor: KroneckerPair['w1']): { at: (i: number, j: number) => number } => {
    const of =
      ({ name, shape }: { name: string; shape: readonly unknown[] }) =>
      (i: number, j: number) =>
        values.get(name)![i * Number(shape[1]) + j]!;
    if (factor.kind === 'whole') return { at: of(factor.whole) };
    const [a, b, r] = [of(factor.a), of(factor.b), Number(factor.b.shape[0])];
    return {
      at: (i, j) => Array.from({ length: r }, (_, q) => a(i, q) * b(q, j)).reduce((sum, each) => sum + each),
    };
  };
  const [w1, w2] = [full(pair.w1), full(pair.w2)];
  const { k, n } = SHAPE;
  return Float64Array.from({ length: 120 }, (_, at) => {
    const [row, column] = [Math.floor(at / 10), at % 10];
    return pair.scale * w1.at(Math.floor(row / k), Math.floor(column / n)) * w2.at(row % k, column % n);
  });
}

test("lengths are split where PEFT's LoKr splits them", async () => {
  const table = JSON.parse(await readFile(fixture('lokr/factorized.json'), 'utf8')) as number[][];
  assert.ok(table.length > 100);
  for (const [length, factor, first, second] of table) {
    assert.deepEqual(factorized(length!, factor!), [first, second], `${length}, ${factor}`);
  }
});

for (const [name, pair] of Object.entries(PAIRS)) {
  test(`(w1 ⊗ w2) x = w1·X·w2ᵀ, ${name}`, async () => {
    const runtime = await onnxRuntime({ threads: 1 });
    const values = drawn(pair);
    const generator = random(4, 'x');
    const x = Float32Array.from({ length: 2 * 3 * 10 }, () => generator.normal());
    const program = await runtime.compile({ y: kroneckerOutput(pair, input('x', 'float32', [2, 3, 10])) });
    const feeds = Object.fromEntries(
      pairVariables(pair).map(({ name: own, shape }) => [
        own,
        { dtype: 'float32' as const, shape: shape as number[], data: values.get(own)! },
      ]),
    );
    const { y } = await program.run({ ...feeds, x: { dtype: 'float32', shape: [2, 3, 10], data: x } });
    await program.dispose();
    const w = built(pair, values);
    const expected = Array.from({ length: 2 * 3 * 12 }, (_, at) => {
      const [token, row] = [Math.floor(at / 12), at % 12];
      return Array.from({ length: 10 }, (_each, column) => w[row * 10 + column]! * x[token * 10 + column]!).reduce(
        (sum, each) => sum + each,
      );
    });
    const largest = Math.max(...expected.map(Math.abs));
    assert.ok(largestDifference(Array.from(y!.data, Number), expected) <= 1e-6 * largest);
    assert.ok(largest > 1);
  });

  test(`merging adds s·(w1 ⊗ w2), and its norm and rank follow from the factors, ${name}`, async () => {
    const values = drawn(pair);
    const w = built(pair, values);
    const base = Float32Array.from({ length: 120 }, (_, at) => at / 10);
    const merged = mergeKronecker(pair, base, values);
    assert.ok(
      largestDifference(
        merged,
        base.map((each, at) => each + w[at]!),
      ) <= 2e-6,
    );

    const { norm, rank } = kroneckerFacts(pair, values);
    const expected = Math.sqrt(w.reduce((sum, each) => sum + each * each, 0));
    assert.ok(Math.abs(norm - expected) <= 1e-6 * expected);
    const { s } = await singularTriplets(plainProducts(w, 12, 10), 10, 'largest');
    assert.equal(rank, s.filter((each) => each > 1e-6 * s[0]!).length);
    const numbers = (each: { name: string; shape: readonly unknown[] }) => ({
      shape: each.shape as readonly number[],
      data: values.get(each.name)!,
    });
    const found = kroneckerEffectiveRank(mapFactor(pair.w1, numbers), mapFactor(pair.w2, numbers))!;
    const wanted = effectiveRank(Float64Array.from(s.subarray(0, rank)));
    assert.ok(Math.abs(found - wanted) <= 1e-5 * wanted, `${found}, ${wanted}`);
  });

  test(`its gradient is that of finite differences, ${name}`, async () => {
    const runtime = await onnxRuntime({ threads: 1 });
    const double = (each: { name: string; shape: readonly unknown[] }) =>
      input(each.name, 'float64', each.shape as number[]);
    const leaves = pairVariables(pair).map((each) => ({ ...each, tensor: double(each) }));
    const byName = new Map(leaves.map(({ name: own, tensor }) => [own, tensor]));
    const of = (factor: KroneckerPair['w1']) => mapFactor(factor, (each) => byName.get(each.name)!);
    const x = input('x', 'float64', [1, 2, 10]);
    const y = kroneckerOutput({ ...pair, w1: of(pair.w1), w2: of(pair.w2) }, x);
    // On a grid of 1/8.
    const value = (shape: readonly number[], seed: number) => {
      const generator = random(seed, 'grid');
      const data = Float64Array.from({ length: fixedSize(shape) }, () => (generator.integer(17) - 8) / 8);
      return { dtype: 'float64' as const, shape, data };
    };
    const all = [...leaves.map(({ tensor }) => tensor), x].map((tensor, at) => ({
      tensor,
      value: value(tensor.shape as number[], at),
    }));
    const { first, second } = await gradientErrors(
      runtime,
      sumAll(mul(y, y)),
      all,
      {},
      all.map(({ tensor }, at) => value(tensor.shape as number[], 50 + at)),
    );
    assert.ok(first <= 1e-6 && second <= 1e-5, `${first}, ${second}`);
  });
}
