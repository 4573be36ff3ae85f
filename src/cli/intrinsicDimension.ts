import path from 'node:path';
import { pathKind, writeFileWhole } from '../common/files.js';
import { formatBytes, formatDuration, formatLoss } from '../common/format.js';
import { ProblemError, fail } from '../common/problem.js';
import { makeFolder } from '../common/wholeFolder.js';
import type { LoadedRun } from '../config/loadRunFile.js';
import { falls, goalOf, isBetter, reaches, smallestDimension } from '../engines/intrinsicDimension.js';
import type { Found, Goal } from '../engines/intrinsicDimension.js';
import { readJsonObject } from '../models/boundedJson.js';
import { runVariant } from '../engines/runVariants.js';
import type { Variant, VariantResult, VariantsJob } from '../engines/runVariants.js';
import type { WorkerRun } from '../engines/workerRun.js';
import type { Arguments } from './arguments.js';
import type { Command } from './command.js';
import { DONE } from './exitCode.js';
import type { Io } from './io.js';
import { checkRunFile } from './runFile.js';
import { printable } from './styles.js';
import { table } from './table.js';

const DIMENSIONS = [10, 30, 100, 300, 1000, 3000, 10_000];
const RATES = [1e-3, 1e-2, 1e-1];
const SHARE = 0.9;
const HALVINGS = 3;
const METRICS = ['eval_accuracy', 'eval_macro_f1', 'eval_loss', 'eval_token_accuracy', 'eval_row_accuracy'];

export const intrinsicDimension: Command = {
  name: 'intrinsic-dimension',
  summary: 'Find the smallest random subspace in which a run comes to 90 % of full fine-tuning (d90).',
  positionals: [{ name: 'FILE', help: 'a run file with held-out rows; its method is replaced' }],
  options: {
    dimensions: {
      value: 'LIST',
      help: `Dimensions to try, from the smallest up until one reaches the goal. Default: ${DIMENSIONS.join(',')}.`,
    },
    halvings: {
      value: 'N',
      help: `How often the interval below it is halved then (in the logarithm). Default: ${HALVINGS}.`,
    },
    'learning-rates': {
      value: 'LIST',
      help: `Learning rates to try for each dimension, of which the best counts. Default: ${RATES.join(',')}.`,
    },
    'full-learning-rates': {
      value: 'LIST',
      help: "Learning rates of full fine-tuning, of which the best counts. Default: the run file's.",
    },
    seeds: {
      value: 'LIST',
      help: "Seeds to run each with, of which the mean counts. Default: the run file's.",
    },
    metric: {
      value: 'NAME',
      help: `One of ${METRICS.join(', ')}. Default: eval_accuracy where rows have classes, else eval_loss.`,
    },
    share: {
      value: 'SHARE',
      help: `The share of full fine-tuning to reach. Of an accuracy: SHARE × its value; of a loss: SHARE of its fall from before training. Default: ${SHARE}.`,
    },
    full: {
      value: 'VALUE',
      help: "Full fine-tuning's value of the metric, where it is known; it is not run then.",
    },
    variant: {
      value: 'DID|SAID',
      help: "Of the method. Default: the run file's where its method is intrinsic, else SAID.",
    },
    set: { value: 'KEY=VALUE', multiple: true, help: 'Override an option of the file, as in `train`.' },
    out: {
      value: 'DIR',
      help: 'Where runs and results are kept; finished runs are found again there. Default: NAME-intrinsic-dimension beside the runs of the file.',
    },
  },
  json: '{ "file", "metric", "share", "start", "full", "target", "d90", "below", "dimensions": [{ "intrinsic_dim", "learning_rate", "value", "least", "most", "reached" }], "runs": [{ "method", "intrinsic_dim", "learning_rate", "seed", "value", "start", "trainable", "steps", "seconds", "peakMemory", "folder" }], "folder" }',
  jsonForm: 'document',
  examples: [
    'news.peft.yaml',
    'news.peft.yaml --dimensions 100,1000 --learning-rates 1e-2 --full-learning-rates 5e-5,2e-4 --seeds 1,2,3',
    'sql.peft.yaml --metric eval_loss --full 0.05 --json',
  ],
  async run(args, io) {
    const plan = await planOf(args);
    await makeFolder(plan.folder);
    await checkResults(plan);
    const runner = createRunner(plan, io);
    const goal = await goalFor(plan, runner);
    const dimensions = new Map<number, Best>();
    if (goal !== undefined) runner.tell(`The goal: ${goal.metric} ${goalText(goal)}.`);
    let aim = goal;
    const found = await smallestDimension(plan.dimensions, plan.halvings, async (dimension) => {
      const results = await runner.subspace(dimension).catch((error: unknown) => {
        if (dimensions.size > 0 && hasCode(error, 'intrinsic.dimension-large')) return undefined;
        throw error;
      });
      if (results === undefined) {
        runner.tell(`d ${dimension}: more than the numbers of the targeted weights`);
        return undefined;
      }
      const best = bestOf(plan.metric(), results);
      dimensions.set(dimension, best);
      if (best === undefined) {
        runner.tell(`d ${dimension}: too few for SAID`);
        return false;
      }
      // Where full fine-tuning is not run, the start is the first subspace's, which is that of the base model.
      const start = results.find(({ start: each }) => plan.metricOf(each) !== undefined)?.start;
      aim ??= goalOf(plan.metric(), plan.share, plan.full!, start && plan.metricOf(start));
      const reached = reaches(aim, best.value);
      runner.tell(`d ${dimension}: ${bestText(best, reached)}`);
      return reached;
    });
    io.progress.end();
    if (aim === undefined) return fail(tooFew(plan.file));
    return conclude(plan, { goal: aim, found, dimensions, runs: runner.runs }, io, args.flag('json'));
  },
};

