import assert from 'node:assert/strict';
import { test } from 'node:test';
import { restored } from '../../../../src/engines/playground/restored.js';
import { NO_SETUP, setupOf, withAdapter, withoutColumn } from '../../../../src/engines/playground/setup.js';
import type { PlaygroundSetup } from '../../../../src/engines/playground/setup.js';

const empty = setupOf({ model: '/m', label: 'm', key: '/m', folder: '/work' });
const adapter = { folder: '/a', name: 'a' };
const steering = { model: '/small', alpha: 0.5 };

/** As a page keeps it: through JSON. */
function kept(setup: unknown): PlaygroundSetup {
  return restored(JSON.parse(JSON.stringify({ setup })));
}

test('base and columns come back at rest, with their ids and what steers', () => {
  const three = withAdapter(withAdapter(empty, adapter)!, { ...adapter, steering })!;
  const left = withAdapter(withoutColumn(three, 'A'), { folder: '/c', name: 'c' }, 'C')!;
  assert.deepEqual(kept({ ...left, activity: 'Starting', chat: true }), left);
});

test('a column that steers by nothing that can be read does not come back as an adapter of the base', () => {
  const setup = withAdapter(empty, adapter)!;
  for (const damaged of [7, null, {}, { model: '/small' }, { model: '/small', alpha: null }, { alpha: 1 }]) {
    const columns = setup.columns.map((column) =>
      column.folder === undefined ? column : { ...column, steering: damaged },
    );
    assert.deepEqual(kept({ ...setup, columns }), empty);
  }
  for (const nothing of [undefined, {}, { base: { model: '/m' } }]) assert.equal(kept(nothing), NO_SETUP);
});
