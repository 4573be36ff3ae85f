import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { Site } from '../models/site.js';
import { variable } from '../tensor/tensor.js';
import { loraConfigToPeft } from './loraConfig.js';
import { lowRankOutput, lowRankPair, mergePair, pairNorm, startPair } from './lowRankPair.js';
import type { LowRankPair } from './lowRankPair.js';
import type { AttachContext, Attached, Method, NamedTensor, Trainable } from './method.js';
import { loadByKey, parameterSize, readTrained } from './parameters.js';
import type { TrainedParameter } from './parameters.js';
import { TargetOptions, idlePatternKeys, matchTargets, matchesAny, patternValue } from './targets.js';

/** LoRA's options, under the names and with the meaning of HF PEFT's `LoraConfig`. */
export const LoraOptions = Type.Object(
  {
    type: Type.Literal('lora'),
    r: Type.Integer({ minimum: 1, maximum: 4096, default: 8, description: 'Rank of the update B·A.' }),
    lora_alpha: Type.Number({
      exclusiveMinimum: 0,
      default: 8,
      description: 'Scale of the update: ΔW = lora_alpha / r · B·A (lora_alpha / √r with `use_rslora`).',
    }),
    lora_dropout: Type.Number({
      minimum: 0,
      exclusiveMaximum: 1,
      default: 0,
      description: 'Share of the inputs of A that is dropped while training.',
    }),
    bias: Type.Union([Type.Literal('none'), Type.Literal('all'), Type.Literal('lora_only')], {
      default: 'none',
      description:
        'Which bias vectors train: `none`, `all` of the model, or `lora_only` those of adapted modules.',
    }),
    ...TargetOptions,
    rank_pattern: Type.Record(Type.String(), Type.Integer({ minimum: 1 }), {
      default: {},
      description: 'Ranks that differ from `r`: from a module name or regular expression to a rank.',
    }),
    alpha_pattern: Type.Record(Type.String(), Type.Number({ exclusiveMinimum: 0 }), {
      default: {},
      description: 'Alphas that differ from `lora_alpha`: from a module name or regular expression to an alpha.',
    }),
    modules_to_save: Type.Optional(
      Type.Array(Type.String(), {
        description: 'Modules trained in full and saved with the adapter, such as `lm_head` or `embed_tokens`.',
      }),
    ),
    use_rslora: Type.Boolean({
      default: false,
      description: 'Scale by lora_alpha / √r (rank-stabilized LoRA, Kalajdzievski 2023).',
    }),
    init_lora_weights: Type.Union([Type.Boolean(), Type.Literal('gaussian')], {
      default: true,
      description:
        'How A and B start. `true`: A Kaiming uniform, B zero; `gaussian`: A normal with deviation 1/r, B zero; `false`: both Kaiming uniform, so that the start is not the base model.',
    }),
  },
  { additionalProperties: false },
);
export type LoraOptions = Static<typeof LoraOptions>;

/** LoRA (Hu et al. 2021): y = W x + s·B·A·dropout(x), s = lora_alpha / r (eq. 3), A and B trained, W frozen. */
export const lora: Method<typeof LoraOptions> = {
  info: {
    type: 'lora',
    family: 'low-rank',
    place: 'plain',
    title: 'LoRA',
    summary: 'Learns a low-rank update B·A beside each frozen weight matrix.',
    paper: {
      authors: 'Hu, Shen, Wallis, Allen-Zhu, Li, Wang, Wang & Chen',
      year: 2021,
      title: 'LoRA: Low-Rank Adaptation of Large Language Models',
      arxiv: '2106.09685',
    },
    engines: ['embedded'],
    mergeable: true,
    options: LoraOptions,
  },
  attach(options, context) {
    const { model } = context;
    const match = matchTargets(options, model.sites, (site) => site.kind !== 'norm');
    const paths = match.sites.map((site) => site.path);
    for (const [name, pattern] of [
      ['rank_pattern', options.rank_pattern],
      ['alpha_pattern', options.alpha_pattern],
    ] as const) {
      const [idle] = idlePatternKeys(name, pattern, paths);
      if (idle !== undefined) fail(idle);
    }
    const pairs = new Map(
      match.sites.map((site) => {
        const r = patternValue(options.rank_pattern, site.path) ?? options.r;
        const alpha = patternValue(options.alpha_pattern, site.path) ?? options.lora_alpha;
        // Rank-stabilized: Kalajdzievski 2023, eq. 3.
        return [site.path, lowRankPair(site, r, options.use_rslora ? alpha / Math.sqrt(r) : alpha / r)];
      }),
    );
    const trained = trainedParameters(options, model.sites, pairs);
    const warnings = [
      ...match.warnings,
      ...tiedWarnings(model.tiedHead, pairs, trained),
      ...biasWarnings(options, trained),
    ];
    return attached(options, context, pairs, trained, { targets: match.entries, warnings });
  },
};

