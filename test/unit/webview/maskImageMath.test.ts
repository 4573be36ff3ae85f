import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  binStart,
  binned,
  forEachIn,
  indexAt,
  largestShare,
  moved,
  shareOf,
  showing,
  wholeOf,
  zoomed,
} from '../../../webview/maskImageMath.js';
import type { SparseMatrix, Window } from '../../../webview/maskImageMath.js';

/** A matrix in which every seventh and every eleventh number trains. */
function matrixOf(rows: number, columns: number): SparseMatrix {
  const places = Array.from({ length: rows * columns }, (_, at) => at).filter(
    (at) => at % 7 === 0 || at % 11 === 0,
  );
  return { rows, columns, indices: Uint32Array.from(places) };
}

/** Places of a window, by looking at each number. */
function slowly(matrix: SparseMatrix, { top, left, rows, columns }: Window): [number, number][] {
  const places = new Set(matrix.indices);
  const found: [number, number][] = [];
  for (let row = top; row < top + rows; row += 1) {
    for (let column = left; column < left + columns; column += 1) {
      if (places.has(row * matrix.columns + column)) found.push([row, column]);
    }
  }
  return found;
}

test('every trained number of a window is found, once and in order', () => {
  const matrix = matrixOf(23, 37);
  const windows = [
    wholeOf(matrix),
    { top: 3, left: 5, rows: 8, columns: 9 },
    { top: 22, left: 0, rows: 1, columns: 37 },
    { top: 0, left: 36, rows: 23, columns: 1 },
  ];
  for (const window of windows) {
    const found: [number, number][] = [];
    forEachIn(matrix, window, (row, column, at) => {
      assert.equal(matrix.indices[at], row * 37 + column);
      found.push([row, column]);
    });
    assert.deepEqual(found, slowly(matrix, window));
  }
  let count = 0;
  forEachIn(matrix, wholeOf(matrix), () => ++count < 3);
  assert.equal(count, 3);
});

test('bins hold every number of a window exactly once: shares are honest', () => {
  const matrix = matrixOf(23, 37);
  for (const [window, across, down] of [
    [wholeOf(matrix), 10, 7],
    [{ top: 2, left: 3, rows: 17, columns: 19 }, 5, 4],
    [{ top: 2, left: 3, rows: 4, columns: 6 }, 500, 500],
  ] as const) {
    const bins = binned(matrix, window, across, down);
    assert.deepEqual([bins.across, bins.down], [Math.min(across, window.columns), Math.min(down, window.rows)]);
    const numbers = (lengths: Uint32Array): number => lengths.reduce((sum, length) => sum + length, 0);
    assert.deepEqual([numbers(bins.tall), numbers(bins.wide)], [window.rows, window.columns]);
    const inWindow = slowly(matrix, window);
    assert.equal(bins.total, inWindow.length);
    assert.equal(numbers(bins.counts), inWindow.length);
    for (let y = 0; y < bins.down; y += 1) {
      for (let x = 0; x < bins.across; x += 1) {
        const part = {
          top: window.top + binStart(y, window.rows, bins.down),
          left: window.left + binStart(x, window.columns, bins.across),
          rows: bins.tall[y]!,
          columns: bins.wide[x]!,
        };
        assert.equal(shareOf(bins, x, y), slowly(matrix, part).length / (part.rows * part.columns));
      }
    }
    assert.ok(largestShare(bins) > 0 && largestShare(bins) <= 1);
  }
});

test('a place tells whether it trains, and which of the values is its', () => {
  const matrix = matrixOf(23, 37);
  for (let row = 0; row < 23; row += 1) {
    for (let column = 0; column < 37; column += 1) {
      const at = indexAt(matrix, row, column);
      const expected = matrix.indices.indexOf(row * 37 + column);
      assert.equal(at ?? -1, expected);
    }
  }
});

test('zooming keeps the point where it is, stays within the matrix and ends at single numbers', () => {
  const matrix: SparseMatrix = { rows: 1000, columns: 4000, indices: new Uint32Array() };
  let window = wholeOf(matrix);
  window = zoomed(matrix, window, 2, 0.25, 0.75);
  assert.deepEqual(window, { top: 375, left: 500, rows: 500, columns: 2000 });
  for (let times = 0; times < 40; times += 1) window = zoomed(matrix, window, 2, 1, 1);
  assert.deepEqual([window.rows, window.columns], [8, 8]);
  assert.ok(window.top + window.rows <= 1000 && window.left + window.columns <= 4000);
  for (let times = 0; times < 40; times += 1) window = zoomed(matrix, window, 0.5);
  assert.deepEqual(window, wholeOf(matrix));
  const line: SparseMatrix = { rows: 1, columns: 3, indices: new Uint32Array() };
  assert.deepEqual(zoomed(line, wholeOf(line), 4), wholeOf(line));
});

test('a window moves as far as the matrix goes, and to a place that is to be seen', () => {
  const matrix: SparseMatrix = { rows: 100, columns: 100, indices: new Uint32Array() };
  const window = { top: 10, left: 10, rows: 20, columns: 20 };
  assert.deepEqual(moved(matrix, window, -50, 500), { ...window, top: 0, left: 80 });
  assert.equal(showing(matrix, window, 29, 10), window);
  assert.deepEqual(showing(matrix, window, 99, 50), { ...window, top: 80, left: 40 });
});
