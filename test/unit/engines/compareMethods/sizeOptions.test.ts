import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atSize, matchSize, sizeOption } from '../../../../src/engines/compareMethods/sizeOptions.js';
import type { SizeOption } from '../../../../src/engines/compareMethods/sizeOptions.js';
import { METHODS } from '../../../../src/methods/registry.js';

const COUNT: SizeOption = { name: 'r', kind: 'count' };
const SHARE: SizeOption = { name: 'keep_ratio', kind: 'share' };

test('the nearest rank is found among all, in few attempts', async () => {
  for (const target of [1, 90, 150, 151, 1234, 70_000]) {
    const asked: number[] = [];
    const found = await matchSize(COUNT, target, async (size) => {
      asked.push(size);
      return 100 * size;
    });
    // Every size within reach, tried one by one.
    const all = Array.from({ length: 1000 }, (_, at) => at + 1);
    const off = (size: number): number => Math.abs(Math.log((100 * size) / target));
    const best = all.reduce((one, other) => (off(other) < off(one) ? other : one));
    assert.deepEqual(found, { size: best, trainable: 100 * best });
    assert.ok(asked.length < 40, `${asked.length} attempts`);
  }
});

test('sizes that the model refuses are too large; those too small are passed over', async () => {
  const upTo =
    (most: number, from = 1) =>
    async (size: number) =>
      size > most || size < from ? undefined : 10 * size;
  assert.deepEqual(await matchSize(COUNT, 10_000, upTo(37)), { size: 37, trainable: 370 });
  assert.deepEqual(await matchSize(COUNT, 100, upTo(1000, 4)), { size: 10, trainable: 100 });
  assert.equal(await matchSize(COUNT, 100, upTo(0)), undefined);
});

test('a size that changes nothing is told from one that ends growing', async () => {
  assert.deepEqual(await matchSize(COUNT, 1000, async () => 10), { size: 1, trainable: 10, isIdle: true });
  assert.deepEqual(await matchSize(COUNT, 5, async () => 10), { size: 1, trainable: 10, isIdle: true });
  assert.deepEqual(await matchSize(COUNT, 5, async (size) => 10 * size), { size: 1, trainable: 10 });
  const full = await matchSize(COUNT, 1000, async (size) => Math.min(size, 13));
  assert.deepEqual(full, { size: 16, trainable: 13 });
});

test('a share is solved for in its proportion, up to all', async () => {
  const count = async (share: number): Promise<number> => Math.floor(share * 50_000);
  assert.deepEqual(await matchSize(SHARE, 1234, count), { size: 0.02468, trainable: 1234 });
  assert.deepEqual(await matchSize(SHARE, 99_999, count), { size: 1, trainable: 50_000 });
  const proportion: SizeOption = { name: 'ft_params_proportion', kind: 'share', left: (size) => size };
  assert.deepEqual(await matchSize(proportion, 500, async () => 50_000), { size: 0.01, trainable: 500 });
});

test('what sizes a method is one of its options; those without are known', () => {
  const without = METHODS.filter(({ options }) => sizeOption(Object.keys(options.properties)) === undefined);
  const known = ['bitfit', 'lisa', 'learned_mask', 'full', 'child_tuning', 'ia3'];
  assert.deepEqual(
    without.map(({ type }): string => type).filter((type) => !known.includes(type)),
    [],
    'a method with a size that comparisons cannot match: add its option to sizeOptions.ts',
  );
});

test('target_r goes along with init_r', () => {
  const option = sizeOption(['type', 'init_r', 'target_r']);
  assert.ok(option);
  assert.deepEqual(atSize({ type: 'adalora' }, option, 12), { type: 'adalora', init_r: 12, target_r: 8 });
  assert.deepEqual(atSize({ type: 'adalora' }, option, 1), { type: 'adalora', init_r: 1, target_r: 1 });
});
