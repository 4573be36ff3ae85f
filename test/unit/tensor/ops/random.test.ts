import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { hashText } from '../../../../src/common/random.js';
import { onnxRuntime } from '../../../../src/runtime/onnxruntime.js';
import { dim } from '../../../../src/tensor/dims.js';
import { gradients } from '../../../../src/tensor/grad.js';
import { mul } from '../../../../src/tensor/ops/elementwise.js';
import { dropout, randomSigns, randomUniform } from '../../../../src/tensor/ops/random.js';
import { input } from '../../../../src/tensor/tensor.js';
import type { Tensor } from '../../../../src/tensor/tensor.js';
import { numbers, sumAll } from '../../../support/finiteDifferences.js';

const runtime = await onnxRuntime({ threads: 2 });

/** The same numbers in plain JavaScript: what the graph has to give, bit for bit. */
function reference(shape: readonly number[], seed: number, stream: number): number[] {
  const first = (word: number): number => {
    const x = Math.imul(word ^ (word >>> 16), 0x7feb352d);
    return x ^ (x >>> 15);
  };
  const second = (word: number): number => {
    const x = Math.imul(word, 0x846ca68b);
    return x ^ (x >>> 16);
  };
  const hash = (position: number, role: number): number => {
    const key = second(first(seed ^ role));
    return second(first(position ^ key) ^ second(first(stream ^ role)));
  };
  const columns = shape.at(-1) ?? 1;
  const rows = shape.slice(0, -1).reduce((a, b) => a * b, 1);
  const values: number[] = [];
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const word = Math.imul(hash(row, 0x9e3779b9) ^ hash(column, 0xf39cc060), hash(row, 0x7f4a7c15) | 1);
      values.push((word >>> 8) / 2 ** 24);
    }
  }
  return values;
}

async function draw(shape: readonly number[], seeds: readonly number[], stream: number): Promise<number[][]> {
  const program = await runtime.compile({ u: randomUniform(shape, input('seed', 'int32', [1]), stream) });
  const draws: number[][] = [];
  for (const seed of seeds) {
    const fed = { dtype: 'int32', shape: [1], data: Int32Array.of(seed) } as const;
    draws.push(numbers((await program.run({ seed: fed }))['u']!));
  }
  await program.dispose();
  return draws;
}

describe('randomUniform', () => {
  const streams = [0, 1, 0xffffffff, hashText('model.layers.3.self_attn.q_proj')];
  for (const shape of [[], [7], [3, 5], [2, 3, 4], [4, 1], [2, 2, 3, 2]]) {
    test(`is the reference in plain JavaScript, shape [${shape.join(', ')}]`, async () => {
      const seeds = [0, 1, 12345, 2 ** 31 - 1, -1, -(2 ** 31)];
      for (const stream of streams) {
        const draws = await draw(shape, seeds, stream);
        draws.forEach((values, index) => assert.deepEqual(values, reference(shape, seeds[index]!, stream)));
      }
    });
  }

  test('takes a uint32 seed without axes, and symbolic lengths', async () => {
    const shape = [dim('batch'), dim('sequence'), 4];
    const like = input('like', 'float32', shape);
    const u = randomUniform(shape, input('seed', 'uint32', []), 5);
    const program = await runtime.compile({ u, doubled: mul(like, 2) });
    const values = await program.run({
      seed: { dtype: 'uint32', shape: [], data: Uint32Array.of(4_000_000_000) },
      like: { dtype: 'float32', shape: [2, 3, 4], data: new Float32Array(24) },
    });
    assert.deepEqual(values['u']!.shape, [2, 3, 4]);
    assert.deepEqual(numbers(values['u']!), reference([2, 3, 4], 4_000_000_000, 5));
  });

  test('the same seed gives the same numbers, also after others', async () => {
    const [first, other, again] = await draw([64, 96], [3, 4, 3], 9);
    assert.deepEqual(again, first);
    assert.notDeepEqual(other, first);
  });
});

test('randomSigns are −1 below one half of the uniform numbers, else 1', async () => {
  const program = await runtime.compile({ signs: randomSigns([5, 7], input('seed', 'int32', []), 3) });
  const fed = { dtype: 'int32', shape: [], data: Int32Array.of(11) } as const;
  const { signs } = await program.run({ seed: fed });
  await program.dispose();
  assert.deepEqual(
    numbers(signs!),
    reference([5, 7], 11, 3).map((u) => (u < 0.5 ? -1 : 1)),
  );
});

