import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Trainable } from '../../../src/methods/method.js';
import { onnxRuntime } from '../../../src/runtime/onnxruntime.js';
import { variable } from '../../../src/tensor/tensor.js';
import { packTrainables, packed, packedValues } from '../../../src/training/packs.js';

const trainable = (name: string, shape: number[], decays = true): Trainable => ({
  variable: variable(name, shape),
  start: () => new Float32Array(0),
  decays,
});
const trainables = [
  trainable('a', [2, 3]),
  trainable('bias', [2], false),
  trainable('large', [512, 512]),
  trainable('b', [3]),
];
const values = new Map([
  ['a', Float32Array.of(1, 2, 3, 4, 5, 6)],
  ['bias', Float32Array.of(7, 8)],
  ['b', Float32Array.of(9, 10, 11)],
]);

test('small ones go together by decay, a large one stays alone', () => {
  const packs = packTrainables(trainables, true);
  assert.deepEqual(
    packs.map(({ decays, members }) => [decays, members.map(({ trainable: each }) => each.variable.name)]),
    [
      [true, ['large']],
      [true, ['a', 'b']],
      [false, ['bias']],
    ],
  );
  assert.equal(packs[0]!.variable, trainables[2]!.variable);
  assert.equal(new Set(packs.map((pack) => pack.variable.name)).size, 3);
});

test('views and gradients of a pack are its members, in place', async () => {
  const packs = packTrainables(trainables, true).slice(1);
  const runtime = await onnxRuntime({ threads: 1 });
  const outputs = Object.fromEntries(
    packs.flatMap((pack) => [
      ...pack.members.map((member) => [`view of ${member.trainable.variable.name}`, member.view] as const),
      // A gradient that is the variable itself packs to the vector of the values.
      [`packed ${pack.variable.name}`, packed(pack, (each) => each)] as const,
    ]),
  );
  const program = await runtime.compile(outputs);
  const vectors = packs.map((pack) => [pack.variable.name, packedValues(pack, values)] as const);
  const feeds = [...vectors, ...values].map(([name, data]) => {
    const shape = trainables.find((each) => each.variable.name === name)?.variable.shape ?? [data.length];
    return [name, { dtype: 'float32' as const, shape: shape as number[], data }] as const;
  });
  const results = await program.run(Object.fromEntries(feeds.filter(([name]) => program.reads.has(name))));
  await program.dispose();
  assert.deepEqual(results['view of a']!.shape, [2, 3]);
  for (const [name, data] of values) assert.deepEqual(results[`view of ${name}`]!.data, data, name);
  for (const [name, data] of vectors) assert.deepEqual(results[`packed ${name}`]!.data, data, name);
});

test('a pack of one vector is a pack, and one that began to train later is another', () => {
  const later = trainable('late', [3], false);
  const packs = packTrainables([trainables[1]!, later], true, (each) => (each === later.variable ? 40 : 0));
  assert.deepEqual(
    packs.map(({ startedAfter, members }) => [startedAfter, members.length]),
    [
      [0, 1],
      [40, 1],
    ],
  );
  assert.equal(new Set(packs.map((pack) => pack.variable.name)).size, 2);
  const asked: string[] = [];
  packed(packs[0]!, (each) => {
    asked.push(each.name);
    return each;
  });
  assert.deepEqual(asked, ['bias'], 'a member is asked for by its own variable');
});

test('a start of another size is an error', () => {
  const [, pack] = packTrainables(trainables, true);
  const wrong = new Map([...values, ['b', new Float32Array(2)] as const]);
  assert.throws(() => packedValues(pack!, wrong), /b \[3\] starts from 2 numbers/);
  assert.throws(() => packedValues(pack!, new Map()), /starts from no numbers/);
});
