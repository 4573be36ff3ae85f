import { Value } from '@sinclair/typebox/value';
import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import { scaleOf } from '../methods/inspectLora.js';
import { LoraOptions } from '../methods/lora.js';
import { peftKey } from '../methods/loraParameters.js';
import { lowRankPair } from '../methods/lowRankPair.js';
import type { PairValues } from '../methods/lowRankPair.js';
import type { AttachContext } from '../methods/method.js';
import { optionsWithoutHead } from '../methods/taskHead.js';
import type { Site } from '../models/site.js';
import type { AdapterOnDisk } from './readAdapter.js';

/** What a LoRA adapter adds to a module: s·B·A. */
export interface LoraTerm extends PairValues {
  readonly scale: number;
}

/**
 * The options of a LoRA adapter whose updates do not depend on what else is added to the weights.
 * @throws ProblemError `combine.dora`, `adapter.config`
 */
export function loraOptionsOf(
  { config, configFile, format }: AdapterOnDisk,
  { model }: AttachContext,
): LoraOptions {
  const read = format.options(optionsWithoutHead(config, model.classes), configFile);
  const options = Value.Parse(LoraOptions, read.options);
  if (!options.use_dora) return options;
  return fail({
    code: 'combine.dora',
    message: l10n.t`DoRA scales the whole weight: what it changes is no sum with what another adapter changes`,
    where: { file: configFile },
    expected: l10n.t`LoRA adapters without use_dora`,
    mend: l10n.t`Merge it into the base model, and use the merged model.`,
  });
}

/** What the adapter adds to a module; undefined where it does not adapt it. */
export async function loraTerm(
  adapter: AdapterOnDisk,
  options: LoraOptions,
  site: Site,
): Promise<LoraTerm | undefined> {
  const names = lowRankPair(site, 1, 1, '');
  const [a, b] = [peftKey(names.a.name), peftKey(names.b.name)];
  const r = adapter.tensors.get(a)?.shape[0];
  if (r === undefined) return undefined;
  return { r, a: await adapter.read(a), b: await adapter.read(b), scale: scaleOf(options, site.path, r) };
}
