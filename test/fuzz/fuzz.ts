import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Random } from '../../src/common/random.js';
import { random } from '../../src/common/random.js';
import { describeProblem, ProblemError } from '../../src/common/problem.js';
import type { Problem } from '../../src/common/problem.js';
import { globalChanges } from './globals.js';
import type { FuzzInput, FuzzTarget, Sandbox } from './target.js';
import { broken, pick } from './target.js';

/** What one input may cost. Processor time, not the clock: others work on the same machine. */
const MAX_CPU_MILLISECONDS = 2000;
/** Big inputs may take longer, but in proportion: a MB that takes the square of its length takes minutes. */
const MAX_CPU_MILLISECONDS_PER_MB = 4000;
const MAX_EXTRA_BYTES = 256 * 2 ** 20;
/** Longer messages fill a terminal with what a file claims. */
const MAX_MESSAGE = 8000;

export interface Finding {
  readonly index: number;
  readonly what: string;
}

/** What became of a range of inputs. */
export interface Tally {
  inputs: number;
  accepted: number;
  /** By problem code. */
  readonly refused: Record<string, number>;
  readonly findings: Finding[];
  slowest: { index: number; milliseconds: number };
  cpuSeconds: number;
  /** Largest resident memory of the process. */
  peakBytes: number;
}

export function emptyTally(): Tally {
  return {
    inputs: 0,
    accepted: 0,
    refused: {},
    findings: [],
    slowest: { index: 0, milliseconds: 0 },
    cpuSeconds: 0,
    peakBytes: 0,
  };
}

/** The input of a number: the seeds first, then changed ones. Nothing but `seed` and `index` decides it. */
export function inputAt(target: FuzzTarget, seeds: readonly FuzzInput[], seed: number, index: number): FuzzInput {
  const start = seeds[index];
  if (start !== undefined) return start;
  const rng: Random = random(seed, target.name, index);
  let input = pick(rng, seeds);
  // One change finds the check it breaks; several together find what hides behind the first.
  for (let changes = 1 + rng.integer(rng.integer(4) + 1); changes > 0; changes--) {
    input = target.mutate(input, rng, seeds);
  }
  return input;
}

/**
 * Runs the inputs `from` to `to` (exclusive) of a target.
 *
 * @param before is told each number before its input runs
 */
export async function fuzz(
  target: FuzzTarget,
  range: { seed: number; from: number; to: number; deadline?: number; maxFindings?: number },
  sandbox: Sandbox,
  before: (index: number) => void = () => {},
): Promise<Tally> {
  const { seed, from, to, deadline = Infinity, maxFindings = 20 } = range;
  const seeds = await target.seeds();
  const tally = emptyTally();
  const start = cpuMilliseconds();
  for (let index = from; index < to && Date.now() < deadline; index++) {
    before(index);
    const outcome = await runOne(target, inputAt(target, seeds, seed, index), sandbox);
    tally.inputs++;
    if (outcome.milliseconds > tally.slowest.milliseconds) {
      tally.slowest = { index, milliseconds: outcome.milliseconds };
    }
    if (outcome.finding !== undefined) tally.findings.push({ index, what: outcome.finding });
    else if (outcome.refused === undefined) tally.accepted++;
    else tally.refused[outcome.refused] = (tally.refused[outcome.refused] ?? 0) + 1;
    if (tally.findings.length >= maxFindings) break;
  }
  tally.cpuSeconds = (cpuMilliseconds() - start) / 1000;
  tally.peakBytes = process.resourceUsage().maxRSS * 1024;
  return tally;
}

interface Outcome {
  /** The code of the problem that refused it. */
  readonly refused?: string;
  readonly finding?: string;
  readonly milliseconds: number;
}

/** Runs one input and judges what comes of it. */
export async function runOne(target: FuzzTarget, input: FuzzInput, sandbox: Sandbox): Promise<Outcome> {
  const changes = globalChanges();
  const rss = process.resourceUsage().maxRSS;
  const start = cpuMilliseconds();
  let refused: string | undefined;
  let finding: string | undefined;
  try {
    await target.run(input, sandbox);
  } catch (error) {
    if (error instanceof ProblemError) {
      refused = error.problem.code;
      finding = wrongProblem(error.problem, sandbox, error.stack);
    } else finding = error instanceof Error ? (error.stack ?? error.message) : `thrown: ${String(error)}`;
  }
  const milliseconds = cpuMilliseconds() - start;
  const extra = (process.resourceUsage().maxRSS - rss) * 1024;
  finding ??= milliseconds > mostMilliseconds(input) ? `took ${Math.round(milliseconds)} ms` : undefined;
  finding ??= extra > MAX_EXTRA_BYTES ? `took ${Math.round(extra / 2 ** 20)} MB of memory` : undefined;
  finding ??= changes();
  finding ??= leftovers(sandbox, input);
  return { refused, finding, milliseconds };
}

function mostMilliseconds(input: FuzzInput): number {
  const bytes = [...input.values()].reduce((sum, { length }) => sum + length, 0);
  return MAX_CPU_MILLISECONDS + (bytes / 2 ** 20) * MAX_CPU_MILLISECONDS_PER_MB;
}

/** What a problem lacks: its code's form, the file's name, a length that can be shown. */
function wrongProblem(problem: Problem, { folder }: Sandbox, stack = ''): string | undefined {
  const text = describeProblem(problem);
  const told = `: ${problem.code}: ${text.slice(0, 500)}\n${stack.slice(-3000)}`;
  if (!/^[a-z-]+(\.[a-z0-9-]+)+$/.test(problem.code)) return `a code of another form${told}`;
  if (!text.includes(folder)) return `the problem does not name the file${told}`;
  if (text.length > MAX_MESSAGE) return `a message of ${text.length} characters${told}`;
  return undefined;
}

/** For readers that report problems instead of throwing them: each has what a thrown one must have. */
export function checkProblems(problems: readonly Problem[], sandbox: Sandbox): void {
  for (const problem of problems) {
    const wrong = wrongProblem(problem, sandbox);
    if (wrong !== undefined) broken(wrong);
  }
}

/** What lies in the folder besides the input's files. */
function leftovers({ folder }: Sandbox, input: FuzzInput): string | undefined {
  const left = readdirSync(folder).filter((name) => !input.has(name));
  return left.length === 0 ? undefined : `left behind: ${left.join(', ')}`;
}

function cpuMilliseconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Makes the folders of a sandbox below `root`. */
export function makeSandbox(root: string): Sandbox {
  const sandbox = { folder: path.join(root, 'input'), scratch: path.join(root, 'scratch') };
  for (const folder of Object.values(sandbox)) mkdirSync(folder, { recursive: true });
  return sandbox;
}

/** Puts the input's files, and no others, into the sandbox's folder. */
export function writeInput({ folder }: Sandbox, input: FuzzInput): void {
  for (const name of readdirSync(folder)) {
    if (!input.has(name)) rmSync(path.join(folder, name), { recursive: true });
  }
  for (const [name, bytes] of input) writeFileSync(path.join(folder, name), bytes);
}
