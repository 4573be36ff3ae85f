import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../common/json.js';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { peftTaskType } from '../models/task.js';
import type { Site } from '../models/site.js';
import { moduleNames } from './loraConfig.js';
import { PEFT_PREFIX, isTrained } from './loraParameters.js';
import type { AttachContext, NamedTensor } from './method.js';
import { MoraOptions } from './mora.js';
import { LORA_KNOWN_OFF, optionsFromPeft, readOptions } from './peftConfig.js';
import type { AdapterTensors, InspectedModule, InspectedTensors } from './peftFormat.js';

/** `adapter_config.json` as the authors' fork of PEFT reads it: LoRA's, with `use_mora`. Keys sorted. */
export function moraConfig(options: MoraOptions, adapted: readonly Site[], context: AttachContext): JsonObject {
  return {
    auto_mapping: null,
    base_model_name_or_path: context.modelName,
    bias: options.bias,
    exclude_modules: options.exclude_modules ?? null,
    fan_in_fan_out: adapted.at(-1)?.layout === 'in-out',
    inference_mode: true,
    init_lora_weights: true,
    layers_pattern: options.layers_pattern ?? null,
    layers_to_transform: options.layers_to_transform ?? null,
    lora_dropout: options.lora_dropout,
    modules_to_save: options.modules_to_save ?? null,
    mora_type: options.mora_type,
    peft_type: 'LORA',
    r: options.r,
    revision: context.modelRevision ?? null,
    target_modules:
      options.target_modules === 'all-linear' ? moduleNames(adapted, context.model.sites) : options.target_modules,
    task_type: peftTaskType(context.model.task),
    use_mora: true,
  };
}

/** Whether a LoRA's config is that of MoRA. */
export function isMoraConfig(config: JsonObject): boolean {
  return config['peft_type'] === 'LORA' && config['use_mora'] === true;
}

/** Keys of the fork's LoraConfig that say nothing about the arithmetic of a MoRA. */
const SILENT: ReadonlySet<string> = new Set([
  'use_mora',
  // It has no scale.
  'lora_alpha',
  'use_rslora',
  'fan_in_fan_out',
  'init_lora_weights',
  'megatron_core',
  'loftq_config',
]);

/**
 * MoRA's options out of an `adapter_config.json` (see {@link optionsFromPeft}).
 * @throws ProblemError `adapter.config`
 */
export function moraOptions(
  config: JsonObject,
  source: string,
): { readonly options: MoraOptions; readonly warnings: readonly Problem[] } {
  return optionsFromPeft(config, source, {
    schema: MoraOptions,
    type: 'mora',
    title: 'MoRA',
    silent: SILENT,
    knownOff: new Set([...LORA_KNOWN_OFF, 'rank_pattern', 'alpha_pattern']),
    optional: new Set(['exclude_modules', 'layers_to_transform', 'layers_pattern', 'modules_to_save']),
    mend: l10n.t`Merge the adapter where it was made, or train it without this option.`,
  });
}

const FIRST = /\.lora_A\.weight$/;
const SECOND = /\.lora_B\.weight$/;

/**
 * The tensors without `lora_B`: in the fork both names stand for one matrix, which its files hold twice.
 * @throws ProblemError `adapter.mora-twins` where the two differ
 */
export function withoutTwins(
  tensors: ReadonlyMap<string, NamedTensor>,
  source: string,
): ReadonlyMap<string, NamedTensor> {
  const kept = new Map(tensors);
  for (const [name, second] of tensors) {
    const first = SECOND.test(name) ? tensors.get(name.replace(SECOND, '.lora_A.weight')) : undefined;
    if (first === undefined) continue;
    if (!isSame(first.data, second.data)) {
      fail({
        code: 'adapter.mora-twins',
        message: l10n.t`${name} and its lora_A hold different numbers`,
        where: { file: source },
        expected: l10n.t`one matrix under both names, or lora_A alone, as MoRA has it`,
        mend: l10n.t`The file is damaged or of another method: export the adapter again.`,
      });
    }
    kept.delete(name);
  }
  return kept;
}

function isSame(a: Float32Array, b: Float32Array): boolean {
  return a.length === b.length && a.every((value, at) => Object.is(value, b[at]));
}

/** What a MoRA adapter's tensors are, without its base model, whose sizes say what ΔW is. */
export async function inspectMora(adapter: AdapterTensors): Promise<InspectedTensors> {
  const problems: Problem[] = [];
  const options = readOptions(moraOptions, adapter, problems);
  const keys = [...adapter.tensors.keys()];
  const squares = keys.filter((key) => FIRST.test(key));
  const twins = new Set(squares.map((key) => key.replace(FIRST, '.lora_B.weight')));
  const rest = keys.filter((key) => !FIRST.test(key) && !twins.has(key));
  const modules: InspectedModule[] = [];
  for (const key of squares) {
    const { shape } = adapter.tensors.get(key)!;
    const [size, columns] = shape;
    const path = key.replace(FIRST, '').replace(PEFT_PREFIX, '');
    if (size === undefined || shape.length !== 2 || size !== columns) {
      problems.push({
        code: 'adapter.shape',
        severity: 'error',
        message: l10n.t`${path}: its matrix is [${shape.join(', ')}]`,
        where: { file: adapter.weightsFile },
        expected: l10n.t`a square matrix, as MoRA has it`,
        mend: l10n.t`The file is incomplete or of another method: export the adapter again.`,
      });
      continue;
    }
    const numbers = await adapter.read(key);
    modules.push({
      path,
      rank: size,
      scale: 1,
      a: shape,
      trainable: size * size,
      norm: numbers.every((value) => value === 0) ? 0 : undefined,
    });
  }
  return {
    r: options?.r,
    alpha: undefined,
    modules,
    factors: ['M [size, size]'],
    whole: rest.filter((key) => isTrained(key, options)),
    unknown: rest.filter((key) => !isTrained(key, options)),
    problems,
  };
}
