import { variable } from '../tensor/tensor.js';
import { parameterShape } from '../models/site.js';
import type { AttachContext } from './method.js';
import type { TrainedParameter } from './parameters.js';

/**
 * Every parameter of the base model by the checkpoint's tensor that holds it: a tied head is the same as the embedding,
 * at whose site it is found.
 */
export function baseParameters({ model, instance = '' }: AttachContext): ReadonlyMap<string, TrainedParameter> {
  const parameters = new Map<string, TrainedParameter>();
  for (const site of model.sites) {
    for (const kind of ['weight', 'bias'] as const) {
      const name = kind === 'weight' ? site.weight : site.bias;
      if (name === undefined || parameters.has(name)) continue;
      const trained = variable(`${instance}${name}`, parameterShape(site, kind));
      parameters.set(name, { site, kind, key: name, variable: trained });
    }
  }
  return parameters;
}
