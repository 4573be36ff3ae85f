import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import { random } from '../../../src/common/random.js';
import { onnxRuntime } from '../../../src/runtime/onnxruntime.js';
import type { Value } from '../../../src/runtime/runtime.js';
import type { Dim } from '../../../src/tensor/dims.js';
import { definedOps } from '../../../src/tensor/defineOp.js';
import { gradients } from '../../../src/tensor/grad.js';
import { topologicalOrder } from '../../../src/tensor/order.js';
import { add, cast, mul } from '../../../src/tensor/ops/elementwise.js';
import { input } from '../../../src/tensor/tensor.js';
import type { DType, Tensor } from '../../../src/tensor/tensor.js';
import { gradientErrors, numbers, relativeError, sumAll } from '../../support/finiteDifferences.js';
import { B, CASES, COMPOSITES, ESTIMATED, LENGTHS, S, STOPPING } from './gradientCases.js';
import type { Case, LeafSpec } from './gradientCases.js';

// Every op that exists, also one whose file no test imports yet.
for (const file of readdirSync(new URL('../../../src/tensor/ops', import.meta.url))) {
  await import(`../../../src/tensor/ops/${file.replace(/\.ts$/, '.js')}`);
}
const runtime = await onnxRuntime({ threads: 1 });

/** Largest relative error that a correct gradient shows: the differences' own, with room. */
const TOLERANCE = 1e-6;

function lengthOf(length: Dim): number {
  if (typeof length === 'number') return length;
  return length.terms.reduce(
    (sum, { coefficient, symbols }) => sum + symbols.reduce((n, symbol) => n * LENGTHS[symbol]!, coefficient),
    0,
  );
}

/** Values on a grid of 2⁻⁶ in float32's reach, all distinct, 0.25 … 2 from zero unless anything goes. */
function valuesOf(spec: LeafSpec, name: string, dtype: DType = 'float64'): Value {
  const rng = random(1, name);
  const shape = spec.shape.map(lengthOf);
  const count = shape.reduce((a, b) => a * b, 1);
  const draw = (index: number): number => {
    const distinct = (((index * 37) % 101) + 1) / 64 + 0.25;
    if (spec.domain === 'positive') return distinct;
    const signed = rng.uniform() < 0.5 ? -distinct : distinct;
    return spec.domain === 'nonzero' ? signed : signed - 1 / 4;
  };
  const values = Array.from({ length: count }, (_, index) => draw(index));
  return { dtype, shape, data: dtype === 'float32' ? Float32Array.from(values) : Float64Array.from(values) };
}

interface Built {
  readonly y: Tensor;
  readonly loss: Tensor;
  readonly leaves: { tensor: ReturnType<typeof input>; value: Value }[];
}

/** y of a case and Σ v ⊙ (y + y²/2): quadratic in y, so that also what is linear has a second derivative. */
function build(example: Case, dtype: DType): Built {
  const leaves = example.leaves.map((spec, index) => ({
    tensor: input(`leaf ${index}`, dtype, spec.shape),
    value: valuesOf(spec, `leaf ${index}`, dtype),
  }));
  const y = example.build(
    leaves.map((leaf) => leaf.tensor),
    dtype,
  );
  const v = cast(input('v', 'float64', y.shape), dtype);
  return { y, leaves, loss: sumAll(mul(v, add(y, mul(mul(y, y), 0.5)))) };
}

function feedsOf(example: Case, y: Tensor): Record<string, Value> {
  return { ...example.feeds, v: valuesOf({ shape: y.shape, domain: 'any' }, 'v') };
}

async function check(example: Case): Promise<void> {
  const { y, loss, leaves } = build(example, 'float64');
  const directions = example.leaves.map((spec, index) => valuesOf(spec, `direction ${index}`));
  const errors = await gradientErrors(runtime, loss, leaves, feedsOf(example, y), directions, example.step);
  assert.ok(errors.first <= TOLERANCE, `first order: relative error ${errors.first}`);
  assert.ok(errors.second <= TOLERANCE, `second order: relative error ${errors.second}`);
}

