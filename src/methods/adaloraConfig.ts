import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../common/json.js';
import type { Problem } from '../common/problem.js';
import { lowRankNorm } from '../linalg/products.js';
import { elementCount } from '../models/tensorSpans.js';
import { AdaLoraOptions, adaLoraScale } from './adalora.js';
import { PEFT_PREFIX, isTrained } from './loraParameters.js';
import type { PairValues } from './lowRankPair.js';
import { LORA_KNOWN_OFF, optionsFromPeft, readOptions } from './peftConfig.js';
import type { AdapterTensors, InspectedModule, InspectedTensors } from './peftFormat.js';
import { scaledRows } from './scaledPair.js';
import { spectrumOf } from './spectrum.js';

/** Further keys of PEFT's AdaLoraConfig that say nothing about the arithmetic, or that AdaLoRA ignores. */
const SILENT: ReadonlySet<string> = new Set([
  'fan_in_fan_out',
  'init_lora_weights',
  'megatron_core',
  'r',
  'alpha_pattern',
  'use_rslora',
  'total_step',
  // Its tensors hold just these triplets.
  'rank_pattern',
  'qalora_group_size',
]);

/** LoRA's, and PEFT's configs of starts that AdaLoRA does not have. */
const KNOWN_OFF: ReadonlySet<string> = new Set([
  ...LORA_KNOWN_OFF,
  'loftq_config',
  'eva_config',
  'corda_config',
  'lora_ga_config',
  'runtime_config',
]);

/**
 * AdaLoRA's options out of an `adapter_config.json` (see {@link optionsFromPeft}).
 * @throws ProblemError `adapter.config`
 */
export function adaLoraConfigFromPeft(
  config: JsonObject,
  source: string,
): { readonly options: AdaLoraOptions; readonly warnings: readonly Problem[] } {
  const { options, warnings } = optionsFromPeft(config, source, {
    schema: AdaLoraOptions,
    type: 'adalora',
    title: 'AdaLoRA',
    silent: SILENT,
    knownOff: KNOWN_OFF,
    optional: new Set(['exclude_modules', 'layers_to_transform', 'layers_pattern', 'modules_to_save']),
    mend: l10n.t`Merge the adapter in Hugging Face PEFT (merge_and_unload), or train it without this option.`,
  });
  // PEFT trains, and saves, with a target above the rank that it starts from: ranks then never fall.
  return { options: { ...options, target_r: Math.min(options.target_r, options.init_r) }, warnings };
}

type Shape = readonly number[];

/** Whether they are A [r, in], B [out, r] and E [r, 1] of one module. */
export function belongTogether(a: Shape, b: Shape, e: Shape): boolean {
  const areMatrices = [a, b, e].every(({ length }) => length === 2);
  return areMatrices && a[0] === b[1] && a[0] === e[0] && e[1] === 1;
}

/** Shapes of A, B and E that do not belong together. */
export function shapeProblem(path: string, shapes: readonly (Shape | undefined)[], file: string): Problem {
  return {
    code: 'adapter.shape',
    severity: 'error',
    message: l10n.t`${path}: A, B and E are ${shapes.map((shape) => (shape ? `[${shape.join(', ')}]` : l10n.t`missing`)).join(', ')}`,
    where: { file },
    expected: l10n.t`A [r, in], B [out, r] and E [r, 1]`,
    mend: l10n.t`The file is incomplete or of another method: export the adapter again.`,
  };
}

const PART = /^(?:base_model\.model\.)?(.+)\.lora_([ABE])$/;

/** What an AdaLoRA adapter's tensors are, without its base model. */
export async function inspectAdaLora(adapter: AdapterTensors): Promise<InspectedTensors> {
  const problems: Problem[] = [];
  const options = readOptions(adaLoraConfigFromPeft, adapter, problems);
  const keys = [...adapter.tensors.keys()];
  const paths = new Set(keys.flatMap((key) => PART.exec(key)?.[1] ?? []));
  const rest = keys.filter((key) => !PART.test(key));
  const modules: InspectedModule[] = [];
  for (const path of paths) {
    const keyOf = keysOf(adapter, path);
    const shapes = ['A', 'B', 'E'].map((part) => adapter.tensors.get(keyOf(part))?.shape);
    const [a, b, e] = shapes;
    if (a === undefined || b === undefined || e === undefined || !belongTogether(a, b, e)) {
      problems.push(shapeProblem(path, shapes, adapter.weightsFile));
      continue;
    }
    const rank = a[0]!;
    const scale = options && adaLoraScale(options);
    const trainable = [a, b, e].reduce((sum, shape) => sum + (elementCount(shape) ?? 0), 0);
    const found = { path, rank, scale, a, b, trainable };
    if (scale === undefined || rank === 0) {
      modules.push({ ...found, norm: scale && 0 });
      continue;
    }
    const pair = await adaLoraPair(adapter, found);
    modules.push({ ...found, norm: scale * lowRankNorm(pair.b, pair.a, rank), ...spectrumOf(pair, scale) });
  }
  return {
    r: options?.init_r,
    alpha: options?.lora_alpha,
    modules,
    whole: rest.filter((key) => isTrained(key, options)),
    unknown: rest.filter((key) => !isTrained(key, options)),
    problems,
  };
}

/** The key of a module's part, as this file has it. */
function keysOf({ tensors }: AdapterTensors, path: string): (part: string) => string {
  const prefixed = ['A', 'B', 'E'].some((part) => tensors.has(`${PEFT_PREFIX}${path}.lora_${part}`));
  return (part) => `${prefixed ? PEFT_PREFIX : ''}${path}.lora_${part}`;
}

/** A and B of ΔW = s·B·A, λ in A, of a module whose tensors belong together. */
export async function adaLoraPair(
  adapter: AdapterTensors,
  { path, rank }: Pick<InspectedModule, 'path' | 'rank'>,
): Promise<PairValues> {
  const keyOf = keysOf(adapter, path);
  const [a, e] = [await adapter.read(keyOf('A')), await adapter.read(keyOf('E'))];
  return { r: rank, a: scaledRows(a, e), b: await adapter.read(keyOf('B')) };
}
