import type { Json } from '../common/json.js';
import type { ClassHead, LanguageModel } from '../models/architecture.js';
import type { ParameterKind, Site } from '../models/site.js';
import { parameterShape } from '../models/site.js';
import type { Variable } from '../tensor/tensor.js';
import { variable } from '../tensor/tensor.js';
import { PEFT_PREFIX } from './loraParameters.js';
import type {
  AttachContext,
  Attached,
  NamedTensor,
  SavedAdapter,
  SavedMethod,
  Trainable,
  Values,
} from './method.js';
import { coveredParameters, loadByKey, parameterSize } from './parameters.js';
import type { TrainedParameter } from './parameters.js';

/** A model as methods see it: the head of the task is not theirs to adapt. */
export function withoutHead<Model extends LanguageModel>(model: Model): Model {
  if (model.classes === undefined) return model;
  const own = new Set(model.classes.sites);
  return { ...model, sites: model.sites.filter((site) => !own.has(site)) };
}

/**
 * The head of a task, which trains whole whatever the method: PEFT's `modules_to_save`. What the checkpoint does not hold
 * starts as Transformers starts it: weights normal with the config's `initializer_range`, biases zero.
 * @returns undefined for a model that has none
 */
export function taskHead(context: AttachContext): Attached | undefined {
  const { classes } = context.model;
  if (classes === undefined) return undefined;
  const parameters = headParameters(classes);
  const byPlace = new Map(parameters.map(({ site, kind, variable: own }) => [`${site.path}.${kind}`, own]));
  const at = (site: Site, kind: ParameterKind): Variable | undefined => byPlace.get(`${site.path}.${kind}`);
  const trainables = parameters.map((each) => headTrainable(each, classes, context));
  const tensors = (values: Values): NamedTensor[] =>
    parameters.map(({ key, variable: { name, shape } }) => ({
      name: key,
      shape: shape as readonly number[],
      data: values.get(name)!,
    }));
  return {
    type: 'head',
    hooks: { parameter: (site, kind, base) => at(site, kind) ?? base },
    trainables,
    coverage: {
      targets: [],
      modules: coveredParameters(parameters),
      layersCovered: 0,
      saves: '',
      warnings: [],
    },
    merge(site, kind, _base, values) {
      const own = at(site, kind);
      return own === undefined ? undefined : values.get(own.name);
    },
    save: (values) => ({ kind: 'model', weights: tensors(values) }),
    load: (found, source) => loadByKey(trainables, (name) => name, found, source),
  };
}

function headParameters({ sites }: ClassHead): TrainedParameter[] {
  return sites.flatMap((site) =>
    (['weight', 'bias'] as const).map((kind) => {
      const key = `${site.path}.${kind}`;
      return { site, kind, key, variable: variable(key, parameterShape(site, kind)) };
    }),
  );
}

function headTrainable(
  { site, kind, variable: own }: TrainedParameter,
  { fresh, deviation }: ClassHead,
  context: AttachContext,
): Trainable {
  const name = (kind === 'weight' ? site.weight : site.bias)!;
  const start = (): Float32Array | Promise<Float32Array> => {
    if (!fresh.has(name)) return context.read(name);
    const values = new Float32Array(parameterSize(own.shape));
    if (kind === 'bias') return values;
    const random = context.random('head', site.path);
    return values.map(() => deviation * random.normal());
  };
  return { variable: own, start, decays: kind === 'weight' };
}

/**
 * A method with the head of the task beside it, as one: the head's tensors lie in the adapter's file under PEFT's keys,
 * and its modules among `modules_to_save`; or among the weights, where a whole model is written.
 */
