import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createArena } from '../../../src/runtime/arena.js';

const MIB = 2 ** 20;
const PAGE = 4096;

test('only pages that were written to are resident', () => {
  const arena = createArena();
  arena.take(10);
  assert.equal(arena.touched(), PAGE);
  assert.equal(arena.reserved(), MIB);
  // The next piece lies behind the first's 256 bytes, on the same page.
  arena.take(PAGE - 256);
  assert.equal(arena.touched(), PAGE);
  arena.take(1);
  assert.equal(arena.touched(), 2 * PAGE);
});

test('regions double, and grow to what is asked', () => {
  const arena = createArena();
  arena.take(MIB);
  assert.equal(arena.reserved(), MIB);
  arena.take(MIB);
  assert.equal(arena.reserved(), MIB + 2 * MIB);
  arena.take(9 * MIB);
  assert.equal(arena.reserved(), MIB + 2 * MIB + 16 * MIB);
});

test('what is given back is used again: nothing more becomes resident', () => {
  const arena = createArena();
  for (let round = 0; round < 5; round++) {
    const pieces = [arena.take(100_000), arena.take(200_000), arena.take(300_000)];
    for (const piece of pieces) arena.giveBack(piece);
  }
  assert.equal(arena.touched(), Math.ceil((100_096 + 200_192 + 300_000) / PAGE) * PAGE);
});

test('neighbours that are free join, whichever was freed last', () => {
  for (const order of [
    [0, 1, 2],
    [2, 1, 0],
    [0, 2, 1],
    [1, 0, 2],
  ]) {
    const arena = createArena();
    const pieces = [0, 1, 2].map(() => arena.take(MIB / 4));
    arena.take(MIB / 4);
    for (const at of order) arena.giveBack(pieces[at]);
    arena.take((3 * MIB) / 4);
    assert.equal(arena.reserved(), MIB);
  }
});

test('the smallest free piece that is large enough is taken, whole where less than half would remain', () => {
  const arena = createArena();
  const [small, , large] = [arena.take(100 * 256), arena.take(256), arena.take(300 * 256), arena.take(256)];
  arena.giveBack(small);
  arena.giveBack(large);
  const before = arena.touched();
  // Fits into the small one, which is not cut.
  arena.take(60 * 256);
  arena.take(40 * 256);
  arena.take(40 * 256);
  assert.equal(arena.touched(), before);
  assert.equal(arena.take(0), undefined);
});
