import type { SlotRule, Trainable, Values } from '../methods/method.js';
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
  /** Optimizer steps of the run that were taken before its members began to train. */
  readonly startedAfter: number;
  /** Of the run's learning rate. */
  readonly rate: number;
  /** Of a trainable that is alone: where its slots lie. */
  readonly slots?: SlotRule;
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

/**
 * Packs small trainables together: those with weight decay apart from those without, each group apart, and those that
 * began to train at another step or have another learning rate.
 * @param elementwise whether the optimizer's rule allows it; without, each trainable stays alone
 * @param startedAfter steps taken before a trainable began to train
 * @param rateOf a trainable's learning rate as a factor of the run's
 */
export function packTrainables(
  trainables: readonly Trainable[],
  elementwise: boolean,
  startedAfter: (trainable: Variable) => number = () => 0,
  rateOf: (trainable: Trainable) => number = () => 1,
): Pack[] {
  const staysAlone = ({ variable: each, slots }: Trainable): boolean =>
    !elementwise || slots !== undefined || fixedSize(each.shape) >= LARGE;
  const alone = trainables.filter(staysAlone).map((trainable): Pack => ({
    variable: trainable.variable,
    decays: trainable.decays,
    startedAfter: startedAfter(trainable.variable),
    rate: rateOf(trainable),
    ...(trainable.slots === undefined ? {} : { slots: trainable.slots }),
    members: [{ trainable, view: trainable.variable, offset: 0, size: fixedSize(trainable.variable.shape) }],
  }));
  const together = new Map<string, Trainable[]>();
  for (const each of trainables.filter((trainable) => !staysAlone(trainable))) {
    const age = startedAfter(each.variable);
    const parts = [
      'pack',
      ...(each.group === undefined ? [] : [each.group]),
      each.decays ? 'decayed' : 'kept',
      ...(age === 0 ? [] : [age]),
      ...(rateOf(each) === 1 ? [] : [`rate ${rateOf(each)}`]),
    ];
    const name = parts.join('/');
    together.set(name, [...(together.get(name) ?? []), each]);
  }
  return [
    ...alone,
    ...[...together].map(([name, members]) =>
      pack(name, members, { startedAfter: startedAfter(members[0]!.variable), rate: rateOf(members[0]!) }),
    ),
  ];
}

function pack(name: string, trainables: readonly Trainable[], shared: Pick<Pack, 'startedAfter' | 'rate'>): Pack {
  let total = 0;
  const places = trainables.map((trainable) => {
    const size = fixedSize(trainable.variable.shape);
    const offset = total;
    total += size;
    return { trainable, offset, size };
  });
  const vector = variable(name, [total]);
  return {
    variable: vector,
    decays: trainables[0]!.decays,
    ...shared,
    members: places.map((place) => ({
      ...place,
      view: reshape(slice(vector, 0, place.offset, place.offset + place.size), place.trainable.variable.shape),
    })),
  };
}

/** What belongs to the members (their gradients, their new numbers) as the vector's. */
export function packed(each: Pack, memberOf: (trainable: Variable) => Tensor): Tensor {
  if (isAlone(each)) return memberOf(each.variable);
  return concat(
    each.members.map(({ trainable, size }) => reshape(memberOf(trainable.variable), [size])),
    0,
  );
}

/** A member's part of a tensor that belongs to the pack, in the member's shape: the reverse of {@link packed}. */
export function memberOf(each: Pack, { trainable, offset, size }: PackMember, whole: Tensor): Tensor {
  return isAlone(each) ? whole : reshape(slice(whole, 0, offset, offset + size), trainable.variable.shape);
}

/** Whether the pack is one large trainable, of which there is one copy only. */
export function isLarge(each: Pack): boolean {
  return fixedSize(each.variable.shape) >= LARGE && isAlone(each);
}

/** Whether the pack is one trainable as it is. */
export function isAlone(each: Pack): boolean {
  // A vector of one trainable without further axes is its own view.
  return each.members[0]!.trainable.variable === each.variable;
}

/**
 * The members' numbers as the vector's, in an array of its own.
 * @param nameOf under which name a member's numbers are found
 * @param missing what stands for a member without numbers; default: that is an error
 */
export function packedValues(
  each: Pack,
  values: Values,
  nameOf: (trainable: Variable) => string = ({ name }) => name,
  missing?: 'zeros',
): Float32Array {
  const result = new Float32Array(fixedSize(each.variable.shape));
  for (const { trainable, offset, size } of each.members) {
    const own = values.get(nameOf(trainable.variable));
    if (own === undefined && missing === 'zeros') continue;
    if (own?.length !== size) {
      throw new Error(
        `${trainable.variable.name} [${fixedShape(trainable.variable.shape).join(', ')}] starts from ${own?.length ?? 'no'} numbers`,
      );
    }
    result.set(own, offset);
  }
  return result;
}
