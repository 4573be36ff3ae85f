import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import { parameterShape } from '../models/site.js';
import type { ParameterKind, Site } from '../models/site.js';
import { mul } from '../tensor/ops/elementwise.js';
import { reshape } from '../tensor/ops/shape.js';
import type { Tensor, Variable } from '../tensor/tensor.js';
import { variable } from '../tensor/tensor.js';
import { ia3ConfigFromPeft, ia3ConfigToPeft, inspectIa3 } from './ia3Config.js';
import { ia3Defaults } from './ia3Defaults.js';
import { PEFT_PREFIX, ParameterOptions, tiedWarnings, trainedParameters } from './loraParameters.js';
import type { AttachContext, Method, NamedTensor, Trainable, Values } from './method.js';
import { coveredParameters, loadByKey, parameterSize, readTrained } from './parameters.js';
import { TargetOptions, idlePattern, matchTargets, matchesAny } from './targets.js';
import type { OptionProblem } from './targets.js';

/** (IA)³'s options, under the names and with the meaning of HF PEFT's `IA3Config`. */
export const Ia3Options = Type.Object(
  {
    type: Type.Literal('ia3'),
    target_modules: Type.Optional(
      Type.Union([Type.String(), Type.Array(Type.String(), { minItems: 1 })], {
        description:
          'The linear modules to scale, matched as for LoRA. Default: keys, values and the last module of the ' +
          "feed-forward part, as HF PEFT's table has them for the model's type.",
      }),
    ),
    feedforward_modules: Type.Optional(
      Type.Union([Type.String(), Type.Array(Type.String())], {
        description:
          'Those of `target_modules` whose input is scaled instead of their output: endings of paths, or a regular ' +
          "expression for whole paths. Default: HF PEFT's table for the model's type.",
      }),
    ),
    exclude_modules: TargetOptions.exclude_modules,
    modules_to_save: ParameterOptions.modules_to_save,
    init_ia3_weights: Type.Boolean({
      default: true,
      description:
        'Whether vectors start at 1, which leaves the model as it is; `false`: at normal numbers of deviation 1.',
    }),
  },
  { additionalProperties: false },
);
export type Ia3Options = Static<typeof Ia3Options>;

/** A module's vector. */
export interface Scaled {
  readonly site: Site;
  /** What is scaled: what the module reads (of the feed-forward part), or what it gives, bias included. */
  readonly side: 'in' | 'out';
  /** As PEFT keeps it: [1, in], or [out, 1] */
  readonly vector: Variable;
}

/**
 * (IA)³ (Liu et al. 2022, section 3.3): k = l_k ⊙ W_k·x, v = l_v ⊙ W_v·x, y = W₂·(l_ff ⊙ f(W₁·x)), with only the
 * vectors l trained. They start at 1, and no decay acts on them: it would pull them to 0, which cuts the module off.
 */
export const ia3: Method<typeof Ia3Options> = {
  info: {
    type: 'ia3',
    family: 'additive',
    place: 'scale',
    title: '(IA)³',
    summary: 'Learns vectors that scale keys, values and the inner activations of the feed-forward part.',
    paper: {
      authors: 'Liu, Tam, Muqeeth, Mohta, Huang, Bansal & Raffel',
      year: 2022,
      title: 'Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning',
      arxiv: '2205.05638',
    },
    engines: ['embedded'],
    mergeable: true,
    options: Ia3Options,
  },
  attach(options, context) {
    const { model, instance = '', idlePatterns } = context;
    const { targets, feedforward } = scaledModules(options, model.modelType);
    const match = matchTargets(
      { ...options, target_modules: targets },
      model.sites,
      ({ kind }) => kind === 'linear',
      idlePatterns,
    );
    const scaled = new Map(
      match.sites.map((site) => {
        const side = readsScaled(feedforward, site.path) ? 'in' : 'out';
        return [site.path, scaledModule(site, side, instance)];
      }),
    );
    const idle = idleFeedforward(options, scaled).map((problem) => idlePattern(problem, idlePatterns));
    const { trained, warnings } = trainedParameters({ ...options, bias: 'none' }, context, scaled);
    const byParameter = new Map(trained.map((each) => [`${each.site.path}.${each.kind}`, each]));
    const trainables: Trainable[] = [
      ...[...scaled.values()].map((each) => vectorTrainable(each, options, context)),
      ...trained.map((each) => readTrained(each, context)),
    ];
    const keyOf = (name: string): string => {
      const own = name.slice(instance.length);
      return byParameter.get(own)?.key ?? `${PEFT_PREFIX}${own}`;
    };
    const act = (side: Scaled['side'], site: Site, x: Tensor): Tensor => {
      const own = scaled.get(site.path);
      if (own?.side !== side) return x;
      return mul(x, reshape(own.vector, [parameterSize(own.vector.shape)]));
    };
    return {
      type: 'ia3',
      hooks: {
        parameter: (site, kind, base) => byParameter.get(`${site.path}.${kind}`)?.variable ?? base,
        input: (site, x) => act('in', site, x),
        output: (site, _x, y) => act('out', site, y),
      },
      trainables,
      coverage: {
        targets: match.entries,
        modules: [
          ...[...scaled.values()].map(({ site, vector }) => ({
            path: site.path,
            shape: site.shape,
            trainable: parameterSize(vector.shape),
          })),
          ...coveredParameters(trained),
        ],
        layersCovered: new Set(match.sites.flatMap(({ layer }) => layer ?? [])).size,
        saves: l10n.t`adapter_model.safetensors with ${trainables.length} tensors and adapter_config.json, as Hugging Face PEFT reads them`,
        warnings: [
          ...match.warnings,
          ...idle,
          ...warnings,
          ...tiedWarnings(
            model,
            [...scaled.values()].map(({ site }) => site),
            trained,
          ),
        ],
      },
      report: (values) =>
        [...scaled.values()].map(({ site, vector }) => ({
          path: site.path,
          norm: distance(values.get(vector.name)!),
        })),
      merge(site, kind, base, values) {
        const whole = byParameter.get(`${site.path}.${kind}`);
        if (whole !== undefined) return values.get(whole.variable.name)!;
        const own = scaled.get(site.path);
        return own === undefined ? undefined : mergeVector(own, kind, base, values);
      },
      save: (values) => ({
        kind: 'adapter',
        config: ia3ConfigToPeft(options, { targets, feedforward, scaled: [...scaled.values()] }, context),
        tensors: trainables.map(({ variable: { name, shape } }): NamedTensor => ({
          name: keyOf(name),
          shape: shape as readonly number[],
          data: values.get(name)!,
        })),
      }),
      load: (tensors, source) => loadByKey(trainables, keyOf, tensors, source),
    };
  },
  peft: { type: 'IA3', options: ia3ConfigFromPeft, inspect: inspectIa3 },
};

