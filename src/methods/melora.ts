import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { Phase, Site } from '../models/site.js';
import { add } from '../tensor/ops/elementwise.js';
import type { Tensor } from '../tensor/tensor.js';
import { ParameterOptions } from './loraParameters.js';
import { inspectMelora, meloraConfig, meloraKey, meloraOptions, meloraPair, storedMinis } from './meloraConfig.js';
import { uniformNumbers } from './loraStart.js';
import { dropOf } from './lowRankPair.js';
import type { AttachContext, Method } from './method.js';
import { mergeMini, miniNorm, miniOutput, miniPairs } from './miniPairs.js';
import type { MiniPairs } from './miniPairs.js';
import { attachUpdates } from './moduleUpdates.js';
import type { ModuleUpdate } from './moduleUpdates.js';
import { parameterSize } from './parameters.js';
import { TargetOptions, matchTargets } from './targets.js';
import type { OptionProblem } from './targets.js';

/** MELoRA's options, under the names of the authors' code; defaults are those of its GLUE runs, dropout apart. */
export const MeloraOptions = Type.Object(
  {
    type: Type.Literal('melora'),
    l_num: Type.Integer({
      minimum: 1,
      maximum: 4096,
      default: 2,
      description:
        'How many mini LoRAs a module has (n in the paper), each between a slice of its inputs and one of its outputs. Divides both.',
    }),
    r: Type.Integer({
      minimum: 1,
      maximum: 4096,
      default: 8,
      description:
        'Rank of each mini LoRA: that of the update is l_num · r, for as many numbers as a LoRA of rank r.',
    }),
    lora_alpha: Type.Number({
      exclusiveMinimum: 0,
      default: 16,
      description: 'Scale of the update: lora_alpha / r, with the r of a mini LoRA.',
    }),
    lora_dropout: Type.Number({
      minimum: 0,
      exclusiveMaximum: 1,
      default: 0,
      description: 'Share of the inputs of A that is dropped while training.',
    }),
    bias: ParameterOptions.bias,
    ...TargetOptions,
    modules_to_save: ParameterOptions.modules_to_save,
  },
  { additionalProperties: false },
);
export type MeloraOptions = Static<typeof MeloraOptions>;

/**
 * MELoRA (Ren et al. 2024, section 3): n mini LoRAs side by side, ΔW = s·diag(B₁·A₁, …, Bₙ·Aₙ), of rank n·r for the
 * (in + out)·r numbers of a LoRA of rank r, n times fewer than a LoRA of its rank.
 *
 * As in the authors' code (ChasonShi/MELoRA) s = lora_alpha / r with the r of a mini LoRA, each A starts Kaiming uniform with
 * the width of its slice, in / n, and B at zero. Where n does not divide a width their code leaves the rest of the inputs
 * out, and fails at outputs; here it is refused.
 */
export const melora: Method<typeof MeloraOptions> = {
  info: {
    type: 'melora',
    family: 'low-rank',
    place: 'block-diagonal',
    title: 'MELoRA',
    summary:
      'Learns several small LoRAs side by side, each on a slice of a module: a higher rank for as few numbers.',
    paper: {
      authors: 'Ren, Shi, Wu, Zhang, Ren, de Rijke, Chen & Pei',
      year: 2024,
      title: 'MELoRA: Mini-Ensemble Low-Rank Adapters for Parameter-Efficient Fine-Tuning',
      arxiv: '2402.17263',
    },
    engines: ['embedded'],
    mergeable: true,
    options: MeloraOptions,
  },
  attach(options, context) {
    const { model, instance = '', idlePatterns } = context;
    const match = matchTargets(options, model.sites, ({ kind }) => kind === 'linear', idlePatterns);
    checkSlices(options, match.sites);
    const { l_num: n, r, lora_alpha: alpha } = options;
    const minis = match.sites.map((site) => miniPairs(site, n, r, alpha / r, instance));
    return attachUpdates(
      {
        type: 'melora',
        options,
        updates: minis.map((each) => miniUpdate(each, options, context)),
        match: { ...match, warnings: [...match.warnings, ...idleRank(options, match.sites)] },
        config: meloraConfig(options, match.sites, context),
        stored: storedMinis(minis),
        keyOf: meloraKey,
        parameterKey: (key) => key.replace('.base_layer.', '.'),
      },
      context,
    );
  },
  peft: { type: 'MELORA', options: meloraOptions, inspect: inspectMelora, pair: meloraPair },
};