/** Biases that train, and modules that train whole. */
function trainedParameters(
  options: LoraOptions,
  sites: readonly Site[],
  pairs: ReadonlyMap<string, LowRankPair>,
): TrainedParameter[] {
  const whole = options.modules_to_save ?? [];
  for (const entry of whole) {
    const matched = sites.filter((site) => matchesAny([entry], site.path));
    if (matched.length === 0) {
      fail({
        code: 'targets.no-match',
        message: `'${entry}' of modules_to_save matches no module of the model`,
        expected: `names such as ${[...new Set(sites.map((site) => site.path.split('.').at(-1)!))].join(', ')}`,
      });
    }
    const both = matched.find((site) => pairs.has(site.path));
    if (both !== undefined) {
      fail({
        code: 'lora.twice',
        message: `${both.path} is adapted (target_modules) and trained whole (modules_to_save)`,
        mend: `Take '${entry}' out of one of them, or add it to exclude_modules.`,
      });
    }
  }
  return sites.flatMap((site): TrainedParameter[] => {
    const trainsWhole = matchesAny(whole, site.path);
    const adapted = pairs.has(site.path);
    const trainsBias =
      site.bias !== undefined &&
      (options.bias === 'all' || (options.bias === 'lora_only' && adapted) || trainsWhole);
    const key = `${PEFT_PREFIX}${site.path}`;
    return [
      ...(trainsWhole
        ? [
            {
              site,
              kind: 'weight' as const,
              key: `${key}.weight`,
              variable: variable(`${site.path}.weight`, site.shape),
            },
          ]
        : []),
      ...(trainsBias
        ? [
            {
              site,
              kind: 'bias' as const,
              // PEFT wraps an adapted module, so its own bias lies one level deeper.
              key: adapted ? `${key}.base_layer.bias` : `${key}.bias`,
              variable: variable(`${site.path}.bias`, [site.shape[0]!]),
            },
          ]
        : []),
    ];
  });
}

/** What PEFT puts in front of every module path. */
const PEFT_PREFIX = 'base_model.model.';

function peftKey(name: string): string {
  // PEFT keeps lora_A and lora_B as modules with a weight, but the embedding's as bare parameters.
  return `${PEFT_PREFIX}${name}${/\.lora_[AB]$/.test(name) ? '.weight' : ''}`;
}

