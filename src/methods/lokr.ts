import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Random } from '../common/random.js';
import type { Phase, Site } from '../models/site.js';
import { add, cast, div, equal, greaterOrEqual, mul } from '../tensor/ops/elementwise.js';
import { randomUniform } from '../tensor/ops/random.js';
import { reduceSum } from '../tensor/ops/reduce.js';
import { variable } from '../tensor/tensor.js';
import type { Tensor, Variable } from '../tensor/tensor.js';
import { factorized, kroneckerFacts, kroneckerOutput, mergeKronecker, pairVariables } from './kronecker.js';
import type { Factor, KroneckerPair } from './kronecker.js';
import { inspectLokr, lokrConfigFromPeft, lokrConfigToPeft } from './lokrConfig.js';
import { ParameterOptions } from './loraParameters.js';
import { uniformNumbers } from './loraStart.js';
import type { AttachContext, Method, Trainable } from './method.js';
import { attachUpdates } from './moduleUpdates.js';
import type { ModuleUpdate } from './moduleUpdates.js';
import { parameterSize } from './parameters.js';
import { TargetOptions, idlePattern, idlePatternKeys, matchTargets, patternValue } from './targets.js';
import type { OptionProblem } from './targets.js';

/** LoKr's options, under the names and with the meaning of HF PEFT's `LoKrConfig`. */
export const LokrOptions = Type.Object(
  {
    type: Type.Literal('lokr'),
    r: Type.Integer({
      minimum: 1,
      default: 8,
      description:
        'Rank of a factor that is split in two: w2 [k, n] is where r < max(k, n)/2, w1 only with `decompose_both`. A higher one leaves both whole, as KronA has them.',
    }),
    alpha: Type.Number({
      exclusiveMinimum: 0,
      default: 8,
      description:
        'Scale of the update: ΔW = alpha / r · (w1 ⊗ w2), also where neither factor is split (LyCORIS takes 1 there). For KronA’s scale s: s·r.',
    }),
    rank_dropout: Type.Number({
      minimum: 0,
      exclusiveMaximum: 1,
      default: 0,
      description: 'Share of the rows of ΔW (of what it adds to a module’s outputs) that is dropped at a step.',
    }),
    rank_dropout_scale: Type.Boolean({
      default: false,
      description: 'Whether the rows that `rank_dropout` leaves are divided by their share.',
    }),
    module_dropout: Type.Number({
      minimum: 0,
      exclusiveMaximum: 1,
      default: 0,
      description: 'Probability that a module’s update is left out at a step.',
    }),
    ...TargetOptions,
    decompose_both: Type.Boolean({
      default: false,
      description: 'Whether w1 [l, m] is split, too, where r < max(l, m)/2.',
    }),
    decompose_factor: Type.Integer({
      minimum: -1,
      default: -1,
      description:
        'The size of w1: a module’s width w becomes f · (w / f) where f divides it, else the nearest divisors with the first of at most f. −1: those nearest the square root (768 is 24 · 32). KronA with a₁ = a₂ = f.',
    }),
    init_weights: Type.Union([Type.Boolean(), Type.Literal('lycoris')], {
      default: true,
      description:
        'How factors start. `true`: w1 (of a split one its first part) zero, the rest Kaiming uniform; `lycoris`: w2 (of a split one its second part) zero instead; `false`: none is zero, so that the start is not the base model.',
    }),
    rank_pattern: Type.Record(Type.String(), Type.Integer({ minimum: 1 }), {
      default: {},
      description: 'Ranks that differ from `r`: from a module name or regular expression to a rank.',
    }),
    alpha_pattern: Type.Record(Type.String(), Type.Number({ exclusiveMinimum: 0 }), {
      default: {},
      description: 'Alphas that differ from `alpha`: from a module name or regular expression to an alpha.',
    }),
    modules_to_save: ParameterOptions.modules_to_save,
  },
  { additionalProperties: false },
);
export type LokrOptions = Static<typeof LokrOptions>;

/**
 * LoKr: y = W x + s·(w1 ⊗ w2) x, s = alpha / r (Yeh et al. 2024, as HF PEFT has it), each of the two factors one
 * matrix or a product of two. With both whole it is KronA (Edalati et al. 2022), whose A and B are w1 and w2.
 *
 * The update is never built: (w1 ⊗ w2) x is w1·X·w2ᵀ with x as a matrix X (see `kronecker.ts`). PEFT builds it, at each step.
 */
