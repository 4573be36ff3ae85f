import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../common/json.js';
import type { Problem } from '../common/problem.js';
import { peftTaskType } from '../models/task.js';
import type { AttachContext } from './method.js';
import { optionsFromPeft } from './peftConfig.js';
import type { AdapterTensors, InspectedTensors } from './peftFormat.js';
import { PromptTuningOptions } from './promptTuning.js';
import { checkVirtualTokens, inspectVirtualTokens } from './virtualTokensConfig.js';

/** The one tensor of PEFT's prompt-tuning adapters: [num_virtual_tokens, token_dim]. */
export const PROMPT_KEY = 'prompt_embeddings';

/** `adapter_config.json` as HF PEFT writes it for prompt tuning, keys sorted. */
export function promptConfigToPeft(options: PromptTuningOptions, context: AttachContext): JsonObject {
  const isText = options.prompt_tuning_init === 'TEXT';
  return {
    auto_mapping: null,
    base_model_name_or_path: context.modelName,
    inference_mode: true,
    modules_to_save: null,
    // PEFT fills it in from the base model; prompt tuning does not use it.
    num_attention_heads: null,
    num_layers: context.model.layers,
    num_transformer_submodules: 1,
    num_virtual_tokens: options.num_virtual_tokens,
    peft_type: 'PROMPT_TUNING',
    // PEFT knows no class labels; how it started matters no more.
    prompt_tuning_init: options.prompt_tuning_init === 'CLASS_LABELS' ? 'RANDOM' : options.prompt_tuning_init,
    prompt_tuning_init_text: isText ? options.prompt_tuning_init_text! : null,
    revision: context.modelRevision ?? null,
    task_type: peftTaskType(context.model.task),
    token_dim: context.model.hiddenSize,
    tokenizer_kwargs: null,
    // PEFT refuses TEXT without one, though it reads none for a finished adapter.
    tokenizer_name_or_path: isText ? context.modelName : null,
  };
}

/** Further keys of PEFT's PromptTuningConfig that say nothing about the arithmetic of a finished adapter. */
const SILENT: ReadonlySet<string> = new Set([
  // How it started matters no more.
  'prompt_tuning_init',
  'prompt_tuning_init_text',
  'tokenizer_name_or_path',
  'tokenizer_kwargs',
  // The tensor's shape is checked against the base model.
  'token_dim',
  'num_attention_heads',
  'num_layers',
]);

/**
 * Prompt tuning's options out of an `adapter_config.json` (see {@link optionsFromPeft}).
 * @throws ProblemError `adapter.config`
 */
export function promptConfigFromPeft(
  { num_transformer_submodules: submodules, ...config }: JsonObject,
  source: string,
): { readonly options: PromptTuningOptions; readonly warnings: readonly Problem[] } {
  checkVirtualTokens(config, source, {
    message: (value) => l10n.t`num_virtual_tokens: ${value} is not a value that prompt tuning takes`,
    expected: l10n.t(String(PromptTuningOptions.properties.num_virtual_tokens.description)),
  });
  // 2 is for encoder and decoder, each with virtual tokens of its own.
  const single = submodules === undefined || submodules === null || submodules === 1;
  return optionsFromPeft(single ? config : { ...config, num_transformer_submodules: submodules }, source, {
    schema: PromptTuningOptions,
    type: 'prompt_tuning',
    title: l10n.t`prompt tuning`,
    silent: SILENT,
    knownOff: new Set(['modules_to_save']),
    optional: new Set(),
    mend: l10n.t`Train it without this option, on a decoder-only model.`,
  });
}

/** What a prompt-tuning adapter's tensors are: no low-rank module, one tensor that trained whole. */
export function inspectPrompt(adapter: AdapterTensors): Promise<InspectedTensors> {
  const { config, configFile } = adapter;
  const width = config['token_dim'];
  return Promise.resolve(
    inspectVirtualTokens(adapter, {
      key: PROMPT_KEY,
      columns: typeof width === 'number' ? width : undefined,
      columnsAre: 'token_dim',
      count: () => promptConfigFromPeft(config, configFile).options.num_virtual_tokens,
    }),
  );
}