for (const example of [...CASES, ...COMPOSITES]) {
  test(`gradient of ${example.op}, ${example.title}`, async () => {
    if (example.op !== 'composite') {
      const used = topologicalOrder([build(example, 'float64').y]);
      assert.ok(
        used.some((node) => node.kind === 'applied' && node.op === example.op),
        `the case does not use ${example.op}`,
      );
    }
    await check(example);
  });
}

describe('ops without gradient', () => {
  for (const [op, apply] of Object.entries(STOPPING)) {
    test(`${op} stops it`, () => {
      const x = input('x', 'float64', [B, S]);
      const y = apply(x);
      assert.equal(y.kind === 'applied' ? y.op : y.kind, op);
      if (y.kind === 'applied') assert.ok(y.gradient(y).every((thunk) => thunk === undefined));
      assert.throws(() => gradients(sumAll(cast(y, 'float64')), [x]), /does not depend on x \[batch, sequence\]/);
    });
  }
});

describe('ops whose gradient is an estimate', () => {
  for (const [op, { apply, gradient }] of Object.entries(ESTIMATED)) {
    test(`${op}: it is what the op says, and not its derivative`, async () => {
      const x = input('x', 'float64', [5]);
      const y = apply(x);
      assert.equal(y.kind === 'applied' ? y.op : y.kind, op);
      const v = input('v', 'float64', [5]);
      const [found] = gradients(sumAll(mul(v, y)), [x]);
      const program = await runtime.compile({ y, found: found!, expected: gradient(v) });
      const leaf = valuesOf({ shape: [5], domain: 'any' }, 'x');
      const results = await program.run({ x: leaf, v: valuesOf({ shape: [5], domain: 'nonzero' }, 'v') });
      await program.dispose();
      assert.deepEqual([...results['found']!.data], [...results['expected']!.data]);
      assert.deepEqual(
        [...results['y']!.data],
        [...leaf.data].map((value) => Number(Number(value) > 0.5)),
      );
    });
  }
});

test('every op has a case, and every case an op', () => {
  const covered = new Set([
    ...CASES.map((example) => example.op),
    ...Object.keys(STOPPING),
    ...Object.keys(ESTIMATED),
  ]);
  assert.deepEqual([...covered].sort(), [...definedOps()].sort());
});

test('the check sees a wrong gradient', async () => {
  const x = input('x', 'float64', [3]);
  const leaf = { tensor: x, value: valuesOf({ shape: [3], domain: 'any' }, 'x') };
  // Half of x² is hidden from the gradient, so the symbolic one is x where 2x is right.
  const { stopGradient } = await import('../../../src/tensor/ops/elementwise.js');
  const loss = sumAll(mul(x, stopGradient(x)));
  const errors = await gradientErrors(runtime, mul(loss, loss), [leaf], {}, [leaf.value]);
  assert.ok(errors.first > 0.1 && errors.second > 0.1);
});

describe('float32 computes what float64 does', () => {
  for (const example of [...CASES, ...COMPOSITES]) {
    test(`${example.op}, ${example.title}`, async () => {
      const results: Record<string, Value>[] = [];
      for (const dtype of ['float32', 'float64'] as const) {
        const { y, loss, leaves } = build(example, dtype);
        const gradient = gradients(
          loss,
          leaves.map((leaf) => leaf.tensor),
        );
        const outputs = Object.fromEntries(gradient.map((tensor, index) => [`gradient ${index}`, tensor]));
        const program = await runtime.compile({ y, ...outputs });
        const values = Object.fromEntries(leaves.map((leaf) => [leaf.tensor.name, leaf.value]));
        results.push(await program.run({ ...feedsOf(example, y), ...values }));
        await program.dispose();
      }
      const [single, double] = results;
      for (const name of Object.keys(double!)) {
        assert.equal(single![name]!.dtype, 'float32');
        const error = relativeError(numbers(single![name]!), numbers(double![name]!));
        assert.ok(error <= 1e-5, `${name}: relative error ${error}`);
      }
    });
  }
});