/** What is scaled: as the options say, else as PEFT's tables have it. */
export function scaledModules(
  { target_modules: targets, feedforward_modules: feedforward }: Ia3Options,
  modelType: string,
): { readonly targets: string | string[]; readonly feedforward: string | string[] } {
  const usual = ia3Defaults(modelType);
  const missing = targets === undefined ? 'target_modules' : 'feedforward_modules';
  if (usual === undefined && (targets === undefined || feedforward === undefined)) {
    const problem: OptionProblem = {
      code: 'ia3.modules',
      message: l10n.t`which modules to scale is not known for models of type '${modelType}'`,
      expected: l10n.t`target_modules: keys, values and the last linear module of the feed-forward part, and that last one as feedforward_modules`,
      mend: l10n.t`Add ${missing} to the method's options.`,
      option: [missing],
    };
    fail(problem);
  }
  return {
    targets: targets ?? [...usual!.targets],
    feedforward: feedforward ?? [...usual!.feedforward],
  };
}

/**
 * Whether a module's input is scaled. As in PEFT a list's entry is the ending of a path wherever it begins: `k` is
 * `mlp.fc_k`, too, unlike in `target_modules`.
 */
export function readsScaled(feedforward: string | readonly string[], path: string): boolean {
  return typeof feedforward === 'string'
    ? matchesAny(feedforward, path)
    : feedforward.some((entry) => path.endsWith(entry));
}

/** Entries of `feedforward_modules` that are no target: what the run file asks for would not happen. */
function idleFeedforward(
  { feedforward_modules: entries = [] }: Ia3Options,
  scaled: ReadonlyMap<string, Scaled>,
): OptionProblem[] {
  const isExpression = typeof entries === 'string';
  return (isExpression ? [entries] : entries).flatMap((entry, at) =>
    [...scaled.keys()].some((path) => readsScaled(isExpression ? entry : [entry], path))
      ? []
      : [
          {
            code: 'ia3.feedforward',
            message: l10n.t`'${entry}' of feedforward_modules is none of the modules to scale`,
            expected: l10n.t`modules that target_modules names`,
            mend: l10n.t`Add it to target_modules, or remove it.`,
            option: isExpression ? ['feedforward_modules'] : ['feedforward_modules', at],
          },
        ],
  );
}

function scaledModule(site: Site, side: Scaled['side'], instance: string): Scaled {
  const [outSize, inSize] = site.shape as [number, number];
  const shape = side === 'in' ? [1, inSize] : [outSize, 1];
  return { site, side, vector: variable(`${instance}${site.path}.ia3_l`, shape) };
}

function vectorTrainable({ site, vector }: Scaled, options: Ia3Options, context: AttachContext): Trainable {
  return {
    variable: vector,
    start() {
      const draws = context.random('ia3', site.path);
      return Float32Array.from({ length: parameterSize(vector.shape) }, () =>
        options.init_ia3_weights ? 1 : draws.normal(),
      );
    },
    decays: false,
  };
}

/** ‖l − 1‖: how far a module is from the base's. */
function distance(vector: Float32Array): number {
  return Math.sqrt(vector.reduce((sum, each) => sum + (each - 1) ** 2, 0));
}

/** diag(l)·W and l ⊙ b, or W·diag(l) with the bias as it was. */
function mergeVector(
  { site, side, vector }: Scaled,
  kind: ParameterKind,
  base: Float32Array,
  values: Values,
): Float32Array | undefined {
  const l = values.get(vector.name)!;
  if (kind === 'bias') return side === 'in' ? undefined : base.map((each, at) => each * l[at]!);
  const columns = parameterShape(site, 'weight')[1]!;
  // A Conv1D's weight is [in, out].
  const byRow = (side === 'out') === (site.layout !== 'in-out');
  return base.map((each, at) => each * l[byRow ? Math.floor(at / columns) : at % columns]!);
}
