import { dimText, fixedShape, sameShape, shapeText } from '../tensor/dims.js';
import type { Dim } from '../tensor/dims.js';
import type { Emitter, OnnxAttribute } from '../tensor/emitter.js';
import { ONNX_TYPE } from '../tensor/emitter.js';
import { topologicalOrder } from '../tensor/order.js';
import type { Constant, DType, Shape, Tensor, TensorType, TypedData } from '../tensor/tensor.js';
import { typedData } from '../tensor/tensor.js';
import { ProtobufWriter } from './protobuf.js';

/** Where a frozen weight's float32 values lie: a file below the weights' folder, byte offset and byte length. */
export interface WeightLocation {
  readonly file: string;
  readonly offset: number;
  readonly length: number;
}

export interface OnnxModel {
  readonly bytes: Uint8Array;
  /** Names of the inputs and variables that the graph reads. */
  readonly feeds: ReadonlyMap<string, TensorType>;
  /** Bytes of the weights that it maps. */
  readonly weightBytes: number;
}

/** ONNX operator set that the lowerings are written for. */
const OPSET = 20;
const IR_VERSION = 9;

/**
 * Writes the graph that ends in `outputs` as an ONNX model. Weights become external data that the runtime maps
 * from their files; nothing of them is copied here.
 *
 * @param outputs the tensors to compute, by the name under which the runtime returns them
 * @throws when a length has a name that no input's axis binds, a weight has no location, or two things have one name
 */
export function buildOnnxModel(
  outputs: Readonly<Record<string, Tensor>>,
  locate: (weight: string) => WeightLocation | undefined,
): OnnxModel {
  const order = topologicalOrder(Object.values(outputs));
  const graph = new ProtobufWriter();
  const emitter = new GraphEmitter(graph, bindLengths(order));
  const nameOf = new Map<Tensor, string>();
  const feeds = new Map<string, TensorType>();
  const weights = new Map<string, TensorType>();
  let weightBytes = 0;
  const results = new Map<string, TensorType>();
  for (const tensor of order) {
    switch (tensor.kind) {
      case 'input':
      case 'variable': {
        if (feeds.has(tensor.name)) throw new Error(`two inputs are named ${tensor.name}`);
        feeds.set(tensor.name, tensor);
        nameOf.set(tensor, tensor.name);
        break;
      }
      case 'weight': {
        const known = weights.get(tensor.name);
        if (known === undefined) {
          const location = locate(tensor.name);
          if (location === undefined) throw new Error(`the checkpoint has no tensor ${tensor.name}`);
          emitter.external(tensor, weightName(tensor.name), location);
          weights.set(tensor.name, tensor);
          weightBytes += location.length;
        } else if (!sameShape(known.shape, tensor.shape)) {
          const shapes = `${shapeText(known.shape)} and ${shapeText(tensor.shape)}`;
          throw new Error(`the weight ${tensor.name} is used with two shapes, ${shapes}`);
        }
        nameOf.set(tensor, weightName(tensor.name));
        break;
      }
      case 'constant':
        nameOf.set(tensor, emitter.known(tensor));
        break;
      case 'applied': {
        const name = tensor.lower(
          emitter,
          tensor.inputs.map((source) => nameOf.get(source)!),
        );
        nameOf.set(tensor, name);
        results.set(name, tensor);
        break;
      }
    }
  }
  // ONNX Runtime reuses a buffer for another tensor only where it knows both lengths, by number or by name, and it
  // searches all idle buffers for one: untold shapes cost memory, and seconds of planning.
  for (const [name, type] of results) graph.message(13, (value) => writeValueInfo(value, name, type));
  for (const [name, tensor] of Object.entries(outputs)) {
    if (feeds.has(name)) throw new Error(`an output and an input are both named ${name}`);
    emitter.alias(nameOf.get(tensor)!, name);
  }
  for (const [name, type] of feeds) graph.message(11, (value) => writeValueInfo(value, name, type));
  for (const [name, tensor] of Object.entries(outputs)) {
    graph.message(12, (value) => writeValueInfo(value, name, tensor));
  }
  graph.text(2, 'peft-studio');
  const model = new ProtobufWriter();
  model.integer(1, IR_VERSION);
  model.text(2, 'peft-studio');
  model.bytes(7, graph.finish());
  model.message(8, (opset) => opset.integer(2, OPSET));
  model.message(8, (opset) => {
    opset.text(1, 'com.microsoft');
    opset.integer(2, 1);
  });
  return { bytes: model.finish(), feeds, weightBytes };
}

/** Weights have names of their own: a trainable copy of one (`modules_to_save`) may be called as it is. */
function weightName(name: string): string {
  return `weight ${name}`;
}

/** Which axis of which input gives each named length. */
function bindLengths(order: readonly Tensor[]): ReadonlyMap<string, { input: string; axis: number }> {
  const bindings = new Map<string, { input: string; axis: number }>();
  for (const tensor of order) {
    if (tensor.kind !== 'input' && tensor.kind !== 'variable') continue;
    tensor.shape.forEach((length, axis) => {
      const symbol = bareSymbol(length);
      if (symbol !== undefined && !bindings.has(symbol)) bindings.set(symbol, { input: tensor.name, axis });
    });
  }
  return bindings;
}

function bareSymbol(length: Dim): string | undefined {
  if (typeof length === 'number' || length.terms.length !== 1) return undefined;
  const [term] = length.terms;
  return term!.coefficient === 1 && term!.symbols.length === 1 ? term!.symbols[0] : undefined;
}

