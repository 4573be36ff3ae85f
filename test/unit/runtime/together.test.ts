import assert from 'node:assert/strict';
import { test } from 'node:test';
import { onnxRuntime } from '../../../src/runtime/onnxruntime.js';
import type { Outputs, Program, Runtime, Value, WeightFiles } from '../../../src/runtime/runtime.js';
import { together } from '../../../src/runtime/together.js';
import { add, mul } from '../../../src/tensor/ops/elementwise.js';
import { input, variable, weight } from '../../../src/tensor/tensor.js';
import { numbers } from '../../support/finiteDifferences.js';

const weights: WeightFiles = { folder: '/', tensors: new Map([['w', { file: 'f', offset: 0, length: 8 }]]) };
const x = (): ReturnType<typeof input> => input('x', 'float32', [2]);
const feeds: Record<string, Value> = { x: { dtype: 'float32', shape: [2], data: Float32Array.of(1, 2) } };

/** The real runtime, with a record of what it was asked to compile and to dispose of. */
async function recorded(): Promise<{ runtime: Runtime; log: string[] }> {
  const real = await onnxRuntime({ threads: 1 });
  const log: string[] = [];
  const watched = (program: Program, name: string): Program => ({
    ...program,
    dispose: async () => {
      log.push(`dispose ${name}`);
      await program.dispose();
    },
  });
  const nameOf = (outputs: Outputs): string => Object.keys(outputs).join('+');
  const runtime: Runtime = {
    name: real.name,
    async compile(outputs, given) {
      log.push(`alone ${nameOf(outputs)}`);
      return watched(await real.compile(outputs, given), nameOf(outputs));
    },
    async compileTogether(programs, given) {
      log.push(`together ${programs.map(nameOf).join(' ')}`);
      const compiled = await real.compileTogether(programs, given);
      return compiled.map((program, index) => watched(program, nameOf(programs[index]!)));
    },
  };
  return { runtime, log };
}

test('programs are compiled together when the first runs; later ones are a group of their own', async () => {
  const { runtime, log } = await recorded();
  const shared = together(runtime, weights);
  const first = await shared.compile({ first: add(x(), 1) }, weights);
  const second = await shared.compile({ second: mul(x(), 3) }, weights);
  assert.deepEqual(log, []);
  const [sum, product] = await Promise.all([first.run(feeds), second.run(feeds)]);
  assert.deepEqual(
    [numbers(sum['first']!), numbers(product['second']!)],
    [
      [2, 3],
      [3, 6],
    ],
  );
  assert.deepEqual(log.splice(0), ['together first second']);
  const third = await shared.compile({ third: add(x(), 5) }, weights);
  await first.dispose();
  assert.deepEqual(numbers((await second.run(feeds))['second']!), [3, 6]);
  assert.deepEqual(numbers((await third.run(feeds))['third']!), [6, 7]);
  await second.dispose();
  await third.dispose();
  assert.deepEqual(log, ['dispose first', 'together third', 'dispose second', 'dispose third']);
});

test('one that is disposed of before anything runs is not compiled', async () => {
  const { runtime, log } = await recorded();
  const shared = together(runtime, weights);
  const first = await shared.compile({ first: add(x(), 1) }, weights);
  const second = await shared.compile({ second: mul(x(), 3) }, weights);
  await first.dispose();
  await second.run(feeds);
  await second.dispose();
  assert.deepEqual(log, ['together second', 'dispose second']);
});

test('they can be compiled before the first runs', async () => {
  const { runtime, log } = await recorded();
  const shared = together(runtime, weights);
  await shared.ready();
  assert.deepEqual(log, []);
  const first = await shared.compile({ first: add(x(), 1) }, weights);
  await shared.ready();
  assert.deepEqual(log.splice(0), ['together first']);
  assert.deepEqual(numbers((await first.run(feeds))['first']!), [2, 3]);
  await first.dispose();
  assert.deepEqual(log, ['dispose first']);
});

test('other weights and none are compiled at once, apart', async () => {
  const { runtime, log } = await recorded();
  const shared = together(runtime, weights);
  const program = await shared.compile({ y: add(x(), 1) });
  const other = await shared.compile({ z: add(x(), 1) }, { ...weights });
  assert.deepEqual(log, ['alone y', 'alone z']);
  await program.dispose();
  await other.dispose();
});

test('what a program reads and maps is known before it is compiled', async () => {
  const { runtime, log } = await recorded();
  const table = weight('w', [2]);
  const y = add(mul(table, x()), mul(variable('v', [2]), weight('w', [2])));
  const program = await together(runtime, weights).compile({ y }, weights);
  assert.deepEqual([[...program.reads].sort(), program.weightBytes], [['v', 'x'], 8]);
  assert.deepEqual(log, []);
});
