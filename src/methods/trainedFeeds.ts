import type { Value } from '../runtime/runtime.js';
import { fixedShape } from '../tensor/dims.js';
import type { Attached, Values } from './method.js';

/**
 * The methods' trainables as inputs of a program.
 * @param reads names of the program's inputs; trainables that it does not read are left out
 */
export function trainedFeeds(
  methods: readonly Pick<Attached, 'trainables'>[],
  values: Values,
  reads: ReadonlySet<string>,
): Record<string, Value> {
  const feeds: Record<string, Value> = {};
  for (const { variable } of methods.flatMap((method) => method.trainables)) {
    if (!reads.has(variable.name)) continue;
    const data = values.get(variable.name);
    if (data === undefined) throw new Error(`there is no value of the trainable ${variable.name}`);
    feeds[variable.name] = { dtype: 'float32', shape: fixedShape(variable.shape), data };
  }
  return feeds;
}
