import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { Random } from '../common/random.js';
import type { SublayerPlace } from '../models/site.js';
import { add, mul } from '../tensor/ops/elementwise.js';
import { sumOf } from '../tensor/ops/shape.js';
import type { Tensor, Variable } from '../tensor/tensor.js';
import { BottleneckOptions, bottleneckForm } from './adapterOptions.js';
import type { BottleneckForm } from './adapterOptions.js';
import { adapterNames, adapterSet, ofTask, readsSource } from './adapterSet.js';
import type { AdapterSet } from './adapterSet.js';
import { bottleneckNorm, bottleneckResult, bottleneckVariables, scaleOf, wiring } from './bottleneck.js';
import { fusedForms, fusionFromLibrary, fusionPrepared, inspectFusion, savedFusion } from './fusionConfig.js';
import {
  distanceFromIdentity,
  fuse,
  fusionLayer,
  fusionModule,
  fusionTrainables,
  fusionVariables,
} from './fusionLayer.js';
import type { FusionLayer } from './fusionLayer.js';
import { sharesOf, sumsByTask } from './fusionShares.js';
import { loadTrained } from './fusionSources.js';
import { changedOptions } from './changedOptions.js';
import type { AttachContext, Attached, Method, NamedTensor, StepPlace, Trainable, Values } from './method.js';
import { coveredParameters, loadByKey, parameterSize } from './parameters.js';
import type { OptionProblem } from './targets.js';
import { trainedBase } from './trainedBase.js';

/** Norms are the base's, which all adapters of a fusion share. */
const OwnOptions = Type.Omit(Type.Object(BottleneckOptions), ['train_layer_norms']).properties;

/** AdapterFusion's options, under the names of the `adapters` library's `AdapterFusionConfig` where it has them. */
export const AdapterFusionOptions = Type.Object(
  {
    type: Type.Literal('adapter_fusion'),
    adapters: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        minItems: 1,
        description:
          'Folders of trained bottleneck adapters to fuse, relative to the run file. Without it the run trains an ' +
          'adapter for each task that rows name first (`data.task_column`), and then fuses these.',
      }),
    ),
    stage1: Type.Union([Type.Literal('ST-A'), Type.Literal('MT-A')], {
      default: 'ST-A',
      description:
        'What trains with the adapters, where the run trains them. ST-A: nothing, the base stays as it is. MT-A: the base ' +
        'trains along on the rows of all tasks, and is written as a model beside the adapters, which are for it alone.',
    }),
    stage1_share: Type.Number({
      exclusiveMinimum: 0,
      exclusiveMaximum: 1,
      default: 0.5,
      description:
        'Share of the steps that trains the adapters, where the run trains them; the rest trains the fusion.',
    }),
    value: Type.Boolean({
      default: true,
      description: 'Whether there is a value matrix (dynamic); false: results are mixed as they are (static).',
    }),
    regularization: Type.Number({
      minimum: 0,
      default: 0.01,
      description: 'Weight of ‖I − V‖² in the loss, summed over all value matrices.',
    }),
    query_before_ln: Type.Boolean({
      default: false,
      description: "Whether the query is the sublayer's bare result instead of what the adapters read.",
    }),
    dropout_prob: Type.Number({
      minimum: 0,
      exclusiveMaximum: 1,
      default: 0,
      description: 'Share of the scores that is dropped while training.',
    }),
    share_layers: Type.Boolean({
      default: false,
      description: 'Whether all layers have query, key and value in common; the files hold a copy for each.',
    }),
    placement: Type.Union([Type.Literal('pfeiffer'), Type.Literal('houlsby'), Type.Literal('parallel')], {
      default: 'pfeiffer',
      description: 'What the options of the adapters are unless they are given, where the run trains them.',
    }),
    ...OwnOptions,
  },
  { additionalProperties: false },
);
export type AdapterFusionOptions = Static<typeof AdapterFusionOptions>;

/** What the names of sums that an evaluation takes start with, the method's own prefix apart. */
const ATTENTION = 'attention/';

