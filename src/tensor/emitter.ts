import type { Dim } from './dims.js';
import type { DType, Shape } from './tensor.js';

/** What an op's lowering may ask for. Names are those of ONNX values in the graph being written. */
export interface Emitter {
  /** Adds a node with one output and returns the output's name. */
  node(
    opType: string,
    inputs: readonly string[],
    attributes?: Readonly<Record<string, OnnxAttribute>>,
    options?: { domain?: 'com.microsoft' },
  ): string;
  /** The same for a node with several outputs. */
  outputs(
    count: number,
    opType: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>>,
  ): readonly string[];
  /** A constant of the given type. */
  constant(values: ArrayLike<number>, shape: readonly number[], dtype: DType): string;
  /** A constant without axes. */
  scalar(value: number, dtype: DType): string;
  /** A shape as a one-dimensional int64 value, computed at run time where it has symbols. */
  shape(shape: Shape): string;
  /** One length as an int64 value of shape [1]. */
  dim(length: Dim): string;
}

export type OnnxAttribute = number | string | readonly number[] | { readonly float: number };

/** ONNX's element type numbers (onnx.proto, TensorProto.DataType). */
export const ONNX_TYPE: Readonly<Record<DType, number>> = {
  float32: 1,
  int32: 6,
  int64: 7,
  bool: 9,
  float64: 11,
  uint32: 12,
};
