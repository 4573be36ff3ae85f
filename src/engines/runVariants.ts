import * as l10n from '@vscode/l10n';
import { createReadStream, writeFileSync } from 'node:fs';
import { readFile, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { pathKind } from '../common/files.js';
import { ProblemError, fail, isError } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { loadRunFile } from '../config/loadRunFile.js';
import type { LoadedRun } from '../config/loadRunFile.js';
import { readResolvedRun } from '../config/readResolvedRun.js';
import { readLines } from '../data/lines.js';
import type { RunEvent } from '../training/events.js';
import { metricsOf } from '../training/heldOut.js';
import { eventOfLine } from '../training/soundEvent.js';
import { changedKeys, resumeNewest } from './resumeRun.js';
import { rowsHash } from './rowsHash.js';
import { RESOLVED_CONFIG, RUN_EVENTS } from './runFiles.js';
import { hasEnded } from './runFolder.js';
import { advance, idle } from './runState.js';
import type { RunState } from './runState.js';
import { startWorker } from './workerRun.js';
import type { WorkerRun } from './workerRun.js';

/** A run file with changes of its own: the same run with another method, rate or seed. */
export interface Variant {
  /** Tells it from the others, and is its folder's name: letters, digits, dots and dashes. */
  readonly name: string;
  /** `method={type: full}`, over what the file and the job's own overrides say. */
  readonly overrides: readonly string[];
}

export interface VariantsJob {
  /** The run file, absolute. */
  readonly file: string;
  /** For all variants. */
  readonly overrides: readonly string[];
  /** Where the runs are kept, in a folder for each variant. Finished ones are found again there. */
  readonly folder: string;
  /** The worker's program, absolute. */
  readonly worker: string;
  /** Hands out the run that begins, so that it can be stopped, and stops telling of it with undefined. */
  readonly onRun: (run: WorkerRun | undefined) => void;
  readonly tell: (event: RunEvent, variant: Variant) => void;
  /** A line that the worker prints. */
  readonly print: (line: string) => void;
}

/** What came of a variant. */
export interface VariantResult {
  readonly variant: Variant;
  /** The run's folder, absolute. */
  readonly folder: string;
  /** Found from before instead of run now. */
  readonly isKept: boolean;
  /** On the held-out rows before the first step: `eval_loss`, `eval_accuracy`, … Empty where none are held out. */
  readonly start: Readonly<Record<string, number>>;
  /** In the end, as the run told. */
  readonly end: Readonly<Record<string, number>>;
  readonly trainable: number;
  readonly steps: number;
  readonly seconds: number;
  /** The median over the steps. */
  readonly stepSeconds: number;
  /** Bytes. */
  readonly peakMemory: number;
  /** Bytes of the weights that it wrote: of adapters, and of models where weights of the base trained. */
  readonly written: number;
}

/**
 * Runs a variant of a run file in a worker, unless a run with just these settings and rows has come to its end in the job's
 * folder already; one that was broken off goes on from its last checkpoint. Weights are taken to be what they were.
 *
 * @returns undefined where the run was stopped before its end
 * @throws ProblemError of the run file or the run
 */
export async function runVariant(job: VariantsJob, variant: Variant): Promise<VariantResult | undefined> {
  const overrides = [
    ...job.overrides,
    ...variant.overrides,
    `output.dir=${JSON.stringify(job.folder)}`,
    `output.name=${JSON.stringify(variant.name)}`,
  ];
  const { run, problems } = await loadRunFile(job.file, overrides);
  if (run === undefined) return fail(problems.find(isError)!);
  const rows = await rowsHash(run.config);
  const known = await finishedRun(run, rows);
  if (known !== undefined) return resultIn(known, variant, true);

  let state: RunState = idle;
  let folder: string | undefined;
  const worker = startWorker({
    worker: job.worker,
    file: job.file,
    overrides,
    resume: await canResume(run, rows),
    tell(happening) {
      state = advance(state, happening);
      if (happening.type !== 'event') return;
      if (happening.event.type === 'started') {
        folder = happening.event.folder;
        writeFileSync(path.join(folder, ROWS), rows);
      }
      job.tell(happening.event, variant);
    },
    print: job.print,
  });
  job.onRun(worker);
  await worker.done;
  job.onRun(undefined);
  const ended = settled(state);
  if (ended.kind === 'failed') return fail(ended.problem);
  if (ended.kind !== 'finished' || ended.result.reason === 'stopped' || folder === undefined) return undefined;
  return resultIn(folder, variant, false);
}

/** The state as it is by now: callbacks have changed it. */
function settled(state: RunState): RunState {
  return state;
}

/** In a run's folder: the hash of the rows that it was started with. */
const ROWS = 'rows.sha256';

async function isOfRows(folder: string, rows: string): Promise<boolean> {
  const file = path.join(folder, ROWS);
  return (await pathKind(file)) === 'file' && (await readFile(file, 'utf8')) === rows;
}

/** The newest run of these settings and rows that came to its end. */
async function finishedRun({ config }: LoadedRun, rows: string): Promise<string | undefined> {
  const parent = path.join(config.output.dir, config.output.name);
  const names = (await pathKind(parent)) === 'folder' ? await readdir(parent) : [];
  for (const name of names.sort().reverse()) {
    const folder = path.join(parent, name);
    if (!(await hasEnded(folder)) || !(await isOfRows(folder, rows))) continue;
    const before = await readResolvedRun(path.join(folder, RESOLVED_CONFIG));
    if (changedKeys(before, config).length === 0) return folder;
  }
  return undefined;
}

/** Whether a run of these settings and rows was broken off behind a checkpoint. */
async function canResume(run: LoadedRun, rows: string): Promise<boolean> {
  try {
    return await isOfRows((await resumeNewest(run)).folder, rows);
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    const { code } = error.problem;
    if (code.startsWith('resume.') && code !== 'resume.running') return false;
    throw error;
  }
}

/** What a run's record says of its beginning and its end. */
async function resultIn(folder: string, variant: Variant, isKept: boolean): Promise<VariantResult> {
  const file = path.join(folder, RUN_EVENTS);
  let start: Readonly<Record<string, number>> = {};
  let trainable = 0;
  const stepSeconds = new Map<number, number>();
  let finished: Extract<RunEvent, { type: 'finished' }> | undefined;
  const bytes: AsyncIterable<Uint8Array> = createReadStream(file);
  for await (const line of readLines(bytes, file)) {
    const event = 'text' in line ? eventOfLine(line.text) : undefined;
    if (event?.type === 'coverage') trainable = event.trainable;
    if (event?.type === 'finished') finished = event;
    if (event?.type === 'step') stepSeconds.set(event.step, event.seconds);
    if (event?.type === 'evaluation' && event.split === 'validation' && event.step === 0) {
      start = metricsOf('eval', event);
    }
  }
  if (finished === undefined) return fail(noEnd(file));
  const { metrics: end, steps, seconds, peakMemory } = finished;
  const written = await writtenBytes(folder);
  const median = medianOf([...stepSeconds.values()]);
  return {
    variant,
    folder,
    isKept,
    start,
    end,
    trainable,
    steps,
    seconds,
    stepSeconds: median,
    peakMemory,
    written,
  };
}

/** Checkpoints do not count: they are for going on. */
async function writtenBytes(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true });
  const weights = names.filter((name) => /^(adapter|model)(-[^/\\]+)?[/\\].*\.safetensors$/.test(name));
  const sizes = await Promise.all(weights.map((name) => stat(path.join(folder, name))));
  return sizes.reduce((sum, { size }) => sum + size, 0);
}

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle)] ?? 0)) / 2;
}

function noEnd(file: string): Problem {
  return {
    code: 'run.no-end',
    message: l10n.t`the record does not say how the run ended`,
    where: { file },
    mend: l10n.t`Delete the run's folder; it is run anew then.`,
  };
}
