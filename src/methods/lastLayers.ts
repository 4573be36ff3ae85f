import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { LanguageModel } from '../models/architecture.js';
import type { Site } from '../models/site.js';
import { baseParameters } from './baseParameters.js';
import { idleOptions } from './idleOptions.js';
import type { Method } from './method.js';
import type { TrainedParameter } from './parameters.js';
import type { OptionProblem } from './targets.js';
import { wholeTensors } from './wholeTensors.js';
import { wholeTensorsFormat } from './wholeTensorsFormat.js';

/** Options of training the last layers. */
export const LastLayersOptions = Type.Object(
  {
    type: Type.Literal('last_layers'),
    fraction: Type.Number({
      exclusiveMinimum: 0,
      maximum: 1,
      default: 0.25,
      description: 'Share of the layers that trains, counted from the last one (rounded, at least one layer).',
    }),
    num_layers: Type.Optional(
      Type.Integer({ minimum: 1, description: 'How many of the last layers train, instead of `fraction`.' }),
    ),
  },
  { additionalProperties: false },
);
export type LastLayersOptions = Static<typeof LastLayersOptions>;

const FORMAT = wholeTensorsFormat({
  peftType: 'LAST_LAYERS',
  schema: LastLayersOptions,
  type: 'last_layers',
  title: 'last_layers',
  ending: /\.(weight|bias)$/,
});

/**
 * Training the last layers (Lee, Tang & Lin 2019, "What Would Elsa Do?"): the top quarter of the layers trains, with what
 * stands behind them (last norm, pooler, output layer); embeddings and the layers below are frozen, so that no gradient
 * is taken there. An output layer that is the embeddings' matrix is frozen with these.
 *
 * An encoder-decoder's layers count through, the encoder's first. Saved are the new numbers of what trained.
 */
export const lastLayers: Method<typeof LastLayersOptions> = {
  info: {
    type: 'last_layers',
    family: 'selective',
    place: 'last layers',
    title: 'Last layers',
    summary: 'Trains the last quarter of the layers and what follows them; all below is frozen.',
    paper: {
      authors: 'Lee, Tang & Lin',
      year: 2019,
      title: 'What Would Elsa Do? Freezing Layers During Transformer Fine-Tuning',
      arxiv: '1911.03090',
    },
    engines: ['embedded'],
    mergeable: true,
    options: LastLayersOptions,
  },
  attach(options, context) {
    const { model } = context;
    const first = firstTrained(options, model.layers);
    const isTrained = new Set(sitesFrom(model.sites, first));
    const parameters = [...baseParameters(context).values()]
      .filter(({ site }) => isTrained.has(site))
      .map((each): TrainedParameter => ({ ...each, key: `${each.site.path}.${each.kind}` }));
    const { modules, layersCovered, tensors, ...whole } = wholeTensors(parameters, context, 'values');
    const behind = parameters.filter(({ site }) => site.layer === undefined);
    return {
      type: 'last_layers',
      ...whole,
      coverage: {
        targets: [
          {
            entry:
              layersCovered === 1
                ? l10n.t`the last layer, number ${first}`
                : l10n.t`the last ${layersCovered} layers, ${first} to ${model.layers - 1}`,
            matched: layersCovered,
          },
          {
            entry: model.sites.some((site) => isTied(model, site))
              ? l10n.t`behind the last layer (the output layer is the embeddings’ matrix, and frozen with it)`
              : l10n.t`behind the last layer`,
            matched: new Set(behind.map(({ site }) => site.path)).size,
          },
        ],
        modules,
        layersCovered,
        saves: l10n.t`adapter_model.safetensors with the new numbers of ${parameters.length} tensors and adapter_config.json`,
        warnings: idleFraction(options),
      },
      report: () =>
        model.sites
          .filter(({ weight }) => weight !== undefined)
          .map((site) => ({ path: site.path, density: isTrained.has(site) && !isTied(model, site) ? 1 : 0 })),
      save: (values) => ({ kind: 'adapter', config: FORMAT.config(options, context), tensors: tensors(values) }),
    };
  },
  peft: FORMAT,
};

function idleFraction(options: LastLayersOptions): OptionProblem[] {
  if (options.num_layers === undefined) return [];
  const { fraction } = LastLayersOptions.properties;
  return idleOptions(options, { fraction }, { option: 'num_layers', value: options.num_layers });
}

/**
 * Number of the lowest layer that trains.
 * @throws ProblemError `last-layers.layers`
 */
export function firstTrained({ fraction, num_layers: asked }: LastLayersOptions, layers: number): number {
  if (asked !== undefined && asked > layers) {
    const problem: OptionProblem = {
      code: 'last-layers.layers',
      message: l10n.t`${asked} layers are to train, the model has ${layers}`,
      expected: l10n.t`num_layers of at most ${layers}`,
      mend: l10n.t`Lower num_layers.`,
      option: ['num_layers'],
    };
    fail(problem);
  }
  return layers - (asked ?? Math.max(1, Math.round(fraction * layers)));
}

/** What is computed from a layer on, and so may train: its sites, and all behind them. */
export function sitesFrom(sites: readonly Site[], first: number): readonly Site[] {
  return sites.slice(sites.findIndex(({ layer }) => layer !== undefined && layer >= first));
}

/** An output layer that is the embeddings' matrix. */
function isTied({ tiedHead }: LanguageModel, { isOutput }: Site): boolean {
  return tiedHead && isOutput;
}
