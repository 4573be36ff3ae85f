import assert from 'node:assert/strict';
import { test } from 'node:test';
import { onnxRuntime } from '../../../../src/runtime/onnxruntime.js';
import type { Value } from '../../../../src/runtime/runtime.js';
import { input, variable } from '../../../../src/tensor/tensor.js';
import { adamW } from '../../../../src/training/optimizers/adamw.js';
import { largestDifference } from '../../../support/fixtures.js';
import { trainingOptions } from '../jobs.js';

const runtime = await onnxRuntime({ threads: 1 });
const RATE = 0.01;
const START = [0.5, -2, 3, 0];
const GRADIENTS = [
  [0.1, -3, 0, 1e-3],
  [-0.2, 1, 0.5, 0],
  [0.05, -1, 2, -40],
];

/** Loshchilov & Hutter 2019, algorithm 2, in double precision. */
function byHand(decay: number, beta1: number, beta2: number, epsilon: number): number[][] {
  const [theta, m, v] = [[...START], START.map(() => 0), START.map(() => 0)];
  return GRADIENTS.map((gradient, at) => {
    const t = at + 1;
    for (const [i, g] of gradient.entries()) {
      m[i] = beta1 * m[i]! + (1 - beta1) * g;
      v[i] = beta2 * v[i]! + (1 - beta2) * g * g;
      const [mHat, vHat] = [m[i]! / (1 - beta1 ** t), v[i]! / (1 - beta2 ** t)];
      theta[i] = theta[i]! - RATE * decay * theta[i]! - (RATE * mHat) / (Math.sqrt(vHat) + epsilon);
    }
    return [...theta];
  });
}

/** The same steps by the graph. */
async function byGraph(
  decay: number,
  decays: boolean,
  betas: [number, number],
  epsilon: number,
): Promise<number[][]> {
  const [adam_beta1, adam_beta2] = betas;
  const optimizer = adamW(trainingOptions({ weight_decay: decay, adam_beta1, adam_beta2, adam_epsilon: epsilon }));
  const theta = variable('theta', [4]);
  const { parameter, slots } = optimizer.update({ variable: theta, decays }, input('gradient', 'float32', [4]));
  const names = optimizer.slots({ variable: theta, decays }).map(({ variable: { name } }) => name);
  assert.deepEqual(names, ['theta/exp_avg', 'theta/exp_avg_sq']);
  const program = await runtime.compile({
    'new theta': parameter,
    ...Object.fromEntries(names.map((name, at) => [`new ${name}`, slots[at]!])),
  });
  const vector = (values: ArrayLike<number>): Value => ({
    dtype: 'float32',
    shape: [4],
    data: Float32Array.from(values),
  });
  let state: Record<string, Value> = {
    theta: vector(START),
    ...Object.fromEntries(names.map((name) => [name, vector([0, 0, 0, 0])])),
  };
  const found: number[][] = [];
  for (const [at, gradient] of GRADIENTS.entries()) {
    const scalars = Object.entries(optimizer.scalars(at + 1, RATE)).filter(([name]) => program.reads.has(name));
    const results = await program.run({
      ...state,
      gradient: vector(gradient),
      ...Object.fromEntries(
        scalars.map(([name, value]) => [name, { dtype: 'float32', shape: [], data: Float32Array.of(value) }]),
      ),
    });
    state = Object.fromEntries(['theta', ...names].map((name) => [name, results[`new ${name}`]!]));
    found.push(Array.from(state['theta']!.data, Number));
  }
  await program.dispose();
  return found;
}

for (const [name, decay, decays, betas, epsilon] of [
  ['plain', 0, true, [0.9, 0.999], 1e-8],
  ['with decay', 0.5, true, [0.9, 0.999], 1e-8],
  ['other betas and a large epsilon', 0.1, true, [0.5, 0.9], 0.3],
  ['a tensor that does not decay', 0.5, false, [0.9, 0.999], 1e-8],
] as [string, number, boolean, [number, number], number][]) {
  test(`three steps are those of the paper: ${name}`, async () => {
    const expected = byHand(decays ? decay : 0, ...betas, epsilon);
    const found = await byGraph(decay, decays, betas, epsilon);
    for (const [at, row] of expected.entries())
      assert.ok(largestDifference(found[at]!, row) <= 1e-6, `step ${at + 1}`);
    assert.ok(largestDifference(expected[2]!, START) > 0.01);
  });
}

test('the first step of plain AdamW goes by the rate, whatever the size of the gradient', async () => {
  const [first] = await byGraph(0, true, [0.9, 0.999], 1e-8);
  assert.ok(largestDifference(first!, [0.49, -1.99, 3, -0.01]) <= 1e-6);
});
