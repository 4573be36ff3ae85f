import assert from 'node:assert/strict';
import { test } from 'node:test';
import { random } from '../../../src/common/random.js';
import { normalQuantiles } from '../../../src/linalg/normalQuantiles.js';
import { walshHadamard } from '../../../src/linalg/walshHadamard.js';
import { project } from '../../../src/methods/fastfood.js';
import { fastfood, projected } from '../../../src/methods/fastfoodNumbers.js';
import { onnxRuntime } from '../../../src/runtime/onnxruntime.js';
import type { Value } from '../../../src/runtime/runtime.js';
import { gradients } from '../../../src/tensor/grad.js';
import { mul } from '../../../src/tensor/ops/elementwise.js';
import { hadamard } from '../../../src/tensor/ops/hadamard.js';
import { input } from '../../../src/tensor/tensor.js';
import { gradientErrors, numbers, sumAll } from '../../support/finiteDifferences.js';
import { largestDifference } from '../../support/fixtures.js';

const runtime = await onnxRuntime({ threads: 1 });

function draws(count: number, ...stream: (string | number)[]): Float32Array {
  const draw = random(3, ...stream);
  return new Float32Array(count).map(() => draw.normal());
}

function float64(values: ArrayLike<number>, shape = [values.length]): Value {
  return { dtype: 'float64', shape, data: Float64Array.from(values) };
}

/** H x by the definition: H = [[H', H'], [H', −H']]. */
function byDefinition(x: readonly number[]): number[] {
  if (x.length === 1) return [...x];
  const [first, second] = [x.slice(0, x.length / 2), x.slice(x.length / 2)].map(byDefinition);
  return [...first!.map((a, at) => a + second![at]!), ...first!.map((a, at) => a - second![at]!)];
}

for (const [rows, bits] of [
  [1, 0],
  [3, 1],
  [2, 6],
  [1, 7],
  [3, 9],
  [1, 13],
] as const) {
  test(`the Walsh–Hadamard transform of ${rows} rows of 2^${bits} numbers is the dense matrix's`, async () => {
    const x = draws(rows * 2 ** bits, 'hadamard');
    const wanted = Array.from({ length: rows }, (_, row) =>
      byDefinition([...x.subarray(row * 2 ** bits, (row + 1) * 2 ** bits)]),
    ).flat();
    assert.ok(largestDifference(walshHadamard(Float64Array.from(x), 2 ** bits), wanted) < 1e-9);
    const leaf = input('x', 'float64', [rows, 2 ** bits]);
    const program = await runtime.compile({ y: hadamard(leaf) });
    const { y } = await program.run({ x: float64(x, [rows, 2 ** bits]) });
    assert.ok(largestDifference(numbers(y!), wanted) < 1e-9);
  });
}

test('quantiles of the normal distribution', () => {
  const quantiles = normalQuantiles(1000);
  // Tables: Φ⁻¹(0.9995), Φ⁻¹(0.9755), Φ⁻¹(0.5005).
  assert.ok(Math.abs(quantiles[999]! - 3.290526731491926) < 1e-12);
  assert.ok(Math.abs(quantiles[975]! - 1.9685916691866) < 1e-12);
  assert.ok(Math.abs(quantiles[500]! - 0.0012533144654325) < 1e-12);
  assert.equal(quantiles[0], -quantiles[999]!);
});

// Smaller than a tensor, as large, larger (several transforms), and tensors of few numbers.
const SIZES = [
  [1000, 1],
  [1000, 60],
  [1024, 1024],
  [300, 1200],
  [5, 7],
  [1, 4],
] as const;

