import { openCheckpoint } from '../../models/openCheckpoint.js';
import { readModel } from '../../models/readModel.js';
import type { LanguageModel } from '../../models/architecture.js';
import { parameterShape } from '../../models/site.js';
import type { WantedTask } from '../../models/task.js';
import { placeOfTensor } from './maskTensor.js';
import type { MaskTensor } from './maskTensor.js';

/** A parameter of a base model. */
export type BaseTensor = Omit<MaskTensor, 'places'>;

/** The parameters of a base model, each once. */
export interface BaseTensors {
  readonly tensors: readonly BaseTensor[];
  /** By `MODULE.weight` and `MODULE.bias`, also those of further modules that share a tensor. */
  readonly byName: ReadonlyMap<string, BaseTensor>;
}

/**
 * The parameters of the model in a folder or GGUF file, from its header.
 * @throws ProblemError `checkpoint.*`, `gguf.*`, `model.*`
 */
export async function baseTensorsAt(place: string, task: WantedTask = {}): Promise<BaseTensors> {
  return baseTensors(readModel(await openCheckpoint(place), task));
}

export function baseTensors({ sites }: Pick<LanguageModel, 'sites'>): BaseTensors {
  const byName = new Map<string, BaseTensor>();
  const byTensor = new Map<string, BaseTensor>();
  for (const site of sites) {
    for (const parameter of ['weight', 'bias'] as const) {
      const tensor = site[parameter];
      if (tensor === undefined) continue;
      const name = `${site.path}.${parameter}`;
      const found = byTensor.get(tensor) ?? {
        name,
        ...placeOfTensor(name, site.kind === 'norm'),
        size: parameterShape(site, parameter).reduce((product, length) => product * length, 1),
      };
      byTensor.set(tensor, found);
      byName.set(name, found);
    }
  }
  return { tensors: [...byTensor.values()], byName };
}
