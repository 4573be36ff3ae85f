import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../common/json.js';
import type { Problem } from '../common/problem.js';
import type { Site } from '../models/site.js';
import { elementCount } from '../models/tensorSpans.js';
import { peftTaskType } from '../models/task.js';
import { factsOf, kroneckerEffectiveRank, mapFactor, mostRank } from './kronecker.js';
import type { Factor, FactorMatrix } from './kronecker.js';
import { LokrOptions, factorShapes } from './lokr.js';
import { moduleNames } from './loraConfig.js';
import { isTrained } from './loraParameters.js';
import type { AttachContext } from './method.js';
import { optionsFromPeft, readOptions } from './peftConfig.js';
import type { AdapterTensors, InspectedModule, InspectedTensors } from './peftFormat.js';

/** `adapter_config.json` as HF PEFT writes it for LoKr, keys sorted. */
export function lokrConfigToPeft(
  options: LokrOptions,
  adapted: readonly Site[],
  context: AttachContext,
): JsonObject {
  return {
    alpha: options.alpha,
    alpha_pattern: options.alpha_pattern,
    auto_mapping: null,
    base_model_name_or_path: context.modelName,
    decompose_both: options.decompose_both,
    decompose_factor: options.decompose_factor,
    exclude_modules: options.exclude_modules ?? null,
    inference_mode: true,
    init_weights: options.init_weights,
    layers_pattern: options.layers_pattern ?? null,
    layers_to_transform: options.layers_to_transform ?? null,
    module_dropout: options.module_dropout,
    modules_to_save: options.modules_to_save ?? null,
    peft_type: 'LOKR',
    r: options.r,
    rank_dropout: options.rank_dropout,
    rank_dropout_scale: options.rank_dropout_scale,
    rank_pattern: options.rank_pattern,
    revision: context.modelRevision ?? null,
    target_modules:
      options.target_modules === 'all-linear' ? moduleNames(adapted, context.model.sites) : options.target_modules,
    task_type: peftTaskType(context.model.task),
    use_effective_conv2d: false,
  };
}

/**
 * LoKr's options out of an `adapter_config.json` (see {@link optionsFromPeft}). `use_effective_conv2d` is passed over: it is
 * about convolutions, and changes nothing of linear modules.
 * @throws ProblemError `adapter.config`
 */
export function lokrConfigFromPeft(
  config: JsonObject,
  source: string,
): { readonly options: LokrOptions; readonly warnings: readonly Problem[] } {
  return optionsFromPeft(config, source, {
    schema: LokrOptions,
    type: 'lokr',
    title: 'LoKr',
    silent: new Set(['use_effective_conv2d', 'init_weights']),
    knownOff: new Set(),
    optional: new Set(['exclude_modules', 'layers_to_transform', 'layers_pattern', 'modules_to_save']),
    mend: l10n.t`Merge the adapter in Hugging Face PEFT (merge_and_unload), or train it without this option.`,
  });
}

const PART = /^((?:base_model\.model\.)?(.+)\.lokr_)(w[12](?:_[ab])?)$/;

/** What a LoKr adapter's tensors are, without its base model. */
export async function inspectLokr(adapter: AdapterTensors): Promise<InspectedTensors> {
  const problems: Problem[] = [];
  const options = readOptions(lokrConfigFromPeft, adapter, problems);
  const found = new Map<string, { readonly prefix: string; readonly parts: Set<string> }>();
  const rest: string[] = [];
  for (const key of adapter.tensors.keys()) {
    const [, prefix, path, part] = PART.exec(key) ?? [];
    if (prefix === undefined || path === undefined || part === undefined) rest.push(key);
    else {
      const of = found.get(path) ?? { prefix, parts: new Set() };
      of.parts.add(part);
      found.set(path, of);
    }
  }
  const modules: InspectedModule[] = [];
  for (const [path, { prefix, parts }] of found) {
    const keys = factorKeys(prefix, parts);
    const module = keys && (await inspectPair(adapter, path, keys, options));
    if (module === undefined) problems.push(unfitting(adapter, path, prefix, parts));
    else modules.push(module);
  }
  return {
    r: options?.r,
    alpha: options?.alpha,
    modules,
    factors: ['w1 [l, m]', 'w2 [k, n]'],
    whole: rest.filter((key) => isTrained(key, options && { ...options, bias: 'none' })),
    unknown: rest.filter((key) => !isTrained(key, options && { ...options, bias: 'none' })),
    problems,
  };
}

