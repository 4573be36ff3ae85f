import { fixedSize, sameShape, shapeText } from '../tensor/dims.js';
import type { Constant, Input, TensorType, Variable, Weight } from '../tensor/tensor.js';
import { writeExternal } from './onnxProto.js';
import type { WeightLocation } from './onnxProto.js';
import type { ProtobufWriter } from './protobuf.js';

/** Inputs, weights and large constants, which all graphs of a model share. */
export interface SharedLeaves {
  readonly feeds: ReadonlyMap<string, TensorType>;
  feed(tensor: Input | Variable): void;
  /** The weight's bytes. */
  weight(tensor: Weight): number;
  /** Constants that are fed, by their names in the model. */
  readonly constants: ReadonlyMap<string, Constant>;
  /** The name of a constant that is fed; undefined: it is written into the graph that reads it. */
  constant(tensor: Constant): string | undefined;
  write(graph: ProtobufWriter): void;
}

/**
 * Whether a constant is fed at every run from the array that it has, instead of written into the model: that is copied on
 * its way, stays in the runtime as another copy, and is there again for every graph of a model.
 */
export function isFed({ data, shape }: Constant): boolean {
  return fixedSize(shape) > 1 && data.byteLength >= FED_BYTES;
}

const FED_BYTES = 2 ** 12;

export function sharedLeaves(locate: (weight: string) => WeightLocation | undefined): SharedLeaves {
  const feeds = new Map<string, TensorType>();
  const constants = new Map<string, Constant>();
  const names = new Map<Constant, string>();
  const weights = new Map<string, { type: TensorType; location: WeightLocation }>();
  const sameAs = (known: TensorType, type: TensorType, what: string): void => {
    if (known.dtype === type.dtype && sameShape(known.shape, type.shape)) return;
    const shapes = `${shapeText(known.shape)} and ${shapeText(type.shape)}`;
    throw new Error(`${what} is used as ${known.dtype} and ${type.dtype}, with the shapes ${shapes}`);
  };
  return {
    feeds,
    constants,
    constant(tensor) {
      if (!isFed(tensor)) return undefined;
      const name = names.get(tensor) ?? `fed constant ${names.size}`;
      names.set(tensor, name);
      constants.set(name, tensor);
      return name;
    },
    feed(tensor) {
      const known = feeds.get(tensor.name);
      if (known !== undefined) sameAs(known, tensor, `the input ${tensor.name}`);
      else feeds.set(tensor.name, { dtype: tensor.dtype, shape: tensor.shape });
    },
    weight(tensor) {
      const known = weights.get(tensor.name);
      if (known !== undefined) {
        sameAs(known.type, tensor, `the weight ${tensor.name}`);
        return known.location.length;
      }
      const location = locate(tensor.name);
      if (location === undefined) throw new Error(`the checkpoint has no tensor ${tensor.name}`);
      weights.set(tensor.name, { type: tensor, location });
      return location.length;
    },
    write(graph) {
      for (const [name, { type, location }] of weights) writeExternal(graph, weightName(name), type, location);
    },
  };
}

/** Weights have names of their own: a trainable copy of one (`modules_to_save`) may be called as it is. */
export function weightName(name: string): string {
  return `weight ${name}`;
}
