import { Value } from '@sinclair/typebox/value';
import * as l10n from '@vscode/l10n';
import type { Problem } from '../common/problem.js';
import type { Site } from '../models/site.js';
import { LoraOptions } from './lora.js';
import { loraConfigToPeft, moduleNames } from './loraConfig.js';
import { peftKey } from './loraParameters.js';
import { lowRankPair } from './lowRankPair.js';
import type { PairValues } from './lowRankPair.js';
import type { AttachContext, NamedTensor, SavedAdapter } from './method.js';
import type { TargetOptions } from './targets.js';

/** What one module has learned: ΔW = s·B·A, with A [r, in] and B [out, r]. */
export interface FinishedPair extends PairValues {
  readonly site: Site;
  /** s */
  readonly scale: number;
}

/**
 * Finished pairs as an adapter of PEFT's LoRA. Ranks that are not the options' stand in `rank_pattern`, their scales in
 * `alpha_pattern`; modules of rank 0 are no targets. Where all are, one pair of zeros stays, with a warning: PEFT reads no adapter
 * without.
 *
 * @param pairs of all targets; s is lora_alpha / r where the rank is the options'
 */
export function plainLora(
  pairs: readonly FinishedPair[],
  options: TargetOptions & { readonly r: number; readonly lora_alpha: number; readonly lora_dropout: number },
  context: AttachContext,
): SavedAdapter {
  const live = pairs.filter(({ r }) => r > 0);
  const kept = live.length > 0 ? live : pairs.slice(0, 1).map(zeroPair);
  const sites = kept.map(({ site }) => site);
  const { r, lora_alpha, lora_dropout, target_modules } = options;
  const { exclude_modules, layers_to_transform, layers_pattern } = options;
  const others = kept.filter((pair) => pair.r !== r);
  const targets =
    kept.length < pairs.length
      ? { target_modules: moduleNames(sites, context.model.sites) }
      : definedOf({ target_modules, exclude_modules, layers_to_transform, layers_pattern });
  const config = loraConfigToPeft(
    Value.Parse(LoraOptions, {
      type: 'lora',
      r,
      lora_alpha,
      lora_dropout,
      rank_pattern: Object.fromEntries(others.map((pair) => [pair.site.path, pair.r])),
      alpha_pattern: Object.fromEntries(others.map((pair) => [pair.site.path, pair.scale * pair.r])),
      ...targets,
    }),
    sites,
    context,
  );
  return {
    kind: 'adapter',
    config,
    tensors: kept.flatMap(tensorsOf),
    ...(live.length === 0 && pairs.length > 0 ? { warnings: [nothingLeft(pairs.length)] } : {}),
  };
}

function nothingLeft(modules: number): Problem {
  return {
    code: 'adapter.nothing-left',
    severity: 'warning',
    message: l10n.t`nothing is left of the adapter: all ${modules} modules came to rank 0, and it is the base model`,
    mend: l10n.t`Prune less (sora: lower sparse_lambda and sparse_lambda_2), or train again with a lower learning rate.`,
  };
}

/** The options that are given. */
function definedOf(options: object): object {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/** Nothing, as a pair of rank 1. */
function zeroPair({ site, scale }: FinishedPair): FinishedPair {
  const [inSize, outSize] = site.kind === 'embedding' ? site.shape : [...site.shape].reverse();
  return { site, scale, r: 1, a: new Float32Array(inSize!), b: new Float32Array(outSize!) };
}

/** Under the names and in the shapes that LoRA's pair of this rank has. */
function tensorsOf({ site, r, scale, a, b }: FinishedPair): NamedTensor[] {
  const pair = lowRankPair(site, r, scale, '');
  return [
    { name: peftKey(pair.a.name), shape: pair.a.shape as readonly number[], data: a },
    { name: peftKey(pair.b.name), shape: pair.b.shape as readonly number[], data: b },
  ];
}