/**
 * AdapterFusion (Pfeiffer et al. 2021): adapters of several tasks stay as they are, and at each place an attention over
 * their results is trained: s = softmax(Q·h ⊗ K·z_i), Σ s_i·V·z_i, with λ·‖I − V‖² in the loss of the same step. Of
 * adapters that read the stream before the sublayer (parallel) the sublayer's result is added once.
 *
 * The adapters are trained before (`adapters`), or by the same run: in its first steps each row trains the adapter of its
 * task. On the frozen model no adapter sees rows of another (the paper's single-task adapters, ST-A; with the model
 * frozen a joint stage is the same). With MT-A (its section 3.1) the model's own weights train along on the rows of all tasks,
 * Θ and all Φₙ by Σₙ L(Dₙ; Θ, Φₙ), and rest with the adapters in the second stage.
 */
export const adapterFusion: Method<typeof AdapterFusionOptions> = {
  info: {
    type: 'adapter_fusion',
    family: 'additive',
    place: 'model',
    title: 'AdapterFusion',
    summary: 'Learns an attention over the adapters of several tasks, which it trains first or takes as they are.',
    paper: {
      authors: 'Pfeiffer, Kamath, Rücklé, Cho & Gurevych',
      year: 2021,
      title: 'AdapterFusion: Non-Destructive Task Composition for Transfer Learning',
      arxiv: '2005.00247',
    },
    engines: ['embedded'],
    mergeable: false,
    guidesItself: true,
    options: AdapterFusionOptions,
  },
  prepares: ({ adapters }) => adapters !== undefined,
  async prepare(options, context) {
    return options.adapters === undefined ? undefined : loadTrained(options.adapters, context);
  },
  check(options, context) {
    if (options.adapters === undefined) stage1Sets(options, context);
    else checkAlone(options);
  },
  attach(options, context) {
    const { model, tasks = [], instance = '', prepared } = context;
    const trained = fusedForms(prepared);
    if (trained === undefined && options.adapters !== undefined) return notPrepared();
    const isTrained = trained !== undefined;
    const sets = isTrained
      ? trained.map(({ name, form }) => adapterSet(form, name, context))
      : stage1Sets(options, context);
    const form = sets.at(-1)!.form;
    checkAlike(sets);
    const names = sets.map(({ name }) => name);
    const places = model.sublayers.filter(({ path }) => sets[0]!.at.has(path));
    const layers = fusionLayers(options, context, places, names);
    const distinct = [...new Set(layers.values())];
    const fusion = distinct.flatMap((layer, at) =>
      fusionTrainables(layer, (part) => context.random('fusion', at, part)),
    );
    const keyOf = (name: string): string => name.slice(instance.length);
    const adapters = sets.flatMap((set) =>
      set.trainables.map((each): Trainable => {
        if (!isTrained) return each;
        const data = prepared?.get(keyOf(each.variable.name));
        return { ...each, start: () => known(data, each.variable), readAtRest: true };
      }),
    );
    // Of a run that trains the adapters: where its first stage ends, and whether it has.
    let [ends, stage]: [number, 1 | 2] = [0, isTrained ? 2 : 1];
    const inStage = (which: 1 | 2): ReadonlySet<Variable> =>
      new Set((which === 1 ? adapters : fusion).map(({ variable }) => variable));
    const base = options.stage1 === 'MT-A' ? trainedBase(context) : undefined;
    const alongside = base?.trainables.map(({ variable }) => variable) ?? [];
    const [first, second] = [new Set([...inStage(1), ...alongside]), inStage(2)];

    const fused = (place: SublayerPlace, tensors: Parameters<typeof wiring>[1], phase: PhaseOf): Tensor => {
      const { x, residual } = wiring(form, tensors);
      const results = sets.map((set) => bottleneckResult(set.at.get(place.path)!, { ...set.form, dropout: 0 }, x));
      const query = options.query_before_ln && !form.is_parallel ? tensors.output : x;
      const random = (): Random => context.random('dropout', place.path);
      const dropped = { seed: phase.dropoutSeed, random };
      const { result, shares } = fuse(layers.get(place.path)!, query, results, options.dropout_prob, dropped);
      const ofSource = readsSource(place, model);
      phase.measuring?.sum(
        `${instance}${ATTENTION}${place.path}`,
        sumsByTask(shares, phase.measuring, (ofSource ? phase.sourceTasks : phase.tasks)!, tasks.length, ofSource),
      );
      return add(residual, result);
    };
    return {
      type: 'adapter_fusion',
      ...(tasks.length > 0 ? { tasks } : {}),
      hooks: {
        ...(base === undefined
          ? {}
          : {
              parameter: (site, kind, own) =>
                base.parameters.get((kind === 'weight' ? site.weight : site.bias)!)?.variable ?? own,
            }),
        sublayer(place, tensors, phase) {
          if (!layers.has(place.path)) return tensors.output;
          if (stage === 2) return fused(place, tensors, phase);
          const { x, residual } = wiring(form, tensors);
          const results = sets.map((set) => {
            const random = (): Random => context.random('dropout', set.name, place.path);
            return bottleneckResult(set.at.get(place.path)!, form, x, { seed: phase.dropoutSeed, random });
          });
          return add(residual, ofTask(results, phase, readsSource(place, model)));
        },
      },
      trainables: [...(base?.trainables ?? []), ...adapters, ...fusion],
      active: () => (stage === 1 ? first : second),
      startedAfter: (variable) => (second.has(variable) ? ends : 0),
      beforeStep({ step, totalSteps }: StepPlace) {
        if (isTrained) return 'keep';
        ends = Math.min(totalSteps - 1, Math.max(1, Math.round(options.stage1_share * totalSteps)));
        const next = step > ends ? 2 : 1;
        if (next === stage) return 'keep';
        stage = next;
        return 'rebuild';
      },
      regularizers: () => {
        const values = distinct.flatMap(({ value }) => value ?? []);
        if (stage === 1 || options.regularization === 0 || values.length === 0) return [];
        return [{ name: 'identity', term: mul(sumOf(values.map(distanceFromIdentity)), options.regularization) }];
      },
      observed: (sums) =>
        places.flatMap(({ path }) => {
          const own = sums.get(`${instance}${ATTENTION}${path}`);
          return own === undefined ? [] : sharesOf(path, own, names, tasks.length > 0 ? tasks : ['']);
        }),
      coverage: {
        targets: [
          { entry: l10n.t`adapters ${names.join(', ')}`, matched: sets.reduce((sum, { at }) => sum + at.size, 0) },
          { entry: l10n.t`fusion layers`, matched: places.length },
        ],
        modules: [
          ...coveredParameters([...(base?.parameters.values() ?? [])]),
          ...(isTrained
            ? []
            : sets.flatMap(({ at }) =>
                [...at.values()].map((each) => ({
                  path: each.path,
                  shape: [model.hiddenSize, each.size],
                  trainable: sizeOf(bottleneckVariables(each)),
                })),
              )),
          ...[...layers].flatMap(([path, layer], index) =>
            [...layers.values()].indexOf(layer) < index
              ? []
              : [
                  {
                    path: options.share_layers ? l10n.t`fusion of all layers` : `${path} (${names.join(', ')})`,
                    shape: [model.hiddenSize, model.hiddenSize],
                    trainable: sizeOf([...fusionVariables(layer).values()]),
                  },
                ],
          ),
        ],
        layersCovered: new Set(places.map(({ layer }) => layer)).size,
        saves:
          base === undefined
            ? l10n.t`a folder for each of the adapters ${names.join(', ')} and one for their fusion, as the adapters library reads them`
            : l10n.t`a model folder with the changed base, and on it a folder for each of the adapters ${names.join(', ')} and one for their fusion, as the adapters library reads them`,
        warnings: fusionWarnings(options, form, names),
      },
      report: (values) =>
        sets.flatMap((set) =>
          [...set.at.values()].map((each) => ({
            path: each.path,
            rank: each.size,
            scale: scaleOf(each, set.form, values),
            norm: bottleneckNorm(each, set.form, values),
          })),
        ),
      save(values) {
        const tensorsOf = (set: AdapterSet): NamedTensor[] =>
          set.trainables.map(({ variable }) => namedTensor(keyOf(variable.name), variable, values));
        const parts = { sets, tensorsOf, options, ...(base === undefined ? {} : { base: base.saved(values) }) };
        // The run ended before its second stage.
        if (fusion.some(({ variable }) => !values.has(variable.name))) return savedFusion(parts, context);
        const fusionTensors = places.flatMap((place) =>
          [...fusionVariables(layers.get(place.path)!)].map(([end, variable]) =>
            namedTensor(`${fusionModule(place, names.join(','))}.${end}`, variable, values),
          ),
        );
        return savedFusion({ ...parts, fusionTensors }, context);
      },
      load: (tensors, source) => loadByKey([...adapters, ...fusion], keyOf, tensors, source),
    };
  },
  peft: {
    type: 'ADAPTER_FUSION',
    options: fusionFromLibrary,
    prepared: fusionPrepared,
    inspect: inspectFusion,
  },
};

