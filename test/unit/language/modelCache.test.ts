import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keptByVersion } from '../../../src/language/modelCache.js';

/** A cache of so many values, and what was made for it. */
function counted(most: number) {
  const made: string[] = [];
  const kept = keptByVersion<string>(most);
  const get = (key: string, version = '1'): Promise<string> =>
    kept(key, version, () => {
      made.push(`${key}${version}`);
      return Promise.resolve(`${key}${version}`);
    });
  return { made, get };
}

test('a value is made once for a version, also for those who ask at once', async () => {
  const { made, get } = counted(2);
  assert.deepEqual(await Promise.all([get('a'), get('a')]), ['a1', 'a1']);
  assert.equal(await get('a', '2'), 'a2');
  assert.equal(await get('a', '2'), 'a2');
  assert.deepEqual(made, ['a1', 'a2']);
});

test('what was asked for longest ago is forgotten', async () => {
  const { made, get } = counted(2);
  for (const key of ['a', 'b', 'a', 'c', 'a', 'b']) await get(key);
  assert.deepEqual(made, ['a1', 'b1', 'c1', 'b1']);
});

test('what failed is made again', async () => {
  const kept = keptByVersion<number>(2);
  await assert.rejects(
    kept('a', '1', () => Promise.reject(new Error('not now'))),
    /not now/,
  );
  assert.equal(await kept('a', '1', () => Promise.resolve(3)), 3);
});
