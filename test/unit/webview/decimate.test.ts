import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  align,
  decimate,
  extent,
  extremes,
  firstAbove,
  firstAtLeast,
  followBlocks,
  nearest,
} from '../../../webview/decimate.js';

/** Numbers from 0 to below 1 that are the same in every run (Park & Miller, 1988). */
function numbers(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 48271) % 2147483647) / 2147483647;
}

function randomLine(random: () => number, count: number): { readonly x: number[]; readonly y: number[] } {
  let at = random() * 10;
  const x = Array.from({ length: count }, () => (at += 0.01 + random() * (random() < 0.01 ? 50 : 1)));
  const y = x.map(() => (random() < 0.02 ? NaN : (random() - 0.3) ** 3 * 100));
  return { x, y };
}

test('of every column the extremes, a gap and the ends are kept, in order', () => {
  const random = numbers(7);
  for (let round = 0; round < 30; round += 1) {
    const { x, y } = randomLine(random, 3 + Math.floor(random() * 4000));
    const columns = 20 + Math.floor(random() * 200);
    const first = x[0]!;
    const last = x.at(-1)!;
    const from = first + (round % 3 === 0 ? 0 : random() * 0.4) * (last - first);
    const to = last - (round % 2 === 0 ? 0 : random() * 0.4) * (last - first);
    const kept = decimate({ x, y }, [from, to], columns);

    assert.ok(kept.x.every((value, at) => at === 0 || value > kept.x[at - 1]!));
    assert.ok(kept.x.length <= 3 * columns + 4);
    // Each is a point of the line, moved by less than a column.
    kept.x.forEach((here, at) => {
      const reach = (to - from) / columns;
      const close = y.slice(firstAtLeast(x, here - reach), firstAbove(x, here + reach));
      assert.ok(close.some((value) => Object.is(Number.isNaN(value) ? null : value, kept.y[at])));
    });
    const inside = x.flatMap((here, at) => (here >= from && here <= to ? [at] : []));
    const before = x.findLastIndex((here) => here < from);
    const after = x.findIndex((here) => here > to);
    assert.equal(kept.x[0], x[before >= 0 ? before : 0]);
    assert.equal(kept.x.at(-1), x[after >= 0 ? after : x.length - 1]);

    const columnOf = (here: number): number =>
      Math.min(columns - 1, Math.floor(((here - from) / (to - from)) * columns));
    const inColumns = new Map<number, number[]>();
    for (const at of inside) {
      // A point at the edge of two columns may count to either: its column is left out.
      const exact = ((x[at]! - from) / (to - from)) * columns;
      if (Math.abs(exact - Math.round(exact)) < 1e-6) continue;
      const column = columnOf(x[at]!);
      inColumns.set(column, [...(inColumns.get(column) ?? []), at]);
    }
    for (const indices of inColumns.values()) {
      const values = indices.map((at) => y[at]!);
      const finite = values.filter(Number.isFinite);
      const column = columnOf(x[indices[0]!]!);
      const found = kept.y.filter((_, at) => columnOf(kept.x[at]!) === column);
      if (finite.length > 0) {
        assert.ok(found.some((value) => value !== null && value <= Math.min(...finite)));
        assert.ok(found.some((value) => value !== null && value >= Math.max(...finite)));
      }
      if (finite.length < values.length) assert.ok(found.includes(null), 'a gap stays a gap');
    }
  }
});

test('100,000 points become few, with the one spike among them', () => {
  const x = Float64Array.from({ length: 100_000 }, (_, index) => index);
  const y = x.map((index) => Math.sin(index / 1000));
  y[54_321] = 50;
  const { x: kept, y: values } = decimate({ x, y }, [0, 99_999], 800);
  assert.ok(kept.length >= 1600 && kept.length <= 2 * 800 + 4, String(kept.length));
  assert.ok(Math.abs(kept[values.indexOf(50)]! - 54_321) < 99_999 / 800);
  assert.deepEqual([kept[0], kept.at(-1)], [0, 99_999]);
});

