import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { Site } from '../models/site.js';
import { variable } from '../tensor/tensor.js';
import { baseParameters } from './baseParameters.js';
import { BIAS_TERMS, biasTermsOf } from './biasTerms.js';
import type { BiasTerm } from './biasTerms.js';
import type { AttachContext, Method } from './method.js';
import type { TrainedParameter } from './parameters.js';
import { idlePattern } from './targets.js';
import type { Matchable, OptionProblem } from './targets.js';
import { wholeTensors } from './wholeTensors.js';
import { wholeTensorsFormat } from './wholeTensorsFormat.js';

/** BitFit's options, named after those of its authors' code. */
export const BitfitOptions = Type.Object(
  {
    type: Type.Literal('bitfit'),
    bias_terms: Type.Union(
      [
        Type.Literal('all'),
        Type.Array(Type.Union(BIAS_TERMS.map((term) => Type.Literal(term))), { minItems: 1, uniqueItems: true }),
      ],
      {
        default: 'all',
        description:
          'Which biases train: `all`, or a list of kinds. `[query, intermediate]` are the two that the paper found to do almost as well; `embeddings` is the norm of the embeddings, `head` what stands behind the last layer (pooler, last norm).',
      },
    ),
  },
  { additionalProperties: false },
);
export type BitfitOptions = Static<typeof BitfitOptions>;

const FORMAT = wholeTensorsFormat({
  peftType: 'BITFIT',
  schema: BitfitOptions,
  type: 'bitfit',
  title: 'BitFit',
  ending: /\.bias\.difference$/,
});

/**
 * BitFit (Ben Zaken, Goldberg & Ravfogel 2022, section 3): all weights are frozen, the biases of linear modules and norms
 * train: y = W x + b + Δb. ΔW = 0. What trains is Δb, from zero, without
 * weight decay: the same steps as training b itself (where they do not go by the size of what trains), and it leaves room for
 * other methods at the module.
 *
 * The authors' code chooses biases by parts of their names: its `output` is the attention's output too, its
 * `output_layernorm` both norms, and the pooler's bias trains beside any subset. Here each is a kind of its own. Of a
 * bias of keys the softmax knows nothing where positions do not turn the keys (q·b is the same for all of them): it
 * trains as theirs does, and changes nothing.
 */
export const bitfit: Method<typeof BitfitOptions> = {
  info: {
    type: 'bitfit',
    family: 'selective',
    place: 'biases',
    title: 'BitFit',
    summary: 'Trains the biases of the model and nothing else, or some kinds of them.',
    paper: {
      authors: 'Ben Zaken, Goldberg & Ravfogel',
      year: 2022,
      title: 'BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked Language-models',
      arxiv: '2106.10199',
    },
    engines: ['embedded'],
    mergeable: true,
    options: BitfitOptions,
  },
  attach(options, context) {
    const { model, instance = '' } = context;
    const { sites, warnings } = biasedSites(options, model.sites, ({ bias }) => bias !== undefined, context);
    const chosen = new Set<Site>(sites);
    const parameters = [...baseParameters(context).values()]
      .filter(({ site, kind }) => kind === 'bias' && chosen.has(site))
      .map((each): TrainedParameter => {
        const key = `${each.site.path}.bias.difference`;
        return { ...each, key, variable: variable(`${instance}${key}`, each.variable.shape) };
      });
    const { modules, layersCovered, tensors, ...whole } = wholeTensors(parameters, context, 'differences');
    const { bias_terms: terms } = options;
    return {
      type: 'bitfit',
      ...whole,
      coverage: {
        targets:
          terms === 'all'
            ? [{ entry: l10n.t`all biases`, matched: parameters.length }]
            : terms.map((entry) => ({
                entry,
                matched: parameters.filter(({ site }) => biasTermsOf(site).includes(entry)).length,
              })),
        modules,
        layersCovered,
        saves: l10n.t`adapter_model.safetensors with ${parameters.length} differences of biases and adapter_config.json`,
        warnings,
      },
      report: (values) =>
        parameters.map(({ site, variable: { name } }) => ({
          path: `${site.path}.bias`,
          norm: Math.sqrt(values.get(name)?.reduce((sum, value) => sum + value * value, 0) ?? 0),
        })),
      save: (values) => ({
        kind: 'adapter',
        config: FORMAT.config(options, context),
        tensors: tensors(values),
      }),
    };
  },
  peft: { ...FORMAT, differences: 'tensors' },
};

/**
 * The modules whose biases train.
 * @param hasBias whether a module has one
 * @throws ProblemError `bitfit.no-bias`, `bitfit.one-tensor`; `bitfit.no-such-bias` unless idle patterns are warnings
 */
export function biasedSites<S extends Matchable>(
  { bias_terms: terms }: BitfitOptions,
  sites: readonly S[],
  hasBias: (site: S) => boolean,
  { idlePatterns }: Pick<AttachContext, 'idlePatterns'> = {},
): { readonly sites: readonly S[]; readonly warnings: readonly Problem[] } {
  const biased = sites.filter(hasBias);
  if (biased.length === 0) {
    fail({
      code: 'bitfit.no-bias',
      message: l10n.t`the model's modules have no biases: there is nothing for BitFit to train`,
      expected: l10n.t`a model with biases, such as BERT, RoBERTa, GPT-2 or Qwen2 (queries, keys and values)`,
      mend: l10n.t`Use such a model, or another method: ia3 trains as little, lora is the usual one.`,
    });
  }
  if (terms === 'all') return { sites: biased, warnings: [] };
  const wanted = new Set<BiasTerm>(terms);
  const chosen = biased.filter((site) => {
    const own = biasTermsOf(site);
    return own.length > 0 && own.every((term) => wanted.has(term));
  });
  const warnings = terms.flatMap((term, at) => {
    const named = biased.filter((site) => biasTermsOf(site).includes(term));
    const [whole] = named;
    if (whole === undefined) return [idlePattern(noSuchBias(term, at, biased), idlePatterns)];
    return chosen.some((site) => named.includes(site)) ? [] : [idlePattern(oneTensor(whole, at), idlePatterns)];
  });
  return { sites: chosen, warnings };
}

function noSuchBias(term: BiasTerm, at: number, biased: readonly Matchable[]): OptionProblem {
  const known = new Set(biased.flatMap(biasTermsOf));
  return {
    code: 'bitfit.no-such-bias',
    message: l10n.t`the model has no bias of the kind '${term}'`,
    expected: l10n.t`one of ${BIAS_TERMS.filter((each) => known.has(each)).join(', ')}`,
    mend: l10n.t`Take it out of bias_terms.`,
    option: ['bias_terms', at],
  };
}

function oneTensor(site: Matchable, at: number): OptionProblem {
  const all = biasTermsOf(site).join(', ');
  return {
    code: 'bitfit.one-tensor',
    message: l10n.t`the model keeps the biases of ${all} in one tensor, ${site.path}.bias, which trains whole or not at all`,
    expected: l10n.t`all of them in bias_terms, or none`,
    mend: l10n.t`Name all of ${all}, or take them out.`,
    option: ['bias_terms', at],
  };
}