// Seeds are fixed, so these are no lottery: a bound of four standard deviations holds or it does not.
describe('statistics of randomUniform', () => {
  const rows = 192;
  const columns = 256;
  const count = rows * columns;
  const seeds = Array.from({ length: 8 }, (_, index) => index);

  test('in [0, 1), with the mean and the variance of a uniform distribution', async () => {
    const draws = await draw([rows, columns], seeds, 1);
    let squares = 0;
    for (const values of draws) {
      assert.ok(values.every((u) => u >= 0 && u < 1));
      const mean = values.reduce((a, b) => a + b) / count;
      const variance = values.reduce((sum, u) => sum + (u - mean) ** 2, 0) / count;
      const score = (mean - 0.5) * Math.sqrt(12 * count);
      assert.ok(Math.abs(score) < 4, `mean ${mean}`);
      // The variance of (u − ½)² is 1/180.
      assert.ok(Math.abs(variance - 1 / 12) < 4 / Math.sqrt(180 * count), `variance ${variance}`);
      squares += score ** 2;
    }
    // χ² with one degree of freedom per seed: means neither too far from a half nor too near.
    assert.ok(Math.abs(squares - seeds.length) < 4 * Math.sqrt(2 * seeds.length), `χ² of the means ${squares}`);
  });

  test('high and low bits are equally frequent', async () => {
    for (const values of await draw([rows, columns], seeds, 2)) {
      for (const factor of [2 ** 8, 2 ** 16, 2 ** 24]) {
        assertChiSquare(
          values.map((u) => Math.floor(u * factor) % 256),
          256,
        );
      }
    }
  });

  test('neighbours along, across and diagonally are independent, and so are far ones', async () => {
    const lags: [number, number][] = [
      [0, 1],
      [1, 0],
      [1, 1],
      [1, -1],
      [0, 64],
      [100, 0],
      [7, 13],
    ];
    const [values] = await draw([rows, columns], [5], 3);
    for (const [down, right] of lags) {
      const pairs: number[] = [];
      for (let row = 0; row + down < rows; row++) {
        for (let column = Math.max(0, -right); column < columns - Math.max(0, right); column++) {
          const a = values![row * columns + column]!;
          const b = values![(row + down) * columns + column + right]!;
          pairs.push(Math.floor(a * 16) * 16 + Math.floor(b * 16));
        }
      }
      assertChiSquare(pairs, 256);
    }
  });

  test('rectangles of four are independent: rows and columns leave no pattern', async () => {
    const [values] = await draw([rows, columns], [6], 4);
    const at = (row: number, column: number): number => (values![row * columns + column]! < 0.5 ? 0 : 1);
    const squares: number[] = [];
    const fours: number[] = [];
    for (let row = 0; row + 9 < rows; row += 2) {
      for (let column = 0; column + 17 < columns; column += 2) {
        squares.push(at(row, column) ^ at(row, column + 1) ^ at(row + 1, column) ^ at(row + 1, column + 1));
        fours.push(
          at(row, column) * 8 + at(row, column + 17) * 4 + at(row + 9, column) * 2 + at(row + 9, column + 17),
        );
      }
    }
    assertChiSquare(squares, 2);
    assertChiSquare(fours, 16);
  });

  test('whole rows and whole columns have the mean of a uniform distribution', async () => {
    const [values] = await draw([rows, columns], [8], 5);
    const rowSums = new Array<number>(rows).fill(0);
    const columnSums = new Array<number>(columns).fill(0);
    values!.forEach((u, index) => {
      rowSums[Math.floor(index / columns)]! += u - 0.5;
      columnSums[index % columns]! += u - 0.5;
    });
    const chiSquare = (sums: number[], length: number): number =>
      sums.reduce((total, sum) => total + (12 * sum ** 2) / length, 0);
    assert.ok(Math.abs(chiSquare(rowSums, columns) - rows) < 4 * Math.sqrt(2 * rows));
    assert.ok(Math.abs(chiSquare(columnSums, rows) - columns) < 4 * Math.sqrt(2 * columns));
  });

  test('other seeds and other streams are uncorrelated', async () => {
    const shape = [rows, columns];
    const bySeed = await draw(shape, [0, 1, 2, 256, 2 ** 31 - 1], 6);
    const byStream = await Promise.all([7, 6 + 256, hashText('a'), hashText('b')].map((s) => draw(shape, [0], s)));
    const all = [...bySeed, ...byStream.map(([values]) => values!)];
    for (let i = 0; i < all.length; i++) {
      for (let j = 0; j < i; j++) {
        const correlation = all[i]!.reduce((sum, u, at) => sum + 12 * (u - 0.5) * (all[j]![at]! - 0.5), 0) / count;
        assert.ok(Math.abs(correlation) < 4 / Math.sqrt(count), `draws ${i} and ${j}: correlation ${correlation}`);
      }
    }
  });
});

