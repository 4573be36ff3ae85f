import type { AttachContext, Attached, PrepareContext, Prepared } from './method.js';
import type { PeftFormat } from './peftFormat.js';
import type { JsonObject } from '../common/json.js';
import { isBottleneckConfig } from './adaptersConfig.js';
import { adapterFusion } from './adapterFusion.js';
import type { AdapterFusionOptions } from './adapterFusion.js';
import { adalora } from './adalora.js';
import type { AdaLoraOptions } from './adalora.js';
import { bottleneckAdapter } from './bottleneckAdapter.js';
import type { AdapterOptions } from './bottleneckAdapter.js';
import { ciat } from './ciat.js';
import type { CiatOptions } from './ciat.js';
import { refuseConflicts } from './conflicts.js';
import { childTuning } from './childTuning.js';
import type { ChildTuningOptions } from './childTuning.js';
import { fishMask } from './fishMask.js';
import type { FishMaskOptions } from './fishMask.js';
import { full } from './full.js';
import type { FullOptions } from './full.js';
import { ia3 } from './ia3.js';
import type { Ia3Options } from './ia3.js';
import { lisa } from './lisa.js';
import type { LisaOptions } from './lisa.js';
import { lora } from './lora.js';
import type { LoraOptions } from './lora.js';
import { prefixTuning } from './prefixTuning.js';
import type { PrefixTuningOptions } from './prefixTuning.js';
import { promptTuning } from './promptTuning.js';
import type { PromptTuningOptions } from './promptTuning.js';
import { optionsWithoutHead, taskHead, withHead, withoutHead } from './taskHead.js';

/** Every method, in the order in which lists show them: schema, scaffold, documentation and tests read it. */
export const METHODS = [
  lora.info,
  adalora.info,
  lisa.info,
  fishMask.info,
  full.info,
  childTuning.info,
  promptTuning.info,
  prefixTuning.info,
  ia3.info,
  bottleneckAdapter.info,
  ciat.info,
  adapterFusion.info,
] as const;

export type MethodType = (typeof METHODS)[number]['type'];

/** One method's part of a run file. */
export type MethodConfig =
  | LoraOptions
  | AdaLoraOptions
  | LisaOptions
  | FishMaskOptions
  | FullOptions
  | ChildTuningOptions
  | PromptTuningOptions
  | PrefixTuningOptions
  | Ia3Options
  | AdapterOptions
  | CiatOptions
  | AdapterFusionOptions;

/**
 * Attaches the method that `config.type` names. The first method of a run trains the head of the task along, where the
 * model has one. Throws a ProblemError when it finds nothing to act on, or undoes what a method before it learns.
 */
export function attachMethod(config: MethodConfig, context: AttachContext): Attached {
  const { classes } = context.model;
  const method = attachOwn(optionsWithoutHead(config, classes), contextWithoutHead(context));
  refuseConflicts(method, context);
  const head = (context.before ?? []).length === 0 ? taskHead(context) : undefined;
  return head === undefined || classes === undefined ? method : withHead(method, head, classes);
}

/** Methods neither adapt the head of the task nor see that one before them trains it. */
function contextWithoutHead<Context extends AttachContext>(context: Context): Context {
  if (context.model.classes === undefined) return context;
  const before = context.before?.map((method) => method.alone ?? method);
  return { ...context, model: withoutHead(context.model), ...(before === undefined ? {} : { before }) };
}

function attachOwn(config: MethodConfig, context: AttachContext): Attached {
  switch (config.type) {
    case 'lora':
      return lora.attach(config, context);
    case 'adalora':
      return adalora.attach(config, context);
    case 'lisa':
      return lisa.attach(config, context);
    case 'fish_mask':
      return fishMask.attach(config, context);
    case 'full':
      return full.attach(config, context);
    case 'child_tuning':
      return childTuning.attach(config, context);
    case 'prompt_tuning':
      return promptTuning.attach(config, context);
    case 'prefix_tuning':
      return prefixTuning.attach(config, context);
    case 'ia3':
      return ia3.attach(config, context);
    case 'adapter':
      return bottleneckAdapter.attach(config, context);
    case 'ciat':
      return ciat.attach(config, context);
    case 'adapter_fusion':
      return adapterFusion.attach(config, context);
  }
}

/** Throws what attaching a method that prepares would refuse, before it prepares. True when it is of that kind. */
export function checkPrepared(config: MethodConfig, whole: AttachContext): boolean {
  const context = contextWithoutHead(whole);
  switch (config.type) {
    case 'child_tuning':
      childTuning.check?.(config, context);
      return true;
    case 'fish_mask':
      fishMask.check?.(config, context);
      return true;
    case 'adapter':
      bottleneckAdapter.check?.(config, context);
      return config.sparsity > 0;
    case 'adapter_fusion':
      adapterFusion.check?.(config, context);
      return config.adapters !== undefined;
    default:
      return false;
  }
}

/** What the method that `config.type` names has to find out before it attaches; undefined where that is nothing. */
export async function prepareMethod(config: MethodConfig, whole: PrepareContext): Promise<Prepared | undefined> {
  const context = contextWithoutHead(whole);
  switch (config.type) {
    case 'lora':
      return lora.prepare?.(config, context);
    case 'adalora':
      return adalora.prepare?.(config, context);
    case 'lisa':
      return lisa.prepare?.(config, context);
    case 'fish_mask':
      return fishMask.prepare?.(config, context);
    case 'full':
      return full.prepare?.(config, context);
    case 'child_tuning':
      return childTuning.prepare?.(config, context);
    case 'prompt_tuning':
      return promptTuning.prepare?.(config, context);
    case 'prefix_tuning':
      return prefixTuning.prepare?.(config, context);
    case 'ia3':
      return ia3.prepare?.(config, context);
    case 'adapter':
      return bottleneckAdapter.prepare?.(config, context);
    case 'ciat':
      return ciat.prepare?.(config, context);
    case 'adapter_fusion':
      return adapterFusion.prepare?.(config, context);
  }
}

const PEFT_FORMATS: readonly PeftFormat<MethodConfig>[] = [
  lora,
  adalora,
  fishMask,
  full,
  promptTuning,
  prefixTuning,
  ia3,
  bottleneckAdapter,
  ciat,
  adapterFusion,
].flatMap(({ peft }) => peft ?? []);

/** `peft_type`s of the adapters that can be read. */
export const PEFT_TYPES: readonly string[] = PEFT_FORMATS.filter(({ library }) => library === undefined).map(
  ({ type }) => type,
);

/** How an adapter with this `adapter_config.json` is read; undefined for one that no method here writes. */
export function adapterFormat(config: JsonObject): PeftFormat<MethodConfig> | undefined {
  if (isBottleneckConfig(config)) return bottleneckAdapter.peft;
  return PEFT_FORMATS.find(({ type, library }) => library === undefined && type === config['peft_type']);
}
