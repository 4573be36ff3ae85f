// Checks symbolic gradients against central finite differences in double precision.
import type { Runtime, Value } from '../../src/runtime/runtime.js';
import { gradients } from '../../src/tensor/grad.js';
import { add, mul } from '../../src/tensor/ops/elementwise.js';
import { reduceSum } from '../../src/tensor/ops/reduce.js';
import { input } from '../../src/tensor/tensor.js';
import type { Input, Tensor } from '../../src/tensor/tensor.js';

export type Feeds = Readonly<Record<string, Value>>;

/** A tensor to differentiate by and where it stands. */
export interface Leaf {
  readonly tensor: Input;
  readonly value: Value;
}

/** A power of two: with values on a coarse grid, value ± step has no rounding of its own. */
const STEP = 2 ** -16;

/**
 * Largest deviation of the symbolic from the numerical gradient, over that of the largest element.
 * First order: every element of every leaf is moved by itself. Second order: the gradient of ⟨gradient, v⟩
 * against the change of the gradient when all leaves move along v.
 */
export async function gradientErrors(
  runtime: Runtime,
  loss: Tensor,
  leaves: readonly Leaf[],
  feeds: Feeds,
  directions: readonly Value[],
  step = STEP,
): Promise<{ first: number; second: number }> {
  const wrt = leaves.map((leaf) => leaf.tensor);
  const first = gradients(loss, wrt);
  const along = leaves.map((leaf, index) => input(`direction ${index}`, 'float64', leaf.tensor.shape));
  const projections = first.map((gradient, index) => sumAll(mul(gradient, along[index]!)));
  const second = gradients(
    projections.reduce((a, b) => add(a, b)),
    wrt,
  );
  const named = (prefix: string, tensors: readonly Tensor[]): Record<string, Tensor> =>
    Object.fromEntries(tensors.map((tensor, index) => [`${prefix} ${index}`, tensor]));
  const lossProgram = await runtime.compile({ loss });
  const program = await runtime.compile({ ...named('first', first), ...named('second', second) });

  const at = (values: readonly Value[]): Record<string, Value> => ({
    ...feeds,
    ...Object.fromEntries(values.map((value, index) => [wrt[index]!.name, value])),
    ...Object.fromEntries(directions.map((value, index) => [`direction ${index}`, value])),
  });
  const here = leaves.map((leaf) => leaf.value);
  const symbolic = await program.run(at(here));
  const moved = (sign: number): Value[] =>
    here.map((value, index) => shift(value, sign * step, directions[index]!));
  const [ahead, behind] = [await program.run(at(moved(1))), await program.run(at(moved(-1)))];

  const errors = { first: 0, second: 0 };
  for (let index = 0; index < leaves.length; index++) {
    const numeric: number[] = [];
    for (let element = 0; element < here[index]!.data.length; element++) {
      const lossAt = async (sign: number): Promise<number> => {
        const values = here.map((value, other) =>
          other === index ? shiftOne(value, element, sign * step) : value,
        );
        return Number((await lossProgram.run(at(values)))['loss']!.data[0]);
      };
      numeric.push(((await lossAt(1)) - (await lossAt(-1))) / (2 * step));
    }
    errors.first = Math.max(errors.first, relativeError(numbers(symbolic[`first ${index}`]!), numeric));
    const [up, down] = [numbers(ahead[`first ${index}`]!), numbers(behind[`first ${index}`]!)];
    const change = up.map((value, element) => (value - down[element]!) / (2 * step));
    errors.second = Math.max(errors.second, relativeError(numbers(symbolic[`second ${index}`]!), change));
  }
  await lossProgram.dispose();
  await program.dispose();
  return errors;
}

export function sumAll(x: Tensor): Tensor {
  return reduceSum(
    x,
    x.shape.map((_, axis) => axis),
  );
}

export function numbers(value: Value): number[] {
  return Array.from(value.data, Number);
}

/** max |actual − expected| / max |expected|; infinite when the counts differ or something is not a number. */
export function relativeError(actual: readonly number[], expected: readonly number[]): number {
  if (actual.length !== expected.length) return Infinity;
  // Below this both count as zero: differences of losses near 1 are known to about 1e-11.
  const scale = Math.max(1e-4, ...expected.map(Math.abs));
  const error = Math.max(0, ...expected.map((value, index) => Math.abs(actual[index]! - value))) / scale;
  return Number.isNaN(error) ? Infinity : error;
}

function shift(value: Value, by: number, direction: Value): Value {
  const data = Float64Array.from(numbers(value), (x, index) => x + by * Number(direction.data[index]));
  return { ...value, data };
}

function shiftOne(value: Value, element: number, by: number): Value {
  const data = Float64Array.from(numbers(value));
  data[element]! += by;
  return { ...value, data };
}