for (const [size, inputs] of SIZES) {
  const transform = fastfood(size, inputs, 1, 'a.weight');
  const z = input('z', 'float64', [inputs]);
  const y = project(transform, z);

  test(`a projection from ${inputs} to ${size} numbers: the graph's is that in plain code, and linear`, async () => {
    const program = await runtime.compile({ y });
    const applied = async (at: ArrayLike<number>): Promise<number[]> =>
      numbers((await program.run({ z: float64(at) }))['y']!);
    const [a, b] = [draws(inputs, 'a'), draws(inputs, 'b')];
    const [one, other] = [await applied(a), await applied(b)];
    assert.ok(largestDifference(one, projected(transform, a)) < 1e-9);
    const sum = await applied(Float64Array.from(a, (value, at) => 2 * value + b[at]!));
    assert.ok(
      largestDifference(
        sum,
        one.map((value, at) => 2 * value + other[at]!),
      ) < 1e-9,
    );
  });

  test(`a projection from ${inputs} to ${size} numbers: its gradient is that of finite differences`, async () => {
    const loss = sumAll(mul(mul(y, y), y));
    const at = Float64Array.from(draws(inputs, 'at'), (value) => Math.round(value * 64) / 64 + 0.5);
    if (inputs > 100) {
      // Too many for a difference each: along a direction.
      const [slope] = gradients(loss, [z]);
      const program = await runtime.compile({ loss, slope: slope! });
      const along = draws(inputs, 'along');
      const moved = (by: number): Value => float64(at.map((value, place) => value + by * along[place]!));
      const step = 2 ** -12;
      const lossAt = async (by: number): Promise<number> =>
        numbers((await program.run({ z: moved(by) }))['loss']!)[0]!;
      const numeric = ((await lossAt(step)) - (await lossAt(-step))) / (2 * step);
      const found = numbers((await program.run({ z: moved(0) }))['slope']!);
      const exact = found.reduce((sum, value, place) => sum + value * along[place]!, 0);
      assert.ok(Math.abs(exact - numeric) < 1e-5 * Math.abs(numeric), `${exact} for ${numeric}`);
      return;
    }
    const errors = await gradientErrors(runtime, loss, [{ tensor: z, value: float64(at) }], {}, [
      float64(draws(inputs, 'direction')),
    ]);
    assert.ok(errors.first < 1e-6 && errors.second < 1e-6, JSON.stringify(errors));
  });
}

test('a projection keeps norms on average, whatever the tensor, and different ones share nothing', () => {
  for (const [size, inputs] of [
    [4000, 300],
    [128, 1000],
    [65536, 20],
  ] as const) {
    const z = draws(inputs, 'z');
    const ratios = Array.from({ length: 20 }, (_, seed) => {
      const y = projected(fastfood(size, inputs, seed, 'a.weight'), z);
      return Math.hypot(...y) / Math.hypot(...z);
    });
    const mean = ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length;
    assert.ok(Math.abs(mean - 1) < 0.03, `${size} from ${inputs}: ${mean}`);
    assert.ok(
      ratios.every((ratio) => Math.abs(ratio - 1) < 0.25),
      ratios.join(),
    );
  }
  const z = draws(300, 'z');
  const [one, again, other, seeded] = [
    fastfood(4000, 300, 1, 'a.weight'),
    fastfood(4000, 300, 1, 'a.weight'),
    fastfood(4000, 300, 1, 'b.weight'),
    fastfood(4000, 300, 2, 'a.weight'),
  ].map((each) => projected(each, z));
  assert.deepEqual(again, one);
  for (const each of [other!, seeded!]) {
    const product = each.reduce((sum, value, at) => sum + value * one![at]!, 0);
    assert.ok(Math.abs(product) < 0.1 * Math.hypot(...z) ** 2, String(product));
  }
});

test('the columns of a projection are nearly orthogonal, its rows alike', () => {
  const [size, inputs] = [2048, 48];
  const transform = fastfood(size, inputs, 1, 'a.weight');
  const columns = Array.from({ length: inputs }, (_, at) =>
    projected(transform, new Float32Array(inputs).fill(1, at, at + 1)),
  );
  const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, value, at) => sum + value * b[at]!, 0);
  columns.forEach((column, at) => {
    assert.ok(Math.abs(dot(column, column) - 1) < 1e-6);
    for (const other of columns.slice(at + 1)) assert.ok(Math.abs(dot(column, other)) < 0.15);
  });
  // A normal distribution of deviation √(1 / size): the mean of the fourth powers is three times that of the squares, squared.
  const all = columns.flatMap((column) => [...column]);
  const mean = (power: number): number => all.reduce((sum, value) => sum + value ** power, 0) / all.length;
  assert.ok(Math.abs(mean(4) / mean(2) ** 2 - 3) < 0.1, String(mean(4) / mean(2) ** 2));
});

test('every place is read once in each transform', () => {
  for (const [size, inputs] of SIZES) {
    const { places, blocks, length, width } = fastfood(size, inputs, 1, 'a.weight');
    const [rows, columns] = [places.rows.length / blocks, places.columns.length / blocks];
    const counts = new Map<number, number>();
    for (let block = 0; block < blocks; block++) {
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) {
          const place = places.rows[block * rows + row]! ^ places.columns[block * columns + column]!;
          counts.set(place, (counts.get(place) ?? 0) + 1);
        }
      }
    }
    assert.equal(counts.size, blocks * width);
    assert.ok([...counts.values()].every((count) => count === length / width));
  }
});