interface Plan {
  readonly file: string;
  readonly overrides: readonly string[];
  readonly folder: string;
  readonly run: LoadedRun;
  readonly dimensions: readonly number[];
  readonly halvings: number;
  readonly rates: readonly number[];
  readonly fullRates: readonly number[];
  readonly seeds: readonly number[];
  readonly share: number;
  readonly full: number | undefined;
  readonly variant: string | undefined;
  /** The metric that counts; known from the first run's metrics where none was named. */
  readonly metric: () => string;
  /** Its value among a run's metrics. */
  readonly metricOf: (metrics: Readonly<Record<string, number>>) => number | undefined;
}

/** A dimension's best learning rate: the mean over the seeds, with their range. */
type Best =
  { readonly rate: number; readonly value: number; readonly least: number; readonly most: number } | undefined;

interface RunRow {
  readonly method: 'full' | 'intrinsic';
  readonly dimension: number | undefined;
  readonly rate: number;
  readonly seed: number;
  readonly value: number;
  readonly result: VariantResult;
}

async function planOf(args: Arguments): Promise<Plan> {
  const file = path.resolve(args.positional(0));
  const overrides = args.all('set');
  const { run } = await checkRunFile(file, overrides);
  const { output, training } = run.config;
  const dimensions = listOf(args, 'dimensions', DIMENSIONS, isCount, 'whole numbers from 1 up');
  const variant = args.text('variant');
  if (variant !== undefined && variant !== 'DID' && variant !== 'SAID') {
    fail({ code: 'cli.option-value', message: `--variant is "${variant}"`, expected: 'DID or SAID' });
  }
  let metric = args.text('metric');
  if (metric !== undefined && !METRICS.includes(metric)) {
    fail({
      code: 'cli.option-value',
      message: `--metric is "${metric}"`,
      expected: `one of ${METRICS.join(', ')}`,
    });
  }
  if (run.config.data.validation === undefined && (run.config.data.validation_split ?? 0) === 0) {
    fail(noHeldOut(file));
  }
  const metricOf = (metrics: Readonly<Record<string, number>>): number | undefined => {
    if (Object.keys(metrics).length === 0) return undefined;
    metric ??= 'eval_accuracy' in metrics ? 'eval_accuracy' : 'eval_loss';
    const value = metrics[metric];
    if (value !== undefined) return value;
    return fail({
      code: 'cli.option-value',
      message: `--metric is "${metric}"`,
      expected: `one of ${Object.keys(metrics)
        .filter((name) => name.startsWith('eval_'))
        .join(', ')}`,
    });
  };
  return {
    file,
    overrides,
    folder: path.resolve(args.text('out') ?? path.join(output.dir, `${output.name}-intrinsic-dimension`)),
    run,
    dimensions,
    halvings: numberOf(
      args,
      'halvings',
      HALVINGS,
      (value) => Number.isInteger(value) && value >= 0,
      'a whole number from 0 up',
    ),
    rates: listOf(args, 'learning-rates', RATES, isPositive, 'numbers above 0'),
    fullRates: listOf(args, 'full-learning-rates', [training.learning_rate], isPositive, 'numbers above 0'),
    seeds: listOf(
      args,
      'seeds',
      [training.seed],
      (value) => Number.isInteger(value) && value >= 0,
      'whole numbers from 0 up',
    ),
    share: numberOf(args, 'share', SHARE, (value) => value > 0 && value <= 1, 'a number above 0, at most 1'),
    full: fullOf(args, metric),
    variant,
    metric: () => metric ?? 'eval_loss',
    metricOf,
  };
}

