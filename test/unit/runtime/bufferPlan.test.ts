import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planBuffers } from '../../../src/runtime/bufferPlan.js';
import { executionOrder } from '../../../src/runtime/executionOrder.js';
import { listNodes } from '../../../src/runtime/nodeList.js';
import { dim } from '../../../src/tensor/dims.js';
import { add, cast, exp, mul, neg, sigmoid, where, less } from '../../../src/tensor/ops/elementwise.js';
import { matmul } from '../../../src/tensor/ops/matmul.js';
import { expand, reshape } from '../../../src/tensor/ops/shape.js';
import type { Tensor } from '../../../src/tensor/tensor.js';
import { input, scalar } from '../../../src/tensor/tensor.js';

const x = input('x', 'float32', [dim('n'), 4]);

/** The plan's events as names of ops: taken as `Op`, given back as `-Op`, a kernel's own as `scratch`. */
function events(outputs: Record<string, Tensor>, handed: readonly string[] = []): string[] {
  const list = listNodes(outputs);
  const { events: all } = planBuffers(list, (name) => handed.includes(name));
  const makers = new Map(list.nodes.flatMap(({ opType, outputs: made }) => made.map((value) => [value, opType])));
  return [...all].map((at) => (at < 0 ? `-${makers.get(~at) ?? 'scratch'}` : (makers.get(at) ?? 'scratch')));
}

test('a result is freed after its last reader; the caller’s is not', () => {
  assert.deepEqual(events({ y: exp(neg(x)) }), ['Neg', 'Exp', '-Neg', 'Identity', '-Exp']);
});

test('a result that is handed a buffer takes none', () => {
  assert.deepEqual(events({ y: exp(x) }, ['y']), ['Exp', '-Exp']);
});

test('an idle buffer of the same lengths serves again, in place of a new one', () => {
  // The third op’s result goes where the first’s was.
  assert.deepEqual(events({ y: exp(neg(exp(x))) }), ['Exp', 'Neg', '-Neg', 'Identity', '-Exp']);
});

test('a reshape takes no buffer, and a sigmoid none where it reads the last', () => {
  assert.deepEqual(events({ y: sigmoid(reshape(neg(x), [4, dim('n')])) }), ['Neg', 'Identity', '-Neg']);
  // Here its input is still read.
  const y = neg(x);
  assert.equal(events({ z: add(sigmoid(y), y) }).filter((each) => each === 'Sigmoid').length, 1);
});

test('Where takes two tensors for itself', () => {
  const found = events({ y: where(less(x, 0), x, neg(x)) });
  assert.equal(found.filter((each) => each === 'scratch').length, 2);
  assert.equal(found.filter((each) => each === '-scratch').length, 2);
});

test('nodes run depth first, from the result that is written last', () => {
  const [a, b] = [exp(x), neg(x)];
  const list = listNodes({ first: a, second: mul(b, b) });
  const order = [...executionOrder(list)].map((at) => list.nodes[at]!.opType);
  assert.deepEqual(order, ['Neg', 'Mul', 'Identity', 'Exp', 'Identity']);
});

test('a cast to a wider type and back is dropped', () => {
  const ids = input('ids', 'int32', [dim('n')]);
  const list = listNodes({ y: add(cast(cast(ids, 'int64'), 'int32'), ids) });
  assert.deepEqual(
    list.nodes.map(({ opType }) => opType),
    ['Add', 'Identity'],
  );
  assert.equal(listNodes({ y: cast(cast(x, 'int32'), 'float32') }).nodes.length, 3);
});

test('a node may ask for a length of an input that comes behind it', () => {
  const rows = dim('rows');
  const ones = expand(scalar(1), [1, rows]);
  const { nodes, values } = listNodes({ y: matmul(ones, input('x', 'float32', [rows, 3])) });
  for (const { inputs } of nodes) for (const each of inputs) assert.ok(values[each] !== undefined);
});
