import type { AttachContext } from '../../methods/method.js';
import { indicesKey, valuesKey, weightSize } from '../../methods/sparsePlaces.js';
import type { Site } from '../../models/site.js';
import { combinedNumbers } from './combinedNumbers.js';
import { nothingLeft } from './combinedPart.js';
import type { Sum, WeighedPart } from './combinedPart.js';
import type { NumbersTerm } from './combinedNumbers.js';
import { sparseSum } from '../sparseSum.js';

/**
 * Sums of differences at places of weights: each place that one of the adapters names.
 * @param parts of adapters whose `differences` are `places`
 */
export async function combinePlaces(parts: readonly WeighedPart[], { model }: AttachContext): Promise<Sum> {
  // Two adapters may name a matrix that modules share after different ones of them.
  const siteOf = new Map<string, Site>();
  for (const site of model.sites) {
    if (site.weight !== undefined && !siteOf.has(site.weight)) siteOf.set(site.weight, site);
  }
  const siteAt = new Map(model.sites.map((site) => [site.path, site]));
  const terms = new Map<string, NumbersTerm[]>();
  for (const [at, { adapter, weightIn }] of parts.entries()) {
    for (const name of adapter.tensors.keys()) {
      const own = VALUES.exec(name)?.[1];
      const named = own === undefined ? undefined : siteAt.get(own);
      if (named?.weight === undefined) continue;
      const weight = weightIn(named);
      if (weight === 0) continue;
      const difference = {
        places: await adapter.readIndices(name.replace(/values$/, 'indices')),
        values: await adapter.read(name),
      };
      terms.set(named.weight, [...(terms.get(named.weight) ?? []), { at, difference, weight }]);
    }
  }
  const sums = [...siteOf].flatMap(([tensor, site]) => {
    const own = terms.get(tensor);
    return own === undefined ? [] : [{ site, ...sparseSum(own), terms: own }];
  });
  if (sums.length === 0) nothingLeft();
  const numbers = sums.reduce((count, { places }) => count + places.length, 0);
  const share = numbers / sums.reduce((size, { site }) => size + weightSize(site), 0);
  const { config } = parts[0]!.adapter;
  return {
    tensors: sums.map(({ site, values }) => ({ name: valuesKey(site), shape: [values.length], data: values })),
    indices: sums.map(({ site, places }) => ({ name: indicesKey(site), data: places })),
    modules: sums.map(({ site, places, values, terms: own }) =>
      combinedNumbers(site, weightSize(site), own, parts, { places, values }),
    ),
    overlap: sums.reduce((count, each) => count + each.overlap, 0),
    config: {
      ...config,
      target_modules: sums.map(({ site }) => site.path),
      exclude_modules: null,
      layers_to_transform: null,
      layers_pattern: null,
      ...Object.fromEntries(SHARES.filter((key) => key in config).map((key) => [key, share])),
    },
  };
}

const VALUES = /^(.*)\.weight\.values$/;
/** Options that say which share of the targeted numbers an adapter changes. */
const SHARES = ['keep_ratio', 'ft_params_proportion'] as const;
