import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../common/json.js';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { AttentionPlace } from '../models/site.js';
import { peftTaskType } from '../models/task.js';
import type { AttachContext } from './method.js';
import { optionsFromPeft } from './peftConfig.js';
import type { AdapterTensors, InspectedTensors } from './peftFormat.js';
import { PREFIX_KEY } from './prefixEncoder.js';
import { prefixLayout } from './prefixLayout.js';
import { PrefixTuningOptions } from './prefixTuning.js';
import { checkVirtualTokens, inspectVirtualTokens } from './virtualTokensConfig.js';

/** `adapter_config.json` as HF PEFT writes it for prefix tuning, keys sorted. */
export function prefixConfigToPeft(
  options: PrefixTuningOptions,
  places: readonly AttentionPlace[],
  context: AttachContext,
): JsonObject {
  const { keyHeads, headSize } = places[0]!;
  const width = keyHeads * headSize;
  const { layers, submodules } = prefixLayout(context.model);
  return {
    auto_mapping: null,
    base_model_name_or_path: context.modelName,
    encoder_hidden_size: options.encoder_hidden_size ?? width,
    inference_mode: true,
    init_weights: options.init_weights ?? null,
    modules_to_save: null,
    // As PEFT has them: of keys and values, where their heads are fewer than those of queries.
    num_attention_heads: keyHeads,
    num_layers: layers,
    num_transformer_submodules: submodules,
    num_virtual_tokens: options.num_virtual_tokens,
    peft_type: 'PREFIX_TUNING',
    prefix_projection: options.prefix_projection,
    revision: context.modelRevision ?? null,
    task_type: peftTaskType(context.model.task),
    token_dim: width,
  };
}

/** Further keys of PEFT's PrefixTuningConfig that say nothing about the arithmetic of a finished adapter. */
const SILENT: ReadonlySet<string> = new Set([
  // Keys and values are saved, whatever made them.
  'prefix_projection',
  'encoder_hidden_size',
  'init_weights',
  // See checkPrefixSizes.
  'token_dim',
  'num_attention_heads',
  'num_layers',
]);

/**
 * Prefix tuning's options out of an `adapter_config.json` (see {@link optionsFromPeft}): of a finished adapter, whose
 * keys and values are at hand, whether a network made them or not.
 * @throws ProblemError `adapter.config`
 */
export function prefixConfigFromPeft(
  { num_transformer_submodules: submodules, ...config }: JsonObject,
  source: string,
): { readonly options: PrefixTuningOptions; readonly warnings: readonly Problem[] } {
  checkVirtualTokens(config, source, {
    message: (value) => l10n.t`num_virtual_tokens: ${value} is not a value that prefix tuning takes`,
    expected: l10n.t(String(PrefixTuningOptions.properties.num_virtual_tokens.description)),
  });
  // With 1 in an encoder-decoder PEFT would mix the keys of its source with those of its answer.
  const expected = config['task_type'] === 'SEQ_2_SEQ_LM' ? 2 : 1;
  const usual = submodules === undefined || submodules === null || submodules === expected;
  return optionsFromPeft(usual ? config : { ...config, num_transformer_submodules: submodules }, source, {
    schema: PrefixTuningOptions,
    type: 'prefix_tuning',
    title: l10n.t`prefix tuning`,
    silent: SILENT,
    knownOff: new Set(['modules_to_save']),
    optional: new Set(),
    mend: l10n.t`Train it without this option.`,
  });
}

/**
 * Refuses sizes in a config that are not the base's and the tensor's: PEFT makes the prefix by them.
 * @param width of all key heads of the base model together
 * @throws ProblemError `adapter.other-base`
 */
export function checkPrefixSizes(
  { config, configFile, tensors }: Pick<AdapterTensors, 'config' | 'configFile' | 'tensors'>,
  width: number,
): void {
  const columns = tensors.get(PREFIX_KEY)?.shape[1];
  const sizes = [
    ['token_dim', width, l10n.t`${width}, the width of all key heads of the base model together`],
    // An encoder-decoder's may have more layers than its base: see PrefixLayout.
    ['num_layers', (columns ?? NaN) / (2 * width), l10n.t`as many as ${PREFIX_KEY} has keys and values for`],
  ] as const;
  for (const [key, size, expected] of sizes) {
    const said = config[key] ?? null;
    if (said === null || said === size || (key === 'num_layers' && columns === undefined)) continue;
    fail({
      code: 'adapter.other-base',
      message: l10n.t`${key} is ${JSON.stringify(said)} in the adapter's config`,
      where: { file: configFile },
      expected,
      mend: l10n.t`Use the base model that the adapter was trained on; or config and weights belong to different adapters: export the adapter again.`,
    });
  }
}

/** What a prefix-tuning adapter's tensors are: no low-rank module, one tensor that trained whole. */
export function inspectPrefix(adapter: AdapterTensors): Promise<InspectedTensors> {
  const { config, configFile } = adapter;
  const { token_dim: width, num_layers: layers } = config;
  return Promise.resolve(
    inspectVirtualTokens(adapter, {
      key: PREFIX_KEY,
      columns: typeof width === 'number' && typeof layers === 'number' ? 2 * layers * width : undefined,
      columnsAre: '2 · num_layers · token_dim',
      count: () => prefixConfigFromPeft(config, configFile).options.num_virtual_tokens,
    }),
  );
}
