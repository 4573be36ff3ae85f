import assert from 'node:assert/strict';
import { test } from 'node:test';
import { onnxRuntime } from '../../../src/runtime/onnxruntime.js';
import type { Value } from '../../../src/runtime/runtime.js';
import { add, exp } from '../../../src/tensor/ops/elementwise.js';
import { matmul } from '../../../src/tensor/ops/matmul.js';
import { topologicalOrder } from '../../../src/tensor/order.js';
import { cutIntoSections } from '../../../src/tensor/sections.js';
import type { Section } from '../../../src/tensor/sections.js';
import { input, variable, weight } from '../../../src/tensor/tensor.js';
import type { Tensor } from '../../../src/tensor/tensor.js';

const runtime = await onnxRuntime({ threads: 1 });
const x = input('x', 'float32', [3, 4]);
const [first, second] = [weight('first', [4, 4]), weight('second', [4, 4])];
const [a, b] = [variable('a', [4, 2]), variable('b', [2, 4])];
const VALUES = new Map(
  ['x', 'first', 'second', 'a', 'b'].map((name, seed) => [
    name,
    (count: number): Float32Array =>
      Float32Array.from({ length: count }, (_, at) => Math.sin(1 + at + 7 * seed) / 2),
  ]),
);

function value(name: string, { shape }: Tensor): Value {
  const sizes = shape as readonly number[];
  return {
    dtype: 'float32',
    shape: sizes,
    data: VALUES.get(name)!(sizes.reduce((product, size) => product * size, 1)),
  };
}

/** Runs sections one after the other; only what a section reads of earlier ones is handed on. */
async function run(sections: readonly Section[]): Promise<Record<string, Value>> {
  const known: Record<string, Value> = {};
  for (const { outputs, weights, reads } of sections) {
    if (Object.keys(outputs).length === 0) continue;
    const program = await runtime.compile(outputs);
    const feeds: Record<string, Value> = { x: value('x', x), a: value('a', a), b: value('b', b) };
    for (const [name, own] of weights) feeds[own.name] = value(name, own);
    for (const name of reads) feeds[name] = known[name]!;
    Object.assign(known, await program.run(feeds));
    await program.dispose();
  }
  return known;
}

/** A network whose first weight is read again at its end, with a product of variables on the second. */
function network(): Tensor {
  const update = matmul(a, b);
  const hidden = exp(matmul(x, first));
  const middle = matmul(hidden, add(second, update));
  return add(matmul(middle, first), hidden);
}

const sectionOf = (name: string): number => (name === 'first' ? 0 : 1);

test('sections give what the whole graph gives', async () => {
  const outputs = { y: network() };
  const whole = await run(cutIntoSections(outputs, 1, () => 0));
  const parts = await run(cutIntoSections(outputs, 2, sectionOf));
  assert.deepEqual(parts['y']!.data, whole['y']!.data);
  assert.ok(whole['y']!.data.some((each) => each !== 0));
});

test('a section has its own weights alone, and those that it reads again', () => {
  const [one, two] = cutIntoSections({ y: network() }, 2, sectionOf);
  assert.deepEqual([...one!.weights.keys()], ['first']);
  assert.deepEqual([...two!.weights.keys()].sort(), ['first', 'second']);
  for (const { outputs } of [one!, two!]) {
    assert.ok(topologicalOrder(Object.values(outputs)).every(({ kind }) => kind !== 'weight'));
  }
});

test('what is made of variables is computed where it is read, not handed on', () => {
  const [one, two] = cutIntoSections({ y: network() }, 2, sectionOf);
  const names = (section: Section): string[] =>
    topologicalOrder(Object.values(section.outputs)).flatMap((node) =>
      node.kind === 'input' || node.kind === 'variable' ? [node.name] : [],
    );
  assert.ok(!names(one!).includes('a'));
  assert.ok(names(two!).includes('a'));
  assert.deepEqual(Object.keys(one!.outputs), [...two!.reads]);
  assert.equal(two!.reads.size, 1);
});

test('a section in which nothing ends is empty', () => {
  const parts = cutIntoSections({ y: network() }, 4, (name) => (name === 'first' ? 1 : 3));
  assert.deepEqual(
    parts.map(({ outputs }) => Object.keys(outputs).length),
    [0, 1, 0, 1],
  );
});
