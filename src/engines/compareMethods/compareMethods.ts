import { rm } from 'node:fs/promises';
import { ProblemError, fail } from '../../common/problem.js';
import type { Problem } from '../../common/problem.js';
import { checkpointFolder, checkpointSteps } from '../../training/checkpoint.js';
import { runVariant } from '../runVariants.js';
import type { Variant, VariantResult, VariantsJob } from '../runVariants.js';
import { needOf } from '../verdict.js';
import { metricIn, spreadOf } from './comparison.js';
import type { ComparedMethod, MethodComparison, MethodResults, MethodRun } from './comparison.js';
import { methodOverride } from './planComparison.js';
import type { PlannedComparison, PlannedEntry } from './planComparison.js';
import { noHeldOut } from './heldOut.js';

/** What of a comparison does not change while it goes. */
export type ComparisonAbout = Pick<
  MethodComparison,
  'file' | 'folder' | 'args' | 'model' | 'parameters' | 'seeds'
>;

/** A comparison as it stands before anything has run. */
export function plannedComparison(about: ComparisonAbout, plan: PlannedComparison): MethodComparison {
  return documentOf(about, plan, plan.entries.map(createRecord));
}

/** A run of a comparison that is about to begin. */
export interface ComparedRun {
  readonly method: string;
  readonly rate: number;
  readonly seed: number;
  /** From 1. */
  readonly number: number;
  readonly of: number;
}

export interface ComparisonJob extends VariantsJob {
  /** Called before a run. */
  readonly next: (run: ComparedRun) => void;
  /** Called between runs, and where one fails. @throws ProblemError to end the comparison */
  readonly check: () => void;
  /** Called after each run, with what is known by then. */
  readonly told: (comparison: MethodComparison, isKept: boolean) => Promise<void>;
}

/**
 * Runs what was planned, one run after the other: of each method every learning rate with the first seed, then the best of
 * them, by held-out loss, with the others. Runs that came to their end before are found again.
 *
 * @returns undefined where a run was stopped
 */
export async function compareMethods(
  about: ComparisonAbout,
  plan: PlannedComparison,
  job: ComparisonJob,
): Promise<MethodComparison | undefined> {
  const records = plan.entries.map(createRecord);
  for (const record of records) {
    const { planned } = record;
    if (planned.problem !== undefined) continue;
    const runOne = async (rate: number, seed: number): Promise<Outcome> => {
      record.isRunning = true;
      const done = documentOf(about, plan, records);
      job.check();
      job.next({ method: planned.entry.label, rate, seed, number: done.done + 1, of: done.of });
      const outcome = await outcomeOf(job, variantOf(planned, rate, seed), rate, seed);
      if (outcome !== 'stopped') {
        record.tried.push(outcome);
        record.isRunning = false;
        await job.told(documentOf(about, plan, records), outcome.isKept);
      }
      return outcome;
    };
    const [first = 0, ...others] = about.seeds;
    for (const rate of planned.rates) if ((await runOne(rate, first)) === 'stopped') return undefined;
    const best = bestRate(record);
    record.isChosen = true;
    if (best === undefined) continue;
    for (const seed of others) if ((await runOne(best, seed)) === 'stopped') return undefined;
  }
  return documentOf(about, plan, records);
}

/** What is known of a method by now. */
interface MethodRecord {
  readonly planned: PlannedEntry;
  readonly tried: Tried[];
  isRunning: boolean;
  /** All rates were tried. */
  isChosen: boolean;
  parameters?: number;
}

interface Tried {
  readonly rate: number;
  readonly seed: number;
  readonly isKept: boolean;
  readonly run?: MethodRun;
  readonly problem?: Problem;
}

type Outcome = Tried | 'stopped';

function createRecord(planned: PlannedEntry): MethodRecord {
  return { planned, tried: [], isRunning: false, isChosen: false };
}

/** A name of a folder: what is not a letter, digit, dot or dash becomes a dash. Settings are told apart by what is in it. */
function variantOf({ entry, methods }: PlannedEntry, rate: number, seed: number): Variant {
  const name = entry.label.replace(/[^A-Za-z0-9.]+/g, '-').replace(/^-+|-+$/g, '');
  return {
    name: `${name.slice(0, MOST_NAME)}-rate-${rate}-seed-${seed}`,
    overrides: [methodOverride(methods), `training.learning_rate=${rate}`, `training.seed=${seed}`],
  };
}

/** Longer names meet limits of file systems. */
const MOST_NAME = 100;

async function outcomeOf(job: ComparisonJob, variant: Variant, rate: number, seed: number): Promise<Outcome> {
  try {
    const result = await runVariant(job, variant);
    if (result === undefined) return 'stopped';
    await removeCheckpoints(result.folder);
    return { rate, seed, isKept: result.isKept, run: runOf(result, rate, seed) };
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    // A run that was stopped before its first step fails, and so does one whose worker got the signal, too.
    job.check();
    return { rate, seed, isKept: false, problem: error.problem };
  }
}

