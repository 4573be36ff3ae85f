import { sameShape, shapeText } from '../tensor/dims.js';
import type { Input, TensorType, Variable, Weight } from '../tensor/tensor.js';
import { writeExternal } from './onnxProto.js';
import type { WeightLocation } from './onnxProto.js';
import type { ProtobufWriter } from './protobuf.js';

/** Inputs and weights, which all graphs of a model share. */
export interface SharedLeaves {
  readonly feeds: ReadonlyMap<string, TensorType>;
  feed(tensor: Input | Variable): void;
  /** The weight's bytes. */
  weight(tensor: Weight): number;
  write(graph: ProtobufWriter): void;
}

export function sharedLeaves(locate: (weight: string) => WeightLocation | undefined): SharedLeaves {
  const feeds = new Map<string, TensorType>();
  const weights = new Map<string, { type: TensorType; location: WeightLocation }>();
  const sameAs = (known: TensorType, type: TensorType, what: string): void => {
    if (known.dtype === type.dtype && sameShape(known.shape, type.shape)) return;
    const shapes = `${shapeText(known.shape)} and ${shapeText(type.shape)}`;
    throw new Error(`${what} is used as ${known.dtype} and ${type.dtype}, with the shapes ${shapes}`);
  };
  return {
    feeds,
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