function writeValueInfo(value: ProtobufWriter, name: string, type: TensorType): void {
  value.text(1, name);
  value.message(2, (typeProto) =>
    typeProto.message(1, (tensorType) => {
      tensorType.integer(1, ONNX_TYPE[type.dtype]);
      tensorType.message(2, (shape) => {
        for (const length of type.shape) {
          shape.message(1, (dimension) =>
            typeof length === 'number' ? dimension.integer(1, length) : dimension.text(2, dimText(length)),
          );
        }
      });
    }),
  );
}

class GraphEmitter implements Emitter {
  private counter = 0;
  private readonly lengths = new Map<string, string>();
  private readonly constants = new Map<string, string>();
  private readonly nodes = new Map<string, readonly string[]>();

  constructor(
    private readonly graph: ProtobufWriter,
    private readonly bindings: ReadonlyMap<string, { input: string; axis: number }>,
  ) {}

  node(
    opType: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
    options: { domain?: 'com.microsoft' } = {},
  ): string {
    return this.nodeOnce(1, opType, inputs, attributes, options.domain)[0]!;
  }

  outputs(
    count: number,
    opType: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>>,
  ): readonly string[] {
    return this.nodeOnce(count, opType, inputs, attributes);
  }

  constant(values: ArrayLike<number>, shape: readonly number[], dtype: DType): string {
    // Shapes and axes recur at every layer: equal small constants are written once.
    const key = `${dtype}:${shape.join(',')}:${Array.from(values).join(',')}`;
    const known = this.constants.get(key);
    if (known !== undefined) return known;
    const name = this.data(typedData(values, dtype), shape, dtype);
    this.constants.set(key, name);
    return name;
  }

  scalar(value: number, dtype: DType): string {
    return this.constant([value], [], dtype);
  }

  shape(shape: Shape): string {
    if (shape.every((length) => typeof length === 'number')) return this.constant(shape, [shape.length], 'int64');
    return this.node(
      'Concat',
      shape.map((length) => this.dim(length)),
      { axis: 0 },
    );
  }

  dim(length: Dim): string {
    if (typeof length === 'number') return this.constant([length], [1], 'int64');
    const known = this.lengths.get(length.key);
    if (known !== undefined) return known;
    const terms = length.terms.map(({ coefficient, symbols }) => {
      const factors = symbols.map((symbol) => this.symbol(symbol));
      if (coefficient !== 1 || factors.length === 0) factors.push(this.constant([coefficient], [1], 'int64'));
      return factors.reduce((a, b) => this.node('Mul', [a, b]));
    });
    const name = terms.reduce((a, b) => this.node('Add', [a, b]));
    this.lengths.set(length.key, name);
    return name;
  }

  /** A weight of which only the place is written into the model. */
  external(tensor: TensorType, name: string, location: WeightLocation): void {
    this.graph.message(5, (proto) => {
      for (const length of tensor.shape) proto.integer(1, length as number);
      proto.integer(2, ONNX_TYPE[tensor.dtype]);
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

  /** A constant of the graph. */
  known({ data, shape, dtype }: Constant): string {
    const lengths = fixedShape(shape);
    // Equal scalars have one name, so that equal nodes which read them are found to be equal.
    return data.length === 1
      ? this.constant([...data].map(Number), lengths, dtype)
      : this.data(data, lengths, dtype);
  }

  private data(values: TypedData, shape: readonly number[], dtype: DType): string {
    const name = this.fresh('constant');
    this.graph.message(5, (proto) => {
      for (const length of shape) proto.integer(1, length);
      proto.integer(2, ONNX_TYPE[dtype]);
      proto.text(8, name);
      proto.bytes(9, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    });
    return name;
  }

  /** Gives a value the name under which it leaves the graph. */
  alias(from: string, to: string): void {
    this.write('Identity', [from], [to], {});
  }

  private symbol(symbol: string): string {
    const key = `symbol ${symbol}`;
    const known = this.lengths.get(key);
    if (known !== undefined) return known;
    const binding = this.bindings.get(symbol);
    if (binding === undefined) throw new Error(`no input of the graph has an axis of length ${symbol}`);
    const name = this.node('Shape', [binding.input], { start: binding.axis, end: binding.axis + 1 });
    this.lengths.set(key, name);
    return name;
  }

  private nodeOnce(
    count: number,
    opType: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>>,
    domain?: string,
  ): readonly string[] {
    // Every op is a function of its inputs, so an equal node is the same value (a cast of the positions, say).
    const key = `${opType} ${count} ${inputs.join(' ')} ${JSON.stringify(attributes)}`;
    const known = this.nodes.get(key);
    if (known !== undefined) return known;
    const outputs = Array.from({ length: count }, () => this.fresh(opType));
    this.write(opType, inputs, outputs, attributes, domain);
    this.nodes.set(key, outputs);
    return outputs;
  }

  private fresh(base: string): string {
    return `${base}_${this.counter++}`;
  }

  private write(
    opType: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>>,
    domain?: string,
  ): void {
    this.graph.message(1, (node) => {
      for (const name of inputs) node.text(1, name);
      for (const name of outputs) node.text(2, name);
      node.text(3, outputs[0]!);
      node.text(4, opType);
      for (const [name, value] of Object.entries(attributes)) {
        node.message(5, (attribute) => writeAttribute(attribute, name, value));
      }
      if (domain !== undefined) node.text(7, domain);
    });
  }
}

/** Attribute type numbers of onnx.proto (AttributeProto.AttributeType). */
const ATTRIBUTE = { float: 1, int: 2, string: 3, ints: 7 } as const;

function writeAttribute(attribute: ProtobufWriter, name: string, value: OnnxAttribute): void {
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
