import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attend, causalMask } from '../../../src/models/attention.js';
import { onnxRuntime } from '../../../src/runtime/onnxruntime.js';
import type { Value } from '../../../src/runtime/runtime.js';
import { dim } from '../../../src/tensor/dims.js';
import { gradients } from '../../../src/tensor/grad.js';
import { exp } from '../../../src/tensor/ops/elementwise.js';
import { topologicalOrder } from '../../../src/tensor/order.js';
import { input } from '../../../src/tensor/tensor.js';
import type { Tensor } from '../../../src/tensor/tensor.js';
import { numbers, sumAll } from '../../support/finiteDifferences.js';

const [batch, sequence] = [dim('batch'), dim('sequence')];
const tokens = [batch, sequence];

/** Gradients of a loss over grouped attention for rows of at most `positionLimit` tokens, by q, k and v. */
function graph(positionLimit: number, cap?: number): Record<string, Tensor> {
  const q = input('q', 'float32', [batch, 4, sequence, 2]);
  const [k, v] = ['k', 'v'].map((name) => input(name, 'float32', [batch, 2, sequence, 2])) as [Tensor, Tensor];
  const mask = causalMask(
    {
      inputIds: input('ids', 'int32', tokens),
      positions: input('positions', 'int32', tokens),
      segments: input('segments', 'int32', tokens),
      positionLimit,
    },
    undefined,
  );
  const loss = sumAll(exp(attend(q, k, v, mask, 0.5, cap)));
  const [byQ, byK, byV] = gradients(loss, [q, k, v]);
  return { loss, byQ: byQ!, byK: byK!, byV: byV! };
}

function count(outputs: Record<string, Tensor>, op: string): number {
  return topologicalOrder(Object.values(outputs)).filter((node) => node.kind === 'applied' && node.op === op)
    .length;
}

test('the weights of long rows are computed again in the backward pass, with the same numbers', async () => {
  const runtime = await onnxRuntime({ threads: 1 });
  const filled = (shape: readonly number[], step: number): Value => ({
    dtype: 'float32',
    shape,
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, at) => Math.sin(at * step)),
  });
  const feeds = {
    q: filled([2, 4, 3, 2], 1.1),
    k: filled([2, 2, 3, 2], 0.7),
    v: filled([2, 2, 3, 2], 0.3),
    segments: { dtype: 'int32', shape: [2, 3], data: Int32Array.of(1, 1, 1, 1, 2, 2) },
  } as const;
  for (const cap of [undefined, 5]) {
    const [short, long] = [graph(128, cap), graph(129, cap)];
    assert.deepEqual([count(short, 'softmax'), count(long, 'softmax')], [1, 2]);
    const [kept, again] = await Promise.all(
      [short, long].map(async (outputs) => {
        const program = await runtime.compile(outputs);
        const values = await program.run(feeds);
        await program.dispose();
        return Object.entries(values).map(([name, value]) => [name, numbers(value)]);
      }),
    );
    assert.ok(kept!.every(([, values]) => (values as number[]).some((value) => value !== 0)));
    assert.deepEqual(again, kept);
  }
});

test('keys in front belong to every segment; a window counts the places back to them', async () => {
  const runtime = await onnxRuntime({ threads: 1 });
  const positions = { dtype: 'int32', shape: [1, 3], data: Int32Array.of(2, 3, 2) } as const;
  const segments = { dtype: 'int32', shape: [1, 3], data: Int32Array.of(1, 1, 2) } as const;
  const inputs = {
    inputIds: input('ids', 'int32', tokens),
    positions: input('positions', 'int32', tokens),
    segments: input('segments', 'int32', tokens),
    positionLimit: 4,
  };
  const allowed = async (window: number | undefined): Promise<boolean[]> => {
    const program = await runtime.compile({ added: causalMask(inputs, window, 2).added });
    const { added } = await program.run({ segments, positions });
    await program.dispose();
    assert.deepEqual(added!.shape, [1, 1, 1, 3, 5]);
    return numbers(added!).map((value) => value === 0);
  };
  const [yes, no] = [true, false];
  assert.deepEqual(await allowed(undefined), [
    ...[yes, yes, yes, no, no],
    ...[yes, yes, yes, yes, no],
    ...[yes, yes, no, no, yes],
  ]);
  // Positions 2, 3 and 2 see positions after −1, 0 and −1: the second query no longer sees the first key.
  assert.deepEqual(await allowed(3), [
    ...[yes, yes, yes, no, no],
    ...[no, yes, yes, yes, no],
    ...[yes, yes, no, no, yes],
  ]);
});
