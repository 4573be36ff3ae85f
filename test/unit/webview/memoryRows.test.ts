import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MemoryPart, MemoryPlan } from '../../../src/memory/plan.js';
import type { MeasuredParts, Memory } from '../../../src/training/events.js';
import { GROUPS, memoryRows, predictedParts } from '../../../webview/memoryRows.js';

const MIB = 2 ** 20;
const part = (name: MemoryPart['name'], mebibytes: number, rest: Partial<MemoryPart> = {}): MemoryPart => ({
  name,
  bytes: mebibytes * MIB,
  formula: `of ${name}`,
  ...rest,
});
const parts = [
  part('weights', 500, { fileBacked: true }),
  part('runtime', 70, { fileBacked: true }),
  part('runtime', 150),
  part('copies', 10),
  part('adapter', 20),
  part('optimizer', 40),
  part('activations', 300),
  part('logits', 90),
];
const plan: MemoryPlan = {
  total: 1170 * MIB,
  parts,
  peak: 'step',
  moments: [],
  parameters: 1,
  trainable: 1,
  adapterFileBytes: 1,
  assumptions: ['Rows come as they are.'],
};
function memory(step: number, measured: MeasuredParts): Memory {
  const resident = Object.values(measured).reduce((sum, bytes) => sum + bytes, 0);
  return {
    type: 'memory',
    step,
    resident,
    fileBacked: 0,
    anonymous: 0,
    peakResident: 2 * resident,
    parts: measured,
  };
}

test('every part of a plan is in exactly one group', () => {
  const found = GROUPS.flatMap(({ name }) => predictedParts(name, plan));
  assert.deepEqual(new Set(found), new Set(parts));
  assert.equal(found.length, parts.length);
});

test('predicted beside measured, the passes with what they are made of', () => {
  const rows = memoryRows(plan, [
    memory(1, { mappedWeights: 500 * MIB, graph: 400 * MIB, node: 90 * MIB, native: 60 * MIB }),
    memory(2, { mappedWeights: 500 * MIB, graph: 350 * MIB, node: 80 * MIB, native: 60 * MIB }),
  ]);
  assert.deepEqual(
    rows.map(({ part: name, predicted, now, peak }) => [name, predicted, now, peak]),
    [
      ['Mapped weights', '500 MiB', '500 MiB', '500 MiB'],
      ['Program files', '70 MiB', '–', '–'],
      ['Node and runtime', '160 MiB', '140 MiB', '150 MiB'],
      ['runtime', '150 MiB', '', ''],
      ['copies of results', '10 MiB', '', ''],
      ['Trained numbers', '20 MiB', '–', '–'],
      ['Optimizer', '40 MiB', '–', '–'],
      ['Passes: activations, gradients, work space', '390 MiB', '350 MiB', '400 MiB'],
      ['activations', '300 MiB', '', ''],
      ['logits', '90 MiB', '', ''],
      ['All', '1.1 GiB', '990 MiB', '1.9 GiB'],
    ],
  );
  assert.equal(rows[0]!.formula, 'of weights');
  assert.equal(rows[8]!.formula, 'of activations');
});

test('a run of an earlier version has its sum only; without anything there is no table', () => {
  const old = JSON.parse('{"trainables and optimizer":5,"mapped weights":7}') as MeasuredParts;
  assert.deepEqual(
    memoryRows(undefined, [{ ...memory(1, {}), parts: old }]).map(({ part: name }) => name),
    ['All'],
  );
  assert.deepEqual(memoryRows(undefined, []), []);
});
