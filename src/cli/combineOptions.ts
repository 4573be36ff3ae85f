import type { FactorSum } from '../adapters/combining/combineFactors.js';
import type { DeltaSum, SignMethod } from '../adapters/combining/deltaSum.js';
import { fail } from '../common/problem.js';
import { SIGNS } from '../engines/combination/form.js';
import type { Kept } from '../linalg/lowRankFactors.js';
import type { Arguments } from './arguments.js';
import type { Option } from './command.js';

const RULES = ['linear', 'ties', 'dare_linear', 'dare_ties', 'magnitude_prune'] as const;

/**
 * How updates become one, by every name that is used for it: PEFT's `combination_type`, in which `cat` is our `linear` and those
 * with `svd` differ by the rank that is kept, and the field's `task_arithmetic`.
 */
const WAYS: Readonly<Record<string, { readonly rule: (typeof RULES)[number]; readonly svd?: true }>> = {
  ...Object.fromEntries(RULES.map((rule) => [rule, { rule }])),
  task_arithmetic: { rule: 'linear' },
  cat: { rule: 'linear' },
  svd: { rule: 'linear', svd: true },
  ...Object.fromEntries(
    RULES.filter((rule) => rule !== 'linear').map((rule) => [`${rule}_svd`, { rule, svd: true }] as const),
  ),
};

/** How low-rank updates become one. */
export const factorSumOptions = {
  how: {
    value: [...RULES, 'svd'].join('|'),
    help: "How updates become one: `linear` (the default; `task_arithmetic` and `cat` are the same) is their sum, exactly; `svd` of it the largest singular values; `magnitude_prune` and `dare_linear` first leave out numbers of each update, `ties` and `dare_ties` then average those of one sign. `ties_svd` and the like are PEFT's names for `ties` at the rank of `svd`.",
  },
  rank: {
    value: 'R',
    help: "The rank of each module's sum. Default: that of the adapters together; with `svd` and `…_svd` the largest `r` of one of them.",
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
    help: "As HF PEFT's add_weighted_adapter computes it: A and B are combined by themselves, so that the sum has products of one adapter's A with another's B, for which ranks must be equal. `cat`, `svd` and `…_svd` are PEFT's as they are.",
  },
  seed: { value: 'N', help: 'Of what `dare_linear` and `dare_ties` leave out. Default: 0.' },
} as const satisfies Record<string, Option>;

/** @throws ProblemError `cli.option-value`, `cli.option-missing`, `cli.option-idle` */
export function factorSumOf(args: Arguments): FactorSum {
  const way = args.text('how') ?? 'linear';
  const { rule, svd = false } = Object.hasOwn(WAYS, way)
    ? WAYS[way]!
    : wrongValue(args, 'how', `one of ${Object.keys(WAYS).join(', ')}`);
  const density = args.number('density');
  const sign = oneOf(args, 'majority-sign', SIGNS);
  if (density !== undefined && !(density > 0 && density <= 1))
    wrongValue(args, 'density', 'a share above 0, at most 1');
  if (density === undefined && rule !== 'linear') {
    fail({
      code: 'cli.option-missing',
      message: `--how ${way} needs --density`,
      expected: 'the share of the numbers that stays, such as --density 0.3',
    });
  }
  if (density !== undefined && rule === 'linear') idle('density', way);
  if (sign !== undefined && rule !== 'ties' && rule !== 'dare_ties') idle('majority-sign', way);
  const seed = args.number('seed');
  if (seed !== undefined && rule !== 'dare_linear' && rule !== 'dare_ties') idle('seed', way);
  const asPeft = args.flag('as-peft');
  const kept = keptOf(args);
  if (asPeft && kept !== undefined && !svd) {
    fail({
      code: 'cli.option-idle',
      message: `--as-peft with --how ${way} combines A and B by themselves: their rank stays as it is`,
      expected: `--how svd or one of the …_svd ways, or no --rank and no --energy`,
    });
  }
  return {
    sum: sumOf(rule, density ?? 1, sign ?? 'total'),
    ...(kept !== undefined ? { kept } : svd ? { kept: 'largest' } : {}),
    // Of one alone PEFT's `cat` is its `linear`, which is the same.
    ...(asPeft && way !== 'cat' ? { asPeft } : {}),
    seed: seed ?? 0,
  };
}

function sumOf(rule: (typeof RULES)[number], density: number, sign: SignMethod): DeltaSum {
  switch (rule) {
    case 'linear':
      return { kind: 'linear' };
    case 'magnitude_prune':
    case 'dare_linear':
      return { kind: rule, density };
    case 'ties':
    case 'dare_ties':
      return { kind: rule, density, majority_sign_method: sign };
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

function idle(option: string, way: string): never {
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
    asPeft === true && kept === undefined ? 'A and B by themselves, as HF PEFT does' : 'of the updates ΔW',
  ].join(', ');
}

function keptText(kept: NonNullable<FactorSum['kept']>): string {
  if (kept === 'largest') return "of the largest of the adapters' r";
  return 'rank' in kept ? `of rank ${kept.rank}` : `with ${100 * kept.energy} % of the squares`;
}
