import * as l10n from '@vscode/l10n';
import path from 'node:path';
import { isJsonObject } from '../common/json.js';
import type { JsonObject } from '../common/json.js';
import type { Problem } from '../common/problem.js';

/** Types of Hugging Face PEFT 0.21 that are not read here and that PEFT merges into the base. */
const MERGED_BY_PEFT = [
  'ADAMSS',
  'BEFT',
  'BOFT',
  'C3A',
  'DEFT',
  'DELORA',
  'FOURIERFT',
  'FROD',
  'GLORA',
  'GRALORA',
  'HIRA',
  'HRA',
  'LN_TUNING',
  'LOHA',
  'MISS',
  'OFT',
  'OSF',
  'PEANUT',
  'PSOFT',
  'PVERA',
  'RANDLORA',
  'ROAD',
  'SHIRA',
  'SUPERTUNING',
  'TINYLORA',
  'TRAINABLE_TOKENS',
  'UNILORA',
  'VBLORA',
  'VERA',
  'WAVEFT',
] as const;

/** Those that act on what the model reads, or otherwise for each text, so that nothing could be merged. */
const NOT_MERGED = [
  'ADAPTION_PROMPT',
  'CARTRIDGE',
  'CPT',
  'LILY',
  'MULTITASK_PROMPT_TUNING',
  'P_TUNING',
  'POLY',
  'SHADOW',
  'XLORA',
] as const;

/** All of PEFT's types that are not read here. */
export const OTHER_PEFT_TYPES: readonly string[] = [...MERGED_BY_PEFT, ...NOT_MERGED];

/** PEFT's classes that open an adapter with its base, by the config's task. */
const MODEL_CLASSES: ReadonlyMap<unknown, string> = new Map([
  ['SEQ_2_SEQ_LM', 'AutoPeftModelForSeq2SeqLM'],
  ['SEQ_CLS', 'AutoPeftModelForSequenceClassification'],
  ['TOKEN_CLS', 'AutoPeftModelForTokenClassification'],
  ['QUESTION_ANS', 'AutoPeftModelForQuestionAnswering'],
  ['FEATURE_EXTRACTION', 'AutoPeftModelForFeatureExtraction'],
]);

/**
 * Whose form an adapter is in that is not read here, and what can be done with it there; undefined where nothing is known of it.
 * @param configFile of the folder, for the Python that opens it
 */
export function otherFormat(
  config: JsonObject,
  configFile: string,
): Pick<Problem, 'message' | 'mend'> | undefined {
  const folder = JSON.stringify(path.dirname(configFile));
  const { peft_type: type, task_type: task, config: inner, model_name: model } = config;
  if (MERGED_BY_PEFT.some((each) => each === type)) {
    const name = MODEL_CLASSES.get(task) ?? 'AutoPeftModelForCausalLM';
    return {
      message: l10n.t`the adapter is of type ${String(type)}, which Hugging Face PEFT has and PEFT Studio does not read`,
      mend: l10n.t`Merge it in Python and use the model in the folder merged: \`from peft import ${name}; ${name}.from_pretrained(${folder}).merge_and_unload().save_pretrained(\"merged\")\``,
    };
  }
  if (NOT_MERGED.some((each) => each === type)) {
    return {
      message: l10n.t`the adapter is of type ${String(type)}, which Hugging Face PEFT has and PEFT Studio does not read`,
      mend: l10n.t`Use it in Hugging Face PEFT: an adapter of this type cannot be merged into its base there either.`,
    };
  }
  const architecture = isJsonObject(inner) ? inner['architecture'] : inner;
  if (type !== undefined || typeof architecture !== 'string' || typeof model !== 'string') return undefined;
  const message = l10n.t`the adapter is of the adapters library's kind '${architecture}', which PEFT Studio does not read`;
  // (IA)³ is a LoRA to the library, too.
  return architecture === 'lora'
    ? {
        message,
        mend: l10n.t`Merge it in the adapters library (load_adapter, merge_adapter, save_pretrained), and use the merged model; or train it in Hugging Face PEFT's form.`,
      }
    : {
        message,
        mend: l10n.t`Use it in the adapters library; bottleneck adapters and their fusions are read here.`,
      };
}
