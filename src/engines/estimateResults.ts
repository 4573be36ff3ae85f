import type { MethodConfig } from '../config/schema.js';
import { startRank } from '../methods/doraRank.js';
import type { Attached } from '../methods/method.js';
import { prefixNumbers } from '../methods/prefixTuning.js';
import { fixedSize } from '../tensor/dims.js';
import type { Estimate } from './estimate.js';
import { numbersOf } from './estimatedMethods.js';
import type { ModelHeader } from './estimatedMethods.js';
import { addedByMerges } from './standIns.js';

/** Files are written in float32. */
const BYTES = 4;

/** What a method writes in the end, in bytes of its numbers. */
export function resultOf(
  config: MethodConfig,
  attached: Attached,
  { model, parameters: total }: Pick<ModelHeader, 'model' | 'parameters'>,
  totalSteps: number,
): Estimate['results'] {
  const numbers = attached.trainables.reduce((sum, { variable }) => sum + fixedSize(variable.shape), 0);
  switch (config.type) {
    case 'child_tuning':
      return [];
    case 'full':
    case 'galore':
    case 'lisa':
      return [{ method: config.type, what: 'model', bytes: total * BYTES }];
    case 'fish_mask':
    case 'fish_dip':
    case 'pafi':
    case 'sam':
      // Each number with its place.
      return [{ method: config.type, what: 'adapter', bytes: numbers * 2 * BYTES }];
    case 'sltrain': {
      // Each number of the sparse part with its place.
      const sparse = attached.trainables.filter(({ variable }) => variable.name.endsWith('.weight.values'));
      const places = sparse.reduce((sum, { variable }) => sum + fixedSize(variable.shape), 0);
      return [{ method: config.type, what: 'adapter', bytes: (numbers + places) * BYTES }];
    }
    case 'relora':
    case 'cola': {
      const saved = numbersOf([attached]) + addedByMerges(config, model, totalSteps);
      return [{ method: config.type, what: 'adapter', bytes: saved * BYTES }];
    }
    case 'lt_sft':
      // All numbers train at first; those that are chosen are kept, each with its place.
      return [
        {
          method: config.type,
          what: 'adapter',
          bytes: Math.floor(config.ft_params_proportion * numbers) * 2 * BYTES,
        },
      ];
    case 'dora_rank':
      // Of each module's components so many are left on average.
      return [
        {
          method: config.type,
          what: 'adapter',
          bytes: Math.round((numbers * config.r) / startRank(config)) * BYTES,
        },
      ];
    case 'learned_mask':
      return [{ method: config.type, what: 'adapter', bytes: numbers / 8 }];
    case 'prefix_tuning':
      return [{ method: config.type, what: 'adapter', bytes: prefixNumbers(config, model) * BYTES }];
    case 'adapter_fusion':
      return config.stage1 === 'ST-A'
        ? [{ method: config.type, what: 'adapter', bytes: numbers * BYTES }]
        : [
            { method: config.type, what: 'model', bytes: total * BYTES },
            { method: config.type, what: 'adapter', bytes: (numbers - total) * BYTES },
          ];
    default:
      return [{ method: config.type, what: 'adapter', bytes: numbers * BYTES }];
  }
}