export const lokr: Method<typeof LokrOptions> = {
  info: {
    type: 'lokr',
    family: 'low-rank',
    place: 'Kronecker product',
    title: 'LoKr (KronA)',
    summary: 'Learns an update that is a Kronecker product of two small matrices: of high rank for few numbers.',
    paper: {
      authors: 'Yeh, Hsieh, Gao, Yang, Oh & Gong',
      year: 2024,
      title: 'Navigating Text-To-Image Customization: From LyCORIS Fine-Tuning to Model Evaluation',
      arxiv: '2309.14859',
    },
    engines: ['embedded'],
    mergeable: true,
    options: LokrOptions,
  },
  attach(options, context) {
    const { model, instance = '', idlePatterns } = context;
    const match = matchTargets(options, model.sites, ({ kind }) => kind === 'linear', idlePatterns);
    refuseConv1d(match.sites);
    const paths = match.sites.map(({ path }) => path);
    const idle = [
      ...idlePatternKeys('rank_pattern', options.rank_pattern, paths),
      ...idlePatternKeys('alpha_pattern', options.alpha_pattern, paths),
    ].map((problem) => idlePattern(problem, idlePatterns));
    const pairs = match.sites.map((site) => kroneckerPair(site, options, instance));
    return attachUpdates(
      {
        type: 'lokr',
        options: { ...options, bias: 'none' },
        updates: pairs.map((pair) => kroneckerUpdate(pair, options, context)),
        match: { ...match, warnings: [...match.warnings, ...idle, ...idleSplit(options, pairs)] },
        config: lokrConfigToPeft(options, match.sites, context),
        forPeft: true,
      },
      context,
    );
  },
  peft: { type: 'LOKR', options: lokrConfigFromPeft, inspect: inspectLokr },
};

/** The options that decide about shapes and scale. */
export type SplitOptions = Pick<
  LokrOptions,
  'r' | 'alpha' | 'decompose_both' | 'decompose_factor' | 'rank_pattern' | 'alpha_pattern'
>;

function kroneckerUpdate(pair: KroneckerPair, options: LokrOptions, context: AttachContext): ModuleUpdate {
  const { site, scale } = pair;
  return {
    site,
    trainables: startedPair(pair, options, context),
    output: (x, y, phase) =>
      add(y, dropped(kroneckerOutput(pair, x), options, phase, context.random('dropout', site.path))),
    merged: (base, values) => mergeKronecker(pair, base, values),
    report: (values) => ({ scale, ...kroneckerFacts(pair, values) }),
  };
}

type MatrixShape = readonly [rows: number, columns: number];

/** The shapes of the matrices of a module's factors, exactly where PEFT's `LoKrLayer.update_layer` splits them. */
export function factorShapes(
  [outSize, inSize]: MatrixShape,
  path: string,
  options: SplitOptions,
): { readonly w1: Factor<MatrixShape>; readonly w2: Factor<MatrixShape>; readonly scale: number } {
  const r = patternValue(options.rank_pattern, path) ?? options.r;
  const alpha = patternValue(options.alpha_pattern, path) ?? options.alpha;
  const [l, k] = factorized(outSize, options.decompose_factor);
  const [m, n] = factorized(inSize, options.decompose_factor);
  const factor = (rows: number, columns: number, isSplit: boolean): Factor<MatrixShape> =>
    isSplit && r < Math.max(rows, columns) / 2
      ? { kind: 'product', a: [rows, r], b: [r, columns] }
      : { kind: 'whole', whole: [rows, columns] };
  return { w1: factor(l, m, options.decompose_both), w2: factor(k, n, true), scale: alpha / r };
}

function kroneckerPair(site: Site, options: LokrOptions, instance: string): KroneckerPair {
  const [outSize, inSize] = site.shape as [number, number];
  const { w1, w2, scale } = factorShapes([outSize, inSize], site.path, options);
  const named = (which: 'w1' | 'w2', factor: Factor<MatrixShape>): Factor<Variable> => {
    const of = (shape: readonly number[], part = ''): Variable =>
      variable(`${instance}${site.path}.lokr_${which}${part}`, shape);
    return factor.kind === 'whole'
      ? { kind: 'whole', whole: of(factor.whole) }
      : { kind: 'product', a: of(factor.a, '_a'), b: of(factor.b, '_b') };
  };
  const [l, k] = factorized(outSize, options.decompose_factor);
  const [m, n] = factorized(inSize, options.decompose_factor);
  return { site, scale, w1: named('w1', w1), w2: named('w2', w2), shape: { l, m, k, n } };
}

