import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planProgram } from '../../../src/runtime/replay.js';
import { add } from '../../../src/tensor/ops/elementwise.js';
import { variable } from '../../../src/tensor/tensor.js';
import { session } from '../../../src/training/stepMemory.js';
import type { Session, StepMemory } from '../../../src/training/stepMemory.js';
import { copiesPart, handedBy, planOf } from '../../../src/training/stepMemoryPlan.js';

const MIB = 2 ** 20;

/** A program that gives back so many MiB, in buffers of the caller, and as many more that the runtime makes. */
function giving(mebibytes: number): Session {
  const own = variable('x', [(mebibytes * MIB) / 4]);
  const outputs = { 'new x': add(own, 1), loss: add(own, 2) };
  const program = planProgram(
    outputs,
    () => 0,
    (result) => result === 'new x',
  );
  return session([{ kind: 'step', program }]);
}

const copies = (sizes: readonly number[], steps: number): number =>
  copiesPart(handedBy(sizes.map(giving)), steps).bytes / MIB;

test('copies are a part of their own beside the runtime', () => {
  assert.equal(copiesPart([1], 1).name, 'copies');
});

test('what is written to buffers of the caller is copied; a run of one step has no older copies', () => {
  assert.equal(copies([28], 1), 28);
  assert.equal(copies([28], 2), 2 * 28);
});

test('of older copies 64 MiB gather, in long runs and under large sets', () => {
  assert.equal(copies([28], Infinity), 28 + 64);
  assert.equal(copies([1500], 2), 1500 + 64);
});

test('small sets are freed with the young objects', () => {
  assert.equal(copies([8], 2), 16);
  assert.equal(copies([8], Infinity), 32);
  assert.equal(copies([1], 1000), 32);
});

test('of two programs of a step the smaller one’s copies are older ones', () => {
  assert.equal(copies([10, 30], 1), 40);
  assert.equal(copies([100, 300], 1), 300 + 64);
});

test('a matrix that is taken apart for its subspace counts whole, however large it is', () => {
  const { program } = giving(1).programs[0]!;
  const bytesWith = (largest: number): number => {
    const memory: StepMemory = {
      state: { trainables: 0, optimizer: 0, state: 0, gradients: 0 },
      sessions: [giving(1)],
      refresh: { program, gradients: 0, found: 0, work: 500 * MIB, largest },
      vocabulary: 1,
    };
    const batch = { rows: 1, length: 1, supervised: 1 };
    const run = { batch, evaluated: batch, steps: 1, kept: undefined, parameters: 1, trainable: 1 };
    const { moments } = planOf(memory, [], { ...run, adapterFileBytes: 0, assumptions: [] });
    return moments.find(({ name }) => name === 'refresh')!.bytes;
  };
  assert.equal((bytesWith(300 * MIB) - bytesWith(10 * MIB)) / MIB, 300 - 64);
});

test('nothing is copied where nothing is given back', () => {
  const none = session([
    {
      kind: 'evaluation',
      program: planProgram(
        {},
        () => 0,
        () => true,
      ),
    },
  ]);
  assert.equal(copiesPart(handedBy([none]), Infinity).bytes, 0);
});
