import type { Trainable, Values } from '../methods/method.js';
import { fixedShape, fixedSize } from '../tensor/dims.js';
import { concat, reshape, slice } from '../tensor/ops/shape.js';
import type { Tensor, Variable } from '../tensor/tensor.js';
import { variable } from '../tensor/tensor.js';

/**
 * Trainables that the optimizer updates as one vector. An adapter has hundreds of small matrices; an update of
 * its own for each would be thousands of nodes to compile and run.
 */
export interface Pack {
  /** [total], or the trainable itself where it is alone */
  readonly variable: Variable;
  readonly decays: boolean;
  readonly members: readonly PackMember[];
}

export interface PackMember {
  readonly trainable: Trainable;
  /** Its part of the vector, in its own shape: what the model's graph uses in place of the variable. */
  readonly view: Tensor;
  /** First element within the vector. */
  readonly offset: number;
  readonly size: number;
}

/** Cutting a vector copies its parts, so tensors from this many elements on stay alone. */
const LARGE = 2 ** 18;

/** Packs small trainables together, those with weight decay apart from those without. */
export function packTrainables(trainables: readonly Trainable[]): Pack[] {
  const isLarge = ({ variable: each }: Trainable): boolean => fixedSize(each.shape) >= LARGE;
  const alone = trainables.filter(isLarge).map((trainable): Pack => ({
    variable: trainable.variable,
    decays: trainable.decays,
    members: [{ trainable, view: trainable.variable, offset: 0, size: fixedSize(trainable.variable.shape) }],
  }));
  const together = [true, false].flatMap((decays) => {
    const small = trainables.filter((each) => !isLarge(each) && each.decays === decays);
    return small.length === 0 ? [] : [pack(small, decays)];
  });
  return [...alone, ...together];
}

function pack(trainables: readonly Trainable[], decays: boolean): Pack {
  let total = 0;
  const places = trainables.map((trainable) => {
    const size = fixedSize(trainable.variable.shape);
    const offset = total;
    total += size;
    return { trainable, offset, size };
  });
  const vector = variable(`pack/${decays ? 'decayed' : 'kept'}`, [total]);
  return {
    variable: vector,
    decays,
    members: places.map((place) => ({
      ...place,
      view: reshape(slice(vector, 0, place.offset, place.offset + place.size), place.trainable.variable.shape),
    })),
  };
}

/** The members' gradients as the vector's. */
export function packedGradient(each: Pack, gradientOf: (trainable: Variable) => Tensor): Tensor {
  const [first] = each.members;
  if (first!.view === each.variable) return gradientOf(each.variable);
  return concat(
    each.members.map(({ trainable, size }) => reshape(gradientOf(trainable.variable), [size])),
    0,
  );
}

/** The members' numbers as the vector's, in an array of its own. */
export function packedValues(each: Pack, values: Values): Float32Array {
  const result = new Float32Array(fixedSize(each.variable.shape));
  for (const { trainable, offset, size } of each.members) {
    const own = values.get(trainable.variable.name);
    if (own?.length !== size) {
      throw new Error(
        `${trainable.variable.name} [${fixedShape(trainable.variable.shape).join(', ')}] starts from ${own?.length ?? 'no'} numbers`,
      );
    }
    result.set(own, offset);
  }
  return result;
}
