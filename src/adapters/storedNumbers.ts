import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../common/json.js';
import type { Problem } from '../common/problem.js';
import type { SavedAdapter } from '../methods/method.js';
import { STORED_NUMBERS } from '../methods/peftConfig.js';
import { adapterFormat } from '../methods/registry.js';
import { elementCount } from '../models/tensorSpans.js';
import type { AdapterOnDisk } from './readAdapter.js';

/** Places of numbers are none themselves. The bits of a mask count as the integers that hold them. */
const PLACES = /\.indices$/;

/** An adapter's config with the count of what its weights will hold, where the format asks for it. */
export function withStoredNumbers({ config, tensors, indices = [] }: SavedAdapter): JsonObject {
  if (adapterFormat(config)?.saysHowMany !== true) return config;
  const all = [...tensors, ...indices].filter(({ name }) => !PLACES.test(name));
  return { ...config, [STORED_NUMBERS]: all.reduce((sum, { data }) => sum + data.length, 0) };
}

/**
 * What is wrong with the number of numbers in an adapter's weights, by its config: whole tensors may be missing from a
 * file that is sound otherwise. Adapters from before the key say nothing.
 */
export function wrongCount({ config, format, tensors, weightsFile }: AdapterOnDisk): readonly Problem[] {
  const said = config[STORED_NUMBERS];
  if (format.saysHowMany !== true || said === undefined) return [];
  const found = [...tensors]
    .filter(([name]) => !PLACES.test(name))
    .reduce((sum, [, { shape }]) => sum + (elementCount(shape) ?? 0), 0);
  if (found === said) return [];
  return [
    {
      code: 'adapter.incomplete',
      severity: 'error',
      message: l10n.t`the adapter's tensors hold ${found} numbers`,
      where: { file: weightsFile },
      expected: l10n.t`${JSON.stringify(said)}, as ${STORED_NUMBERS} in adapter_config.json says`,
      mend: l10n.t`Tensors are missing, or config and weights belong to different adapters: export the adapter again.`,
    },
  ];
}
