import type { Trained } from '../../memory/trained.js';
import { trainsWhole } from '../../methods/loraParameters.js';
import type { Choice, ShapeSite } from './shapeSites.js';

/** What trains beside the updates of adapted modules: `bias` and `modules_to_save`. */
export function besidePairs(
  { bias, modules_to_save: whole = [] }: { readonly bias: string; readonly modules_to_save?: readonly string[] },
  sites: readonly ShapeSite[],
  adapted: readonly ShapeSite[],
): readonly Choice[] {
  const copied = sites.filter(({ path }) => trainsWhole(whole, path));
  const biased = (bias === 'all' ? sites : bias === 'lora_only' ? adapted : []).filter(
    ({ module }) => module.bias,
  );
  return [
    {
      sites: new Set(copied),
      make: (targets: readonly string[]): Trained => ({ kind: 'whole', targets, copied: true }),
    },
    { sites: new Set(biased), make: (targets: readonly string[]): Trained => ({ kind: 'biases', targets }) },
  ].filter((choice) => choice.sites.size > 0);
}
