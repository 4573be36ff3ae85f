import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { baseParameters } from './baseParameters.js';
import type { Method } from './method.js';
import { parameterSize } from './parameters.js';
import { wholeTensors } from './wholeTensors.js';

export const FullOptions = Type.Object({ type: Type.Literal('full') }, { additionalProperties: false });
export type FullOptions = Static<typeof FullOptions>;

/** Every weight trains: the reference that other methods are measured against. */
export const full: Method<typeof FullOptions> = {
  info: {
    type: 'full',
    family: 'full',
    place: 'all weights',
    title: 'Full fine-tuning',
    summary: 'Trains every weight of the model; the reference that other methods are measured against.',
    paper: {
      authors: 'Howard & Ruder',
      year: 2018,
      title: 'Universal Language Model Fine-tuning for Text Classification',
      arxiv: '1801.06146',
    },
    engines: ['embedded'],
    mergeable: false,
    options: FullOptions,
  },
  attach(_options, context) {
    const parameters = [...baseParameters(context).values()];
    const { hooks, trainables, load, tensors } = wholeTensors(parameters, context, 'values');
    return {
      type: 'full',
      hooks,
      trainables,
      coverage: {
        targets: [{ entry: l10n.t`all weights`, matched: parameters.length }],
        modules: parameters.map(({ key, variable: { shape } }) => ({
          path: key,
          shape: shape as readonly number[],
          trainable: parameterSize(shape),
        })),
        layersCovered: context.model.layers,
        saves: l10n.t`model.safetensors with every weight, config.json and the tokenizer: a whole model folder`,
        warnings: [],
      },
      save: (values) => ({ kind: 'model', weights: tensors(values) }),
      load,
    };
  },
};
