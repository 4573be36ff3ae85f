import * as l10n from '@vscode/l10n';
import { lowRankNorm } from '../linalg/products.js';
import type { Json, JsonObject } from '../common/json.js';
import { isJsonObject } from '../common/json.js';
import { fail, problemOf } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { AdapterOptions } from './bottleneckAdapter.js';
import type { BottleneckForm } from './adapterOptions.js';
import type { AttachContext } from './method.js';
import { optionsFromPeft } from './peftConfig.js';
import type { AdapterTensors, InspectedModule, InspectedTensors } from './peftFormat.js';

/** The version of the `adapters` library whose files these are; without one, names of activations mean others. */
export const LIBRARY_VERSION = 'adapters.1.3.0';

/** What is not ours in the library's `BnConfig`, as it stands in an adapter without it. */
const WITHOUT: JsonObject = {
  adapter_residual_before_ln: false,
  factorized_phm_W: true,
  factorized_phm_rule: false,
  hypercomplex_nonlinearity: 'glorot-uniform',
  init_weights_seed: null,
  inv_adapter: null,
  inv_adapter_reduction_factor: null,
  learn_phm: true,
  ln_after: false,
  ln_before: false,
  original_ln_after: true,
  phm_bias: true,
  phm_c_init: 'normal',
  phm_dim: 4,
  phm_init_range: 0.0001,
  phm_layer: false,
  phm_rank: 1,
  shared_W_phm: false,
  shared_phm_rule: true,
  stochastic_depth: 0,
  use_gating: false,
};

/** Keys that say nothing about a finished adapter while the switch that they belong to is off. */
const SILENT: ReadonlySet<string> = new Set([
  'architecture',
  'adapter_residual_before_ln',
  'init_weights_seed',
  'inv_adapter_reduction_factor',
  'stochastic_depth',
  ...Object.keys(WITHOUT).filter((key) => /phm_|_phm|hypercomplex/.test(key) && key !== 'phm_layer'),
]);

/** `adapter_config.json` as the `adapters` library (1.3) writes it for a bottleneck adapter. */
export function adapterConfigToLibrary(form: BottleneckForm, name: string, context: AttachContext): JsonObject {
  const { leave_out: left, ...own } = form;
  const config: JsonObject = { ...WITHOUT, ...own, leave_out: [...left] };
  return {
    config: Object.fromEntries(Object.entries(config).sort(([a], [b]) => (a < b ? -1 : 1))),
    hidden_size: context.model.hiddenSize,
    model_name: context.modelName,
    model_type: context.model.modelType,
    name,
    version: LIBRARY_VERSION,
  };
}

/** Whether a config is the library's, of a bottleneck adapter. */
export function isBottleneckConfig({ config, peft_type: peftType }: JsonObject): boolean {
  return peftType === undefined && config !== undefined && isJsonObject(config) && !isSet(config['architecture']);
}

/**
 * The method's options out of the library's `adapter_config.json`. What would change the arithmetic and is not known
 * here stops the load.
 * @throws ProblemError `adapter.config`
 */
export function adapterConfigFromLibrary(
  config: JsonObject,
  source: string,
): { readonly options: AdapterOptions; readonly warnings: readonly Problem[] } {
  const { config: inner = null, name } = config;
  if (!isJsonObject(inner) || typeof name !== 'string') {
    return fail({
      code: 'adapter.config',
      message: l10n.t`the config lacks the adapter's name or its 'config'`,
      where: { file: source },
      expected: l10n.t`adapter_config.json as the adapters library writes it`,
      mend: l10n.t`Export the adapter again (model.save_adapter).`,
    });
  }
  const { original_ln_after: after = true, non_linearity: activation = null, ...rest } = inner;
  const read: Record<string, Json> = {
    // The library's defaults, where ours go by the placement.
    original_ln_before: false,
    ...rest,
    name,
    non_linearity: typeof activation === 'string' ? activation.toLowerCase() : activation,
    // Off is what would change the arithmetic.
    ...(after === true ? {} : { original_ln_after: 'false' }),
  };
  return optionsFromPeft(read, source, {
    schema: AdapterOptions,
    type: 'adapter',
    title: 'adapter',
    silent: SILENT,
    knownOff: new Set(['inv_adapter', 'ln_after', 'ln_before', 'phm_layer', 'use_gating']),
    optional: new Set(),
    mend: l10n.t`Use it in the adapters library, or train one without this option.`,
  });
}

