import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import { shuffle } from '../common/random.js';
import type { ParameterKind, Site } from '../models/site.js';
import type { Variable } from '../tensor/tensor.js';
import { baseParameters } from './baseParameters.js';
import type { Method, StepPlace } from './method.js';
import { loadByKey, parameterSize, readTrained } from './parameters.js';
import type { TrainedParameter } from './parameters.js';
import type { OptionProblem } from './targets.js';

/** LISA's options, under the names of its authors' LMFlow. */
export const LisaOptions = Type.Object(
  {
    type: Type.Literal('lisa'),
    lisa_activated_layers: Type.Integer({
      minimum: 1,
      default: 2,
      description: 'How many layers train at a time, beside embeddings, last norm and head.',
    }),
    lisa_interval_steps: Type.Integer({
      minimum: 1,
      default: 20,
      description: 'Optimizer steps after which other layers are drawn.',
    }),
  },
  { additionalProperties: false },
);
export type LisaOptions = Static<typeof LisaOptions>;

/**
 * LISA (Pan et al. 2024, algorithm 1): embeddings, last norm and head always train, of the layers between them only
 * `lisa_activated_layers`, drawn anew without replacement every `lisa_interval_steps` steps, each as likely as any other.
 * Layers that rest have neither gradients nor optimizer slots; those that never trained stay mapped from the base.
 *
 * The paper leaves open what becomes of the moments of a layer that rests. They go, which is what saves the memory that it
 * reports: a layer that is drawn anew starts its optimizer from zero, corrections included; one that is drawn again at once
 * goes on. The authors' first code (a callback of LMFlow) keeps all moments for ever; their later `LISATrainer` drops those of
 * the layers at every draw, also of one that stays. Layers of an encoder-decoder count through, the encoder's first.
 */
export const lisa: Method<typeof LisaOptions> = {
  info: {
    type: 'lisa',
    family: 'selective',
    place: 'layers drawn at random',
    title: 'LISA',
    summary: 'Trains the weights of a few layers at a time, drawn anew every few steps.',
    paper: {
      authors: 'Pan, Liu, Diao, Pi, Zhang, Han & Zhang',
      year: 2024,
      title: 'LISA: Layerwise Importance Sampling for Memory-Efficient Large Language Model Fine-Tuning',
      arxiv: '2403.17919',
    },
    engines: ['embedded'],
    mergeable: false,
    guidesItself: true,
    options: LisaOptions,
  },
  attach(options, context) {
    const { model, instance = '' } = context;
    const { lisa_activated_layers: count, lisa_interval_steps: interval } = options;
    if (count > model.layers) {
      const problem: OptionProblem = {
        code: 'targets.layers',
        message: l10n.t`${count} layers are to train at a time, the model has ${model.layers}`,
        expected: l10n.t`lisa_activated_layers of at most ${model.layers}`,
        mend: l10n.t`Lower lisa_activated_layers.`,
        option: ['lisa_activated_layers'],
      };
      fail(problem);
    }
    const parameters = baseParameters(context);
    const draw = (period: number): ReadonlySet<number> =>
      new Set(shuffle([...Array(model.layers).keys()], context.random('lisa', period)).slice(0, count));

    // All of it follows from the step: a run that is resumed draws what it had drawn.
    let period = 0;
    let drawn = draw(0);
    let ever = drawn;
    const isIn = (layers: ReadonlySet<number>, { layer }: Site): boolean =>
      layer === undefined || layers.has(layer);
    const periodOf = ({ step }: StepPlace): number => Math.floor((step - 1) / interval);
    const trainables = [...parameters.values()].map((each) => readTrained(each, context));
    const siteOf = new Map<Variable, Site>([...parameters.values()].map(({ variable, site }) => [variable, site]));
    const keyOf = (name: string): string => name.slice(instance.length);
    const moves = (site: Site, kind: ParameterKind): TrainedParameter | undefined => {
      const parameter = parameters.get((kind === 'weight' ? site.weight : site.bias)!);
      return parameter !== undefined && isIn(ever, parameter.site) ? parameter : undefined;
    };
    return {
      type: 'lisa',
      hooks: { parameter: (site, kind, base) => moves(site, kind)?.variable ?? base },
      trainables,
      active: () => new Set([...siteOf].flatMap(([variable, site]) => (isIn(drawn, site) ? [variable] : []))),
      startedAfter(variable) {
        const site = siteOf.get(variable);
        if (site?.layer === undefined) return 0;
        let first = period;
        while (first > 0 && isIn(draw(first - 1), site)) first--;
        return first * interval;
      },
      beforeStep(at) {
        const next = periodOf(at);
        if (next === period) return 'keep';
        period = next;
        drawn = draw(period);
        ever = new Set(Array.from({ length: period + 1 }, (_, each) => [...draw(each)]).flat());
        return 'rebuild';
      },
      reportsAfter: ({ step }) => (step - 1) % interval === 0,
      report: () =>
        model.sites
          .filter(({ weight }) => weight !== undefined)
          .map((site) => ({ path: site.path, density: isIn(drawn, site) ? 1 : 0 })),
      coverage: {
        targets: [
          {
            entry: l10n.t`embeddings, last norm and head`,
            matched: model.sites.filter(({ layer }) => layer === undefined).length,
          },
          { entry: l10n.t`${count} layers at a time`, matched: count },
        ],
        modules: [...parameters].map(([path, { variable }]) => ({
          path,
          shape: variable.shape as readonly number[],
          trainable: parameterSize(variable.shape),
        })),
        layersCovered: model.layers,
        saves: l10n.t`model.safetensors with every weight, config.json and the tokenizer: a whole model folder`,
        warnings: [],
      },
      save: (values) => ({
        kind: 'model',
        weights: trainables.flatMap(({ variable: { name, shape } }) => {
          const data = values.get(name);
          return data === undefined ? [] : [{ name: keyOf(name), shape: shape as readonly number[], data }];
        }),
      }),
      load: (tensors, source) => loadByKey(trainables, keyOf, tensors, source),
    };
  },
};
