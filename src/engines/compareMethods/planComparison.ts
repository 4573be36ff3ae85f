import * as l10n from '@vscode/l10n';
import { formatBytes, formatCount, formatPercent } from '../../common/format.js';
import { ProblemError, fail, isError } from '../../common/problem.js';
import type { Problem } from '../../common/problem.js';
import { loadRunFile } from '../../config/loadRunFile.js';
import type { LoadedRun } from '../../config/loadRunFile.js';
import { usualRate } from '../../config/scaffold.js';
import { METHODS } from '../../methods/registry.js';
import type { MethodInfo } from '../../methods/info.js';
import type { Estimate } from '../estimate.js';
import { needOf } from '../verdict.js';
import type { GivenMethod, MethodEntry } from './methodEntry.js';
import { atSize, matchSize, sizeOption } from './sizeOptions.js';
import type { SizeOption } from './sizeOptions.js';

/** What a comparison is made of. */
export interface ComparisonChoice {
  /** The run file, absolute, and what is set over it for all methods. */
  readonly file: string;
  readonly overrides: readonly string[];
  readonly entries: readonly MethodEntry[];
  readonly match: Match | undefined;
  /** Learning rates to try; undefined: the usual one of each method's family. */
  readonly rates: readonly RateChoice[] | undefined;
  /** Bytes that a method may need and the system cannot take back; undefined: no limit. */
  readonly maxMemory: number | undefined;
}

/** What the numbers of trainable parameters are matched to. */
export type Match =
  | { readonly kind: 'count'; readonly trainable: number }
  | { readonly kind: 'share'; readonly share: number }
  | { readonly kind: 'entry'; readonly entry: MethodEntry };

/** A learning rate, or so many times the usual one of the method. */
export type RateChoice = { readonly rate: number } | { readonly times: number };

/** What is known of the base model, before anything runs. */
export interface ComparedModel {
  readonly parameters: number;
  readonly positions: number;
  /** How many numbers a run trains. @throws ProblemError what attaching the methods refuses */
  readonly count: (run: LoadedRun) => number;
  /** @throws ProblemError the same */
  readonly estimate: (run: LoadedRun) => Estimate;
}

/** One method of a comparison, ready to be run or refused. */
export interface PlannedEntry {
  readonly entry: MethodEntry;
  readonly family: MethodInfo['family'];
  /** With the size that was solved for. */
  readonly methods: readonly GivenMethod[];
  readonly note?: string;
  readonly trainable?: number;
  readonly plan?: Estimate['plan'];
  readonly rates: readonly number[];
  readonly problem?: Problem;
  /** It would run, but for the limit on memory. */
  readonly isLeftOut?: true;
}

export interface PlannedComparison {
  readonly target?: { readonly to: string; readonly trainable: number };
  readonly entries: readonly PlannedEntry[];
}

/**
 * Finds out what will run: attaches each method to the shapes of the model, solves for its size where methods are matched,
 * plans its memory. A method that does not go with model or run file is planned with the reason.
 *
 * @throws ProblemError for options that are none (they are in the entry), and for a match that cannot be
 */
export async function planComparison(choice: ComparisonChoice, model: ComparedModel): Promise<PlannedComparison> {
  const own = await load(choice, undefined);
  const target = await targetOf(choice, model);
  const entries: PlannedEntry[] = [];
  for (const entry of choice.entries) entries.push(await planEntry(choice, model, own, entry, target?.trainable));
  return { ...(target === undefined ? {} : { target }), entries };
}

/** What sets the methods of a run over those of its file. */
export function methodOverride(methods: readonly GivenMethod[]): string {
  return `method=${JSON.stringify(methods)}`;
}

async function load(
  { file, overrides }: ComparisonChoice,
  methods: readonly GivenMethod[] | undefined,
): Promise<LoadedRun> {
  const all = [...overrides, ...(methods === undefined ? [] : [methodOverride(methods)])];
  const { run, problems } = await loadRunFile(file, all);
  return run ?? fail(problems.find(isError)!);
}

async function planEntry(
  choice: ComparisonChoice,
  model: ComparedModel,
  own: LoadedRun,
  entry: MethodEntry,
  target: number | undefined,
): Promise<PlannedEntry> {
  const first = infoOf(entry.methods[0]!);
  const base = { entry, family: first.family, methods: entry.methods, rates: ratesOf(choice, own, first) };
  try {
    await load(choice, entry.methods);
  } catch (error) {
    // Options that somebody wrote are theirs to mend; what follows from defaults and the run file is told of the method.
    if (!(error instanceof ProblemError)) throw error;
    if (entry.label.includes('{')) {
      throw new ProblemError({ ...error.problem, where: { file: `--methods ${entry.label}` } });
    }
    return { ...base, problem: error.problem };
  }
  try {
    const sized = target === undefined ? base : { ...base, ...(await matched(choice, model, entry, target)) };
    const run = await load(choice, sized.methods);
    const { plan } = model.estimate(run);
    const planned = { ...sized, plan, trainable: model.count(run) };
    const { maxMemory } = choice;
    const { anonymous } = needOf(plan);
    if (maxMemory === undefined || anonymous <= maxMemory) return planned;
    return { ...planned, problem: tooLarge(anonymous, maxMemory), isLeftOut: true };
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    return { ...base, problem: error.problem };
  }
}

