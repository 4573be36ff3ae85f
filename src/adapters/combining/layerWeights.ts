import * as l10n from '@vscode/l10n';
import { fail } from '../../common/problem.js';
import { idlePatternKeys, patternValue } from '../../methods/targets.js';
import type { Site } from '../../models/site.js';

/**
 * What an adapter's differences are multiplied by in some modules only. The keys are numbers of layers as
 * `layers_to_transform` counts them (`0-11`, `3,5-7`), or patterns of modules as in `rank_pattern`, which go first.
 */
export type LayerWeights = Readonly<Record<string, number>>;

/**
 * The weight of each module.
 *
 * @param weight where nothing else is said
 * @param sites all of the model's
 * @throws ProblemError `combine.layers` for a layer that the model does not have, `combine.layer-twice`, `combine.two-stacks`,
 *   `targets.idle-pattern`, `targets.regex`
 */
export function weightOfSites(weight: number, own: LayerWeights, sites: readonly Site[]): (site: Site) => number {
  const entries = Object.entries(own);
  const patterns = Object.fromEntries(entries.filter(([key]) => !LAYERS.test(key)));
  const byLayer = new Map<number, { readonly key: string; readonly weight: number }>();
  for (const [key, each] of entries.filter(([key]) => LAYERS.test(key))) {
    for (const layer of layersOf(key, sites)) {
      const before = byLayer.get(layer);
      if (before !== undefined) twice(layer, before.key, key);
      byLayer.set(layer, { key, weight: each });
    }
  }
  const [idle] = idlePatternKeys(
    'layer_weights',
    patterns,
    sites.map(({ path }) => path),
  );
  if (idle !== undefined) fail(idle);
  return ({ path, layer }) =>
    patternValue(patterns, path) ?? (layer === undefined ? undefined : byLayer.get(layer)?.weight) ?? weight;
}

/** `3`, `0-11`, `0-3,8` */
const LAYERS = /^\s*\d+\s*(?:-\s*\d+\s*)?(?:,\s*\d+\s*(?:-\s*\d+\s*)?)*$/;

/** The numbers of layers that a key names, each of which the model has. */
function layersOf(key: string, sites: readonly Site[]): readonly number[] {
  const known = [...new Set(sites.flatMap(({ layer }) => (layer === undefined ? [] : [layer])))];
  const counted = sites.find(({ layer, path }) => layer !== undefined && !path.includes(`.${layer}.`));
  if (counted !== undefined) {
    fail({
      code: 'combine.two-stacks',
      message: l10n.t`the layers ${key} may be the encoder's or the decoder's: the model has both`,
      expected: l10n.t`a pattern of modules, such as ${'encoder\\.block\\.[0-5]\\..*'}`,
    });
  }
  return key.split(',').flatMap((part) => {
    const [first, last = first] = part.split('-').map(Number) as [number, number?];
    if (first <= last && known.includes(first) && known.includes(last)) {
      return known.filter((layer) => layer >= first && layer <= last);
    }
    return fail({
      code: 'combine.layers',
      message:
        first > last
          ? l10n.t`the layers ${part.trim()} are none: the first number is larger than the last`
          : l10n.t`the model has no layer ${known.includes(first) ? last : first}, which ${key} names`,
      expected: l10n.t`numbers from 0 to ${Math.max(0, ...known)}`,
    });
  });
}

function twice(layer: number, one: string, other: string): never {
  return fail({
    code: 'combine.layer-twice',
    message: l10n.t`layer ${layer} has two weights: by ${one} and by ${other}`,
    expected: l10n.t`each layer once`,
  });
}
