import { formatBytes, formatCount } from '../common/format.js';
import type { MachineMemory } from '../common/machineMemory.js';
import type { RunConfig } from '../config/schema.js';
import type { ConfigChange } from '../config/setIn.js';
import type { Estimate } from '../engines/estimate.js';
import { freeWords } from '../engines/memoryWarning.js';
import type { PlannedRun } from '../engines/plannedRun.js';
import { changedConfig } from '../engines/savings/changedConfig.js';
import { isWithin, largestThatFits, rankOption } from '../engines/savings/largestThatFits.js';
import { suggestChanges } from '../engines/savings/suggestChanges.js';
import { COUNTED_ON, goesThrough, needOf, verdictOf } from '../engines/verdict.js';
import type { Verdict } from '../engines/verdict.js';
import { LARGEST_SEARCHED, largestFitting, largestThatFits as largestOnTorch } from '../memory/largest.js';
import type { Quantity } from '../memory/largest.js';
import { savingsTogether, suggestSavings } from '../memory/suggestions.js';

/** A change that saves memory, as `estimate --json` prints it; bytes. */
export interface SavingLine {
  readonly title: string;
  readonly saved: number;
  /** The peak as it would be. */
  readonly total: number;
  readonly changes: readonly ConfigChange[];
  /** How it would stand with the limit. */
  readonly verdict?: Verdict;
}

/** How a run stands with a limit, and how large it may be, all else as it is. */
export interface LimitLine {
  readonly bytes: number;
  readonly bound: MachineMemory['bound'];
  readonly verdict: Verdict;
  /** 0 where not even 1 fits; null where the run has none. On the embedded engine a rank is a power of two. */
  readonly largest: Readonly<Record<Quantity, number | null>>;
}

/** What there is to say of an estimate. */
export interface Advice {
  readonly limit?: LimitLine;
  readonly savings: readonly SavingLine[];
}

const QUANTITIES = ['batch', 'length', 'rank'] as const;

/** Where searches end: a text is no longer than the model takes. */
export type Most = Readonly<Record<Quantity, number>>;

/** @param positions the longest text that the model takes, where that is known */
export function mostOf(positions: number | undefined): Most {
  return { ...LARGEST_SEARCHED, length: positions ?? LARGEST_SEARCHED.length };
}

/**
 * Advice for the embedded engine, of changes of the run file.
 * @param planRun estimates a changed run
 */
export async function embeddedAdvice(
  config: RunConfig,
  planRun: (config: RunConfig) => Estimate,
  machine: MachineMemory,
  most: Most,
): Promise<Advice> {
  const largest = async (quantity: 'batch' | 'length'): Promise<number | null> =>
    (await largestThatFits(config, planRun, machine.free, quantity, most[quantity])) ?? null;
  const [batch, length] = [await largest('batch'), await largest('length')];
  const rank = await largestRank(config, planRun, machine.free, most.rank);
  const verdict = verdictOf(needOf(planRun(config).plan), machine.free);
  const savings = await suggestChanges(config, planRun, machine.free);
  return {
    limit: { bytes: machine.free, bound: machine.bound, verdict, largest: { batch, length, rank } },
    savings: savings.map(({ title, saved, plan, changes, verdict: after }) => ({
      title,
      saved,
      total: plan.total,
      changes,
      ...(after === undefined ? {} : { verdict: after }),
    })),
  };
}

/**
 * The largest rank that fits, of powers of two: each has a graph of its own to build. Null where nothing has a rank.
 */
async function largestRank(
  config: RunConfig,
  planRun: (config: RunConfig) => Estimate,
  free: number,
  most: number,
): Promise<number | null> {
  const at = config.method.findIndex(({ type }) => rankOption(type) !== undefined);
  const method = config.method[at];
  const option = rankOption(method?.type);
  if (option === undefined) return null;
  const withRank = (rank: number): readonly ConfigChange[] => [
    { path: ['method', at, option], value: rank },
    ...(method?.type === 'adalora'
      ? [{ path: ['method', at, 'target_r'], value: Math.min(rank, method.target_r) }]
      : []),
  ];
  const rankOf = (power: number): number => 2 ** (power - 1);
  const search = largestFitting(Math.floor(Math.log2(most)) + 1);
  let asked = search.next();
  while (asked.done !== true) {
    asked = search.next(await isWithin(changedConfig(config, withRank(rankOf(asked.value))), planRun, free));
  }
  return asked.value === 0 ? 0 : rankOf(asked.value);
}

/** Advice for Transformers on PyTorch. @param limit bytes of one device */
export function torchAdvice({ shape, run }: PlannedRun, estimate: Estimate, most: Most, limit?: number): Advice {
  const verdictFor = (total: number, free: number): Verdict => verdictOf({ total, anonymous: total }, free);
  const alone = suggestSavings(shape, run, limit);
  const suffices = limit === undefined || [estimate.plan, ...alone].some(({ total }) => total <= limit);
  const together = suffices ? undefined : savingsTogether(shape, run, limit);
  const savings = [...(together === undefined ? [] : [together]), ...alone].map(
    ({ title, saved, total, changes }) => ({
      title,
      saved,
      total,
      changes,
      ...(limit === undefined ? {} : { verdict: verdictFor(total, limit) }),
    }),
  );
  if (limit === undefined) return { savings };
  const counted = Math.floor(limit * COUNTED_ON);
  const largest = (quantity: Quantity): number | null =>
    largestOnTorch(shape, run, counted, quantity, most[quantity]) ?? null;
  return {
    limit: {
      bytes: limit,
      bound: 'limit',
      verdict: verdictFor(estimate.plan.total, limit),
      largest: { batch: largest('batch'), length: largest('length'), rank: largest('rank') },
    },
    savings,
  };
}

const VERDICTS: Readonly<Record<Verdict, string>> = {
  fits: 'it fits',
  slow: 'it fits, but not beside its weights: they are read from the disk again at each step',
  barely: 'it barely fits: by less than an estimate may be wrong',
  'too-large': 'it does not fit',
};

/** A limit as rows of a name and a value. */
export function limitRows({ limit }: Advice, most: Most): readonly [string, string][] {
  if (limit === undefined) return [];
  const { bytes, bound, verdict, largest } = limit;
  return [
    ['Fits', `${freeWords({ free: bytes, total: bytes, bound })}: ${VERDICTS[verdict]}`],
    ...QUANTITIES.flatMap((quantity): [string, string][] => {
      const value = largest[quantity];
      if (value === null) return [];
      const shown = value >= most[quantity] ? `${formatCount(value)}, and more was not tried` : formatCount(value);
      return [[`Largest ${quantity} that fits`, value === 0 ? 'none' : shown]];
    }),
  ];
}

/** Savings as lines, the most first. */
export function savingLines({ savings }: Advice): readonly string[] {
  if (savings.length === 0) return [];
  return [
    'What would save memory, the most first:',
    ...savings.map(({ title, total, verdict }) => {
      const after = verdict !== undefined && goesThrough(verdict) ? ', and it fits' : '';
      return `  ${title} (${formatBytes(total)} are left${after})`;
    }),
  ];
}
