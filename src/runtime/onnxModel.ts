import { dim } from '../tensor/dims.js';
import type { Constant, Tensor, TensorType } from '../tensor/tensor.js';
import { writeBranch, writeChoice } from './onnxBranch.js';
import type { Branch } from './onnxBranch.js';
import { writeValueInfo } from './onnxProto.js';
import type { WeightLocation } from './onnxProto.js';
import { ProtobufWriter } from './protobuf.js';
import { sharedLeaves } from './sharedLeaves.js';

export interface OnnxModel {
  readonly bytes: Uint8Array;
  /** The model's inputs, in the order in which they are declared. */
  readonly inputs: ReadonlyMap<string, TensorType>;
  /** Further inputs: constants that every run is fed, by name. */
  readonly constants: ReadonlyMap<string, Constant>;
  readonly programs: readonly OnnxProgram[];
}

/** One of the graphs of a model. */
export interface OnnxProgram extends Pick<Branch, 'reads' | 'weightBytes' | 'outputs'> {
  /** Which of the model's inputs chooses it among several, by being true: those before it have to be false. */
  readonly choice?: string;
}

/** ONNX operator set that the lowerings are written for. */
const OPSET = 20;
const IR_VERSION = 9;

/**
 * Writes graphs as one ONNX model. Weights become external data that the runtime maps from their files; nothing of
 * them is copied here; so do large constants, which become inputs. Several graphs are branches of an `If`: they share the weights' mapping, which a model each
 * would repeat, and the runtime's memory.
 *
 * @param programs of each graph the tensors to compute, by the name under which the runtime returns them
 * @throws when a length has a name that no input's axis binds, a weight has no location, or two things have one name
 */
export function buildOnnxModel(
  programs: readonly Readonly<Record<string, Tensor>>[],
  locate: (weight: string) => WeightLocation | undefined,
): OnnxModel {
  const shared = sharedLeaves(locate);
  const branches = programs.map((outputs, index): Branch => {
    const prefix = programs.length === 1 ? '' : `${index} `;
    return writeBranch(outputs, prefix, shared);
  });
  const graph = new ProtobufWriter();
  const types = new Map(branches.flatMap(({ outputTypes }) => [...outputTypes]));
  const [only] = branches;
  const choices = branches.slice(0, -1).map((_, index) => `choice ${index}`);
  if (branches.length === 1) graph.append(only!.body);
  else graph.append(writeChoice(branches, choices, types));
  const inputs = new Map(shared.feeds);
  for (const choice of choices) inputs.set(choice, { dtype: 'bool', shape: [] });
  const readByAll = (name: string): boolean => branches.every(({ reads }) => reads.has(name));
  for (const [name, type] of inputs) {
    // What a graph does not read is fed empty when it runs, so lengths are not fixed.
    const shape = readByAll(name) ? type.shape : type.shape.map((_, axis) => dim(`${name}:${axis}`));
    graph.message(11, (value) => writeValueInfo(value, name, { dtype: type.dtype, shape }));
  }
  for (const [name, type] of shared.constants) graph.message(11, (value) => writeValueInfo(value, name, type));
  for (const [name, type] of types) {
    graph.message(12, (value) =>
      writeValueInfo(value, name, branches.length === 1 ? type : { dtype: type.dtype }),
    );
  }
  shared.write(graph);
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
  return {
    bytes: model.finish(),
    inputs,
    constants: shared.constants,
    programs: branches.map(({ reads, weightBytes, outputs }, index) => ({
      reads,
      weightBytes,
      outputs,
      ...(choices[index] === undefined ? {} : { choice: choices[index] }),
    })),
  };
}
