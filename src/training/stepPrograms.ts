import type { TrainingOptions } from '../config/schema.js';
import type { Outputs } from '../runtime/runtime.js';
import { add } from '../tensor/ops/elementwise.js';
import type { Tensor, Variable } from '../tensor/tensor.js';
import { variable } from '../tensor/tensor.js';
import type { StepGraph, StepUpdate } from './stepGraph.js';

/** Names of a step's results: its loss, further terms of the loss behind a prefix, the gradient's norm. */
export const LOSS = 'loss';
export const TERM = 'term ';
export const GRADIENT_NORM = 'gradient_norm';

/**
 * The programs of a step. One batch is one graph. With accumulation there are two: one that adds a batch's gradients to
 * sums, one that updates from the sums. Sharpness-aware minimization adds a third, which moves the trainables to where
 * the second gradients are taken.
 */
export interface StepPrograms {
  /** Over each batch; the only one where there is no accumulation. */
  readonly first: Outputs;
  readonly second?: Outputs;
  readonly ascent?: Outputs;
  /** Per pack; empty where gradients are not summed. */
  readonly sums: readonly Variable[];
  /** Per pack: the ascended trainables; empty without sharpness-aware minimization. */
  readonly points: readonly Variable[];
  /** What the update writes anew. */
  readonly changed: readonly Variable[];
}

export function stepPrograms(graph: StepGraph, options: TrainingOptions): StepPrograms {
  const sharp = options.sam_rho > 0;
  const losses = {
    [LOSS]: graph.lossSum,
    ...Object.fromEntries([...graph.terms].map(([name, tensor]) => [`${TERM}${name}`, tensor])),
  };
  if (!sharp && options.gradient_accumulation_steps <= 1) {
    const update = graph.update(graph.batchGradients, graph.lossSum);
    const first = { ...losses, ...updateOutputs(update) };
    return { first, sums: [], points: [], changed: [...update.changes.keys()] };
  }
  const sums = graph.packs.map((pack) => sumOf(pack.variable));
  const update = graph.update(sums);
  const added = new Map(sums.map((sum, at) => [sum, add(sum, graph.batchGradients[at]!)]));
  const common = {
    first: { ...losses, ...newNumbers(added) },
    second: updateOutputs(update),
    sums,
    changed: [...update.changes.keys()],
  };
  if (!sharp) return { ...common, points: [] };
  const points = graph.packs.map(({ variable: each }) => variable(`${each.name}/ascended`, each.shape));
  const ascended = graph.ascent(sums);
  return { ...common, points, ascent: newNumbers(new Map(points.map((point, at) => [point, ascended[at]!]))) };
}

/** Over each batch of a step: adds to a sum the gradients of packs that methods want to see before the step. */
export interface GradientProgram {
  readonly outputs: Outputs;
  /** By the pack's variable. */
  readonly sums: ReadonlyMap<Variable, Variable>;
}

/** @param wanted trainables, each a pack of its own */
export function gradientProgram(graph: StepGraph, wanted: ReadonlySet<Variable>): GradientProgram {
  const seen = graph.packs.flatMap((pack, at) => (wanted.has(pack.variable) ? [{ pack, at }] : []));
  const sums = new Map(seen.map(({ pack: { variable: each } }) => [each, sumOf(each)] as const));
  const added = seen.map(({ pack: { variable: each }, at }) => {
    const sum = sums.get(each)!;
    return [sum, add(sum, graph.batchGradients[at]!)] as const;
  });
  return { outputs: newNumbers(new Map(added)), sums };
}

function sumOf({ name, shape }: Variable): Variable {
  return variable(`${name}/gradient_sum`, shape);
}

function updateOutputs({ norm, changes }: StepUpdate): Outputs {
  return { [GRADIENT_NORM]: norm, ...newNumbers(changes) };
}

/** Outputs, each under the name of the variable it replaces. */
function newNumbers(changes: ReadonlyMap<Variable, Tensor>): Outputs {
  return Object.fromEntries([...changes].map(([{ name }, tensor]) => [newName(name), tensor]));
}

/** The result that replaces a variable's numbers. */
export function newName(variable: string): string {
  return `new ${variable}`;
}