const isPositive = (value: number): boolean => value > 0;
const isCount = (value: number): boolean => Number.isInteger(value) && value > 0;

function numberOf(
  args: Arguments,
  name: string,
  usual: number,
  fits: (value: number) => boolean,
  expected: string,
): number {
  const value = args.number(name) ?? usual;
  if (fits(value)) return value;
  return fail({ code: 'cli.option-value', message: `--${name} is ${value}`, expected });
}

/** Full fine-tuning's value where it is given: none of the metrics is below 0, and a share is at most 1. */
function fullOf(args: Arguments, metric: string | undefined): number | undefined {
  const value = args.number('full');
  const most = metric === undefined || falls(metric) ? Infinity : 1;
  if (value === undefined || (value >= 0 && value <= most)) return value;
  return fail({
    code: 'cli.option-value',
    message: `--full is ${value}`,
    expected: most === 1 ? `a share from 0 to 1, as ${String(metric)} is` : 'a number from 0 up',
  });
}

function listOf(
  args: Arguments,
  name: string,
  usual: readonly number[],
  fits: (value: number) => boolean,
  expected: string,
): readonly number[] {
  const text = args.text(name);
  if (text === undefined) return usual;
  const parts = text.split(',').map((part) => part.trim());
  const wrong = parts.find((part) => part === '' || !Number.isFinite(Number(part)) || !fits(Number(part)));
  if (wrong === undefined) return [...new Set(parts.map(Number))];
  return fail({
    code: 'cli.option-value',
    message: `--${name} holds "${wrong}"`,
    expected: `${expected}, with commas between: --${name} ${usual.join(',')}`,
  });
}

/** Runs variants one after the other and notes what came of them. */
function createRunner(plan: Plan, io: Io) {
  const runs: RunRow[] = [];
  let present: WorkerRun | undefined;
  let activity = '';
  let total = 0;
  io.interrupt.onSignal((count) => {
    if (count > 1) {
      io.note('Killing the run; those that have finished are kept.');
      present?.kill();
      io.interrupt.leave();
      return;
    }
    io.note('Stopping after this step; the same command goes on from there. Ctrl-C again kills the run.');
    present?.stop();
  });
  const job: VariantsJob = {
    file: plan.file,
    // Answers and checkpoints of old steps are nobody's here.
    overrides: [...plan.overrides, 'training.eval_generations=0', 'training.save_total_limit=1'],
    folder: path.join(plan.folder, 'runs'),
    worker: io.worker,
    onRun: (run) => (present = run),
    tell(event) {
      if (event.type === 'started') total = event.totalSteps;
      if (event.type !== 'step') return;
      io.progress.update({ activity, done: event.step, total, detail: `loss ${formatLoss(event.loss)}` });
    },
    print: (line) => io.note(printable(line)),
  };
  const runOne = async (variant: Variant, row: Omit<RunRow, 'value' | 'result'>): Promise<VariantResult> => {
    io.interrupt.check();
    activity = variant.name;
    io.progress.update({ activity, done: 0, total: 0 });
    const result = await runVariant(job, variant).catch((error: unknown) => {
      // A signal to the process group may have ended the worker before it could say so.
      io.interrupt.check();
      throw error;
    });
    io.interrupt.check();
    if (result === undefined)
      return fail({ code: 'cli.interrupted', message: `the run ${variant.name} was stopped` });
    const value = plan.metricOf(result.end);
    if (value === undefined) return fail(noHeldOut(plan.file));
    runs.push({ ...row, value, result });
    return result;
  };
  const atRate = async (rate: number, { name, method, row }: Tried): Promise<readonly Measured[]> => {
    const results = [];
    for (const seed of plan.seeds) {
      const variant: Variant = {
        name: `${name}-rate-${rate}-seed-${seed}`,
        overrides: [method, `training.learning_rate=${rate}`, `training.seed=${seed}`].flat(),
      };
      const result = await runOne(variant, { ...row, rate, seed }).catch((error: unknown) => {
        if (hasCode(error, DIVERGED)) {
          io.note(`learning rate ${rate} does not count: ${variant.name} ended with numbers that are not finite`);
        }
        throw error;
      });
      results.push({ ...result, rate, value: plan.metricOf(result.end)! });
    }
    return results;
  };
  /** Without learning rates that diverge, unless all do. */
  const each = async (rates: readonly number[], tried: Tried): Promise<readonly Measured[]> => {
    const results: Measured[] = [];
    let diverged: unknown;
    for (const rate of rates) {
      try {
        results.push(...(await atRate(rate, tried)));
      } catch (error) {
        if (!hasCode(error, DIVERGED)) throw error;
        diverged = error;
      }
    }
    if (results.length === 0 && diverged !== undefined) throw diverged;
    return results;
  };
  return {
    runs,
    tell: (text: string) => io.note(text),
    full: () =>
      each(plan.fullRates, {
        name: 'full',
        method: 'method={type: full}',
        row: { method: 'full', dimension: undefined },
      }),
    /** None where the dimension is too small for the method. */
    async subspace(dimension: number) {
      try {
        return await each(plan.rates, {
          name: nameOf(plan, dimension),
          method: methodOf(plan, dimension),
          row: { method: 'intrinsic', dimension },
        });
      } catch (error) {
        if (hasCode(error, 'intrinsic.dimension')) return [];
        throw error;
      }
    },
  };
}

