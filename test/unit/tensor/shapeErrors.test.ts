import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dim } from '../../../src/tensor/dims.js';
import { crossEntropy } from '../../../src/tensor/ops/crossEntropy.js';
import { add, exp, where } from '../../../src/tensor/ops/elementwise.js';
import { addAt, gatherAt, gatherRows, scatterAddRows } from '../../../src/tensor/ops/indexing.js';
import { matmul } from '../../../src/tensor/ops/matmul.js';
import { rmsNorm } from '../../../src/tensor/ops/normalization.js';
import { dropout, randomUniform } from '../../../src/tensor/ops/random.js';
import { reduceSum, sumTo } from '../../../src/tensor/ops/reduce.js';
import { rotary } from '../../../src/tensor/ops/rotary.js';
import { concat, expand, pad, reshape, slice, transpose } from '../../../src/tensor/ops/shape.js';
import { constant, input } from '../../../src/tensor/tensor.js';
import type { DType, Shape, Tensor } from '../../../src/tensor/tensor.js';

const of = (shape: Shape, dtype: DType = 'float32'): Tensor => input('x', dtype, shape);
const batch = dim('batch');

const CASES: Readonly<Record<string, readonly [() => unknown, RegExp]>> = {
  add: [() => add(of([2, batch]), of([2, 3])), /add.*\[2, batch\] and \[2, 3\].*batch against 3/],
  'add of types': [() => add(of([2]), of([2], 'int32')), /add: float32 and int32/],
  exp: [() => exp(of([2], 'int32')), /exp.*int32/],
  where: [() => where(of([2]), of([2]), of([2])), /where.*bool.*float32/],
  'where of shapes': [() => where(of([4], 'bool'), of([2, 3]), of([3])), /where.*\[4\] and \[2, 3\]/],
  matmul: [() => matmul(of([2, 3]), of([4, 5])), /float32 \[2, 3\] does not multiply float32 \[4, 5\]/],
  'matmul transposed': [() => matmul(of([2, 3]), of([3, 4]), { transposeB: true }), /\[2, 3\] .*\[3, 4\]ᵀ/],
  'matmul batched': [() => matmul(of([2, 2, 3]), of([3, 3, 4])), /\[2, 2, 3\].*\[3, 3, 4\]/],
  'matmul of types': [() => matmul(of([2, 3]), of([3, 4], 'float64')), /float32 \[2, 3\].*float64 \[3, 4\]/],
  reshape: [() => reshape(of([2, batch]), [batch]), /reshape: \[2, batch\].*\[batch\]/],
  transpose: [() => transpose(of([2, 3]), [0, 0]), /transpose: \[2, 3\].*0, 0/],
  expand: [() => expand(of([2, 3]), [4, 3]), /expand.*\[2, 3\].*\[4, 3\]/],
  'expand to fewer': [() => expand(of([2, 3]), [1, 3]), /expand.*\[2, 3\].*\[1, 3\]/],
  slice: [() => slice(of([2, 3]), 1, 1, 4), /slice.*1.*4.*\[2, 3\]/],
  'slice backwards': [() => slice(of([2, 3]), 1, 2, 1), /slice.*2.*1.*\[2, 3\]/],
  'slice axis': [() => slice(of([2, 3]), 2, 0, 1), /slice.*axis 2.*\[2, 3\]/],
  pad: [() => pad(of([2, 3]), -3, 1, 1), /pad.*axis -3.*\[2, 3\]/],
  concat: [() => concat([of([2, 3]), of([2, 4])], 0), /concat: \[2, 4\].*\[2, 3\].*axis 0/],
  reduceSum: [() => reduceSum(of([2, 3]), [2]), /reduceSum.*axis 2.*\[2, 3\]/],
  sumTo: [() => sumTo(of([2, 3]), [4]), /\[2, 3\].*\[4\]/],
  gatherAt: [() => gatherAt(of([2, 3]), of([4, 1], 'int32')), /\[2, 3\].*int32 \[4, 1\]/],
  'gatherAt by type': [() => gatherAt(of([2]), of([4], 'int64')), /\[2\].*int64 \[4\]/],
  addAt: [() => addAt(of([2, 3]), of([3]), of([4], 'int32')), /addAt.*\[3\].*4 places/],
  gatherRows: [() => gatherRows(of([2, 3]), of([4])), /gatherRows.*\[2, 3\].*float32 \[4\]/],
  scatterAddRows: [() => scatterAddRows(of([2, 3]), of([3], 'int32'), 4), /scatterAddRows.*\[2, 3\].*\[3\]/],
  rmsNorm: [() => rmsNorm(of([2, 3]), of([4]), 1e-5), /rmsNorm.*\[2, 3\].*\[4\]/],
  crossEntropy: [() => crossEntropy(of([2, 3]), of([3], 'int32')), /crossEntropy.*\[2, 3\].*\[3\]/],
  rotary: [
    () => rotary(of([2, 1, 3, 8]), of([2, 3], 'int32'), of([9, 3]), of([9, 3])),
    /rotary.*\[2, 1, 3, 8\].*\[2, 3\].*\[9, 3\]/,
  ],
  randomUniform: [() => randomUniform([2], of([2], 'int32'), 1), /randomUniform.*int32.*\[2\]/],
  dropout: [() => dropout(of([2]), 1, of([], 'int32'), 1), /rate.*below 1, not 1/],
  constant: [() => constant([1, 2, 3], [2, 2]), /3 values.*\[2, 2\]/],
};

for (const [title, [act, message]] of Object.entries(CASES)) {
  test(`${title}: the error shows the shapes`, () => {
    assert.throws(act, (error: Error) => {
      assert.match(error.message, message);
      return true;
    });
  });
}
