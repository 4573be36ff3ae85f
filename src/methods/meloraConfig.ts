import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import type { Json, JsonObject } from '../common/json.js';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { lowRankNorm } from '../linalg/products.js';
import { elementCount } from '../models/tensorSpans.js';
import { peftTaskType } from '../models/task.js';
import type { Site } from '../models/site.js';
import { variable } from '../tensor/tensor.js';
import { moduleNames } from './loraConfig.js';
import { PEFT_PREFIX, isTrained } from './loraParameters.js';
import type { StoredPairs } from './loraStored.js';
import type { PairValues } from './lowRankPair.js';
import { MeloraOptions } from './melora.js';
import type { AttachContext } from './method.js';
import { blockDiagonal, miniValues } from './miniPairs.js';
import type { MiniPairs } from './miniPairs.js';
import { optionsFromPeft, readOptions } from './peftConfig.js';
import type { AdapterTensors, InspectedModule, InspectedTensors } from './peftFormat.js';
import { spectrumOf } from './spectrum.js';

/** `adapter_config.json` as the authors' PEFT writes it: rank and alpha of each mini LoRA. Keys sorted. */
export function meloraConfig(
  options: MeloraOptions,
  adapted: readonly Site[],
  context: AttachContext,
): JsonObject {
  const each = (value: number): number[] => new Array<number>(options.l_num).fill(value);
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
    lora_alpha: each(options.lora_alpha),
    lora_dropout: options.lora_dropout,
    mode: 'melora',
    modules_to_save: options.modules_to_save ?? null,
    peft_type: 'MELORA',
    r: each(options.r),
    revision: context.modelRevision ?? null,
    target_modules:
      options.target_modules === 'all-linear' ? moduleNames(adapted, context.model.sites) : options.target_modules,
    task_type: peftTaskType(context.model.task),
  };
}

/**
 * MELoRA's options out of an `adapter_config.json` (see {@link optionsFromPeft}).
 * @throws ProblemError `adapter.config`, also for mini LoRAs of different ranks or alphas, which the authors' code allows
 */
export function meloraOptions(
  config: JsonObject,
  source: string,
): { readonly options: Static<typeof MeloraOptions>; readonly warnings: readonly Problem[] } {
  const [r, alpha] = [config['r'], config['lora_alpha']].map((list) => (isAlike(list) ? list[0] : undefined));
  const minis = config['r'];
  if (
    r === undefined ||
    alpha === undefined ||
    !isAlike(minis) ||
    lengthOf(config['lora_alpha']) !== minis.length
  ) {
    return fail({
      code: 'adapter.config',
      message: l10n.t`the mini LoRAs have ranks ${JSON.stringify(config['r'] ?? null)} and alphas ${JSON.stringify(config['lora_alpha'] ?? null)}`,
      where: { file: source },
      expected: l10n.t`r and lora_alpha as lists of one number for each mini LoRA, the same for all`,
      mend: l10n.t`Merge it where it was made, or train it with mini LoRAs that are alike.`,
    });
  }
  return optionsFromPeft({ ...config, r, lora_alpha: alpha, l_num: minis.length }, source, {
    schema: MeloraOptions,
    type: 'melora',
    title: 'MELoRA',
    silent: new Set(['fan_in_fan_out', 'init_lora_weights', 'mode']),
    knownOff: new Set(),
    optional: new Set(['exclude_modules', 'layers_to_transform', 'layers_pattern', 'modules_to_save']),
    mend: l10n.t`Merge the adapter where it was made, or train it without this option.`,
  });
}

/** A list of one number, any number of times. */
function isAlike(list: Json | undefined): list is number[] {
  return (
    Array.isArray(list) && list.length > 0 && list.every((each) => typeof each === 'number' && each === list[0])
  );
}

function lengthOf(list: Json | undefined): number {
  return Array.isArray(list) ? list.length : 0;
}

/** As the authors' PEFT keeps them: `lora_A.0`, `lora_A.1`, …, each [r, in / n], and `lora_B.0`, … [out / n, r]. */
export function storedMinis(all: readonly MiniPairs[]): StoredPairs {
  const places = all.map((minis) => ({
    minis,
    a: Array.from({ length: minis.n }, (_, at) => variable(`${minis.a.name}.${at}`, minis.a.shape.slice(1))),
    b: Array.from({ length: minis.n }, (_, at) => variable(`${minis.b.name}.${at}`, minis.b.shape.slice(1))),
  }));
  return {
    tensors: places.flatMap(({ a, b }) => [...a, ...b].map((each) => ({ variable: each }))),
    stored: (values) =>
      new Map(
        places.flatMap(({ minis, a, b }) =>
          miniValues(minis, values).flatMap((mini, at) => [
            [a[at]!.name, mini.a] as const,
            [b[at]!.name, mini.b] as const,
          ]),
        ),
      ),
    loaded: (values) =>
      new Map(
        places.flatMap(({ minis, a, b }) => [
          [minis.a.name, joined(a.map(({ name }) => values.get(name)!))] as const,
          [minis.b.name, joined(b.map(({ name }) => values.get(name)!))] as const,
        ]),
      ),
  };
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let filled = 0;
  for (const part of parts) {
    whole.set(part, filled);
    filled += part.length;
  }
  return whole;
}