/** Of a run whose numbers are no longer finite. */
const DIVERGED = 'training.non-finite';

/** What is run with each learning rate and seed. */
interface Tried {
  readonly name: string;
  readonly method: string | readonly string[];
  readonly row: Pick<RunRow, 'method' | 'dimension'>;
}

type Measured = VariantResult & { readonly rate: number; readonly value: number };

function hasCode(error: unknown, code: string): boolean {
  return error instanceof ProblemError && error.problem.code === code;
}

type Runner = ReturnType<typeof createRunner>;

/** The method of the run file where it is this one, else with its defaults. */
function methodOf({ run, variant }: Plan, dimension: number): readonly string[] {
  const [method] = run.config.method;
  if (method?.type !== 'intrinsic' || run.config.method.length > 1) {
    const options = variant === undefined ? '' : `, variant: ${variant}`;
    return [`method={type: intrinsic, intrinsic_dim: ${dimension}${options}}`];
  }
  return [
    `method.0.intrinsic_dim=${dimension}`,
    ...(variant === undefined ? [] : [`method.0.variant=${variant}`]),
  ];
}

function nameOf({ variant }: Plan, dimension: number): string {
  return `${variant === undefined ? '' : `${variant.toLowerCase()}-`}d-${dimension}`;
}

/** Undefined where the value of full fine-tuning was given and the start of the loss is still to be seen. */
async function goalFor(plan: Plan, runner: Runner): Promise<Goal | undefined> {
  if (plan.full !== undefined) return undefined;
  const results = await runner.full();
  const best = bestOf(plan.metric(), results)!;
  const starts = results.flatMap(({ start }) => plan.metricOf(start) ?? []);
  const start = starts.length === 0 ? undefined : starts.reduce((sum, each) => sum + each, 0) / starts.length;
  runner.tell(`full: ${bestText(best, undefined)}`);
  return goalOf(plan.metric(), plan.share, best.value, start);
}

function bestOf(metric: string, results: readonly { readonly rate: number; readonly value: number }[]): Best {
  const byRate = new Map<number, number[]>();
  for (const { rate, value } of results) byRate.set(rate, [...(byRate.get(rate) ?? []), value]);
  return [...byRate]
    .map(([rate, values]) => ({
      rate,
      value: values.reduce((sum, each) => sum + each, 0) / values.length,
      least: Math.min(...values),
      most: Math.max(...values),
    }))
    .reduce<Best>(
      (best, each) => (best === undefined || isBetter(metric, each.value, best.value) ? each : best),
      undefined,
    );
}

function bestText(best: NonNullable<Best>, reached: boolean | undefined): string {
  const range = best.least === best.most ? '' : ` (${formatLoss(best.least)} to ${formatLoss(best.most)})`;
  const verdict = reached === undefined ? '' : reached ? ', reaches the goal' : ', does not reach the goal';
  return `${formatLoss(best.value)}${range} at learning rate ${best.rate}${verdict}`;
}

function goalText({ metric, share, start, full, target }: Goal): string {
  const percent = `${Number((100 * share).toFixed(2))} %`;
  return falls(metric)
    ? `at most ${formatLoss(target)}, ${percent} of the fall from ${formatLoss(start!)} to ${formatLoss(full)}`
    : `at least ${formatLoss(target)}, ${percent} of ${formatLoss(full)}`;
}

function tooFew(file: string) {
  return {
    code: 'intrinsic.dimension',
    message: 'every dimension given is too small for SAID, which takes a number for each layer out of it',
    where: { file },
    mend: 'Give larger ones with --dimensions, or --variant DID.',
  };
}