describe('independence of streams', () => {
  const shape = [128, 192];
  const streams = [0, 1, 2 ** 31, 0xffffffff, hashText('q'), hashText('k'), 0x9e3779b9];

  test('pairs of numbers at one place in two streams fill their square evenly', async () => {
    const draws = await Promise.all(streams.map(async (stream) => (await draw(shape, [3], stream))[0]!));
    for (const [i, first] of draws.entries()) {
      for (const second of draws.slice(0, i)) {
        assertChiSquare(
          first.map((u, at) => Math.floor(u * 16) * 16 + Math.floor(second[at]! * 16)),
          256,
        );
      }
    }
  });

  test('masks of two streams agree as often in every row and column as masks drawn by chance', async () => {
    const [rows, columns] = shape as [number, number];
    const draws = await Promise.all(streams.map(async (stream) => (await draw(shape, [4], stream))[0]!));
    for (const [i, first] of draws.entries()) {
      for (const second of draws.slice(0, i)) {
        const agreement = (along: number, across: (at: number) => number): number => {
          const sums = new Array<number>(along).fill(0);
          first.forEach((u, at) => (sums[across(at)]! += u < 0.5 === second[at]! < 0.5 ? 1 : -1));
          return sums.reduce((total, sum) => total + (sum ** 2 * along) / (rows * columns), 0);
        };
        const byRow = agreement(rows, (at) => Math.floor(at / columns));
        const byColumn = agreement(columns, (at) => at % columns);
        assert.ok(Math.abs(byRow - rows) < 4 * Math.sqrt(2 * rows), `rows: χ² ${byRow}`);
        assert.ok(Math.abs(byColumn - columns) < 4 * Math.sqrt(2 * columns), `columns: χ² ${byColumn}`);
      }
    }
  });
});

describe('dropout', () => {
  const shape = [64, 96];
  const count = 64 * 96;
  const x = input('x', 'float64', shape);
  const seed = input('seed', 'int32', []);
  const data = Float64Array.from({ length: count }, (_, index) => 1 + index / count);
  const feeds = {
    x: { dtype: 'float64', shape, data },
    seed: { dtype: 'int32', shape: [], data: Int32Array.of(4) },
  } as const;

  async function run(outputs: Record<string, Tensor>): Promise<Record<string, number[]>> {
    const program = await runtime.compile(outputs);
    const values = await program.run(feeds);
    return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, numbers(value)]));
  }

  test('keeps what is at or above the rate, scaled; gradient flows through the kept ones only', async () => {
    const rate = 0.25;
    const y = dropout(x, rate, seed, 11);
    const [gradient] = gradients(sumAll(mul(y, y)), [x]);
    const values = await run({ y, gradient: gradient! });
    // The rate is compared in float32; 0.25 is the same there.
    const kept = reference(shape, 4, 11).map((u) => u >= rate);
    const scale = 1 / (1 - rate);
    values['y']!.forEach((value, index) => assert.equal(value, kept[index] ? data[index]! * scale : 0));
    values['gradient']!.forEach((value, index) => {
      const expected = kept[index] ? 2 * data[index]! * scale ** 2 : 0;
      assert.ok(Math.abs(value - expected) <= 1e-14 * expected);
    });
    const share = kept.filter(Boolean).length / count;
    assert.ok(Math.abs(share - 0.75) < 4 * Math.sqrt((0.25 * 0.75) / count));
  });

  test('a rate of 0 is nothing; 1, negative ones and NaN are refused', () => {
    assert.equal(dropout(x, 0, seed, 1), x);
    for (const rate of [1, -0.1, Number.NaN]) assert.throws(() => dropout(x, rate, seed, 1), /rate/);
  });
});

/** Fails when the counts of 0 … bins − 1 are farther from equal, or nearer, than four standard deviations. */
function assertChiSquare(values: readonly number[], bins: number): void {
  const counts = new Array<number>(bins).fill(0);
  for (const value of values) counts[value]!++;
  const expected = values.length / bins;
  const chiSquare = counts.reduce((sum, found) => sum + (found - expected) ** 2 / expected, 0);
  const freedom = bins - 1;
  const distance = Math.abs(chiSquare - freedom) / Math.sqrt(2 * freedom);
  // With one degree of freedom χ² has a long tail: 16 is four standard deviations of the normal beneath it.
  assert.ok(freedom === 1 ? chiSquare < 16 : distance < 4, `χ² ${chiSquare} with ${freedom} degrees of freedom`);
}