type PhaseOf = Parameters<NonNullable<Attached['hooks']['sublayer']>>[2];

/** One adapter for each task that rows name. */
function stage1Sets(options: AdapterFusionOptions, context: AttachContext): readonly AdapterSet[] {
  const { tasks = [], model } = context;
  const form = { ...bottleneckForm(options.placement, options, model.hiddenSize), train_layer_norms: false };
  // An editor knows no rows: there is at least one adapter.
  return (tasks.length === 0 ? ['adapter'] : adapterNames(tasks)).map((name) => adapterSet(form, name, context));
}

/** Options of adapters say nothing about adapters that are trained already. */
function checkAlone(options: AdapterFusionOptions): void {
  const { stage1, stage1_share: share, placement } = AdapterFusionOptions.properties;
  const [idle] = changedOptions(options, { stage1, stage1_share: share, placement, ...OwnOptions });
  if (idle === undefined) return;
  const problem: OptionProblem = {
    code: 'fusion.idle-option',
    message: l10n.t`${idle} is for adapters that the run trains, and the adapters to fuse are trained already`,
    mend: l10n.t`Remove ${idle}, or adapters.`,
    option: [idle],
  };
  fail(problem);
}

/** The last adapter says what a fusion reads and adds to: with others that are wired otherwise it would mean nothing. */
function checkAlike(sets: readonly AdapterSet[]): void {
  const wired = ({ form, at }: AdapterSet): string =>
    JSON.stringify([form.is_parallel, form.original_ln_before, form.residual_before_ln, [...at.keys()]]);
  const last = sets.at(-1)!;
  const other = sets.find((set) => wired(set) !== wired(last));
  if (other === undefined) return;
  fail({
    code: 'fusion.unlike',
    message: l10n.t`the adapters ${other.name} and ${last.name} sit at other places, or read other tensors`,
    expected: l10n.t`adapters with the same places, original_ln_before, residual_before_ln and is_parallel`,
    mend: l10n.t`Train them with the same options; sizes and non-linearities may differ.`,
  });
}

