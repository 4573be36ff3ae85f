import type { Shape, Variable } from '../../tensor/tensor.js';
import { variable } from '../../tensor/tensor.js';

/** Numbers that an optimizer keeps for a trainable. */
export interface Slot {
  /** Under PyTorch's name: `exp_avg`. */
  readonly name: string;
  /** Called `TRAINABLE/SLOT`. */
  readonly variable: Variable;
}

/** Makes each trainable's slots once, since the graph and the state have to speak of the same variables. */
export function slotsPerTrainable(
  shapesOf: (trainable: Variable) => { readonly [slot: string]: Shape | undefined },
): (trainable: Variable) => readonly Slot[] {
  const known = new Map<Variable, readonly Slot[]>();
  return (trainable) => {
    const slots =
      known.get(trainable) ??
      Object.entries(shapesOf(trainable)).flatMap(([name, shape]) =>
        shape === undefined ? [] : [{ name, variable: variable(`${trainable.name}/${name}`, shape) }],
      );
    known.set(trainable, slots);
    return slots;
  };
}
