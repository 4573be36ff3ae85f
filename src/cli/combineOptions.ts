import type { FactorSum } from '../adapters/combineFactors.js';
import type { DeltaSum, SignMethod } from '../adapters/deltaSum.js';
import { fail } from '../common/problem.js';
import type { Kept } from '../linalg/lowRankFactors.js';
import type { Arguments } from './arguments.js';
import type { Option } from './command.js';

/** Names of PEFT's `combination_type`, beside ours: `cat` is exact, `svd` is a sum of a lower rank. */
const WAYS = ['linear', 'cat', 'svd', 'ties', 'dare_linear', 'dare_ties', 'magnitude_prune'] as const;
type Way = (typeof WAYS)[number];

const SIGNS: readonly SignMethod[] = ['total', 'frequency'];

/** How low-rank updates become one. */
export const factorSumOptions = {
  how: {
    value: WAYS.join('|'),
    help: 'Of LoRA adapters: `linear` (the default; `cat` is the same) is the sum of their updates, exactly; `svd` of it the largest singular values; `magnitude_prune` and `dare_linear` first leave out numbers of each update, `ties` and `dare_ties` then average those of one sign.',
  },
  rank: {
    value: 'R',
    help: "Of LoRA adapters: the rank of the sum. Default: that of all together; with `svd` the largest of any module's.",
  },
  energy: {
    value: 'SHARE',
    help: 'Instead of a rank: in each module as many singular values as have this share of the sum of their squares, such as 0.95.',
  },
  density: {
    value: 'SHARE',
    help: 'The share of the numbers of each update that stays, with `ties`, `dare_…` and `magnitude_prune`.',
  },
  'majority-sign': {
    value: SIGNS.join('|'),
    help: "With `ties` and `dare_ties`: a place's sign is that of the numbers' sum (`total`, the default), or of more of them (`frequency`).",
  },
  'as-peft': {
    help: "As HF PEFT's add_weighted_adapter computes it: A and B are combined by themselves, so that the sum has products of one adapter's A with another's B. Needs equal ranks.",
  },
  seed: { value: 'N', help: 'Of what `dare_linear` and `dare_ties` leave out. Default: 0.' },
} as const satisfies Record<string, Option>;

/** @throws ProblemError `cli.option-value`, `cli.option-missing`, `cli.option-idle` */
export function factorSumOf(args: Arguments): FactorSum {
  const way = oneOf(args, 'how', WAYS) ?? 'linear';
  const prunes = way !== 'linear' && way !== 'cat' && way !== 'svd';
  const density = args.number('density');
  const sign = oneOf(args, 'majority-sign', SIGNS);
  if (density !== undefined && !(density > 0 && density <= 1))
    wrongValue(args, 'density', 'a share above 0, at most 1');
  if (density === undefined && prunes) {
    fail({
      code: 'cli.option-missing',
      message: `--how ${way} needs --density`,
      expected: 'the share of the numbers that stays, such as --density 0.3',
    });
  }
  if (density !== undefined && !prunes) idle('density', way);
  if (sign !== undefined && way !== 'ties' && way !== 'dare_ties') idle('majority-sign', way);
  const asPeft = args.flag('as-peft');
  const kept = keptOf(args);
  if (asPeft && (kept !== undefined || way === 'svd' || way === 'cat')) {
    fail({
      code: 'cli.option-idle',
      message: '--as-peft combines A and B by themselves: their rank stays as it is',
      expected: `one of the ways linear, ties, dare_linear, dare_ties, magnitude_prune, without --rank and --energy`,
    });
  }
  return {
    sum: sumOf(way, density ?? 1, sign ?? 'total'),
    ...(kept !== undefined ? { kept } : way === 'svd' ? { kept: 'largest' } : {}),
    ...(asPeft ? { asPeft } : {}),
    seed: args.number('seed') ?? 0,
  };
}

function sumOf(way: Way, density: number, sign: SignMethod): DeltaSum {
  switch (way) {
    case 'linear':
    case 'cat':
    case 'svd':
      return { kind: 'linear' };
    case 'magnitude_prune':
    case 'dare_linear':
      return { kind: way, density };
    case 'ties':
    case 'dare_ties':
      return { kind: way, density, majority_sign_method: sign };
  }
}

/** @throws ProblemError `cli.option-value` */
export function keptOf(args: Arguments): Kept | undefined {
  const [rank, energy] = [args.number('rank'), args.number('energy')];
  if (rank !== undefined && energy !== undefined) {
    fail({
      code: 'cli.option-value',
      message: '--rank and --energy both say how much of the sum to keep',
      expected: 'one of them',
    });
  }
  if (rank !== undefined) {
    if (!Number.isInteger(rank) || rank < 1) wrongValue(args, 'rank', 'a whole number, 1 or more');
    return { rank };
  }
  if (energy === undefined) return undefined;
  if (!(energy > 0 && energy <= 1)) wrongValue(args, 'energy', 'a share above 0, at most 1');
  return { energy };
}

function oneOf<Name extends string>(args: Arguments, option: string, names: readonly Name[]): Name | undefined {
  const given = args.text(option);
  return (
    names.find((name) => name === given) ??
    (given === undefined ? undefined : wrongValue(args, option, `one of ${names.join(', ')}`))
  );
}

function wrongValue(args: Arguments, option: string, expected: string): never {
  return fail({ code: 'cli.option-value', message: `--${option} is "${args.text(option)}"`, expected });
}

function idle(option: string, way: Way): never {
  return fail({
    code: 'cli.option-idle',
    message: `--${option} says nothing with --how ${way}`,
    mend: `Leave it out, or choose a way that it belongs to.`,
  });
}

/** `as a sum of updates, of rank 8` */
export function sumText({ sum, kept, asPeft }: FactorSum): string {
  const way = {
    linear: 'as a sum',
    magnitude_prune: 'as a sum of the largest numbers of each (magnitude_prune)',
    dare_linear: 'as a sum of drawn numbers of each (dare_linear)',
    ties: 'as an average of the largest numbers of one sign (ties)',
    dare_ties: 'as an average of drawn numbers of one sign (dare_ties)',
  }[sum.kind];
  return [
    way,
    ...('density' in sum ? [`density ${sum.density}`] : []),
    ...('majority_sign_method' in sum ? [`majority sign ${sum.majority_sign_method}`] : []),
    ...(kept === undefined ? [] : [keptText(kept)]),
    asPeft === true ? 'A and B by themselves, as HF PEFT does' : 'of the updates ΔW',
  ].join(', ');
}

function keptText(kept: NonNullable<FactorSum['kept']>): string {
  if (kept === 'largest') return "of the largest of the adapters' ranks";
  return 'rank' in kept ? `of rank ${kept.rank}` : `with ${100 * kept.energy} % of the squares`;
}