function fusionLayers(
  options: AdapterFusionOptions,
  { model, instance = '' }: AttachContext,
  places: readonly SublayerPlace[],
  names: readonly string[],
): ReadonlyMap<string, FusionLayer> {
  const shared = new Map<string, FusionLayer>();
  const make = (name: string): FusionLayer => fusionLayer(`${instance}${name}`, model.hiddenSize, options.value);
  return new Map(
    places.map((place) => {
      if (!options.share_layers) return [place.path, make(fusionModule(place, names.join(',')))];
      const layer = shared.get(place.kind) ?? make(`fusion.${place.kind}`);
      shared.set(place.kind, layer);
      return [place.path, layer];
    }),
  );
}

function fusionWarnings(options: AdapterFusionOptions, form: BottleneckForm, names: readonly string[]): Problem[] {
  const warnings: OptionProblem[] = [];
  if (form.is_parallel) {
    warnings.push({
      code: 'fusion.parallel',
      severity: 'warning',
      message: l10n.t`the adapters library adds the stream twice where it fuses parallel adapters; here it is added once`,
      mend: l10n.t`Nothing to do in PEFT Studio; the adapters library will compute something else from the files.`,
      option: ['type'],
    });
  }
  if (names.length === 1) {
    warnings.push({
      code: 'fusion.one',
      severity: 'warning',
      message: l10n.t`there is one adapter: an attention over it has nothing to choose`,
      mend: l10n.t`Name several adapters, or rows of several tasks (data.task_column).`,
      option: [options.adapters === undefined ? 'type' : 'adapters'],
    });
  }
  return warnings;
}

function sizeOf(variables: readonly Variable[]): number {
  return variables.reduce((sum, { shape }) => sum + parameterSize(shape), 0);
}

function namedTensor(name: string, { name: own, shape }: Variable, values: Values): NamedTensor {
  return { name, shape: shape as readonly number[], data: values.get(own)! };
}

function known(data: Float32Array | Int32Array | undefined, { name }: Variable): Float32Array {
  return data instanceof Float32Array ? data : notPrepared(name);
}

function notPrepared(what = 'adapters'): never {
  return fail({
    code: 'method.not-prepared',
    message: l10n.t`AdapterFusion has no numbers of ${what}`,
    mend: l10n.t`Start the run anew: the adapters that it fuses were not read.`,
  });
}
