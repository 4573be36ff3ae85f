import type { Dim } from '../dims.js';
import { defineOp } from '../defineOp.js';
import { ONNX_TYPE } from '../emitter.js';
import type { DType, Tensor } from '../tensor.js';
import { scalar } from '../tensor.js';

const dimValueOp = defineOp<{ length: Dim; dtype: DType }>({
  name: 'dimValue',
  infer: (_inputs, { dtype }) => ({ dtype, shape: [] }),
  lower: (emit, _inputs, _node, { length, dtype }) => {
    const value = emit.node('Squeeze', [emit.dim(length)]);
    return dtype === 'int64' ? value : emit.node('Cast', [value], { to: ONNX_TYPE[dtype] });
  },
});

/** The length of an axis as a number in the graph, shape []. */
export function dimValue(length: Dim, dtype: DType): Tensor {
  return typeof length === 'number' ? scalar(length, dtype) : dimValueOp([], { length, dtype });
}

const iotaOp = defineOp<{ length: Dim; dtype: DType }>({
  name: 'iota',
  infer: (_inputs, { length, dtype }) => ({ dtype, shape: [length] }),
  lower: (emit, _inputs, _node, { length, dtype }) => {
    const limit = emit.node('Squeeze', [emit.dim(length)]);
    const range = emit.node('Range', [emit.scalar(0, 'int64'), limit, emit.scalar(1, 'int64')]);
    return dtype === 'int64' ? range : emit.node('Cast', [range], { to: ONNX_TYPE[dtype] });
  },
});

/** 0, 1, … length − 1. */
export function iota(length: Dim, dtype: DType = 'int32'): Tensor {
  return iotaOp([], { length, dtype });
}