/** The name on disk of `<module path>.lora_A.0`. */
export function meloraKey(name: string): string {
  return `${PEFT_PREFIX}${name}.weight`;
}

const PART = /^(?:base_model\.model\.)?(.+)\.lora_([AB])\.(\d+)\.weight$/;

/** What a MELoRA adapter's tensors are, without its base model: each module as the plain LoRA that it stands for. */
export async function inspectMelora(adapter: AdapterTensors): Promise<InspectedTensors> {
  const problems: Problem[] = [];
  const options = readOptions(meloraOptions, adapter, problems);
  const keys = [...adapter.tensors.keys()];
  const paths = new Set(keys.flatMap((key) => PART.exec(key)?.[1] ?? []));
  const rest = keys.filter((key) => !PART.test(key));
  const modules: InspectedModule[] = [];
  for (const path of paths) {
    const found = partsOf(adapter, path);
    if (found === undefined || (options !== undefined && (found.n !== options.l_num || found.r !== options.r))) {
      problems.push({
        code: 'adapter.shape',
        severity: 'error',
        message: l10n.t`${path}: its mini LoRAs are incomplete or not of one size`,
        where: { file: adapter.weightsFile },
        expected: l10n.t`lora_A.0 [r, in / n] and lora_B.0 [out / n, r] to the last of the n that the config has`,
        mend: l10n.t`The file is incomplete or of another method: export the adapter again.`,
      });
      continue;
    }
    modules.push(await inspectModule(adapter, path, found, options));
  }
  return {
    r: options?.r,
    alpha: options?.lora_alpha,
    modules,
    whole: rest.filter((key) => isTrained(key, options)),
    unknown: rest.filter((key) => !isTrained(key, options)),
    problems,
  };
}

/** The names of a module's mini LoRAs, in their order. */
interface Parts {
  readonly n: number;
  readonly r: number;
  readonly a: readonly string[];
  readonly b: readonly string[];
}

/** Undefined where they do not belong together. */
function partsOf({ tensors }: AdapterTensors, path: string): Parts | undefined {
  const own = [...tensors.keys()].filter((key) => PART.exec(key)?.[1] === path);
  const half = (which: string): string[] => {
    const numbered = own.map((key) => ({ key, match: PART.exec(key)! })).filter(({ match }) => match[2] === which);
    return numbered.sort((x, y) => Number(x.match[3]) - Number(y.match[3])).map(({ key }) => key);
  };
  const [a, b] = [half('A'), half('B')];
  const shapes = [a, b].map((keys) => new Set(keys.map((key) => tensors.get(key)!.shape.join())));
  const [first, second] = [a[0], b[0]].map((key) => (key === undefined ? undefined : tensors.get(key)?.shape));
  const fits =
    a.length === b.length &&
    shapes.every(({ size }) => size === 1) &&
    a.every((key, at) => Number(PART.exec(key)![3]) === at) &&
    b.every((key, at) => Number(PART.exec(key)![3]) === at) &&
    first?.length === 2 &&
    second?.length === 2 &&
    first[0] === second[1];
  return fits ? { n: a.length, r: first[0]!, a, b } : undefined;
}

async function inspectModule(
  adapter: AdapterTensors,
  path: string,
  parts: Parts,
  options: MeloraOptions | undefined,
): Promise<InspectedModule> {
  const { a, b } = parts;
  const minis = await readMinis(adapter, parts);
  const whole = blockDiagonal(minis);
  const scale = options && options.lora_alpha / options.r;
  return {
    path,
    rank: whole.r,
    scale,
    a: [whole.r, whole.a.length / whole.r],
    b: [whole.b.length / whole.r, whole.r],
    trainable: [...a, ...b].reduce((sum, key) => sum + (elementCount(adapter.tensors.get(key)!.shape) ?? 0), 0),
    norm: scale && scale * Math.hypot(...minis.map((mini) => lowRankNorm(mini.b, mini.a, mini.r))),
    ...spectrumOf(whole, scale),
  };
}

async function readMinis(adapter: AdapterTensors, { n, r, a, b }: Parts): Promise<PairValues[]> {
  const minis: PairValues[] = [];
  for (let at = 0; at < n; at++) minis.push({ r, a: await adapter.read(a[at]!), b: await adapter.read(b[at]!) });
  return minis;
}

/** A and B of the plain LoRA that the mini LoRAs of a module stand for; they belong together. */
export async function meloraPair(
  adapter: AdapterTensors,
  { path }: Pick<InspectedModule, 'path'>,
): Promise<PairValues> {
  return blockDiagonal(await readMinis(adapter, partsOf(adapter, path)!));
}