function tooLarge(anonymous: number, limit: number): Problem {
  return {
    code: 'memory.limit',
    message: l10n.t`it is planned to need ${formatBytes(anonymous)} that the system cannot take back`,
    expected: l10n.t`at most ${formatBytes(limit)}, the limit that is set`,
    mend: l10n.t`Raise the limit, or lower the batch size or the length of rows.`,
  };
}

/** The methods at the size that trains as many numbers as the target, and what is to be said of it. */
async function matched(
  choice: ComparisonChoice,
  model: ComparedModel,
  entry: MethodEntry,
  target: number,
): Promise<{ readonly methods: readonly GivenMethod[]; readonly note: string }> {
  const sizes = entry.methods.map((method) => sizeOption(Object.keys(infoOf(method).options.properties)));
  const at = sizes.findIndex((size) => size !== undefined);
  const option = sizes[at];
  const method = entry.methods[at];
  if (option === undefined || method === undefined) {
    return { methods: entry.methods, note: l10n.t`not matched: it has no size` };
  }
  if (option.name in method) {
    return { methods: entry.methods, note: l10n.t`not matched: ${option.name} is given` };
  }
  const withSize = (size: number): readonly GivenMethod[] => entry.methods.with(at, atSize(method, option, size));
  const count = async (size: number): Promise<number | undefined> => {
    try {
      const run = await load(choice, withSize(size));
      return isRoomFor(option, size, run, model) ? model.count(run) : undefined;
    } catch (error) {
      if (error instanceof ProblemError) return undefined;
      throw error;
    }
  };
  const found = await matchSize(option, target, count);
  if (found === undefined)
    return { methods: entry.methods, note: l10n.t`not matched: no size of it fits the model` };
  const { size, trainable, isIdle } = found;
  if (isIdle) {
    return {
      methods: entry.methods,
      note: l10n.t`not matched: its ${option.name} does not change how many numbers train`,
    };
  }
  const [said, numbers] = [String(size), formatCount(trainable)];
  const note =
    Math.abs(trainable / target - 1) <= NEAR
      ? `${option.name} ${said}`
      : l10n.t`${option.name} ${said} is the nearest to the target: ${numbers} numbers train`;
  return { methods: withSize(size), note };
}

/** Virtual tokens take up positions of the model: those that the longest rows leave, or half of them. */
function isRoomFor(
  { name }: SizeOption,
  size: number,
  { config }: LoadedRun,
  { positions }: ComparedModel,
): boolean {
  const { max_length: length = positions } = config.data;
  return name !== 'num_virtual_tokens' || size <= Math.max(positions - length, positions / 2);
}

/** Nearer than this to the target is as good as there. */
const NEAR = 0.1;

/** @throws ProblemError `compare.match` */
async function targetOf(choice: ComparisonChoice, model: ComparedModel): Promise<PlannedComparison['target']> {
  const { match } = choice;
  switch (match?.kind) {
    case undefined:
      return undefined;
    case 'count':
      return { to: formatCount(match.trainable), trainable: match.trainable };
    case 'share': {
      const trainable = Math.round(match.share * model.parameters);
      if (trainable >= 1) return { to: formatPercent(match.share), trainable };
      return fail({
        code: 'compare.match',
        message: l10n.t`${formatPercent(match.share)} of ${formatCount(model.parameters)} numbers is less than one`,
        expected: l10n.t`a share of which at least one number is left`,
      });
    }
    case 'entry':
      return { to: match.entry.label, trainable: model.count(await load(choice, match.entry.methods)) };
  }
}

/**
 * The rates to try. The usual one is the run file's, which is made for its own method; for one whose usual rate is
 * another (the scaffold's), it is in that ratio: full fine-tuning gets a tenth of what LoRA gets.
 */
function ratesOf({ rates }: ComparisonChoice, { config }: LoadedRun, method: MethodInfo): readonly number[] {
  const ratio = usualRate(method) / usualRate(infoOf(config.method[0]!));
  const usual = rounded(config.training.learning_rate * ratio);
  const all = (rates ?? [{ times: 1 }]).map((each) => ('rate' in each ? each.rate : rounded(each.times * usual)));
  return [...new Set(all)];
}

/** A product of two round numbers is one. */
function rounded(rate: number): number {
  return Number(rate.toPrecision(6));
}

function infoOf({ type }: { readonly type: string }): MethodInfo {
  const info = METHODS.find((each) => each.type === type);
  if (info === undefined) throw new Error(`There is no method ${type}.`);
  return info;
}
