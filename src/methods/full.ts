import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { baseParameters } from './baseParameters.js';
import type { Method, Trainable } from './method.js';
import { loadByKey, parameterSize, readTrained } from './parameters.js';

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
    const { instance = '' } = context;
    const parameters = baseParameters(context);
    const keyOf = (name: string): string => name.slice(instance.length);
    const trainables: Trainable[] = [...parameters.values()].map((each) => readTrained(each, context));
    return {
      type: 'full',
      hooks: {
        parameter: (site, kind, base) =>
          parameters.get((kind === 'weight' ? site.weight : site.bias)!)?.variable ?? base,
      },
      trainables,
      coverage: {
        targets: [{ entry: l10n.t`all weights`, matched: parameters.size }],
        modules: [...parameters].map(
          ([
            path,
            {
              variable: { shape },
            },
          ]) => ({
            path,
            shape: shape as readonly number[],
            trainable: parameterSize(shape),
          }),
        ),
        layersCovered: context.model.layers,
        saves: l10n.t`model.safetensors with every weight, config.json and the tokenizer: a whole model folder`,
        warnings: [],
      },
      save: (values) => ({
        kind: 'model',
        weights: trainables.map(({ variable: { name, shape } }) => ({
          name: keyOf(name),
          shape: shape as readonly number[],
          data: values.get(name)!,
        })),
      }),
      load: (tensors, source) => loadByKey(trainables, keyOf, tensors, source),
    };
  },
};
