import { dimText } from '../tensor/dims.js';
import type { OnnxAttribute } from '../tensor/emitter.js';
import { ONNX_TYPE } from '../tensor/emitter.js';
import type { TensorType } from '../tensor/tensor.js';
import type { NodeSink } from './graphEmitter.js';
import type { ProtobufWriter } from './protobuf.js';

// Messages of onnx.proto; numbers are its field numbers.

/** Where a frozen weight's float32 values lie: a file below the weights' folder, byte offset and byte length. */
export interface WeightLocation {
  readonly file: string;
  readonly offset: number;
  readonly length: number;
}

/**
 * A value's name and type.
 * @param type without a shape: any
 */
export function writeValueInfo(
  value: ProtobufWriter,
  name: string,
  { dtype, shape: lengths }: Pick<TensorType, 'dtype'> & Partial<TensorType>,
): void {
  value.text(1, name);
  value.message(2, (typeProto) =>
    typeProto.message(1, (tensorType) => {
      tensorType.integer(1, ONNX_TYPE[dtype]);
      if (lengths === undefined) return;
      tensorType.message(2, (shape) => {
        for (const length of lengths) {
          shape.message(1, (dimension) =>
            typeof length === 'number' ? dimension.integer(1, length) : dimension.text(2, dimText(length)),
          );
        }
      });
    }),
  );
}

/** A weight of which only the place is written into the model. */
export function writeExternal(
  graph: ProtobufWriter,
  name: string,
  type: TensorType,
  location: WeightLocation,
): void {
  graph.message(5, (proto) => {
    for (const length of type.shape) proto.integer(1, length as number);
    proto.integer(2, ONNX_TYPE[type.dtype]);
    proto.text(8, name);
    const entries = { location: location.file, offset: location.offset, length: location.length };
    for (const [key, value] of Object.entries(entries)) {
      proto.message(13, (entry) => {
        entry.text(1, key);
        entry.text(2, String(value));
      });
    }
    proto.integer(14, 1);
  });
}

/** Attribute type numbers of onnx.proto (AttributeProto.AttributeType). */
export const ATTRIBUTE = { float: 1, int: 2, string: 3, tensor: 4, graph: 5, ints: 7 } as const;

export function writeAttribute(attribute: ProtobufWriter, name: string, value: OnnxAttribute): void {
  attribute.text(1, name);
  if (typeof value === 'number') {
    attribute.integer(3, value);
    attribute.integer(20, ATTRIBUTE.int);
  } else if (typeof value === 'string') {
    attribute.text(4, value);
    attribute.integer(20, ATTRIBUTE.string);
  } else if ('float' in value) {
    attribute.float(2, value.float);
    attribute.integer(20, ATTRIBUTE.float);
  } else {
    for (const each of value) attribute.integer(8, each);
    attribute.integer(20, ATTRIBUTE.ints);
  }
}

/** Writes nodes and constants as fields of a GraphProto. */
export function protobufSink(graph: ProtobufWriter): NodeSink {
  return {
    node({ opType, inputs, outputs, attributes, domain }) {
      graph.message(1, (node) => {
        for (const name of inputs) node.text(1, name);
        for (const name of outputs) node.text(2, name);
        node.text(3, outputs[0]!);
        node.text(4, opType);
        for (const [name, value] of Object.entries(attributes)) {
          node.message(5, (attribute) => writeAttribute(attribute, name, value));
        }
        if (domain !== undefined) node.text(7, domain);
      });
    },
    constant(name, values, shape, dtype) {
      graph.message(5, (proto) => {
        for (const length of shape) proto.integer(1, length);
        proto.integer(2, ONNX_TYPE[dtype]);
        proto.text(8, name);
        proto.bytes(9, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
      });
    },
  };
}
