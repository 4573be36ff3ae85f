import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  binned,
  forEachIn,
  indexAt,
  largestMeasured,
  measured,
  moved,
  partOf,
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
  const plain = matrixOf(23, 37);
  const matrix = { ...plain, values: Float32Array.from(plain.indices, (_, at) => (at % 2 === 0 ? -1 : 0.5)) };
  for (const [window, across, down] of [
    [wholeOf(matrix), 10, 7],
    [{ top: 2, left: 3, rows: 17, columns: 19 }, 5.5, 4],
    [{ top: 2, left: 3, rows: 4, columns: 6 }, 500, 500],
  ] as const) {
    const bins = binned(matrix, window, across, down);
    assert.ok(bins.across <= across && bins.down <= down);
    assert.deepEqual([bins.wide, bins.tall], [Math.ceil(window.columns / across), Math.ceil(window.rows / down)]);
    const [inWindow, numbers] = [slowly(matrix, window), { all: 0, trained: 0 }];
    let largest = 0;
    for (let y = 0; y < bins.down; y += 1) {
      for (let x = 0; x < bins.across; x += 1) {
        const part = partOf(bins, x, y);
        const found = slowly(matrix, part);
        numbers.all += part.rows * part.columns;
        numbers.trained += found.length;
        assert.equal(measured(bins, 'share', x, y), found.length / (part.rows * part.columns));
        const sizes = found.map(([row, column]) => Math.abs(matrix.values[indexAt(matrix, row, column)!]!));
        const mean = sizes.length === 0 ? 0 : sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
        assert.equal(measured(bins, 'size', x, y), mean);
        largest = Math.max(largest, mean);
      }
    }
    assert.deepEqual(numbers, { all: window.rows * window.columns, trained: inWindow.length });
    assert.equal(bins.total, inWindow.length);
    assert.equal(largestMeasured(bins, 'size'), largest);
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
