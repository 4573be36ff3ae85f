import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Site } from '../models/site.js';
import { add, mul } from '../tensor/ops/elementwise.js';
import { ParameterOptions } from './loraParameters.js';
import { dropOf } from './lowRankPair.js';
import type { AttachContext, Method } from './method.js';
import { attachUpdates } from './moduleUpdates.js';
import type { ModuleUpdate } from './moduleUpdates.js';
import { inspectMora, isMoraConfig, moraConfig, moraOptions, withoutTwins } from './moraConfig.js';
import { mergeSquare, squareMatrix, squareNorm, squareOutput, squareSize } from './squareMatrix.js';
import type { SquareMatrix } from './squareMatrix.js';
import { TargetOptions, matchTargets } from './targets.js';
import type { OptionProblem } from './targets.js';

/** MoRA's options, under the names of the authors' fork of PEFT. */
export const MoraOptions = Type.Object(
  {
    type: Type.Literal('mora'),
    r: Type.Integer({
      minimum: 1,
      maximum: 4096,
      default: 8,
      description:
        'The rank of the LoRA that has as many numbers: the square matrix of a module is r̂ × r̂ with r̂ = √((in + out)·r).',
    }),
    mora_type: Type.Union(
      [
        Type.Literal(1, { description: 'Sharing: groups of inputs are added up. For large r.' }),
        Type.Literal(6, { description: 'Rotation: groups of inputs are turned as RoPE does. For small r.' }),
      ],
      {
        default: 6,
        description:
          'How inputs become as few as the matrix is wide: `1` sharing (groups are added up; for large r), `6` rotation (each group is turned as RoPE does; for small r).',
      },
    ),
    lora_dropout: Type.Number({
      minimum: 0,
      exclusiveMaximum: 1,
      default: 0,
      description: 'Share of the inputs of the update that is dropped while training.',
    }),
    bias: ParameterOptions.bias,
    ...TargetOptions,
    modules_to_save: ParameterOptions.modules_to_save,
  },
  { additionalProperties: false },
);
export type MoraOptions = Static<typeof MoraOptions>;

/**
 * MoRA (Jiang et al. 2024, section 4): ΔW·x = decompress(M·compress(x)) with a square matrix M [r̂, r̂] that starts at zero
 * and is all that trains: as many numbers as a LoRA of rank r, and a rank of up to r̂ (with rotation up to that of W). See
 * `squareOutput` for the two kinds of compression. There is no scale.
 */
export const mora: Method<typeof MoraOptions> = {
  info: {
    type: 'mora',
    family: 'low-rank',
    place: 'square matrix',
    title: 'MoRA',
    summary:
      'Learns a square matrix between compressed inputs and outputs: a high rank for as many numbers as LoRA.',
    paper: {
      authors: 'Jiang, Huang, Luo, Zhang, Huang, Wei, Deng, Sun, Zhang, Wang & Zhuang',
      year: 2024,
      title: 'MoRA: High-Rank Updating for Parameter-Efficient Fine-Tuning',
      arxiv: '2405.12130',
    },
    engines: ['embedded'],
    mergeable: true,
    options: MoraOptions,
  },
  attach(options, context) {
    const { model, instance = '', idlePatterns } = context;
    const match = matchTargets(options, model.sites, ({ kind }) => kind === 'linear', idlePatterns);
    checkSizes(options, match.sites);
    const squares = match.sites.map((site) => squareMatrix(site, options.r, options.mora_type, instance));
    return attachUpdates(
      {
        type: 'mora',
        options,
        updates: squares.map((each) => squareUpdate(each, options, context)),
        match,
        config: moraConfig(options, match.sites, context),
        read: withoutTwins,
      },
      context,
    );
  },
  peft: { type: 'MORA', reads: isMoraConfig, options: moraOptions, inspect: inspectMora },
};

function squareUpdate(
  square: SquareMatrix,
  { lora_dropout: rate }: MoraOptions,
  context: AttachContext,
): ModuleUpdate {
  const { site, m, size } = square;
  return {
    site,
    trainables: [{ variable: m, start: () => new Float32Array(size * size), decays: true }],
    output(x, y, { dropoutSeed: seed }) {
      const drop = dropOf(square, x, { rate, seed, random: context.random('dropout', site.path) });
      if (drop === undefined) return add(y, squareOutput(square, x));
      return add(y, mul(squareOutput(square, drop.x), drop.factor));
    },
    merged: (base, values) => mergeSquare(square, base, values),
    report: (values) => ({ rank: size, norm: squareNorm(square, values) }),
  };
}

/** @throws ProblemError `mora.rank` where a matrix would be larger than the module's own on both sides */
function checkSizes({ r, mora_type: type }: MoraOptions, sites: readonly Site[]): void {
  const large = sites.find(({ shape }) => squareSize(shape, r, type) > Math.max(...shape));
  if (large === undefined) return;
  const { shape } = large;
  const size = squareSize(shape, r, type);
  const fits = (rank: number): boolean =>
    sites.every((each) => squareSize(each.shape, rank, type) <= Math.max(...each.shape));
  let most = r;
  while (most > 1 && !fits(most)) most--;
  const problem: OptionProblem = {
    code: 'mora.rank',
    message: l10n.t`r ${r} makes a matrix [${size}, ${size}] for ${large.path} [${shape.join(', ')}]: larger than its own`,
    expected: l10n.t`an r of at most ${most}`,
    mend: l10n.t`Lower r, or leave the module out (exclude_modules).`,
    option: ['r'],
  };
  fail(problem);
}
