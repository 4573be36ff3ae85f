import type { Static, TObject } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import * as l10n from '@vscode/l10n';
import type { Json, JsonObject } from '../common/json.js';
import { fail, problemOf } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { AdapterTensors, PeftFormat } from './peftFormat.js';
import type { OptionProblem } from './targets.js';

/** How many numbers the tensors of an adapter hold: see {@link PeftFormat.saysHowMany}. */
export const STORED_NUMBERS = 'stored_numbers';

/** Keys of PEFT's configs that say nothing about the arithmetic of a finished adapter, whatever its method. */
const SILENT: ReadonlySet<string> = new Set([
  'peft_type',
  'task_type',
  'auto_mapping',
  'peft_version',
  'base_model_name_or_path',
  'revision',
  'inference_mode',
  // What a sum of adapters was made of.
  'combined_from',
  STORED_NUMBERS,
]);

/** Options of PEFT's LoRA that are off in an adapter that can be read; AdaLoRA's config has them too. */
export const LORA_KNOWN_OFF: ReadonlySet<string> = new Set([
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

/** How a method's options are found in an `adapter_config.json`. */
export interface PeftReading<Options extends TObject> {
  readonly schema: Options;
  /** The method's `type` in a run file. */
  readonly type: string;
  /** The method's name in messages. */
  readonly title: string;
  /** Further keys that say nothing about the arithmetic. */
  readonly silent: ReadonlySet<string>;
  /** Options of PEFT's that are not known here and not worth a warning while they are off. */
  readonly knownOff: ReadonlySet<string>;
  /** Options that an empty list or text leaves unset in PEFT. */
  readonly optional: ReadonlySet<string>;
  /** What to do about an adapter that needs what is not supported. */
  readonly mend: string;
}

/**
 * The options of a method that PEFT does not have: its config says nothing but them and what is silent.
 *
 * @param source the file, for messages
 * @throws ProblemError `adapter.config`
 */
export function optionsOfOurs<Options extends TObject>(
  config: JsonObject,
  source: string,
  { schema, type, title }: Pick<PeftReading<Options>, 'schema' | 'type' | 'title'>,
  silent: readonly string[] = [],
): { readonly options: Static<Options>; readonly warnings: readonly Problem[] } {
  return optionsFromPeft(config, source, {
    schema,
    type,
    title,
    silent: new Set(silent),
    knownOff: new Set(),
    optional: new Set(),
    mend: l10n.t`Train it without this option.`,
  });
}

/**
 * A method's options out of an `adapter_config.json`. A key that is not known is passed over with a warning while it
 * holds an "off" value, and stops the load when it would change the arithmetic (`use_dora: true`).
 *
 * @param source the file, for messages
 * @throws ProblemError `adapter.config`
 */
export function optionsFromPeft<Options extends TObject>(
  config: JsonObject,
  source: string,
  { schema, type, title, silent, knownOff, optional, mend }: PeftReading<Options>,
): { readonly options: Static<Options>; readonly warnings: readonly Problem[] } {
  const where = { file: source };
  const kept: Record<string, Json> = { type };
  const warnings: Problem[] = [];
  for (const [key, value] of Object.entries(config)) {
    if (SILENT.has(key) || silent.has(key) || value === null || (optional.has(key) && isEmpty(value))) continue;
    if (Object.hasOwn(schema.properties, key)) kept[key] = value;
    else if (!isOff(value)) {
      fail({
        code: 'adapter.config',
        message: l10n.t`the adapter needs '${key}': ${JSON.stringify(value)}, which would change its arithmetic and is not supported`,
        where,
        mend,
      });
    } else if (!knownOff.has(key)) {
      const off: OptionProblem = {
        code: 'adapter.unknown-key',
        severity: 'warning',
        message: l10n.t`the key '${key}' is not known here and was passed over: its value ${JSON.stringify(value)} switches it off`,
        where,
        option: [key],
      };
      warnings.push(off);
    }
  }
  const filled: unknown = Value.Default(schema, kept);
  if (Value.Check(schema, filled)) return { options: filled, warnings };
  const first = Value.Errors(schema, filled).First();
  return fail({
    code: 'adapter.config',
    message: l10n.t`${first?.path.slice(1) ?? l10n.t`the config`}: ${JSON.stringify(first?.value)} is not a value that ${title} takes`,
    where,
    expected: l10n.t(String(first?.schema['description'] ?? first?.message)),
  });
}

function isOff(value: Json): boolean {
  return value === null || value === false || value === 0 || isEmpty(value);
}

function isEmpty(value: Json): boolean {
  if (value === '') return true;
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

/**
 * The options of an adapter that is looked at; what is wrong with its config, or worth a word, is added to `problems`.
 * @returns undefined where the config cannot be read
 */
export function readOptions<Options>(
  read: PeftFormat<Options>['options'],
  { config, configFile }: Pick<AdapterTensors, 'config' | 'configFile'>,
  problems: Problem[],
): Options | undefined {
  try {
    const { options, warnings } = read(config, configFile);
    problems.push(...warnings);
    return options;
  } catch (error) {
    problems.push(problemOf(error));
    return undefined;
  }
}