function noHeldOut(file: string) {
  return {
    code: 'data.no-held-out',
    message: 'no rows are held out, so that runs cannot be measured',
    where: { file },
    mend: 'Give data.validation, or data.validation_split.',
  };
}

function resultsOf({ folder }: Plan): string {
  return path.join(folder, 'results.json');
}

/**
 * Results of another run file are not written over.
 * @throws ProblemError `intrinsic.other-file`
 */
async function checkResults(plan: Plan): Promise<void> {
  const results = resultsOf(plan);
  if ((await pathKind(results)) !== 'file') return;
  const { file } = await readJsonObject(results, { code: 'intrinsic.results', maxBytes: MAX_RESULTS_BYTES });
  if (file === undefined || file === plan.file) return;
  fail({
    code: 'intrinsic.other-file',
    message: `the folder holds the results of ${String(JSON.stringify(file))}`,
    where: { file: results },
    expected: `those of ${plan.file}, or none`,
    mend: 'Name another folder with --out.',
  });
}

/** A run has some 300 bytes. */
const MAX_RESULTS_BYTES = 16 * 1024 * 1024;

/** Writes the results as JSON and CSV into the folder, and prints them. */
async function conclude(
  plan: Plan,
  parts: {
    readonly goal: Goal;
    readonly found: Found;
    readonly dimensions: ReadonlyMap<number, Best>;
    readonly runs: readonly RunRow[];
  },
  io: Io,
  json: boolean,
): Promise<number> {
  const { goal, found } = parts;
  const dimensions = [...parts.dimensions].sort(([a], [b]) => a - b);
  const document = {
    file: plan.file,
    metric: goal.metric,
    share: goal.share,
    ...(goal.start === undefined ? {} : { start: goal.start }),
    full: goal.full,
    target: goal.target,
    d90: found.dimension ?? null,
    below: found.below ?? null,
    dimensions: dimensions.map(([dimension, best]) => ({
      intrinsic_dim: dimension,
      learning_rate: best?.rate ?? null,
      value: best?.value ?? null,
      least: best?.least ?? null,
      most: best?.most ?? null,
      reached: best !== undefined && reaches(goal, best.value),
    })),
    runs: parts.runs.map(({ method, dimension, rate, seed, value, result }) => ({
      method,
      intrinsic_dim: dimension ?? null,
      learning_rate: rate,
      seed,
      value,
      start: plan.metricOf(result.start) ?? null,
      trainable: result.trainable,
      steps: result.steps,
      seconds: result.seconds,
      peakMemory: result.peakMemory,
      folder: result.folder,
    })),
    folder: plan.folder,
  };
  await writeFileWhole(resultsOf(plan), `${JSON.stringify(document, undefined, 2)}\n`);
  await writeFileWhole(path.join(plan.folder, 'results.csv'), csvOf(document.runs));
  if (json) {
    io.json(document);
    return DONE;
  }
  io.line(
    table(
      [...parts.runs].map(({ method, dimension, rate, seed, value, result }) => [
        method,
        dimension === undefined ? '–' : String(dimension),
        String(rate),
        String(seed),
        formatLoss(value),
        String(result.steps),
        formatDuration(result.seconds),
        formatBytes(result.peakMemory),
      ]),
      ['METHOD', 'D', 'RATE', 'SEED', goal.metric.toUpperCase(), 'STEPS', 'TIME', 'PEAK MEMORY'],
    ),
  );
  io.line('');
  io.line(`Goal      ${goal.metric} ${goalText(goal)}`);
  io.line(`Smallest  ${foundText(found, goal)}`);
  io.line(`Results   ${printable(path.join(plan.folder, 'results.json'))}, results.csv`);
  return DONE;
}

function foundText({ dimension, below }: Found, { share }: Goal): string {
  const name = `d${Number((100 * share).toFixed(2))}`;
  if (dimension === undefined) return `no dimension tried reaches the goal: ${name} is above ${below ?? 0}`;
  return below === undefined
    ? `${name} is at most ${dimension}, the smallest dimension tried`
    : `${name} is ${dimension}: ${below} does not reach the goal`;
}

function csvOf(rows: readonly Readonly<Record<string, string | number | null>>[]): string {
  const keys = Object.keys(rows[0] ?? {});
  const cell = (value: string | number | null | undefined): string => {
    const text = String(value ?? '');
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [keys, ...rows.map((row) => keys.map((key) => row[key]))]
    .map((row) => `${row.map(cell).join(',')}\n`)
    .join('');
}
