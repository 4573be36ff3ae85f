// How much memory and time a run of the command line takes. Linux only: figures are those of /proc/PID/status.
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';

export interface Measured {
  /** VmHWM. */
  readonly peak: number;
  /** Largest RssAnon and RssFile from the compilation to the last step, in a method's preparation too. */
  readonly anonymous: number;
  readonly fileBacked: number;
  /** The median step, the first left out; not a number where there is but one. */
  readonly stepSeconds: number;
}

/** More words than any setting has tokens, so that every row is cut to its length. */
export function writeRows(folder: string, name: string, count: number): string {
  const words = [
    'time',
    'water',
    'and',
    'house',
    'people',
    'under',
    'light',
    'which',
    'stone',
    'never',
    'green',
    'of',
  ];
  let state = 1;
  const word = (): string => {
    state = (state * 48271) % 2147483647;
    return words[state % words.length]!;
  };
  const file = path.join(folder, `${name}.jsonl`);
  const row = (): string => JSON.stringify({ text: Array.from({ length: 600 }, word).join(' ') });
  writeFileSync(file, Array.from({ length: count }, row).join('\n'));
  return file;
}

/** Runs a file by the command line, looking at the worker's memory all the time. */
export async function measure(file: string, cli: string): Promise<Measured> {
  const child = spawn(process.execPath, [path.resolve(cli), 'train', file, '--json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [peak, anonymous, fileBacked] = [0, 0, 0];
  const steps: number[] = [];
  let isStepping = false;
  let last = '';
  createInterface(child.stdout).on('line', (line) => {
    const event = JSON.parse(line) as { type: string; activity?: string; seconds?: number };
    if (event.type === 'progress' && /Compiling|Measuring/.test(event.activity ?? '')) isStepping = true;
    if (event.activity === 'Writing a checkpoint') isStepping = false;
    if (event.type === 'step' && event.seconds !== undefined) steps.push(event.seconds);
    last = line;
  });
  child.stderr.on('data', (text) => process.stderr.write(String(text)));
  const timer = setInterval(() => {
    for (const worker of children(child.pid!)) {
      const status = statusOf(worker);
      peak = Math.max(peak, status('VmHWM'));
      if (!isStepping) continue;
      anonymous = Math.max(anonymous, status('RssAnon'));
      fileBacked = Math.max(fileBacked, status('RssFile'));
    }
  }, 10);
  await new Promise((resolve) => child.on('close', resolve));
  clearInterval(timer);
  if (!last.includes('"finished"')) throw new Error(last);
  const sorted = steps.slice(1).sort((a, b) => a - b);
  return { peak, anonymous, fileBacked, stepSeconds: sorted[Math.floor(sorted.length / 2)] ?? NaN };
}

function children(pid: number): readonly number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** What `/proc/PID/status` says by key, in bytes; 0 once the process has ended. */
export function statusOf(pid: number): (key: string) => number {
  let status = '';
  try {
    status = readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    // It has just ended.
  }
  return (key) => 1024 * Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
}
