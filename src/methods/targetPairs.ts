import type { Site } from '../models/site.js';
import type { MethodCoverage } from './coverage.js';
import { largeRanks } from './largeRanks.js';
import { tiedWarnings } from './loraParameters.js';
import { lowRankPair, takesPair } from './lowRankPair.js';
import type { LowRankPair } from './lowRankPair.js';
import type { AttachContext } from './method.js';
import { matchTargets } from './targets.js';
import type { TargetOptions } from './targets.js';

/** Pairs of one rank at all modules that are targets. */
export interface TargetPairs {
  /** By the path of their module, in the model's order. */
  readonly pairs: ReadonlyMap<string, LowRankPair>;
  readonly coverage: Pick<MethodCoverage, 'targets' | 'warnings' | 'layersCovered'>;
}

/**
 * A [r, in] and B [out, r] with s = lora_alpha / r (Hu et al. 2021) at each target.
 *
 * @param capable which sites the method can adapt
 * @throws ProblemError `targets.*`
 */
export function targetPairs(
  options: TargetOptions & { readonly r: number; readonly lora_alpha: number },
  context: AttachContext,
  capable: (site: Site) => boolean = takesPair,
): TargetPairs {
  const { model, instance = '', idlePatterns } = context;
  const { r, lora_alpha: alpha } = options;
  const { sites, entries, warnings } = matchTargets(options, model.sites, capable, idlePatterns);
  const pairs = new Map(sites.map((site) => [site.path, lowRankPair(site, r, alpha / r, instance)]));
  return {
    pairs,
    coverage: {
      targets: entries,
      layersCovered: new Set(sites.flatMap(({ layer }) => layer ?? [])).size,
      warnings: [...warnings, ...tiedWarnings(model, sites), ...largeRanks(pairs.values(), 'r', context)],
    },
  };
}