function miniUpdate(
  minis: MiniPairs,
  { lora_dropout: rate }: MeloraOptions,
  context: AttachContext,
): ModuleUpdate {
  const { site, a, b, n, r, scale } = minis;
  return {
    site,
    trainables: [
      { variable: a, start: () => kaimingUniform(minis, context), decays: true },
      { variable: b, start: () => new Float32Array(parameterSize(b.shape)), decays: true },
    ],
    output(x: Tensor, y: Tensor, { dropoutSeed: seed }: Phase) {
      const drop = dropOf(minis, x, { rate, seed, random: context.random('dropout', site.path) });
      return add(y, miniOutput(minis, drop?.x ?? x, drop?.factor ?? 1));
    },
    merged: (base, values) => mergeMini(minis, base, values),
    report: (values) => ({ rank: n * r, scale, norm: miniNorm(minis, values) }),
  };
}

/** U(−1/√fan_in, 1/√fan_in) (He et al. 2015, eq. 14, with slope √5), fan_in the width of a slice. */
function kaimingUniform({ site, a }: MiniPairs, context: AttachContext): Float32Array {
  const bound = 1 / Math.sqrt(a.shape[2] as number);
  return uniformNumbers(parameterSize(a.shape), bound, context.random('melora', site.path));
}

/** @throws ProblemError `melora.slices` where l_num divides not all widths */
function checkSlices({ l_num: n }: MeloraOptions, sites: readonly Site[]): void {
  const uneven = sites.filter(({ shape }) => shape.some((width) => width % n !== 0));
  if (uneven.length === 0) return;
  const common = sites.flatMap(({ shape }) => shape).reduce(greatestDivisor);
  const divisors = Array.from({ length: common }, (_, at) => at + 1).filter((each) => common % each === 0);
  const nearest = divisors.reduce((best, each) => (Math.abs(each - n) < Math.abs(best - n) ? each : best));
  const problem: OptionProblem = {
    code: 'melora.slices',
    message: l10n.t`l_num ${n} does not divide inputs and outputs of ${kindsOf(uneven)}`,
    expected: l10n.t`a divisor of the widths of all targeted modules: ${divisors.join(', ')}`,
    mend: l10n.t`Set l_num to ${nearest}, or leave these modules out (exclude_modules).`,
    option: ['l_num'],
    replacement: String(nearest),
  };
  fail(problem);
}

/** More names help nobody. */
const MOST_NAMED = 8;

/** `k_proj [192, 576], …`, each name and shape once. */
function kindsOf(sites: readonly Site[]): string {
  const kinds = [...new Set(sites.map(({ path, shape }) => `${path.split('.').at(-1)!} [${shape.join(', ')}]`))];
  return `${kinds.slice(0, MOST_NAMED).join(', ')}${kinds.length > MOST_NAMED ? ', …' : ''}`;
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}

/** Says where r is above the rank that a block can have. */
function idleRank({ l_num: n, r }: MeloraOptions, sites: readonly Site[]): readonly Problem[] {
  const small = sites.filter(({ shape }) => Math.min(...shape) / n < r);
  if (small.length === 0) return [];
  const most = Math.min(...small.flatMap(({ shape }) => shape)) / n;
  const problem: OptionProblem = {
    code: 'melora.rank',
    severity: 'warning',
    message: l10n.t`r ${r} is more than the rank that blocks of ${kindsOf(small)} can have: the smallest is ${most} wide`,
    mend: l10n.t`Set r to at most ${most}, or lower l_num.`,
    option: ['r'],
  };
  return [problem];
}
