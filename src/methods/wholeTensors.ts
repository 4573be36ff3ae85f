import { add } from '../tensor/ops/elementwise.js';
import type { Variable } from '../tensor/tensor.js';
import type { MethodCoverage } from './coverage.js';
import type { AttachContext, Attached, NamedTensor, Trainable, Values } from './method.js';
import { coveredParameters, loadByKey, parameterSize, readTrained } from './parameters.js';
import type { TrainedParameter } from './parameters.js';

/** What a method that trains whole tensors of the base is made of. */
export interface WholeTensors
  extends Pick<Attached, 'hooks' | 'trainables' | 'load'>, Required<Pick<Attached, 'merge'>> {
  readonly modules: MethodCoverage['modules'];
  readonly layersCovered: number;
  /** What is written to disk, under the parameters' keys. */
  tensors(values: Values): NamedTensor[];
}

/**
 * Parameters of the base that train whole. A tensor that two sites share is one.
 *
 * @param form what a variable holds: `values` new numbers in the place of the base's, which start as these;
 *   `differences` what is added to the base's, which starts at zero and leaves room for other methods' changes
 */
export function wholeTensors(
  parameters: readonly TrainedParameter[],
  context: AttachContext,
  form: 'values' | 'differences',
): WholeTensors {
  const byTensor = new Map(parameters.map((each) => [each.site[each.kind], each.variable]));
  const keys = new Map(parameters.map(({ key, variable: { name } }) => [name, key]));
  const trainables = parameters.map((each): Trainable => {
    const own = readTrained(each, context);
    return form === 'values' ? own : { ...own, start: () => new Float32Array(parameterSize(own.variable.shape)) };
  });
  return {
    hooks: {
      parameter(site, kind, base) {
        const own = byTensor.get(site[kind]);
        if (own === undefined) return base;
        return form === 'values' ? own : add(base, own);
      },
    },
    trainables,
    modules: coveredParameters(parameters),
    layersCovered: new Set(parameters.flatMap(({ site: { layer } }) => layer ?? [])).size,
    merge(site, kind, base, values) {
      const own: Variable | undefined = byTensor.get(site[kind]);
      const numbers = own && values.get(own.name);
      if (numbers === undefined) return undefined;
      return form === 'values' ? numbers : base.map((value, at) => value + numbers[at]!);
    },
    tensors: (values) =>
      trainables.map(({ variable: { name, shape } }) => ({
        name: keys.get(name)!,
        shape: shape as readonly number[],
        data: values.get(name)!,
      })),
    load: (tensors, source) => loadByKey(trainables, (name) => keys.get(name)!, tensors, source),
  };
}
