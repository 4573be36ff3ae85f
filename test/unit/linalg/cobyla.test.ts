import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { boxSearch } from '../../../src/linalg/boxSearch.js';
import { cobyla } from '../../../src/linalg/cobyla.js';

type Point = Float64Array;

const FUNCTIONS: Readonly<Record<string, (x: Point) => number>> = {
  sphere: (x) => x.reduce((sum, each) => sum + each * each, 0),
  ellipsoid: (x) => x.reduce((sum, each, at) => sum + 10 ** ((6 * at) / (x.length - 1)) * each * each, 0),
  rosenbrock: (x) =>
    x.reduce((sum, each, at) => {
      if (at === 0) return sum;
      const before = x[at - 1]!;
      return sum + 100 * (each - before ** 2) ** 2 + (before - 1) ** 2;
    }, 0),
  rastrigin: (x) => x.reduce((sum, each) => sum + 10 + each * each - 10 * Math.cos(2 * Math.PI * each), 0),
};

function around(name: string, optimum: readonly number[]): (x: Point) => Promise<number> {
  return (x) => Promise.resolve(FUNCTIONS[name]!(x.map((each, at) => each - optimum[at]!)));
}

function fixture<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../fixtures/cobyla/${name}.json`, import.meta.url), 'utf8')) as T;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length / 2;
  return (sorted[Math.floor(half)]! + sorted[Math.ceil(half) - 1]!) / 2;
}

describe('COBYLA', () => {
  test('asks for the points that SciPy asks for', async () => {
    interface Trace {
      function: string;
      optimum: number[];
      asked: number[][];
    }
    for (const { function: name, optimum, asked } of fixture<Trace[]>('traces')) {
      const ours: number[][] = [];
      const objective = around(name, optimum);
      await cobyla(
        (x) => {
          ours.push([...x]);
          return objective(x);
        },
        { start: new Float64Array(optimum.length), rhobeg: 1, rhoend: 1e-6, budget: asked.length },
      );
      assert.equal(ours.length, asked.length);
      for (const [at, point] of asked.entries()) {
        for (const [axis, expected] of point.entries()) {
          const gap = Math.abs(ours[at]![axis]! - expected);
          assert.ok(gap < 1e-6, `${name}, evaluation ${at}, axis ${axis}: ${gap}`);
        }
      }
    }
  });

  test('asks along each axis first, and not oftener than it may', async () => {
    for (const budget of [1, 3, 4, 5, 9]) {
      const asked: Point[] = [];
      const { evaluations, value } = await cobyla(
        (x) => {
          asked.push(x.slice());
          return Promise.resolve(FUNCTIONS['sphere']!(x));
        },
        { start: Float64Array.of(3, 3, 3), rhobeg: 0.5, rhoend: 1e-6, budget },
      );
      assert.equal(asked.length, budget);
      assert.equal(evaluations, budget);
      assert.equal(value, Math.min(...asked.map(FUNCTIONS['sphere']!)));
      for (const [axis, point] of asked.slice(1, 4).entries()) assert.equal(point[axis], 3.5);
    }
  });

  test('ends before its budget once it has converged', async () => {
    const { point, evaluations } = await cobyla(around('sphere', [0.3, -0.7]), {
      start: new Float64Array(2),
      rhobeg: 1,
      rhoend: 1e-4,
      budget: 1000,
    });
    assert.ok(evaluations < 200);
    assert.ok(Math.abs(point[0]! - 0.3) < 1e-3);
    assert.ok(Math.abs(point[1]! + 0.7) < 1e-3);
  });

  test('turns away from where the objective is no number', async () => {
    const { value } = await cobyla(
      (x) => Promise.resolve(x[0]! > 0.6 ? NaN : x[1]! > 0.6 ? Infinity : FUNCTIONS['sphere']!(x)),
      { start: Float64Array.of(0.5, 0.5), rhobeg: 0.5, rhoend: 1e-6, budget: 60 },
    );
    assert.ok(value < 0.1, String(value));
  });
});

describe('a search in a box', () => {
  test('finds as good points as nevergrad does', async () => {
    interface Median {
      function: string;
      dimension: number;
      budget: number;
      Shiwa: number;
      NGOpt: number;
    }
    const { optima, medians } = fixture<{ optima: number[][]; medians: Median[] }>('medians');
    for (const { function: name, dimension, budget, Shiwa, NGOpt } of medians) {
      const values = await Promise.all(
        optima.map(async (all) => {
          const optimum = all.slice(0, dimension);
          const box = { start: new Float64Array(dimension), lower: -1.5, upper: 1.5 };
          const { value, evaluations } = await boxSearch(around(name, optimum), box, budget);
          assert.equal(evaluations, budget);
          return value;
        }),
      );
      // Below this, both have found the optimum, and rounding decides.
      const least = Math.max(Math.min(Shiwa, NGOpt), 1e-11);
      const what = `${name}, ${dimension} numbers, ${budget} evaluations: ${median(values)}, nevergrad ${least}`;
      assert.ok(median(values) <= 1.2 * least, what);
    }
  });

  test('never leaves the box', async () => {
    const least = await boxSearch(
      (x) => {
        assert.ok(x.every((each) => each >= -1.5 && each <= 1.5));
        return Promise.resolve(x.reduce((sum, each) => sum + each, 0));
      },
      { start: new Float64Array(3), lower: -1.5, upper: 1.5 },
      60,
    );
    assert.ok(least.value < -4.4, String(least.value));
  });
});
