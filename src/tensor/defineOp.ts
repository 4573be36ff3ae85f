import type { Emitter } from './emitter.js';
import type { Applied, Forward, GradientThunk, Tensor, TensorType } from './tensor.js';

/** One op, all in one place: what it yields, its gradient and how ONNX says it. */
export interface OpDefinition<Attributes> {
  readonly name: string;
  /** Checks the inputs and gives type and shape of the result. Throws an Error that shows the offending shapes. */
  readonly infer: (inputs: readonly Tensor[], attributes: Attributes) => TensorType;
  /**
   * Per input, how to build ∂loss/∂input from ∂loss/∂output (`gradient`). Built of ops, so it can be
   * differentiated again. Absent: no gradient flows through this op.
   */
  readonly gradient?: (forward: Forward, gradient: Tensor, attributes: Attributes) => readonly GradientThunk[];
  /**
   * That the result costs little beside matrix products and its gradient needs its inputs anyway: the backward
   * pass computes it again rather than keep it (recompute.ts).
   */
  readonly cheap?: true;
  readonly lower: (emit: Emitter, inputs: readonly string[], node: Applied, attributes: Attributes) => string;
}

const names = new Set<string>();

/** The names of all ops defined so far; tests use it to see that none is untested. */
export function definedOps(): ReadonlySet<string> {
  return names;
}

/** Registers an op and returns the function that applies it. */
export function defineOp<Attributes>(
  definition: OpDefinition<Attributes>,
): (inputs: readonly Tensor[], attributes: Attributes) => Applied {
  names.add(definition.name);
  const { cheap = false } = definition;
  const apply = (inputs: readonly Tensor[], attributes: Attributes, recomputed: boolean = cheap): Applied => {
    const node: Applied = {
      kind: 'applied',
      op: definition.name,
      inputs,
      attributes,
      ...definition.infer(inputs, attributes),
      recomputed,
      rebuild: (others, again = recomputed) => apply(others, attributes, again),
      gradient: (gradient, forward = { inputs, result: node }) =>
        definition.gradient?.(forward, gradient, attributes) ?? inputs.map(() => undefined),
      lower: (emit, names) => definition.lower(emit, names, node, attributes),
    };
    return node;
  };
  return (inputs, attributes) => apply(inputs, attributes);
}
