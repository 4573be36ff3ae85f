import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../common/json.js';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { Site } from '../models/site.js';
import { peftTaskType } from '../models/task.js';
import type { AttachContext } from './method.js';
import { LoraOptions } from './lora.js';
import { takesPair } from './lowRankPair.js';
import { LORA_KNOWN_OFF, optionsFromPeft } from './peftConfig.js';
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
    task_type: peftTaskType(context.model.task),
    use_dora: options.use_dora,
    use_rslora: options.use_rslora,
  };
}

/**
 * The options of a plain LoRA of twice the rank with the same scale: lora_alpha / r stays with twice the alpha,
 * lora_alpha / √r with √2 times it.
 */
export function doubledOptions(options: LoraOptions): LoraOptions {
  const factor = options.use_rslora ? Math.SQRT2 : 2;
  const times = (pattern: Readonly<Record<string, number>>, by: number): Record<string, number> =>
    Object.fromEntries(Object.entries(pattern).map(([key, value]) => [key, by * value]));
  return {
    ...options,
    r: 2 * options.r,
    lora_alpha: factor * options.lora_alpha,
    rank_pattern: times(options.rank_pattern, 2),
    alpha_pattern: times(options.alpha_pattern, factor),
    init_lora_weights: true,
  };
}

/** The short names that select just these modules, or their whole paths where no short ones do. */
export function moduleNames(adapted: readonly Site[], all: readonly Site[]): string[] {
  const short = [...new Set(adapted.map((site) => site.path.split('.').at(-1)!))].sort();
  const selected = all.filter((site) => takesPair(site) && matchesAny(short, site.path));
  return selected.length === adapted.length ? short : adapted.map((site) => site.path);
}

/** Further keys of PEFT's LoraConfig that say nothing about the arithmetic of a finished adapter. */
const SILENT: ReadonlySet<string> = new Set([
  // PEFT goes by the module: it corrects a value that does not fit.
  'fan_in_fan_out',
  // How it started matters no more.
  'init_lora_weights',
  'megatron_core',
  'loftq_config',
  'eva_config',
  'corda_config',
  'lora_ga_config',
  'runtime_config',
  // A size that belongs to an option which is off.
  'qalora_group_size',
]);

/** The start of a LoRA that took something off its base (PiSSA and its kin), as PEFT names it; undefined for others. */
export function startOnChangedBase({ init_lora_weights: init }: JsonObject): string | undefined {
  return typeof init === 'string' && /^(pissa|olora|corda|loftq|lora_ga)/.test(init) ? init : undefined;
}

/**
 * LoRA's options out of an `adapter_config.json` (see {@link optionsFromPeft}).
 * @throws ProblemError `adapter.config`
 */
export function loraConfigFromPeft(
  config: JsonObject,
  source: string,
): { readonly options: LoraOptions; readonly warnings: readonly Problem[] } {
  const start = startOnChangedBase(config);
  if (start !== undefined) {
    fail({
      code: 'adapter.config',
      message: l10n.t`the adapter started from a changed base (init_lora_weights: ${start})`,
      where: { file: source },
      mend:
        start === 'loftq'
          ? l10n.t`Use it with the quantized base that it was trained on, or merge it there.`
          : l10n.t`Make a plain LoRA of it: peft-studio convert ADAPTER --to lora --out DIR, with --initial DIR where its initial adapter was saved; or Convert Adapter… in the explorer.`,
    });
  }
  return optionsFromPeft(config, source, {
    schema: LoraOptions,
    type: 'lora',
    title: 'LoRA',
    silent: SILENT,
    knownOff: LORA_KNOWN_OFF,
    optional: new Set(['exclude_modules', 'layers_to_transform', 'layers_pattern', 'modules_to_save']),
    mend: l10n.t`Merge the adapter in Hugging Face PEFT (merge_and_unload), or train it without this option.`,
  });
}
