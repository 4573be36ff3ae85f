import { ONNX_TYPE } from '../tensor/emitter.js';
import { topologicalOrder } from '../tensor/order.js';
import type { DType, Tensor, TensorType } from '../tensor/tensor.js';
import { GraphEmitter, bindLengths } from './graphEmitter.js';
import { ATTRIBUTE, protobufSink, writeValueInfo } from './onnxProto.js';
import { ProtobufWriter } from './protobuf.js';
import { weightName } from './sharedLeaves.js';
import type { SharedLeaves } from './sharedLeaves.js';

/** The nodes of one graph, with what they read and yield. */
export interface Branch {
  /** Names of the inputs and variables that it reads. */
  readonly reads: ReadonlySet<string>;
  /** Bytes of the weights that it maps. */
  readonly weightBytes: number;
  /** What the model calls its outputs. */
  readonly outputs: ReadonlyMap<string, string>;
  /** Fields of a GraphProto: nodes, constants and the types of values. */
  readonly body: Uint8Array;
  readonly outputTypes: ReadonlyMap<string, TensorType>;
}

/**
 * Writes the graph that ends in `outputs`.
 * @param prefix of all names that are its own
 */
export function writeBranch(
  outputs: Readonly<Record<string, Tensor>>,
  prefix: string,
  shared: SharedLeaves,
): Branch {
  const order = topologicalOrder(Object.values(outputs));
  const body = new ProtobufWriter();
  const emitter = new GraphEmitter(protobufSink(body), bindLengths(order), prefix);
  const nameOf = new Map<Tensor, string>();
  const reads = new Set<string>();
  const weights = new Map<string, number>();
  const results = new Map<string, TensorType>();
  for (const tensor of order) {
    switch (tensor.kind) {
      case 'input':
      case 'variable': {
        if (reads.has(tensor.name)) throw new Error(`two inputs are named ${tensor.name}`);
        shared.feed(tensor);
        reads.add(tensor.name);
        nameOf.set(tensor, tensor.name);
        break;
      }
      case 'weight':
        weights.set(tensor.name, shared.weight(tensor));
        nameOf.set(tensor, weightName(tensor.name));
        break;
      case 'constant':
        nameOf.set(tensor, shared.constant(tensor) ?? emitter.known(tensor));
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
  for (const [name, type] of results) body.message(13, (value) => writeValueInfo(value, name, type));
  const outputTypes = new Map<string, TensorType>();
  const names = new Map<string, string>();
  for (const [name, tensor] of Object.entries(outputs)) {
    if (reads.has(name)) throw new Error(`an output and an input are both named ${name}`);
    emitter.alias(nameOf.get(tensor)!, prefix + name);
    outputTypes.set(prefix + name, tensor);
    names.set(name, prefix + name);
  }
  const weightBytes = [...weights.values()].reduce((sum, bytes) => sum + bytes, 0);
  return { body: body.finish(), reads, weightBytes, outputs: names, outputTypes };
}

/** An `If` over the first of `choices`, whose other side chooses among the rest; a GraphProto's node field. */
export function writeChoice(
  branches: readonly Branch[],
  choices: readonly string[],
  types: ReadonlyMap<string, TensorType>,
): Uint8Array {
  const [first, ...others] = branches as [Branch, ...Branch[]];
  const node = new ProtobufWriter();
  const side = (
    name: string,
    body: Uint8Array,
    own: ReadonlyMap<string, TensorType>,
    further = false,
  ): Uint8Array => {
    const graph = new ProtobufWriter();
    graph.text(2, name);
    graph.append(body);
    for (const [output, type] of types) {
      const yields = own.has(output);
      // All sides of an If yield all outputs: those of other graphs are empty.
      if (!yields) writeEmpty(graph, output, type.dtype);
      // ONNX Runtime allocates by the shape that is told here; where a further choice decides, none is.
      const { dtype } = type;
      const told = !yields ? { dtype, shape: [0] } : further ? { dtype } : type;
      graph.message(12, (value) => writeValueInfo(value, output, told));
    }
    return graph.finish();
  };
  const rest = new Map(others.flatMap(({ outputTypes }) => [...outputTypes]));
  const [, ...laterChoices] = choices;
  const otherBody = others.length === 1 ? others[0]!.body : writeChoice(others, laterChoices, rest);
  node.message(1, (proto) => {
    proto.text(1, choices[0]!);
    for (const output of types.keys()) proto.text(2, output);
    proto.text(3, choices[0]!);
    proto.text(4, 'If');
    writeGraphAttribute(proto, 'then_branch', side('then', first.body, first.outputTypes));
    writeGraphAttribute(proto, 'else_branch', side('else', otherBody, rest, others.length > 1));
  });
  return node.finish();
}

/** Yields no elements under a name. */
function writeEmpty(graph: ProtobufWriter, name: string, dtype: DType): void {
  graph.message(1, (node) => {
    node.text(2, name);
    node.text(3, name);
    node.text(4, 'Constant');
    node.message(5, (attribute) => {
      attribute.text(1, 'value');
      attribute.message(5, (proto) => {
        proto.integer(1, 0);
        proto.integer(2, ONNX_TYPE[dtype]);
      });
      attribute.integer(20, ATTRIBUTE.tensor);
    });
  });
}

function writeGraphAttribute(node: ProtobufWriter, name: string, graph: Uint8Array): void {
  node.message(5, (attribute) => {
    attribute.text(1, name);
    attribute.bytes(6, graph);
    attribute.integer(20, ATTRIBUTE.graph);
  });
}
