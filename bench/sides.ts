// Both sides of a comparison, each as a process that is started and watched.
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { RunEvent } from '../src/training/events.js';
import { writeRunFile } from './job.js';
import type { Job, PlannedStep } from './job.js';

/** One run's figures; times in seconds, memory in bytes. */
export interface Figures {
  /** From the end of the first step to the end of the last. */
  readonly rowsPerSecond: number;
  readonly supervisedTokensPerSecond: number;
  /** From the start of the process to the end of its first step, of a run of one step without evaluation. */
  readonly firstStep: number;
  /** Of the whole run: start, evaluation before and after, training, saving. */
  readonly total: number;
  /** Largest resident set of the process that trains, files that it maps included. */
  readonly peakMemory: number;
  /** The same, summed over all processes of the side, each at its own largest. */
  readonly peakAllProcesses: number;
  readonly lossBefore: number;
  readonly lossAfter: number;
  readonly tokenAccuracyAfter: number;
  readonly lastTrainLoss: number;
}

export async function runOurs(job: Job, steps: readonly PlannedStep[], folder: string): Promise<Figures> {
  const file = path.join(folder, `${job.task}.peft.yaml`);
  writeRunFile({ ...job, steps: 1 }, file, { evaluates: false });
  const first = await watchEvents(file);
  writeRunFile(job, file, { evaluates: true });
  const run = await watchEvents(file);
  const taken = run.events.filter((event) => event.type === 'step');
  const [before, after] = run.events.filter((event) => event.type === 'evaluation');
  const finished = run.events.find((event) => event.type === 'finished')!;
  return {
    ...rates(run.stepEnds, steps),
    firstStep: first.stepEnds[0]!,
    total: run.seconds,
    peakMemory: finished.peakMemory,
    peakAllProcesses: run.peakAllProcesses,
    lossBefore: before!.loss,
    lossAfter: after!.loss,
    tokenAccuracyAfter: after!.tokenAccuracy,
    lastTrainLoss: taken.at(-1)!.loss,
  };
}

async function watchEvents(file: string): Promise<Watched & { events: RunEvent[]; stepEnds: number[] }> {
  const events: RunEvent[] = [];
  const stepEnds: number[] = [];
  const watched = await watch(process.execPath, ['dist/cli.js', 'train', file, '--json'], (line, seconds) => {
    const event = JSON.parse(line) as RunEvent;
    events.push(event);
    if (event.type === 'step') stepEnds.push(seconds);
  });
  return { ...watched, events, stepEnds };
}

/** What train_lora.py prints. */
interface Printed {
  readonly step_ends: readonly number[];
  readonly peak_memory: number;
  readonly before: { readonly loss: number } | null;
  readonly after: { readonly loss: number; readonly accuracy: number } | null;
  readonly losses: readonly number[];
  readonly versions: Readonly<Record<string, string>>;
}

export async function runHuggingFace(
  job: Job,
  steps: readonly PlannedStep[],
  folder: string,
  python: string,
): Promise<Figures & { versions: Readonly<Record<string, string>> }> {
  const printed = async (taken: readonly PlannedStep[], flags: readonly string[]): Promise<[Printed, Watched]> => {
    const batches = path.join(folder, 'batches.json');
    writeFileSync(batches, JSON.stringify(taken.map(({ rows }) => rows)));
    const options = {
      batches,
      r: job.r,
      alpha: job.alpha,
      lr: job.rate,
      'batch-size': job.batchSize,
      'max-length': job.maxLength,
      threads: job.threads,
      seed: job.seed,
    };
    let text = '';
    const watched = await watch(
      python,
      [
        'bench/huggingface/train_lora.py',
        job.model,
        job.train,
        job.validation,
        ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]),
        ...flags,
      ],
      (line) => (text += `${line}\n`),
    );
    return [JSON.parse(text) as Printed, watched];
  };
  const [first] = await printed(steps.slice(0, 1), ['--no-evaluation']);
  const [run, watched] = await printed(steps, []);
  return {
    ...rates(run.step_ends, steps),
    firstStep: first.step_ends[0]!,
    total: watched.seconds,
    peakMemory: run.peak_memory,
    peakAllProcesses: watched.peakAllProcesses,
    lossBefore: run.before!.loss,
    lossAfter: run.after!.loss,
    tokenAccuracyAfter: run.after!.accuracy,
    lastTrainLoss: run.losses.at(-1)!,
    versions: run.versions,
  };
}

function rates(
  ends: readonly number[],
  steps: readonly PlannedStep[],
): Pick<Figures, 'rowsPerSecond' | 'supervisedTokensPerSecond'> {
  if (ends.length !== steps.length)
    throw new Error(`${ends.length} steps were taken, ${steps.length} were planned`);
  const seconds = ends.at(-1)! - ends[0]!;
  const sum = (count: (step: PlannedStep) => number): number =>
    steps.slice(1).reduce((total, step) => total + count(step), 0);
  return {
    rowsPerSecond: sum(({ rows }) => rows.length) / seconds,
    supervisedTokensPerSecond: sum(({ supervisedTokens }) => supervisedTokens) / seconds,
  };
}

interface Watched {
  readonly seconds: number;
  readonly peakAllProcesses: number;
}

const SAMPLE_MILLISECONDS = 250;

/** Runs a program and hands over each line of its standard output, with the time since it was started. */
async function watch(
  command: string,
  args: readonly string[],
  onLine: (line: string, seconds: number) => void,
): Promise<Watched> {
  const since = performance.now();
  const elapsed = (): number => (performance.now() - since) / 1000;
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const peaks = new Map<number, number>();
  const timer = setInterval(() => samplePeaks(child.pid!, peaks), SAMPLE_MILLISECONDS);
  let rest = '';
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop()!;
    for (const part of parts) if (part.trim() !== '') onLine(part, elapsed());
  });
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  clearInterval(timer);
  if (rest.trim() !== '') onLine(rest, elapsed());
  if (code !== 0) throw new Error(`${command} ${args[0]} ended with ${code}: ${errors.slice(-2000)}`);
  return { seconds: elapsed(), peakAllProcesses: [...peaks.values()].reduce((a, b) => a + b, 0) };
}

/** Notes the largest resident set so far of a process and of all its descendants (Linux only). */
function samplePeaks(root: number, peaks: Map<number, number>): void {
  const parents = new Map<number, number>();
  const sizes = new Map<number, number>();
  for (const name of process.platform === 'linux' ? readdirSync('/proc') : []) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    try {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      parents.set(pid, Number(/^PPid:\s+(\d+)/m.exec(status)?.[1]));
      sizes.set(pid, 1024 * Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0));
    } catch {
      // It ended between the listing and the reading.
    }
  }
  const isBelow = (pid: number | undefined): boolean =>
    pid === root || (pid !== undefined && pid > 1 && isBelow(parents.get(pid)));
  for (const [pid, size] of sizes) {
    if (isBelow(pid)) peaks.set(pid, Math.max(peaks.get(pid) ?? 0, size));
  }
}
