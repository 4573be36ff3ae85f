import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import { cast, div, equal, lessOrEqual, mul, stopGradient, where } from '../tensor/ops/elementwise.js';
import { reshape } from '../tensor/ops/shape.js';
import { constant, input } from '../tensor/tensor.js';
import type { Tensor } from '../tensor/tensor.js';
import { peftKey } from './loraParameters.js';
import { drawnStart } from './loraStart.js';
import { lowRankOutput, mergePair, pairNorm, pairValues } from './lowRankPair.js';
import type { LowRankPair, MadePair } from './lowRankPair.js';
import type { AttachContext, Attached, Method, StepPlace, Trainable, Values } from './method.js';
import { loadByKey, parameterSize } from './parameters.js';
import { plainLora } from './plainLora.js';
import { TargetOptions } from './targets.js';
import type { OptionProblem } from './targets.js';
import { targetPairs } from './targetPairs.js';

/** DyLoRA's options: LoRA's under PEFT's names, and its own. */
export const DyLoraOptions = Type.Object(
  {
    type: Type.Literal('dylora'),
    r: Type.Integer({
      minimum: 1,
      maximum: 4096,
      default: 8,
      description: 'The largest rank. The adapter can be used at every rank up to it.',
    }),
    lora_alpha: Type.Number({
      exclusiveMinimum: 0,
      default: 16,
      description: 'Scale of the update: at rank b, ΔW = lora_alpha / b · B[:, :b]·A[:b].',
    }),
    lora_dropout: Type.Number({
      minimum: 0,
      exclusiveMaximum: 1,
      default: 0,
      description: 'Share of the inputs of A that is dropped while training.',
    }),
    frozen: Type.Boolean({
      default: false,
      description: 'A step at rank b teaches the b-th component alone, on top of those before it.',
    }),
    eval_ranks: Type.Optional(
      Type.Array(Type.Integer({ minimum: 1 }), {
        minItems: 1,
        description:
          'Ranks below `r` that evaluations on held-out rows measure too, each by one more pass. Results are those of rank `r`.',
      }),
    ),
    ...TargetOptions,
  },
  { additionalProperties: false },
);
export type DyLoraOptions = Static<typeof DyLoraOptions>;

/**
 * DyLoRA (Valipour et al. 2023, algorithm 1): each step draws a rank b from 1 to r, the same for all modules, and computes
 * y = W x + (lora_alpha / b)·B[:, :b]·A[:b]·dropout(x), so that the first components are what any rank begins with, and one
 * run teaches all ranks. Without training, and saved, it has rank r; cut to its first b components it is the adapter of
 * rank b.
 *
 * Components behind b get no gradient; with `frozen` those before b neither. As in the
 * authors' code the optimizer's moments still move them. There both A and B are scaled by √(r/b) beside lora_alpha / r, which
 * is the same scale. The rank is a number that the step's graph reads: all steps run one compiled graph, of rank r.
 */
export const dylora: Method<typeof DyLoraOptions> = {
  info: {
    type: 'dylora',
    family: 'low-rank',
    place: 'adaptive rank',
    title: 'DyLoRA',
    summary: 'Learns LoRA at all ranks in one run: the adapter can be cut to any of them.',
    paper: {
      authors: 'Valipour, Rezagholizadeh, Kobyzev & Ghodsi',
      year: 2023,
      title:
        'DyLoRA: Parameter-Efficient Tuning of Pre-trained Models using Dynamic Search-Free Low-Rank Adaptation',
      arxiv: '2210.07558',
    },
    engines: ['embedded'],
    mergeable: true,
    options: DyLoraOptions,
  },
  attach(options, context) {
    checkRanks(options);
    const { pairs, coverage } = targetPairs(options, context);
    return attached(options, context, pairs, coverage);
  },
};

/** @throws ProblemError `dylora.rank` */
function checkRanks({ eval_ranks: ranks = [], r }: DyLoraOptions): void {
  const at = ranks.findIndex((rank) => rank > r);
  if (at < 0) return;
  const problem: OptionProblem = {
    code: 'dylora.rank',
    message: l10n.t`eval_ranks names rank ${ranks[at]!}, and r is ${r}`,
    expected: l10n.t`ranks from 1 to ${r}`,
    mend: l10n.t`Take it out, or raise r.`,
    option: ['eval_ranks', at],
  };
  fail(problem);
}