test('few points come back as they are, and what a logarithm cannot show is a gap', () => {
  const line = { x: [1, 2, 3, 4], y: [4, NaN, 0, -1] };
  assert.deepEqual(decimate(line, [1, 4], 100), { x: [1, 2, 3, 4], y: [4, null, 0, -1] });
  assert.deepEqual(decimate(line, [1, 4], 100, true), { x: [1, 2, 3, 4], y: [4, null, null, null] });
  assert.deepEqual(decimate({ x: [], y: [] }, [0, 1], 100), { x: [], y: [] });
  // One point on each side of what is shown.
  assert.deepEqual(decimate({ x: [1, 2, 3, 4, 5], y: [1, 2, 3, 4, 5] }, [2.5, 3.5], 100).x, [2, 3, 4]);
});

test('blocks change nothing but the work, as a line grows and is cut', () => {
  const random = numbers(11);
  const blocks = { low: [], high: [], gap: [] };
  for (const length of [5000, 8000, 3000, 3005, 9000]) {
    const { x, y } = randomLine(random, length);
    // Another line: nothing of the old one may be left.
    followBlocks(blocks, y, 0);
    followBlocks(blocks, y, Math.floor(length / 2));
    followBlocks(blocks, y, length);
    const span = [x[Math.floor(length / 7)]!, x[length - 40]!] as const;
    for (const positive of [false, true]) {
      const plain = decimate({ x, y }, span, 150, positive);
      assert.deepEqual(decimate({ x, y, blocks }, span, 150, positive), plain);
    }
  }
});

test('extremes are found by blocks and without, gaps left out', () => {
  const random = numbers(17);
  for (const length of [0, 1, 15, 16, 17, 1000, 1003]) {
    const { y } = randomLine(random, length);
    y.fill(NaN, 32, 48);
    const blocks = { low: [], high: [], gap: [] };
    followBlocks(blocks, y, length);
    const finite = y.filter(Number.isFinite);
    const { lowest, highest } = extremes({ y, blocks });
    assert.deepEqual({ lowest, highest }, extremes({ y }));
    assert.equal(lowest, finite.length === 0 ? -1 : y.indexOf(Math.min(...finite)));
    assert.equal(highest, finite.length === 0 ? -1 : y.indexOf(Math.max(...finite)));
  }
});

test('the points of many long lines lie at places that all share', () => {
  const random = numbers(3);
  const x = Float64Array.from({ length: 50_000 }, (_, index) => index);
  const lines = Array.from({ length: 8 }, () => decimate({ x, y: x.map(() => random()) }, [10.5, 49_000], 500));
  const { x: places, ys } = align(lines);
  assert.ok(places.length <= 2 * 500 + 40, String(places.length));
  assert.ok(ys.every((values) => values.length === places.length));
});

test('lines are brought onto one axis', () => {
  const one = { x: [1, 3], y: [10, null] };
  const two = { x: [2, 3, 3], y: [20, 30, 31] };
  assert.deepEqual(align([one, two]), {
    x: [1, 2, 3, 3],
    ys: [
      [10, undefined, null, undefined],
      [undefined, 20, 30, 31],
    ],
  });
  assert.deepEqual(align([]), { x: [], ys: [] });
});

test('the extent looks only at what is shown', () => {
  const points = { x: [0, 1, 2, 3], y: [99, 5, null, 7] };
  assert.deepEqual(extent([points], [1, 3]), [5, 7]);
  assert.equal(extent([points], [1.5, 2.5]), undefined);
});

test('places in an ascending list', () => {
  const x = [1, 3, 3, 5];
  assert.deepEqual([firstAtLeast(x, 3), firstAbove(x, 3), firstAtLeast(x, 6), firstAbove(x, 0)], [1, 3, 4, 0]);
  assert.deepEqual([nearest(x, 0), nearest(x, 4.1), nearest(x, Infinity), nearest([], 1)], [0, 3, 3, -1]);
  assert.equal(nearest([1, 2], 1.4), 0);
});
