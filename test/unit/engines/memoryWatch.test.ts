import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as l10n from '@vscode/l10n';
import { memoryStory, watchMemory } from '../../../src/engines/memoryWatch.js';
import type { MemoryRecord } from '../../../src/engines/memoryWatch.js';
import type { Memory, MeasuredParts, RunEvent } from '../../../src/training/events.js';
import { CHINESE } from '../../../tools/translations.mjs';

const MIB = 2 ** 20;

function memory(step: number, parts: MeasuredParts): Memory {
  const resident = Object.values(parts).reduce((sum, bytes) => sum + bytes, 0);
  return { type: 'memory', step, resident, fileBacked: 0, anonymous: resident, peakResident: resident, parts };
}
const watched = (events: readonly RunEvent[]): MemoryRecord => events.reduce(watchMemory, {});

test('what is held, and what grew most since the first step', () => {
  const record = watched([
    memory(0, { mappedWeights: 500 * MIB, graph: 10 * MIB, node: 90 * MIB }),
    memory(1, { mappedWeights: 510 * MIB, graph: 400 * MIB, node: 80 * MIB }),
    memory(40, { mappedWeights: 500 * MIB, graph: 600 * MIB, node: 100 * MIB }),
  ]);
  assert.equal(
    memoryStory(record),
    'after step 40 1.2 GiB were resident: graph buffers 600 MiB, mapped weights 500 MiB, Node 100 MiB; ' +
      'since step 0 graph buffers grew by 590 MiB',
  );
});

test('in Chinese its parts are put together in Chinese', (t) => {
  l10n.config({ fsPath: CHINESE });
  t.after(() => l10n.config({ contents: {} }));
  const record = watched([memory(0, { graph: 10 * MIB }), memory(2, { graph: 20 * MIB })]);
  assert.match(memoryStory(record), /^第 2 步后.*；自第 0 步以来，[^;]*增长了 10 MiB$/);
});

test('nothing grew before a second measurement; nothing is said where nothing was told', () => {
  assert.equal(
    memoryStory(watched([memory(0, { graph: MIB })])),
    'before the first step 1 MiB were resident: graph buffers 1 MiB',
  );
  assert.equal(memoryStory({}), '');
});

test('parts under the names of earlier versions are not taken for ours', () => {
  const old: Memory = { ...memory(3, {}), resident: MIB };
  const parts = JSON.parse('{"trainables and optimizer":5,"mapped weights":7}') as MeasuredParts;
  assert.equal(memoryStory(watched([{ ...old, parts }])), 'after step 3 1 MiB were resident');
});

test('a run that is told from its beginning again starts anew', () => {
  const started = { type: 'started' } as RunEvent;
  assert.deepEqual(watched([memory(9, { graph: MIB }), started]), {});
});