/** Kaiming uniform with slope √5 (He et al. 2015, eq. 14) is U(−1/√columns, 1/√columns). */
function startedPair(
  pair: KroneckerPair,
  { init_weights: init }: LokrOptions,
  context: AttachContext,
): Trainable[] {
  const zero = init === false ? undefined : init === 'lycoris' ? zeroOf(pair.w2, 'b') : zeroOf(pair.w1, 'a');
  return pairVariables(pair).map((each) => ({
    variable: each,
    start() {
      const size = parameterSize(each.shape);
      if (each === zero) return new Float32Array(size);
      const random = context.random('lokr', each.name.slice((context.instance ?? '').length));
      return uniformNumbers(size, 1 / Math.sqrt(each.shape[1] as number), random);
    },
    decays: true,
  }));
}

/** Which matrix of a factor makes it zero. */
function zeroOf(factor: Factor<Variable>, part: 'a' | 'b'): Variable {
  return factor.kind === 'whole' ? factor.whole : factor[part];
}

/**
 * What is left of an update while training: as PEFT drops rows of ΔW, which are outputs of all tokens alike, or all of it. Where
 * no row is left there is nothing to scale (PEFT divides by 0).
 * @param delta [..., out]
 */
function dropped(
  delta: Tensor,
  { rank_dropout: rows, rank_dropout_scale: scales, module_dropout: module }: LokrOptions,
  { dropoutSeed: seed }: Phase,
  random: Random,
): Tensor {
  if (seed === undefined) return delta;
  const kept = (count: number, rate: number): Tensor =>
    cast(greaterOrEqual(randomUniform([count], seed, random.integer(2 ** 32)), rate), 'float32');
  const outSize = parameterSize([delta.shape.at(-1)!]);
  let result = delta;
  if (rows > 0) {
    const mask = kept(outSize, rows);
    const left = reduceSum(mask, [0], true);
    const atLeastOne = add(left, cast(equal(left, 0), 'float32'));
    result = mul(result, scales ? div(mul(mask, outSize), atLeastOne) : mask);
  }
  return module > 0 ? mul(result, kept(1, module)) : result;
}

/** PEFT's LoKr has no layer for a Conv1D: it could not load what we would write. @throws ProblemError `lokr.conv1d` */
function refuseConv1d(sites: readonly Site[]): void {
  const found = sites.find(({ layout }) => layout === 'in-out');
  if (found === undefined) return;
  const problem: OptionProblem = {
    code: 'lokr.conv1d',
    message: l10n.t`${found.path} is a Conv1D, which LoKr does not adapt`,
    expected: l10n.t`linear modules, as in Hugging Face PEFT`,
    mend: l10n.t`Use lora, which takes every matrix of this model.`,
    option: ['target_modules'],
  };
  fail(problem);
}

/** Options of how modules are split that say something else than what happens. */
function idleSplit(options: LokrOptions, all: readonly KroneckerPair[]): OptionProblem[] {
  const { decompose_both: both, decompose_factor: factor } = options;
  const problems: OptionProblem[] = [];
  if (both && all.every(({ w1 }) => w1.kind === 'whole')) {
    problems.push({
      code: 'lokr.nothing-split',
      severity: 'warning',
      message: l10n.t`decompose_both splits nothing: w1 is at most ${Math.max(...all.map(({ shape: { l, m } }) => Math.max(l, m)))} long, and r is not below half of that`,
      mend: l10n.t`Lower r, or remove decompose_both.`,
      option: ['decompose_both'],
    });
  }
  if (factor === 0) {
    problems.push({
      code: 'lokr.factor',
      severity: 'warning',
      message: l10n.t`decompose_factor 0 is taken as 1: w1 is a single number, and w2 as large as the module's matrix`,
      mend: l10n.t`Take a number that divides the widths of the modules, or -1.`,
      option: ['decompose_factor'],
    });
  }
  const uneven = all.filter(({ site }) => factor > 0 && site.shape.some((width) => width % factor !== 0));
  const [first] = uneven;
  if (first !== undefined) {
    const { l, m } = first.shape;
    problems.push({
      code: 'lokr.factor',
      severity: 'warning',
      message: l10n.t`decompose_factor ${factor} does not divide the widths of ${uneven.length} modules: w1 of ${first.site.path} [${first.site.shape.join(', ')}] is [${l}, ${m}]`,
      mend: l10n.t`Take a number that divides all of them, or -1.`,
      option: ['decompose_factor'],
    });
  }
  return problems;
}
