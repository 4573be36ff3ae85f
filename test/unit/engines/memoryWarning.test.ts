import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memoryWarning } from '../../../src/engines/memoryWarning.js';
import type { Saving } from '../../../src/engines/savings/suggestChanges.js';
import { needOf, verdictOf } from '../../../src/engines/verdict.js';
import type { MemoryPlan } from '../../../src/memory/plan.js';

const GIB = 1024 ** 3;
const plan: MemoryPlan = {
  total: 12 * GIB,
  parts: [],
  peak: 'step',
  moments: [
    {
      name: 'step',
      bytes: 12 * GIB,
      parts: [
        { name: 'weights', bytes: 5 * GIB, formula: '', fileBacked: true },
        { name: 'activations', bytes: 7 * GIB, formula: '' },
      ],
    },
    {
      name: 'evaluation',
      bytes: 11 * GIB,
      parts: [
        { name: 'weights', bytes: 3 * GIB, formula: '', fileBacked: true },
        { name: 'logits', bytes: 8 * GIB, formula: '' },
      ],
    },
  ],
  parameters: 1,
  trainable: 1,
  adapterFileBytes: 4,
  assumptions: [],
};

const free = (gib: number) => ({ free: gib * GIB, total: 32 * GIB, bound: 'machine' as const });

test('what is needed for good is at the moment that needs most of it', () => {
  assert.deepEqual(needOf(plan), { total: 12 * GIB, anonymous: 8 * GIB });
  assert.equal(verdictOf(needOf(plan), 7.9 * GIB), 'too-large');
  assert.equal(verdictOf(needOf(plan), 8.5 * GIB), 'barely');
  assert.equal(verdictOf(needOf(plan), 9 * GIB), 'slow');
  assert.equal(verdictOf(needOf(plan), 12 * GIB), 'fits');
});

test('a run that fits is nothing to speak of; else it is said what is needed and what is free', () => {
  assert.equal(memoryWarning(plan, free(12)), undefined);
  const tooLarge = memoryWarning(plan, free(4))!;
  assert.equal(tooLarge.code, 'memory.too-large');
  assert.equal(tooLarge.severity, 'warning');
  assert.match(
    tooLarge.message,
    /does not fit in memory.* 8 GiB that the system cannot take back, and 4 GiB are free$/,
  );
  assert.match(memoryWarning(plan, free(8.2))!.message, /barely fits/);
  const slow = memoryWarning(plan, { ...free(10), bound: 'container' })!;
  assert.equal(slow.code, 'memory.slow');
  assert.match(
    slow.message,
    /12 GiB, 8 GiB of them for good, and 10 GiB are free in this container; weights are read again/,
  );
  assert.match(memoryWarning(plan, { ...free(1), bound: 'limit' })!.message, /1 GiB is the limit that is set$/);
});

test('changes that suffice come first, and of these the ones that leave the result as it is', () => {
  const saving = (name: string, keepsResult: boolean, verdict: Saving['verdict']): Saving => ({
    name,
    title: `${name} saves 1 GiB: little`,
    changes: [{ path: ['training', name], value: 1 }],
    saved: GIB,
    plan,
    keepsResult,
    verdict,
  });
  const warning = memoryWarning(plan, free(4), [
    saving('none', true, 'too-large'),
    saving('other', false, 'fits'),
    saving('same', true, 'slow'),
  ])!;
  assert.deepEqual(warning.changes, [
    { title: 'same saves 1 GiB: little (then it fits)', set: [{ path: ['training', 'same'], value: 1 }] },
    { title: 'other saves 1 GiB: little (then it fits)', set: [{ path: ['training', 'other'], value: 1 }] },
    { title: 'none saves 1 GiB: little', set: [{ path: ['training', 'none'], value: 1 }] },
  ]);
  assert.equal(warning.mend, 'same saves 1 GiB: little; then it fits.');
});
