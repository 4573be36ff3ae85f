import { Value } from '@sinclair/typebox/value';
import type { Json, JsonObject } from '../common/json.js';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { Site } from '../models/site.js';
import type { AttachContext } from './method.js';
import { LoraOptions } from './lora.js';
import { takesPair } from './lowRankPair.js';
import { matchesAny } from './targets.js';

/** `adapter_config.json` as HF PEFT writes it for LoRA, keys sorted. */
export function loraConfigToPeft(
  options: LoraOptions,
  adapted: readonly Site[],
  context: AttachContext,
): JsonObject {
  return {
    alpha_pattern: options.alpha_pattern,
    auto_mapping: null,
    base_model_name_or_path: context.modelName,
    bias: options.bias,
    exclude_modules: options.exclude_modules ?? null,
    // PEFT sets it by the last linear module that it adapts, and by each module again when it reads the adapter.
    fan_in_fan_out: adapted.findLast(({ kind }) => kind === 'linear')?.layout === 'in-out',
    inference_mode: true,
    init_lora_weights: options.init_lora_weights,
    layers_pattern: options.layers_pattern ?? null,
    layers_to_transform: options.layers_to_transform ?? null,
    lora_alpha: options.lora_alpha,
    lora_dropout: options.lora_dropout,
    modules_to_save: options.modules_to_save ?? null,
    peft_type: 'LORA',
    r: options.r,
    rank_pattern: options.rank_pattern,
    revision: context.modelRevision ?? null,
    target_modules:
      options.target_modules === 'all-linear' ? moduleNames(adapted, context.model.sites) : options.target_modules,
    task_type: 'CAUSAL_LM',
    use_dora: false,
    use_rslora: options.use_rslora,
  };
}

/** The short names that select just these modules, or their whole paths where no short ones do. */
export function moduleNames(adapted: readonly Site[], all: readonly Site[]): string[] {
  const short = [...new Set(adapted.map((site) => site.path.split('.').at(-1)!))].sort();
  const selected = all.filter((site) => takesPair(site) && matchesAny(short, site.path));
  return selected.length === adapted.length ? short : adapted.map((site) => site.path);
}

/** Keys of PEFT's LoraConfig that say nothing about the arithmetic of a finished adapter. */
const SILENT = new Set([
  'peft_type',
  'task_type',
  'auto_mapping',
  'peft_version',
  'base_model_name_or_path',
  'revision',
  'inference_mode',
  // PEFT goes by the module: it corrects a value that does not fit.
  'fan_in_fan_out',
  'megatron_core',
  'loftq_config',
  'eva_config',
  'corda_config',
  'lora_ga_config',
  'runtime_config',
]);

/**
 * LoRA's options out of an `adapter_config.json`. A key that is not known is passed over with a warning while it
 * holds an "off" value, and stops the load when it would change the arithmetic (`use_dora: true`).
 *
 * @throws ProblemError `adapter.config`
 */
export function loraConfigFromPeft(
  config: JsonObject,
  source: string,
): { readonly options: LoraOptions; readonly warnings: readonly Problem[] } {
  const known = LoraOptions.properties;
  const kept: Record<string, Json> = { type: 'lora' };
  const warnings: Problem[] = [];
  for (const [key, value] of Object.entries(config)) {
    if (SILENT.has(key) || value === null || (OPTIONAL.has(key) && isEmpty(value))) continue;
    if (key === 'init_lora_weights') {
      // How it started matters no more, but PiSSA and its kin changed the base they were trained on.
      if (typeof value === 'string' && /^(pissa|olora|corda|loftq|lora_ga)/.test(value)) {
        fail({
          code: 'adapter.config',
          message: `the adapter started from a changed base (init_lora_weights: ${value})`,
          where: { file: source },
          mend: 'Convert it to a plain LoRA in PEFT: save_pretrained(…, path_initial_model_for_weight_conversion=…).',
        });
      }
      continue;
    }
    if (Object.hasOwn(known, key)) kept[key] = value;
    else if (isOff(value)) {
      if (!KNOWN_OFF.has(key)) {
        warnings.push({
          code: 'adapter.unknown-key',
          severity: 'warning',
          message: `the key '${key}' is not known here and was passed over: its value ${JSON.stringify(value)} switches it off`,
          where: { file: source },
        });
      }
    } else if (KNOWN_NUMBERS.has(key)) {
      continue;
    } else {
      fail({
        code: 'adapter.config',
        message: `the adapter needs '${key}': ${JSON.stringify(value)}, which would change its arithmetic and is not supported`,
        where: { file: source },
        mend: 'Merge the adapter in Hugging Face PEFT (merge_and_unload), or train it without this option.',
      });
    }
  }
  const filled = Value.Default(LoraOptions, kept);
  if (!Value.Check(LoraOptions, filled)) {
    const [first] = Value.Errors(LoraOptions, filled);
    fail({
      code: 'adapter.config',
      message: `${first?.path.slice(1) ?? 'the config'}: ${JSON.stringify(first?.value)} is not a value that LoRA takes`,
      where: { file: source },
      expected: String(first?.schema['description'] ?? first?.message),
    });
  }
  return { options: filled, warnings };
}

/** Options of PEFT that are off in this value; not worth a warning when they are. */
const KNOWN_OFF = new Set([
  'use_dora',
  'use_qalora',
  'use_bdlora',
  'ensure_weight_tying',
  'lora_bias',
  'layer_replication',
  'target_parameters',
  'trainable_token_indices',
  'alora_invocation_tokens',
  'arrow_config',
]);

/** Options that an empty list or text leaves unset in PEFT. */
const OPTIONAL = new Set(['exclude_modules', 'layers_to_transform', 'layers_pattern', 'modules_to_save']);

/** Sizes that belong to options which are off. */
const KNOWN_NUMBERS = new Set(['qalora_group_size']);

function isOff(value: Json): boolean {
  return value === null || value === false || value === 0 || isEmpty(value);
}

function isEmpty(value: Json): boolean {
  if (value === '') return true;
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}