/** Both factors, each whole or in two parts; undefined where something is missing or too much. */
function factorKeys(
  prefix: string,
  parts: ReadonlySet<string>,
): { readonly w1: Factor<string>; readonly w2: Factor<string> } | undefined {
  const factor = (name: string): Factor<string> | undefined => {
    const [whole, a, b] = ['', '_a', '_b'].map((part) => parts.has(`${name}${part}`));
    if (whole === true && a === false && b === false) return { kind: 'whole', whole: `${prefix}${name}` };
    if (whole !== false || a !== true || b !== true) return undefined;
    return { kind: 'product', a: `${prefix}${name}_a`, b: `${prefix}${name}_b` };
  };
  const [w1, w2] = [factor('w1'), factor('w2')];
  return w1 === undefined || w2 === undefined ? undefined : { w1, w2 };
}

/** @returns undefined where shapes do not go together, or are not those of the config */
async function inspectPair(
  adapter: AdapterTensors,
  path: string,
  keys: { readonly w1: Factor<string>; readonly w2: Factor<string> },
  options: LokrOptions | undefined,
): Promise<InspectedModule | undefined> {
  const shapeOf = (key: string): readonly number[] => adapter.tensors.get(key)!.shape;
  const shapes = { w1: mapFactor(keys.w1, shapeOf), w2: mapFactor(keys.w2, shapeOf) };
  const [first, second] = [sizeOf(shapes.w1), sizeOf(shapes.w2)];
  if (first === undefined || second === undefined) return undefined;
  const size = [first[0] * second[0], first[1] * second[1]] as const;
  const wanted = options && factorShapes(size, path, options);
  if (wanted !== undefined && (!isSame(wanted.w1, shapes.w1) || !isSame(wanted.w2, shapes.w2))) return undefined;
  const read = async (factor: Factor<string>): Promise<Factor<FactorMatrix>> => {
    const data = new Map<string, Float32Array>();
    for (const key of matricesOf(factor)) data.set(key, await adapter.read(key));
    return mapFactor(factor, (key) => ({ shape: shapeOf(key), data: data.get(key)! }));
  };
  const [w1, w2] = [await read(keys.w1), await read(keys.w2)];
  const asShaped = (factor: Factor<readonly number[]>) => mapFactor(factor, (shape) => ({ shape }));
  return {
    path,
    rank: mostRank(asShaped(shapes.w1)) * mostRank(asShaped(shapes.w2)),
    scale: wanted?.scale,
    a: [first[0], first[1]],
    b: [second[0], second[1]],
    trainable: [...matricesOf(shapes.w1), ...matricesOf(shapes.w2)].reduce(
      (sum, shape) => sum + (elementCount(shape) ?? 0),
      0,
    ),
    norm: wanted && factsOf(w1, w2, wanted.scale).norm,
    effectiveRank: kroneckerEffectiveRank(w1, w2),
  };
}

function matricesOf<Matrix>(factor: Factor<Matrix>): readonly Matrix[] {
  return factor.kind === 'whole' ? [factor.whole] : [factor.a, factor.b];
}

/** Rows and columns of a factor; undefined where its matrices do not multiply. */
function sizeOf(factor: Factor<readonly number[]>): readonly [number, number] | undefined {
  const matrices = matricesOf(factor);
  const [first, last] = [matrices[0]!, matrices.at(-1)!];
  if (matrices.some((shape) => shape.length !== 2 || shape.includes(0))) return undefined;
  if (factor.kind === 'product' && first[1] !== last[0]) return undefined;
  return [first[0]!, last[1]!];
}

function isSame(one: Factor<readonly number[]>, other: Factor<readonly number[]>): boolean {
  return one.kind === other.kind && matricesOf(one).join(';') === matricesOf(other).join(';');
}

function unfitting(adapter: AdapterTensors, path: string, prefix: string, parts: ReadonlySet<string>): Problem {
  const shapes = [...parts].sort().map((part) => {
    return `${part} [${adapter.tensors.get(`${prefix}${part}`)!.shape.join(', ')}]`;
  });
  return {
    code: 'adapter.shape',
    severity: 'error',
    message: l10n.t`${path}: its factors are ${shapes.join(', ')}`,
    where: { file: adapter.weightsFile },
    expected: l10n.t`w1 and w2, each whole or as w_a [rows, r] and w_b [r, columns], of the sizes that the config gives`,
    mend: l10n.t`Config and weights belong to different adapters, or the file is incomplete: export the adapter again.`,
  };
}
