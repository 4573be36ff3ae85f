import type { Dim } from '../tensor/dims.js';
import type { Emitter } from '../tensor/emitter.js';
import { topologicalOrder } from '../tensor/order.js';
import type { DType, Shape, Tensor, TensorType } from '../tensor/tensor.js';
import { GraphEmitter, bindLengths } from './graphEmitter.js';
import type { NodeSink } from './graphEmitter.js';

/** A value of a graph as it is written for ONNX Runtime. */
export interface ListedValue extends TensorType {
  readonly from: 'fed' | 'weight' | 'constant' | 'node';
  /** The tensor that it holds; absent for steps within the lowering of one. */
  readonly tensor?: Tensor;
}

/** A node; values are named by their place in the list. */
export interface ListedNode {
  readonly opType: string;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
}

/** A graph's nodes in the order in which they are written. */
export interface NodeList {
  readonly nodes: readonly ListedNode[];
  readonly values: readonly ListedValue[];
  /** The results, each the output of an Identity. */
  readonly results: ReadonlyMap<string, number>;
}

/**
 * Lists the nodes that {@link writeBranch} writes for a graph, with the shapes of all values, also of those within the
 * lowering of an op: what a plan of the runtime's memory is made from.
 */
export function listNodes(outputs: Readonly<Record<string, Tensor>>): NodeList {
  const order = topologicalOrder(Object.values(outputs));
  const nodes: ListedNode[] = [];
  const values: ListedValue[] = [];
  const places = new Map<string, number>();
  /** Shapes that nodes compute, by the name of the value that holds them. */
  const computed = new Map<string, Shape>();
  const add = (name: string, value: ListedValue): number => {
    places.set(name, values.length);
    return values.push(value) - 1;
  };
  const at = (name: string): number => places.get(name)!;
  const sink: NodeSink = {
    node({ opType, inputs, outputs: made, attributes }) {
      const sources = inputs.map(at);
      const types = resultTypes(
        opType,
        sources.map((source) => values[source]!),
        computed.get(inputs[1] ?? ''),
        attributes['to'],
      );
      const results = made.map((name, index) => add(name, { ...types[index]!, from: 'node' }));
      nodes.push({ opType, inputs: sources, outputs: results });
    },
    constant: (name, _values, shape, dtype) => void add(name, { shape, dtype, from: 'constant' }),
  };
  const written = new GraphEmitter(sink, bindLengths(order), '');
  const emit: Emitter = {
    node: (...given) => written.node(...given),
    outputs: (...given) => written.outputs(...given),
    constant: (...given) => written.constant(...given),
    scalar: (...given) => written.scalar(...given),
    dim: (length) => written.dim(length),
    shape(shape) {
      const name = written.shape(shape);
      computed.set(name, shape);
      return name;
    },
  };
  const nameOf = new Map<Tensor, string>();
  // A node may ask for a length of an input that no node before it reads.
  for (const tensor of order) {
    if (tensor.kind === 'applied' || tensor.kind === 'constant') continue;
    const { dtype, shape } = tensor;
    const name = tensor.kind === 'weight' ? `weight ${tensor.name}` : tensor.name;
    nameOf.set(tensor, name);
    add(name, { dtype, shape, from: tensor.kind === 'weight' ? 'weight' : 'fed', tensor });
  }
  for (const tensor of order) {
    const { dtype, shape } = tensor;
    if (tensor.kind === 'applied') {
      const name = tensor.lower(
        emit,
        tensor.inputs.map((source) => nameOf.get(source)!),
      );
      nameOf.set(tensor, name);
      // What the tensor says is known of the value; other steps of its lowering have what the node's inputs tell.
      const place = at(name);
      values[place] = { dtype, shape, from: values[place]!.from, tensor };
    } else if (tensor.kind === 'constant') {
      const name = written.known(tensor);
      nameOf.set(tensor, name);
      values[at(name)] = { ...values[at(name)]!, tensor };
    }
  }
  const results = new Map<string, number>();
  for (const [name, tensor] of Object.entries(outputs)) {
    const result = `result ${name}`;
    written.alias(nameOf.get(tensor)!, result);
    values[at(result)] = { dtype: tensor.dtype, shape: tensor.shape, from: 'node', tensor };
    results.set(name, at(result));
  }
  return withoutRoundTrips({ nodes, values, results });
}

