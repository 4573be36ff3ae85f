import type { SlotRule } from '../../methods/method.js';
import type { Shape, Tensor, Variable } from '../../tensor/tensor.js';
import { variable } from '../../tensor/tensor.js';

/** What an optimizer updates: a trainable, or a vector of many. */
export interface Updated {
  readonly variable: Variable;
  /** Whether weight decay acts on it. */
  readonly decays: boolean;
  /** Where its slots lie; default: in its own coordinates. */
  readonly slots?: SlotRule;
}

/** Numbers that an optimizer keeps for a trainable. */
export interface Slot {
  /** Under PyTorch's name: `exp_avg`. */
  readonly name: string;
  /** Called `TRAINABLE/SLOT`. */
  readonly variable: Variable;
}

/**
 * Makes each trainable's slots once, since the graph and the state have to speak of the same variables.
 * @param shapesOf by the shape of a gradient in the slots' coordinates
 */
export function slotsPerTrainable(
  shapesOf: (shape: Shape) => { readonly [slot: string]: Shape | undefined },
): (updated: Updated) => readonly Slot[] {
  const known = new Map<Variable, readonly Slot[]>();
  return ({ variable: trainable, slots: rule }) => {
    const slots =
      known.get(trainable) ??
      Object.entries(shapesOf(rule?.shape ?? trainable.shape)).flatMap(([name, shape]) =>
        shape === undefined ? [] : [{ name, variable: variable(`${trainable.name}/${name}`, shape) }],
      );
    known.set(trainable, slots);
    return slots;
  };
}

/** What is of the trainable's shape (a gradient, a part of one) in the coordinates of its slots. */
export function inSlots({ slots }: Updated, dense: Tensor): Tensor {
  return slots === undefined ? dense : slots.project(dense);
}

/** An update in the coordinates of the slots in the trainable's own shape. */
export function fromSlots({ slots }: Updated, update: Tensor): Tensor {
  return slots === undefined ? update : slots.projectBack(update);
}
