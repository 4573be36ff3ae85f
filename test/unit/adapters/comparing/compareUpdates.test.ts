import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import type { SpaceComparison } from '../../../../src/adapters/comparing/adapterComparison.js';
import { compareUpdates } from '../../../../src/adapters/comparing/compareUpdates.js';
import { random } from '../../../../src/common/random.js';
import type { PairValues } from '../../../../src/methods/lowRankPair.js';
import { spectrumOf } from '../../../../src/methods/spectrum.js';
import { fixture } from '../../../support/fixtures.js';

interface Space {
  readonly angles: readonly number[];
  readonly similarity: readonly (readonly number[])[];
}

interface Case {
  readonly name: string;
  readonly shape: readonly [number, number];
  readonly pairs: readonly [Numbers, Numbers];
  readonly norms: readonly number[];
  readonly singularValues: readonly (readonly number[])[];
  readonly ranks: readonly number[];
  readonly cosine: number;
  readonly signConflicts: number;
  readonly outputs: Space;
  readonly inputs: Space;
}

interface Numbers {
  readonly r: number;
  readonly a: readonly number[];
  readonly b: readonly number[];
}

const cases = JSON.parse(await readFile(fixture('subspaces', 'pairs.json'), 'utf8')) as readonly Case[];

const pairOf = ({ r, a, b }: Numbers): PairValues => ({ r, a: Float32Array.from(a), b: Float32Array.from(b) });

function near(found: readonly number[], expected: readonly number[], tolerance: number, what: string): void {
  assert.equal(found.length, expected.length, what);
  found.forEach((value, at) => {
    assert.ok(Math.abs(value - expected[at]!) <= tolerance, `${what}: ${value}, expected ${expected[at]}`);
  });
}

describe('two updates side by side, as SciPy has them', () => {
  for (const each of cases) {
    test(each.name, async () => {
      const [one, other] = each.pairs.map(pairOf) as [PairValues, PairValues];
      const found = await compareUpdates('m', each.shape, [one, other]);
      assert.deepEqual(found.ranks, each.ranks);
      near(found.norms, each.norms, 1e-9 * each.norms[0]!, 'norms');
      near([found.cosine!], [each.cosine], 1e-9, 'cosine');
      near([found.signConflicts!], [each.signConflicts], 1e-12, 'sign conflicts');
      for (const side of ['outputs', 'inputs'] as const) {
        near(found[side].angles, each[side].angles, 1e-5, `angles of ${side}`);
        near(found[side].similarity.flat(), each[side].similarity.flat(), 1e-7, `φ of ${side}`);
        near([found[side].shared!], [each[side].similarity.at(-1)!.at(-1)!], 1e-7, `shared ${side}`);
      }
      [one, other].forEach((pair, at) => {
        const expected = each.singularValues[at]!;
        const { singularValues, energy, energyRank } = spectrumOf(pair, -2);
        near(
          singularValues!,
          expected.map((value) => 2 * value),
          1e-6 * expected[0]!,
          'singular values',
        );
        const squares = expected.map((value) => value * value);
        const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
        near(
          energy!,
          squares.map((_, k) => sum(squares.slice(0, k + 1)) / sum(squares)),
          1e-7,
          'energy',
        );
        assert.equal(energyRank, energy!.findIndex((share) => share >= 0.9) + 1);
      });
    });
  }
});

