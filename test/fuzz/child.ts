import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { emptyTally, fuzz, makeSandbox } from './fuzz.js';
import type { Tally } from './fuzz.js';
import { findTarget } from './targets.js';

/** Numbers of the inputs that a process runs: `from` to `to`, exclusive. */
export interface Range {
  readonly seed: number;
  readonly from: number;
  readonly to: number;
  /** Milliseconds since 1970. */
  readonly deadline: number;
}

/** An input that takes so long by the clock hangs: 2 s of processor time even where many share the processor. */
const HANG_MILLISECONDS = 60_000;
/** V8's limit: what asks for more ends the process, and is found by that. */
const HEAP_MEGABYTES = 1024;
const POLL_MILLISECONDS = 1000;

/**
 * Runs a range of inputs in a process of its own, which may write below `root` only. Where the process ends or hangs,
 * the input it had is a finding, and the others of the range are run all the same.
 */
export async function runRange(name: string, range: Range, root: string): Promise<Tally> {
  const progress = path.join(root, 'progress');
  const result = path.join(root, 'result.json');
  rmSync(result, { force: true });
  writeFileSync(progress, '');
  const what = await watch(name, range, root, progress);
  if (what === undefined) return JSON.parse(readFileSync(result, 'utf8')) as Tally;
  const told = readFileSync(progress, 'utf8');
  if (told === '') throw new Error(`the process of ${name} did not start: ${what}`);
  const index = Number(told);
  const before = index === range.from ? emptyTally() : await runRange(name, { ...range, to: index }, root);
  const after = index + 1 >= range.to ? emptyTally() : await runRange(name, { ...range, from: index + 1 }, root);
  const refused = { ...before.refused };
  for (const [code, count] of Object.entries(after.refused)) refused[code] = (refused[code] ?? 0) + count;
  return {
    inputs: before.inputs + 1 + after.inputs,
    accepted: before.accepted + after.accepted,
    refused,
    findings: [...before.findings, { index, what }, ...after.findings],
    slowest: before.slowest.milliseconds > after.slowest.milliseconds ? before.slowest : after.slowest,
    cpuSeconds: before.cpuSeconds + after.cpuSeconds,
    peakBytes: Math.max(before.peakBytes, after.peakBytes),
  };
}

/** Waits for the process; says why it did not come to its end, if so. */
function watch(name: string, range: Range, root: string, progress: string): Promise<string | undefined> {
  const permission = process.allowedNodeEnvironmentFlags.has('--permission')
    ? '--permission'
    : '--experimental-permission';
  const child = spawn(
    process.execPath,
    [
      // tsx needs threads and its compiler's process.
      ...[permission, '--allow-fs-read=*', `--allow-fs-write=${root}`, '--allow-worker', '--allow-child-process'],
      ...['--disable-warning=ExperimentalWarning', '--disable-warning=SecurityWarning'],
      ...[`--max-old-space-size=${HEAP_MEGABYTES}`, '--import', 'tsx', fileURLToPath(import.meta.url)],
      JSON.stringify({
        name,
        range: { ...range, deadline: Math.min(range.deadline, Number.MAX_SAFE_INTEGER) },
        root,
      }),
    ],
    { stdio: ['ignore', 'inherit', 'pipe'] },
  );
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors = (errors + text).slice(-4000)));
  return new Promise((resolve) => {
    let last = '';
    let since = Date.now();
    let hangs = false;
    const timer = setInterval(() => {
      const now = readFileSync(progress, 'utf8');
      if (now !== last) [last, since] = [now, Date.now()];
      else if (Date.now() - since > HANG_MILLISECONDS) {
        hangs = true;
        child.kill('SIGKILL');
      }
    }, POLL_MILLISECONDS);
    child.on('close', (code, signal) => {
      clearInterval(timer);
      if (code === 0) resolve(undefined);
      else if (hangs) resolve(`hangs: more than ${HANG_MILLISECONDS / 1000} s`);
      else resolve(`the process ended (${signal ?? code}): ${errors}`);
    });
  });
}

/** The process's side: the range runs, its number is told through a file, since a message would wait for a hang. */
async function runChild(text: string): Promise<void> {
  const { name, range, root } = JSON.parse(text) as { name: string; range: Range; root: string };
  const progress = openSync(path.join(root, 'progress'), 'w');
  const tally = await fuzz(findTarget(name), range, makeSandbox(root), (index) => {
    writeSync(progress, String(index).padStart(12), 0);
  });
  closeSync(progress);
  const result = openSync(path.join(root, 'result.json'), 'w');
  writeSync(result, JSON.stringify(tally));
  closeSync(result);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await runChild(process.argv[2]!);