/** A run that has ended goes on from nowhere, and its checkpoints take more than its result. */
async function removeCheckpoints(folder: string): Promise<void> {
  for (const step of await checkpointSteps(folder)) {
    await rm(checkpointFolder(folder, step), { recursive: true, force: true });
  }
}

function runOf(result: VariantResult, rate: number, seed: number): MethodRun {
  const { folder, start, end, trainable, steps, seconds, stepSeconds, peakMemory, written } = result;
  const { eval_loss: loss } = end;
  if (loss === undefined) return fail(noHeldOut(folder));
  const metrics = Object.fromEntries(
    Object.entries(end).filter(([name]) => name.startsWith('eval_') && name !== 'eval_loss'),
  );
  return {
    learning_rate: rate,
    seed,
    folder,
    start: start['eval_loss'] ?? null,
    loss,
    metrics,
    trainable,
    steps,
    seconds,
    step_seconds: stepSeconds,
    peak_memory: peakMemory,
    bytes: written,
  };
}

/** The rate whose run with the first seed has the least loss on held-out rows. */
function bestRate({ planned, tried }: MethodRecord): number | undefined {
  const losses = planned.rates.flatMap((rate) => {
    const loss = tried.find((each) => each.rate === rate)?.run?.loss;
    return loss === undefined ? [] : [{ rate, loss }];
  });
  return losses.toSorted((one, other) => one.loss - other.loss)[0]?.rate;
}

function documentOf(
  about: ComparisonAbout,
  { target, entries }: PlannedComparison,
  records: readonly MethodRecord[],
): MethodComparison {
  const methods = records.map((record) => methodOf(record, about));
  const seeds = about.seeds.length;
  const left = (each: PlannedEntry): number => (each.problem === undefined ? each.rates.length + seeds - 1 : 0);
  const ends = records.map((record) => {
    // Where no rate came to an end, the other seeds are not run.
    const isOver = record.isChosen && bestRate(record) === undefined;
    return isOver ? left(record.planned) : record.tried.length;
  });
  const [first] = records.flatMap(({ tried }) => tried.flatMap(({ run }) => run ?? []));
  return {
    version: 1,
    ...about,
    ...(target === undefined ? {} : { matched: target }),
    metric: first === undefined ? null : metricIn(first.metrics),
    done: ends.reduce((sum, each) => sum + each, 0),
    of: entries.reduce((sum, each) => sum + left(each), 0),
    methods,
  };
}

function methodOf(record: MethodRecord, about: ComparisonAbout): ComparedMethod {
  const { planned, tried } = record;
  const { entry, family, methods, note, plan, rates } = planned;
  const best = bestRate(record);
  const counted = tried.flatMap(({ rate, run }) => (rate === best && run !== undefined ? [run] : []));
  const trainable = counted[0]?.trainable ?? planned.trainable;
  const problem =
    planned.problem ?? tried.find((each) => each.problem !== undefined && isOfEnd(each, best))?.problem;
  return {
    method: entry.label,
    family,
    options: methods,
    state: stateOf(record, about.seeds.length),
    ...(problem === undefined ? {} : { problem }),
    ...(note === undefined ? {} : { note }),
    trainable: trainable ?? null,
    share: trainable === undefined ? null : trainable / about.parameters,
    planned: plan === undefined ? null : needOf(plan).total,
    learning_rate: best ?? null,
    rates: rates.flatMap((rate) => {
      const first = tried.find((each) => each.rate === rate);
      return first === undefined ? [] : [{ learning_rate: rate, loss: first.run?.loss ?? null }];
    }),
    ...(counted.length === 0 ? {} : { results: resultsOf(counted) }),
    runs: tried.flatMap(({ run }) => run ?? []),
  };
}

/** What failed at a rate that was only tried is no fault of the method, unless all did. */
function isOfEnd({ rate }: Tried, best: number | undefined): boolean {
  return best === undefined || rate === best;
}

function stateOf(record: MethodRecord, seeds: number): ComparedMethod['state'] {
  const { planned, tried, isRunning, isChosen } = record;
  if (planned.problem !== undefined) return planned.isLeftOut ? 'left-out' : 'refused';
  if (isRunning) return 'running';
  const best = bestRate(record);
  if (isChosen && best === undefined) return 'failed';
  const all = planned.rates.length + seeds - 1;
  if (tried.length === all) return best === undefined ? 'failed' : 'done';
  return tried.length === 0 ? 'waiting' : 'running';
}

function resultsOf(runs: readonly MethodRun[]): MethodResults {
  const starts = runs.flatMap(({ start }) => start ?? []);
  const spread = (of: (run: MethodRun) => number): MethodResults['loss'] => spreadOf(runs.map(of));
  return {
    start: starts.length === 0 ? null : spreadOf(starts),
    loss: spread(({ loss }) => loss),
    metrics: Object.fromEntries(
      Object.keys(runs[0]!.metrics).map((name) => [name, spread(({ metrics }) => metrics[name] ?? NaN)]),
    ),
    peak_memory: spread((run) => run.peak_memory),
    seconds: spread(({ seconds }) => seconds),
    step_seconds: spread((run) => run.step_seconds),
    bytes: spread(({ bytes }) => bytes),
  };
}