describe('what is known without computing', () => {
  const generator = random(7, 'compare updates');
  const matrix = (size: number): Float32Array => Float32Array.from({ length: size }, () => generator.normal());
  const [rows, columns] = [24, 18];
  const drawn = (r: number): PairValues => ({ r, a: matrix(r * columns), b: matrix(rows * r) });
  const sides = ({
    outputs,
    inputs,
  }: {
    outputs: SpaceComparison;
    inputs: SpaceComparison;
  }): SpaceComparison[] => [outputs, inputs];

  test('an update beside itself: all angles 0, all is shared', async () => {
    const one = drawn(4);
    const found = await compareUpdates('model.layers.2.self_attn.q_proj', [rows, columns], [one, one]);
    assert.deepEqual([found.layer, found.kind], ['model.layers.2', 'q_proj']);
    near([found.cosine!], [1], 1e-12, 'cosine');
    assert.equal(found.signConflicts, 0);
    for (const { angles, shared, similarity, sharedByChance } of sides(found)) {
      near(angles, [0, 0, 0, 0], 1e-5, 'angles');
      near([shared!], [1], 1e-9, 'shared');
      similarity.forEach((row, i) => row.forEach((value, j) => near([value], [1], 1e-9, `φ(${i + 1}, ${j + 1})`)));
      assert.ok(sharedByChance === 4 / rows || sharedByChance === 4 / columns);
    }
  });

  test('factors that are mixed by any invertible matrix are the same update', async () => {
    const one = drawn(2);
    const other = drawn(3);
    // B·M and M⁻¹·A of M = [[2, 1], [4, 4]], whose inverse is exact in binary.
    const b = Float32Array.from({ length: 2 * rows }, (_, at) => {
      const [i, k] = [Math.floor(at / 2), at % 2];
      return k === 0 ? 2 * one.b[2 * i]! + 4 * one.b[2 * i + 1]! : one.b[2 * i]! + 4 * one.b[2 * i + 1]!;
    });
    const a = Float32Array.from({ length: 2 * columns }, (_, at) => {
      const [k, j] = [Math.floor(at / columns), at % columns];
      return k === 0 ? one.a[j]! - 0.25 * one.a[columns + j]! : -one.a[j]! + 0.5 * one.a[columns + j]!;
    });
    const [plain, mixed] = [
      await compareUpdates('m', [rows, columns], [one, other]),
      await compareUpdates('m', [rows, columns], [{ r: 2, a, b }, other]),
    ];
    near([...mixed.norms, mixed.cosine!], [...plain.norms, plain.cosine!], 1e-4, 'norms and cosine');
    sides(mixed).forEach(({ angles, similarity }, at) => {
      near(angles, sides(plain)[at]!.angles, 1e-3, 'angles');
      near(similarity.flat(), sides(plain)[at]!.similarity.flat(), 1e-5, 'φ');
    });
  });

  test('updates of different rows and columns: right angles, nothing shared', async () => {
    const one = drawn(3);
    const other = drawn(3);
    one.b.fill(0, 0, (rows / 2) * 3);
    other.b.fill(0, (rows / 2) * 3);
    for (let k = 0; k < 3; k++) {
      one.a.fill(0, k * columns, k * columns + columns / 2);
      other.a.fill(0, k * columns + columns / 2, (k + 1) * columns);
    }
    const found = await compareUpdates('m', [rows, columns], [one, other]);
    near([found.cosine!], [0], 1e-12, 'cosine');
    assert.equal(found.signConflicts, null, 'no number is changed by both');
    for (const { angles, shared } of sides(found)) {
      near(angles, [90, 90, 90], 1e-6, 'angles');
      near([shared!], [0], 1e-12, 'shared');
    }
  });

  test('a known angle: directions turned by 30°', async () => {
    const axes = (b: readonly number[]): PairValues => ({
      r: 1,
      a: Float32Array.of(1, 0),
      b: Float32Array.from(b),
    });
    const turned = axes([Math.cos(Math.PI / 6), Math.sin(Math.PI / 6), 0]);
    const { outputs, inputs, cosine } = await compareUpdates('m', [3, 2], [axes([1, 0, 0]), turned]);
    near(outputs.angles, [30], 1e-5, 'outputs');
    near(inputs.angles, [0], 1e-9, 'inputs');
    near([outputs.shared!, cosine!], [0.75, Math.cos(Math.PI / 6)], 1e-6, 'cos²');
  });

  test('an update of 0, and one of rank 0, have no direction', async () => {
    const one = drawn(2);
    const zeros = { ...drawn(2), b: new Float32Array(2 * rows) };
    const none = { r: 0, a: new Float32Array(0), b: new Float32Array(0) };
    for (const other of [zeros, none]) {
      const found = await compareUpdates('m', [rows, columns], [one, other]);
      assert.deepEqual([found.ranks, found.norms[1], found.cosine, found.signConflicts], [[2, 0], 0, null, null]);
      assert.deepEqual(sides(found), [
        { angles: [], similarity: [], shared: null, sharedByChance: null },
        { angles: [], similarity: [], shared: null, sharedByChance: null },
      ]);
    }
    assert.deepEqual(spectrumOf(zeros, 1).energy, [0, 0]);
    assert.equal(spectrumOf(zeros, 1).energyRank, 0);
  });

  test('of large updates signs are drawn at places: a share that is known comes out, and chance is a half', async () => {
    const [high, wide] = [2000, 1500];
    const normals = (length: number): Float32Array => Float32Array.from({ length }, () => generator.normal());
    const one = { r: 1, a: normals(wide), b: new Float32Array(high).fill(1) };
    // A quarter of the columns has the other sign.
    const other = { r: 1, b: one.b, a: one.a.map((value, at) => (at % 4 === 0 ? -value : value)) };
    const quarter = await compareUpdates('m', [high, wide], [one, other]);
    near([quarter.signConflicts!], [0.25], 0.005, 'a quarter');
    const half = await compareUpdates('m', [high, wide], [one, { r: 1, a: normals(wide), b: normals(high) }]);
    near([half.signConflicts!], [0.5], 0.05, 'a half');
    assert.equal((await compareUpdates('m', [high, wide], [one, one])).signConflicts, 0);
  });
});