/**
 * ONNX Runtime drops casts to a wider type and back (RemoveDuplicateCastTransformer), whatever its level of
 * optimization.
 */
function withoutRoundTrips(list: NodeList): NodeList {
  const { nodes, values, results } = list;
  const castFrom = new Map<number, number>();
  const standIn = new Map<number, number>();
  for (const { opType, inputs, outputs } of nodes) {
    if (opType !== 'Cast') continue;
    const [wide, back] = [inputs[0]!, outputs[0]!];
    const narrow = castFrom.get(wide);
    castFrom.set(back, wide);
    const widens = narrow !== undefined && values[narrow]!.dtype === 'int32' && values[wide]!.dtype === 'int64';
    if (widens && values[back]!.dtype === 'int32') standIn.set(back, narrow);
  }
  if (standIn.size === 0) return list;
  const rewired = nodes.map((node) => ({ ...node, inputs: node.inputs.map((each) => standIn.get(each) ?? each) }));
  const read = new Set([...results.values(), ...rewired.flatMap(({ inputs }) => inputs)]);
  const idle = ({ opType, outputs }: ListedNode): boolean =>
    opType === 'Cast' && !outputs.some((each) => read.has(each));
  // The cast back first, then the one that only it read.
  const once = rewired.filter((node) => !(idle(node) && standIn.has(node.outputs[0]!)));
  const stillRead = new Set([...results.values(), ...once.flatMap(({ inputs }) => inputs)]);
  const middles = new Set([...standIn.keys()].map((back) => castFrom.get(back)!));
  const kept = once.filter(({ outputs }) => !(middles.has(outputs[0]!) && !stillRead.has(outputs[0]!)));
  return { nodes: kept, values, results };
}

/** Types of the outputs of a node within a lowering. Those of the lowering's last node are told by its tensor. */
function resultTypes(
  opType: string,
  inputs: readonly ListedValue[],
  computed: Shape | undefined,
  to: unknown,
): readonly TensorType[] {
  const [first, second] = inputs as [ListedValue, ListedValue | undefined];
  const dtype = first?.dtype ?? 'float32';
  switch (opType) {
    case 'Shape':
    case 'Size':
      return [{ dtype: 'int64', shape: opType === 'Shape' ? [1] : [] }];
    case 'Concat':
      return [{ dtype, shape: [inputs.length] }];
    case 'GatherElements':
      return [{ dtype, shape: second!.shape }];
    case 'Expand':
    case 'Reshape':
      return [{ dtype, shape: computed ?? first.shape }];
    case 'Cast':
      return [{ dtype: DTYPE_OF[Number(to)] ?? dtype, shape: first.shape }];
    case 'SimplifiedLayerNormalization':
      return [
        { dtype, shape: first.shape },
        { dtype, shape: [...first.shape.slice(0, -1), 1] },
      ];
    case 'TopK':
      return [
        { dtype, shape: first.shape },
        { dtype: 'int64', shape: first.shape },
      ];
    case 'Squeeze':
      return [{ dtype, shape: first.shape.filter((length) => length !== 1) }];
    case 'Unsqueeze':
      return [{ dtype, shape: [...first.shape, 1] }];
    default:
      return [{ dtype, shape: widest(inputs) }];
  }
}

/** ONNX's numbers of types, as far as casts use them. */
const DTYPE_OF: Readonly<Record<number, DType>> = {
  1: 'float32',
  6: 'int32',
  7: 'int64',
  9: 'bool',
  12: 'uint32',
};

/** Elementwise: the shape with the most axes, where several have as many the one without ones. */
function widest(inputs: readonly ListedValue[]): Shape {
  return inputs.reduce<Shape>((sofar, { shape }) => {
    if (shape.length !== sofar.length) return shape.length > sofar.length ? shape : sofar;
    return sofar.map((length: Dim, axis) => (length === 1 ? shape[axis]! : length));
  }, []);
}
