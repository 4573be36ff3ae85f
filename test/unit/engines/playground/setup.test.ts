import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_COLUMNS } from '../../../../src/engines/playground/protocol.js';
import {
  loading,
  setupAfter,
  setupOf,
  withAdapter,
  withAlpha,
  withoutColumn,
} from '../../../../src/engines/playground/setup.js';
import type { PlaygroundSetup } from '../../../../src/engines/playground/setup.js';

const problem = { code: 'x', message: 'no' };
const empty = setupOf({ model: '/m', label: 'm', key: '/m' });

function states({ columns }: PlaygroundSetup): string[] {
  return columns.map(({ id, state }) => `${id} ${state}`);
}

test('columns have names of their own, each adapter once, and no more than fit', () => {
  const two = withAdapter(withAdapter(empty, { folder: '/a', name: 'a' })!, { folder: '/b', name: 'b' })!;
  assert.equal(withAdapter(two, { folder: '/a', name: 'again' }), undefined);
  const again = withAdapter(withoutColumn(two, 'A'), { folder: '/c', name: 'c' })!;
  assert.deepEqual(states(again), ['base resting', 'B resting', 'A resting']);
  const full = withAdapter(again, { folder: '/d', name: 'd' })!;
  assert.equal(full.columns.length, MAX_COLUMNS);
  assert.equal(withAdapter(full, { folder: '/e', name: 'e' }), undefined);
});

test('a column comes back under the id that it had, unless that is taken', () => {
  const back = withAdapter(
    withAdapter(empty, { folder: '/b', name: 'b' }, 'B')!,
    { folder: '/a', name: 'a' },
    'A',
  )!;
  assert.deepEqual(states(back), ['base resting', 'B resting', 'A resting']);
  for (const wanted of ['B', 'base', 'nonsense', undefined]) {
    assert.deepEqual(states(withAdapter(back, { folder: '/c', name: 'c' }, wanted)!).at(-1), 'C resting');
  }
});

test('a small model may steer the base by several factors, each once, beside its adapter', () => {
  const steered = (alpha: number) => ({ folder: '/a', name: 'a', steering: { model: '/small', alpha } });
  const two = withAdapter(withAdapter(empty, steered(1))!, steered(0.5))!;
  assert.equal(withAdapter(two, steered(0.5)), undefined);
  const three = withAdapter(two, { folder: '/a', name: 'a' })!;
  assert.deepEqual(
    three.columns.map(({ id, steering }) => [id, steering?.alpha]),
    [
      ['base', undefined],
      ['A', 1],
      ['B', 0.5],
      ['C', undefined],
    ],
  );
});

test('the factor of a column that steers changes, but not to one that another column of its adapter has', () => {
  const steered = (alpha: number) => ({ folder: '/a', name: 'a', steering: { model: '/small', alpha } });
  const two = withAdapter(withAdapter(empty, steered(1))!, steered(0.5))!;
  const changed = withAlpha(two, 'A', 2)!;
  assert.deepEqual(
    changed.columns.map(({ steering }) => steering),
    [undefined, { model: '/small', alpha: 2 }, { model: '/small', alpha: 0.5 }],
  );
  for (const [id, alpha] of [
    ['A', 0.5],
    ['A', NaN],
    ['base', 1],
    ['C', 1],
  ] as const) {
    assert.equal(withAlpha(two, id, alpha), undefined, `${id} ${alpha}`);
  }
  assert.equal(withAlpha(withAdapter(empty, { folder: '/a', name: 'a' })!, 'A', 1), undefined);
});

test('what the process tells is shown; a bad adapter fails alone', () => {
  let setup = withAdapter(withAdapter(empty, { folder: '/a', name: 'a' })!, { folder: '/b', name: 'b' })!;
  setup = loading(setup, ['base', 'A', 'B']);
  setup = setupAfter(setup, { type: 'progress', activity: 'Converting', done: 1, total: 4 });
  assert.equal(setup.activity, 'Converting: 1 of 4');
  const base = { place: '/m', chat: true, positionLimit: 8, warnings: [] };
  setup = setupAfter(setup, { type: 'opened', base });
  assert.equal(setup.chat, true);
  setup = setupAfter(setup, { type: 'refused', column: 'A', problem });
  assert.notEqual(setup.activity, '');
  setup = setupAfter(setup, { type: 'attached', column: 'B', warnings: [] });
  assert.deepEqual(states(setup), ['base ready', 'A failed', 'B ready']);
  assert.equal(setup.activity, '');
  assert.equal(setupAfter(setup, { type: 'refused', request: 1, column: 'B', problem }), setup);
});

test('a process that is gone leaves columns that open with the next run', () => {
  const setup = loading(withAdapter(empty, { folder: '/a', name: 'a' })!, ['base', 'A']);
  for (const told of [{ type: 'ended', problem } as const, { type: 'refused', problem } as const]) {
    const after = setupAfter(setup, told);
    assert.deepEqual(states(after), ['base failed', 'A resting']);
    assert.equal(after.columns[0]!.problem, problem);
    assert.equal(after.activity, '');
  }
});