export function withHead(method: Attached, head: Attached, classes: ClassHead): Attached {
  const { merge, active } = method;
  const own = head.trainables.map(({ variable: each }) => each);
  return {
    ...method,
    alone: method,
    hooks: {
      ...method.hooks,
      parameter: (site, kind, base, phase, x) =>
        head.hooks.parameter!(site, kind, method.hooks.parameter?.(site, kind, base, phase, x) ?? base, phase),
    },
    trainables: [...method.trainables, ...head.trainables],
    coverage: {
      ...method.coverage,
      modules: [...method.coverage.modules, ...head.coverage.modules],
      classes: classes.labels,
    },
    ...(active === undefined ? {} : { active: () => new Set([...active(), ...own]) }),
    ...(merge === undefined
      ? {}
      : {
          merge: (site, kind, base, values) =>
            head.merge!(site, kind, base, values) ?? merge(site, kind, base, values),
        }),
    save: (values) => savedTogether(method.save(values), head.save(values), classes),
    load(tensors, source) {
      const keyOf = prefixOf([...tensors.keys()], own);
      const isOwn = new Map(own.map(({ name }) => [`${keyOf}${name}`, name]));
      const parts = [new Map<string, NamedTensor>(), new Map<string, NamedTensor>()] as const;
      for (const [key, tensor] of tensors) parts[isOwn.has(key) ? 1 : 0].set(isOwn.get(key) ?? key, tensor);
      const [rest, ofHead] = [method.load(parts[0], source), head.load(parts[1], source)];
      return {
        values: new Map([...rest.values, ...ofHead.values]),
        warnings: [...rest.warnings, ...ofHead.warnings],
      };
    },
  };
}

/** PEFT wraps the model of a prompt once, that of other methods twice. */
const PROMPT_PREFIX = 'base_model.';

/** What stands before the names of the head's parameters in a file: nothing in the `adapters` library's. */
function prefixOf(keys: readonly string[], own: readonly Variable[]): string {
  const names = new Set(keys);
  const isUsed = (prefix: string): boolean => own.some(({ name }) => names.has(`${prefix}${name}`));
  return ['', PROMPT_PREFIX].find(isUsed) ?? PEFT_PREFIX;
}

function savedTogether(saved: SavedMethod, head: SavedMethod, classes: ClassHead): SavedMethod {
  const own = head.kind === 'model' ? head.weights : [];
  switch (saved.kind) {
    case 'nothing':
      return saved;
    case 'model':
      return { ...saved, weights: [...saved.weights, ...own], labels: classes.labels };
    case 'adapter':
      return { ...adapterWithHead(saved, own, classes), ...baseWithHead(saved, own) };
    case 'adapters': {
      const byTask = [...saved.byTask].map(([task, each]) => [task, adapterWithHead(each, own, classes)] as const);
      return { ...saved, byTask: new Map(byTask), ...baseWithHead(saved, own) };
    }
  }
}

/** A base that trained along is written as a whole model, and so with its head. */
function baseWithHead(
  { base }: Pick<SavedAdapter, 'base'>,
  head: readonly NamedTensor[],
): Pick<SavedAdapter, 'base'> {
  return base === undefined ? {} : { base: [...base, ...head] };
}

function adapterWithHead(saved: SavedAdapter, head: readonly NamedTensor[], classes: ClassHead): SavedAdapter {
  if (saved.library !== undefined)
    return { ...saved, tensors: [...saved.tensors, ...head], labels: classes.labels };
  const prefix = 'num_virtual_tokens' in saved.config ? PROMPT_PREFIX : PEFT_PREFIX;
  const before = namesIn(saved.config['modules_to_save']);
  return {
    ...saved,
    config: { ...saved.config, modules_to_save: [...before, ...classes.modulesToSave] },
    tensors: [...saved.tensors, ...head.map((each) => ({ ...each, name: `${prefix}${each.name}` }))],
    labels: classes.labels,
  };
}

/**
 * Options without what they say of the head: it trains in any case, and is no target. PEFT writes its modules into
 * `modules_to_save`, and `all-linear` as a list in which they are, too.
 */
export function optionsWithoutHead<Options extends object>(
  options: Options,
  classes: ClassHead | undefined,
): Options {
  if (classes === undefined) return options;
  const isHead = (entry: Json): boolean =>
    typeof entry === 'string' &&
    (classes.modulesToSave.includes(entry) || classes.sites.some(({ path }) => path === entry));
  const kept = Object.entries(options).map(([key, value]: [string, Json]) => {
    if ((key !== 'modules_to_save' && key !== 'target_modules') || !Array.isArray(value)) return [key, value];
    const rest = (value as readonly Json[]).filter((entry) => !isHead(entry));
    if (rest.length > 0) return [key, rest];
    // Nothing but the head as targets leaves the method nothing to act on: it says so.
    return [key, key === 'modules_to_save' ? undefined : value];
  });
  return Object.fromEntries(kept.filter(([, value]) => value !== undefined)) as Options;
}

function namesIn(value: Json | undefined): readonly Json[] {
  return Array.isArray(value) ? (value as readonly Json[]) : [];
}
