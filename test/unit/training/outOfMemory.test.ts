import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProblemError } from '../../../src/common/problem.js';
import type { MemoryPart, MemoryPlan } from '../../../src/memory/plan.js';
import type { Memory } from '../../../src/training/events.js';
import { isOutOfMemory, outOfMemory } from '../../../src/training/outOfMemory.js';

const MIB = 2 ** 20;
const part = (name: MemoryPart['name'], mebibytes: number, rest: Partial<MemoryPart> = {}): MemoryPart => ({
  name,
  bytes: mebibytes * MIB,
  formula: '',
  ...rest,
});
const step = [part('weights', 500, { fileBacked: true }), part('activations', 300), part('logits', 40)];
const plan: MemoryPlan = {
  total: 840 * MIB,
  parts: step,
  peak: 'step',
  moments: [
    { name: 'step', bytes: 840 * MIB, parts: step },
    { name: 'evaluation', bytes: 590 * MIB, parts: [step[0]!, part('logits', 90)] },
  ],
  parameters: 1,
  trainable: 1,
  adapterFileBytes: 1,
  assumptions: [],
};
const measured: Memory = {
  type: 'memory',
  step: 10,
  resident: 700 * MIB,
  fileBacked: 500 * MIB,
  anonymous: 200 * MIB,
  peakResident: 700 * MIB,
  parts: { mappedWeights: 500 * MIB, graph: 120 * MIB, node: 80 * MIB },
};
const batch = { rows: 4, length: 512, supervised: 1024 };
const said =
  "Non-zero status code returned while running Softmax node. Name:'Softmax_7' Status Message: bfc_arena.cc:360 Failed to allocate memory for requested buffer of size 33554432";
const error = new ProblemError({ code: 'runtime.out-of-memory', message: said }, { cause: new Error(said) });

test('a step: what it was for, what is largest in the plan, what was held, what failed', () => {
  const { code, message, mend } = outOfMemory(error, {
    when: 'step 12',
    moment: 'step',
    batch,
    plan,
    measured,
    checkpoint: 11,
  });
  assert.equal(code, 'runtime.out-of-memory');
  assert.equal(
    message,
    'memory ran out in step 12 with a batch of 4 × 512 tokens, 1,024 of them supervised; ' +
      'predicted to need most there: activations 300 MiB, logits 40 MiB; ' +
      'after step 10 700 MiB were resident: mapped weights 500 MiB, graph buffers 120 MiB, Node 80 MiB; ' +
      'what could not be had: a buffer of 32 MiB for the result of Softmax (node Softmax_7) in ONNX Runtime',
  );
  assert.match(mend!, /per_device_train_batch_size.*The checkpoint of step 11 is there/);
});

test('an evaluation has parts and an option of its own; nothing is claimed that is not known', () => {
  const { message, mend } = outOfMemory(error, {
    when: 'the evaluation after step 2',
    moment: 'evaluation',
    plan,
  });
  assert.match(message, /predicted to need most there: logits 90 MiB; what could not be had/);
  assert.match(mend!, /per_device_eval_batch_size.*No checkpoint was written yet/);
});

test('why the last steps could not be kept is said', () => {
  const { mend } = outOfMemory(error, {
    when: 'step 3',
    moment: 'step',
    checkpoint: 1,
    notKept: 'the disk is full',
  });
  assert.match(mend!, /could not be kept: the disk is full\. The checkpoint of step 1 is there/);
});

test('arrays that JavaScript cannot have are out of memory too, other errors are not', () => {
  assert.ok(isOutOfMemory(error));
  assert.ok(isOutOfMemory(new RangeError('Array buffer allocation failed')));
  assert.ok(!isOutOfMemory(new RangeError('offset is out of bounds')));
  assert.ok(!isOutOfMemory(new Error('Array buffer allocation failed')));
});