function attached(
  options: DyLoraOptions,
  context: AttachContext,
  pairs: ReadonlyMap<string, LowRankPair>,
  coverage: ReturnType<typeof targetPairs>['coverage'],
): Attached {
  const { instance = '' } = context;
  const { r, lora_dropout: rate, frozen, eval_ranks: ranks = [] } = options;
  const all = [...pairs.values()];
  const rank = input(`${instance}dylora_rank`, 'float32', []);
  const trainables = all.flatMap((pair) => trainablesOf(pair, context));
  const keyOf = (name: string): string => peftKey(name.slice(instance.length));
  return {
    type: 'dylora',
    hooks: {
      output: (site, x, y, { dropoutSeed: seed }) => {
        const pair = pairs.get(site.path);
        if (pair === undefined) return y;
        const used = seed === undefined ? pair : atDrawnRank(pair, rank, frozen);
        return lowRankOutput(used, x, y, { rate, seed, random: context.random('dropout', site.path) });
      },
    },
    trainables,
    coverage: {
      ...coverage,
      modules: all.map(({ site, a, b }) => ({
        path: site.path,
        shape: site.shape,
        trainable: parameterSize(a.shape) + parameterSize(b.shape),
      })),
      saves: l10n.t`adapter_model.safetensors with ${trainables.length} tensors and adapter_config.json, a LoRA of rank ${r} as Hugging Face PEFT reads it`,
    },
    stepInputs: (at) => ({
      [rank.name]: { dtype: 'float32', shape: [], data: Float32Array.of(drawnRank(r, context, at)) },
    }),
    lowerRanks: [...new Set(ranks)].map((b) => ({
      rank: b,
      values: (values) => new Map([...values, ...all.flatMap((pair) => cutValues(pair, b, values))]),
    })),
    report: (values, brief = false) =>
      all.map((pair) => ({
        path: pair.site.path,
        rank: r,
        ...(brief ? {} : { scale: pair.scale, norm: pairNorm(pair, values) }),
      })),
    merge(site, kind, base, values) {
      const pair = pairs.get(site.path);
      return pair === undefined || kind === 'bias' ? undefined : mergePair(pair, base, values);
    },
    save: (values) => {
      const saved = plainLora(
        all.map((pair) => ({ site: pair.site, scale: pair.scale, ...pairValues(pair, values) })),
        options,
        context,
      );
      return { ...saved, nested: true };
    },
    load: (tensors, source) => loadByKey(trainables, keyOf, tensors, source),
  };
}

function trainablesOf(pair: LowRankPair, context: AttachContext): Trainable[] {
  const drawn = (which: 0 | 1) => (): Float32Array =>
    drawnStart(pair, true, context.random('dylora', pair.site.path))[which];
  return [
    { variable: pair.a, start: drawn(0), decays: true },
    { variable: pair.b, start: drawn(1), decays: true },
  ];
}

/** b of a step, from 1 to r, all alike. */
function drawnRank(r: number, { random }: AttachContext, { step }: StepPlace): number {
  return 1 + random('dylora', 'rank', step).integer(r);
}

/**
 * The pair at rank b: rows of A behind the b-th are zero, the others r/b times as large, so that lora_alpha / r becomes
 * lora_alpha / b.
 * @param rank b, []
 * @param frozen only row and column b get a gradient
 */
function atDrawnRank(pair: LowRankPair, rank: Tensor, frozen: boolean): MadePair {
  const { a, b, r } = pair;
  const numbers = constant(
    Array.from({ length: r }, (_, at) => at + 1),
    [r],
  );
  const kept = mul(cast(lessOrEqual(numbers, rank), 'float32'), div(r, rank));
  if (!frozen) return { ...pair, a: mul(a, reshape(kept, [r, 1])) };
  const learns = equal(numbers, rank);
  const alone = (x: Tensor, shape: readonly number[]): Tensor => where(reshape(learns, shape), x, stopGradient(x));
  return { ...pair, a: mul(alone(a, [r, 1]), reshape(kept, [r, 1])), b: alone(b, [1, r]) };
}

/** Values of the pair of rank r that does what its first b components do at rank b. */
function cutValues(pair: LowRankPair, rank: number, values: Values): [string, Float32Array][] {
  const { a, r } = pair;
  const numbers = values.get(a.name)!;
  const columns = numbers.length / r;
  return [[a.name, numbers.map((value, at) => (at < rank * columns ? (value * r) / rank : 0))]];
}
