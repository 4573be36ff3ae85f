import * as l10n from '@vscode/l10n';
import { isJsonObject } from '../common/json.js';
import type { Json, JsonObject } from '../common/json.js';
import type { Problem } from '../common/problem.js';
import { lowRankNorm, multiplied } from '../linalg/products.js';
import { elementCount } from '../models/tensorSpans.js';
import { peftTaskType } from '../models/task.js';
import { isTrained, PEFT_PREFIX } from './loraParameters.js';
import type { PairValues } from './lowRankPair.js';
import { LotrOptions } from './lotr.js';
import type { SharingGroup } from './lotrGroups.js';
import type { AttachContext } from './method.js';
import { optionsOfOurs, readOptions } from './peftConfig.js';
import type { AdapterTensors, InspectedModule, InspectedTensors } from './peftFormat.js';
import { spectrumOf } from './spectrum.js';

/** The key that says which modules have L and R in common: by their tensors' name, the modules. */
const SHARED_BY = 'shared_by';

/** An `adapter_config.json` in PEFT's manner: PEFT itself has no such method. */
export function lotrConfigToPeft(
  options: LotrOptions,
  groups: readonly SharingGroup<{ readonly path: string }>[],
  context: AttachContext,
): JsonObject {
  return {
    base_model_name_or_path: context.modelName,
    exclude_modules: options.exclude_modules ?? null,
    inference_mode: true,
    layers_pattern: options.layers_pattern ?? null,
    layers_to_transform: options.layers_to_transform ?? null,
    left: options.left,
    middle: options.middle,
    modules_to_save: options.modules_to_save ?? null,
    peft_type: 'LOTR',
    r: options.r,
    revision: context.modelRevision ?? null,
    right: options.right,
    scale: options.scale,
    share: options.share,
    [SHARED_BY]: Object.fromEntries(groups.map(({ name, sites }) => [name, sites.map(({ path }) => path)])),
    target_modules: options.target_modules,
    task_type: peftTaskType(context.model.task),
    train_factors: options.train_factors,
  };
}

/**
 * LoTR's options out of an `adapter_config.json` (see {@link optionsOfOurs}).
 * @throws ProblemError `adapter.config`
 */
export function lotrConfigFromPeft(
  config: JsonObject,
  source: string,
): { readonly options: LotrOptions; readonly warnings: readonly Problem[] } {
  // Which modules share follows from the other options and the base model, where tensors have to find their places.
  return optionsOfOurs(config, source, { schema: LotrOptions, type: 'lotr', title: 'LoTR' }, [SHARED_BY]);
}

const PART = /\.lotr_[LMR]$/;

/** What a LoTR adapter's tensors are, without its base model. */
export async function inspectLotr(adapter: AdapterTensors): Promise<InspectedTensors> {
  const problems: Problem[] = [];
  const options = readOptions(lotrConfigFromPeft, adapter, problems);
  const known = new Set<string>();
  const groups = sharedBy(adapter.config);
  const modules: InspectedModule[] = [];
  const shared: NonNullable<InspectedTensors['shared']>[number][] = [];
  for (const [name, paths] of groups) {
    const [left, right] = ['L', 'R'].map((part) => `${PEFT_PREFIX}${name}.lotr_${part}`) as [string, string];
    const wrong = unfitting(adapter, name, left, right, paths);
    for (const key of [left, right, ...paths.map(middleKey)]) known.add(key);
    if (wrong !== undefined) {
      problems.push(wrong);
      continue;
    }
    const [b, a] = [adapter.tensors.get(left)!.shape, adapter.tensors.get(right)!.shape];
    for (const [key, shape] of [[left, b] as const, [right, a] as const]) {
      shared.push({ key, shape, trainable: elementCount(shape) ?? 0, modules: paths });
    }
    const rank = a[0]!;
    const scale = options && options.scale / rank;
    for (const path of paths) {
      const found = { path, rank, scale, a, b, trainable: rank * rank };
      const pair = await lotrPair(adapter, found);
      const norm = scale && scale * lowRankNorm(pair.b, pair.a, rank);
      modules.push({ ...found, norm, ...spectrumOf(pair, scale) });
    }
  }
  if (groups.size === 0) {
    problems.push({
      code: 'adapter.config',
      severity: 'error',
      message: l10n.t`the config does not say which modules share L and R (${SHARED_BY})`,
      where: { file: adapter.configFile },
      mend: l10n.t`Export the adapter again.`,
    });
  }
  const rest = [...adapter.tensors.keys()].filter((key) => !known.has(key));
  const trains = (key: string): boolean =>
    !PART.test(key) && isTrained(key, options && { ...options, bias: 'none' });
  return {
    r: options?.r,
    alpha: options?.scale,
    modules,
    factors: ['R [r, in]', 'L [out, r]'],
    shared,
    whole: rest.filter(trains),
    unknown: rest.filter((key) => !trains(key)),
    problems,
  };
}

/** R and L·M of a module whose tensors belong together. */
export async function lotrPair(
  adapter: AdapterTensors,
  { path, rank }: Pick<InspectedModule, 'path' | 'rank'>,
): Promise<PairValues> {
  const [name] = [...sharedBy(adapter.config)].find(([, paths]) => paths.includes(path))!;
  const read = (part: string): Promise<Float32Array> => adapter.read(`${PEFT_PREFIX}${name}.lotr_${part}`);
  const l = Float64Array.from(await read('L'));
  const middle = Float64Array.from(await adapter.read(middleKey(path)));
  return { r: rank, a: await read('R'), b: Float32Array.from(multiplied(l, middle, l.length / rank, rank)) };
}

function middleKey(path: string): string {
  return `${PEFT_PREFIX}${path}.lotr_M`;
}

function sharedBy({ [SHARED_BY]: groups }: JsonObject): ReadonlyMap<string, readonly string[]> {
  if (groups === undefined || !isJsonObject(groups)) return new Map();
  const isText = (each: Json): each is string => typeof each === 'string';
  return new Map(
    Object.entries(groups).map(([name, paths]) => [name, Array.isArray(paths) ? paths.filter(isText) : []]),
  );
}

/** What does not go together in a group. */
function unfitting(
  adapter: AdapterTensors,
  name: string,
  left: string,
  right: string,
  paths: readonly string[],
): Problem | undefined {
  const shapeOf = (key: string): readonly number[] | undefined => adapter.tensors.get(key)?.shape;
  const [b, a] = [shapeOf(left), shapeOf(right)];
  const r = a?.[0];
  const fits = a?.length === 2 && b?.length === 2 && r !== undefined && r > 0 && b[1] === r;
  const wrong = paths.find((path) => shapeOf(middleKey(path))?.join() !== `${r},${r}`);
  if (fits && wrong === undefined) return undefined;
  const told = (shape: readonly number[] | undefined): string =>
    shape ? `[${shape.join(', ')}]` : l10n.t`missing`;
  return {
    code: 'adapter.shape',
    severity: 'error',
    message: fits
      ? l10n.t`${wrong ?? name}: M is ${told(wrong === undefined ? undefined : shapeOf(middleKey(wrong)))}, and L and R of its group have rank ${r}`
      : l10n.t`${name}: L is ${told(b)} and R is ${told(a)}`,
    where: { file: adapter.weightsFile },
    expected: l10n.t`L [out, r] and R [r, in] of each group, and M [r, r] of each of its modules`,
    mend: l10n.t`The file is incomplete or of another method: export the adapter again.`,
  };
}