/** What a bottleneck adapter's tensors are, without the base model. */
export async function inspectBottleneck(adapter: AdapterTensors): Promise<InspectedTensors> {
  const problems: Problem[] = [];
  let options: AdapterOptions | undefined;
  try {
    options = adapterConfigFromLibrary(adapter.config, adapter.configFile).options;
  } catch (error) {
    problems.push(problemOf(error));
  }
  const scaling = typeof options?.scaling === 'number' ? options.scaling : undefined;
  const { modules, known } = await bottleneckModules(adapter, () => scaling, problems);
  const others = [...adapter.tensors.keys()].filter((key) => !known.has(key));
  const isNorm = (key: string): boolean => options?.train_layer_norms === true && /norm|ln_/i.test(key);
  return {
    r: undefined,
    alpha: undefined,
    modules,
    whole: others.filter(isNorm),
    unknown: others.filter((key) => !isNorm(key)),
    problems,
  };
}

const DOWN = /^(.+\.adapters\.([^.]+))\.adapter_down\.0\.weight$/;

/**
 * The bottlenecks among an adapter's tensors, and all names that belong to one. What does not fit is added to `problems`.
 * @param scalingOf the scaling of an adapter by its name, where it does not train
 */
export async function bottleneckModules(
  adapter: AdapterTensors,
  scalingOf: (name: string) => number | undefined,
  problems: Problem[],
): Promise<{ readonly modules: readonly InspectedModule[]; readonly known: ReadonlySet<string> }> {
  const keys = [...adapter.tensors.keys()];
  const known = new Set<string>();
  const modules: InspectedModule[] = [];
  for (const key of keys) {
    const [, path, name] = DOWN.exec(key) ?? [];
    if (path === undefined) continue;
    const own = keys.filter((each) => each.startsWith(`${path}.`));
    own.forEach((each) => known.add(each));
    const shapeOf = (end: string): readonly number[] => adapter.tensors.get(`${path}.${end}`)?.shape ?? [];
    const [a, b] = [shapeOf('adapter_down.0.weight'), shapeOf('adapter_up.weight')];
    const rank = a[0] ?? 0;
    const fits =
      a.length === 2 &&
      b.join() === [a[1], rank].join() &&
      shapeOf('adapter_down.0.bias').join() === String(rank) &&
      shapeOf('adapter_up.bias').join() === String(a[1]);
    if (!fits) {
      problems.push({
        code: 'adapter.shape',
        severity: 'error',
        message: l10n.t`the tensors of ${path} do not fit each other`,
        where: { file: adapter.weightsFile },
        expected: l10n.t`adapter_down [m, width] and adapter_up [width, m], each with its bias`,
        mend: l10n.t`The file is damaged: export the adapter again.`,
      });
      continue;
    }
    const scale = (await trainedScale(adapter, path)) ?? scalingOf(name!);
    const norm = lowRankNorm(
      await adapter.read(`${path}.adapter_up.weight`),
      await adapter.read(`${path}.adapter_down.0.weight`),
      rank,
    );
    modules.push({
      path,
      rank,
      scale,
      a,
      b,
      trainable: own.reduce((sum, each) => sum + size(adapter.tensors.get(each)!.shape), 0),
      norm: scale === undefined ? undefined : Math.abs(scale) * norm,
    });
  }
  return { modules, known };
}

/** The mean of a scaling that trained. */
async function trainedScale(adapter: AdapterTensors, path: string): Promise<number | undefined> {
  const key = `${path}.scaling`;
  if (!adapter.tensors.has(key)) return undefined;
  const values = await adapter.read(key);
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function size(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}

function isSet(value: Json | undefined): boolean {
  return value !== undefined && value !== null;
}
