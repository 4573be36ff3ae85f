import type { Dim } from './dims.js';
import { fixedSize, shapeText } from './dims.js';
import type { Emitter } from './emitter.js';

export type DType = 'float32' | 'float64' | 'int32' | 'int64' | 'uint32' | 'bool';
export type Shape = readonly Dim[];

export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/**
 * A symbolic tensor: a leaf of the graph or an op applied to tensors. Nothing is computed here; a runtime
 * compiles the graph that ends in the tensors one asks for, so whatever nothing asks for is dead and dropped.
 */
export type Tensor = Input | Weight | Variable | Constant | Applied;

/** Fed anew at every run. */
export interface Input extends TensorType {
  readonly kind: 'input';
  readonly name: string;
}

/** A frozen weight of the base model: a constant that the runtime maps from the user's own file. */
export interface Weight extends TensorType {
  readonly kind: 'weight';
  readonly name: string;
}

/** What a run changes: a trainable, an optimizer slot or a method's state. Goes in and comes out at every step. */
export interface Variable extends TensorType {
  readonly kind: 'variable';
  readonly name: string;
}

/** Small data known when the graph is built. */
export interface Constant extends TensorType {
  readonly kind: 'constant';
  readonly data: TypedData;
}

export type TypedData = Float32Array | Float64Array | Int32Array | BigInt64Array | Uint32Array | Uint8Array;

/** An op applied to its inputs; its rules are closed over its attributes. */
export interface Applied extends TensorType {
  readonly kind: 'applied';
  readonly op: string;
  readonly inputs: readonly Tensor[];
  /** The op's own; its file knows their type. */
  readonly attributes: unknown;
  /** Whether the backward pass computes it again where it is needed, instead of keeping it: see recompute.ts. */
  readonly recomputed: boolean;
  /** The same op on other inputs: what a rewriting pass uses. */
  readonly rebuild: (inputs: readonly Tensor[], recomputed?: boolean) => Tensor;
  /**
   * For each input the gradient of the loss with respect to it, given that with respect to this tensor.
   * `forward` says what stands for this op's inputs and result there; by default they themselves.
   */
  readonly gradient: (gradient: Tensor, forward?: Forward) => readonly GradientThunk[];
  /** Emits ONNX nodes for this op and returns the name of its output. */
  readonly lower: (emit: Emitter, inputs: readonly string[]) => string;
}

/** What an op's gradient may use of the forward pass. */
export interface Forward {
  readonly inputs: readonly Tensor[];
  readonly result: Tensor;
}

/** Built only when the gradient is wanted; `undefined` where the op is not differentiable in that input. */
export type GradientThunk = (() => Tensor) | undefined;

export function input(name: string, dtype: DType, shape: Shape): Input {
  return { kind: 'input', name, dtype, shape };
}

export function weight(name: string, shape: Shape): Weight {
  return { kind: 'weight', name, dtype: 'float32', shape };
}

export function variable(name: string, shape: Shape, dtype: DType = 'float32'): Variable {
  return { kind: 'variable', name, dtype, shape };
}

/**
 * Numbers known now, converted to `dtype`; an array of that type is kept as it is, nobody writes to it. Throws when their
 * count does not fit the shape.
 */
export function constant(values: ArrayLike<number>, shape: Shape, dtype: DType = 'float32'): Constant {
  if (fixedSize(shape) !== values.length) {
    throw new Error(`${values.length} values do not fill the shape ${shapeText(shape)}`);
  }
  return { kind: 'constant', dtype, shape, data: typedData(values, dtype) };
}

/** A constant without axes. */
export function scalar(value: number, dtype: DType = 'float32'): Constant {
  return constant([value], [], dtype);
}

/** The value of a constant without axes, else undefined. */
export function scalarValue(tensor: Tensor): number | undefined {
  return tensor.kind === 'constant' && tensor.shape.length === 0 ? Number(tensor.data[0]) : undefined;
}

export function isFloat(dtype: DType): boolean {
  return dtype === 'float32' || dtype === 'float64';
}

/** Numbers as the array that holds a type's elements: the array itself where it is one. */
export function typedData(values: ArrayLike<number>, dtype: DType): TypedData {
  switch (dtype) {
    case 'float32':
      return values instanceof Float32Array ? values : Float32Array.from(values);
    case 'float64':
      return values instanceof Float64Array ? values : Float64Array.from(values);
    case 'int32':
      return values instanceof Int32Array ? values : Int32Array.from(values);
    case 'uint32':
      return values instanceof Uint32Array ? values : Uint32Array.from(values);
    case 'int64':
      return BigInt64Array.from(Array.from(values, (value) => BigInt(value)));
    case 'bool':
      return values instanceof Uint8Array ? values : Uint8Array.from(values);
  }
}