function attached(
  options: LoraOptions,
  context: AttachContext,
  pairs: ReadonlyMap<string, LowRankPair>,
  trained: readonly TrainedParameter[],
  found: { targets: Attached['coverage']['targets']; warnings: readonly Problem[] },
): Attached {
  const byParameter = new Map(trained.map((each) => [`${each.site.path}.${each.kind}`, each]));
  const start = new Map<string, [Float32Array, Float32Array]>();
  const startOf = (pair: LowRankPair): [Float32Array, Float32Array] => {
    const path = pair.site.path;
    const known = start.get(path) ?? startPair(pair, options.init_lora_weights, context.random('lora', path));
    start.set(path, known);
    return known;
  };
  const trainables: Trainable[] = [
    ...[...pairs.values()].flatMap((pair) => [
      { variable: pair.a, start: () => startOf(pair)[0], decays: true },
      { variable: pair.b, start: () => startOf(pair)[1], decays: true },
    ]),
    ...trained.map((each) => readTrained(each, context)),
  ];
  const modules = [
    ...[...pairs.values()].map(({ site, a, b }) => ({
      path: site.path,
      shape: site.shape,
      trainable: parameterSize(a.shape) + parameterSize(b.shape),
    })),
    ...trained.map(({ site, kind, variable: { shape } }) => ({
      path: `${site.path}.${kind}`,
      shape: shape as readonly number[],
      trainable: parameterSize(shape),
    })),
  ];
  const keyOf = (name: string): string => byParameter.get(name)?.key ?? peftKey(name);
  return {
    type: 'lora',
    hooks: {
      parameter: (site, kind, base) => byParameter.get(`${site.path}.${kind}`)?.variable ?? base,
      output: (site, x, y, phase) => {
        const pair = pairs.get(site.path);
        if (pair === undefined) return y;
        return lowRankOutput(pair, x, y, {
          rate: options.lora_dropout,
          seed: phase.dropoutSeed,
          random: context.random('dropout', site.path),
        });
      },
    },
    trainables,
    coverage: {
      targets: found.targets,
      modules,
      layersCovered: new Set(
        [...pairs.values()].flatMap(({ site }) => (site.layer === undefined ? [] : [site.layer])),
      ).size,
      saves: `adapter_model.safetensors with ${trainables.length} tensors and adapter_config.json, as Hugging Face PEFT reads them`,
      warnings: found.warnings,
    },
    report: (values) =>
      [...pairs.values()].map((pair) => ({
        path: pair.site.path,
        rank: pair.r,
        scale: pair.scale,
        norm: pairNorm(pair, values),
      })),
    merge(site, kind, base, values) {
      const whole = byParameter.get(`${site.path}.${kind}`);
      if (whole !== undefined) return values.get(whole.variable.name)!;
      const pair = pairs.get(site.path);
      if (pair === undefined || kind === 'bias') return undefined;
      return mergePair(pair, base, values);
    },
    save: (values) => ({
      kind: 'adapter',
      config: loraConfigToPeft(
        options,
        [...pairs.values()].map(({ site }) => site),
        context,
      ),
      tensors: trainables.map(({ variable: { name, shape } }): NamedTensor => ({
        name: keyOf(name),
        shape: shape as readonly number[],
        data: values.get(name)!,
      })),
    }),
    load: (tensors, source) => loadByKey(trainables, keyOf, tensors, source),
  };
}

function tiedWarnings(
  tiedHead: boolean,
  pairs: ReadonlyMap<string, LowRankPair>,
  trained: readonly TrainedParameter[],
): Problem[] {
  const touched = [...[...pairs.values()].map(({ site }) => site), ...trained.map(({ site }) => site)].filter(
    (site) => site.isOutput || site.kind === 'embedding',
  );
  if (!tiedHead || touched.length === 0) return [];
  return [
    {
      code: 'lora.tied',
      severity: 'warning',
      message: `the model uses one matrix as embedding and as output layer; ${touched.map((site) => site.path).join(' and ')} will differ from it`,
      mend: 'Nothing to do: merging writes the output layer as a matrix of its own and sets tie_word_embeddings to false.',
    },
  ];
}

function biasWarnings(options: LoraOptions, trained: readonly TrainedParameter[]): Problem[] {
  if (options.bias === 'none' || trained.some((each) => each.kind === 'bias')) return [];
  return [
    {
      code: 'lora.no-bias',
      severity: 'warning',
      message: `bias: ${options.bias} trains nothing: the model's ${options.bias === 'all' ? '' : 'adapted '}modules have no biases`,
      mend: 'Set bias: none.',
    },
  ];
}
