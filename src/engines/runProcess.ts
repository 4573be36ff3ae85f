import * as l10n from '@vscode/l10n';
import { rmSync, writeFileSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { hostname, uptime } from 'node:os';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fail } from '../common/problem.js';
import { isPid, isProcessThere } from './liveEntry.js';

/** How long a process that was killed just now may take to go: it gives its memory back first. */
const GOING_MS = 1500;
const AGAIN_MS = 100;

/** In a run's folder while a worker is at work there: its number, and the machine that it is on. */
const NAME = 'worker.pid';

/** Says in a run's folder that this process works on it. */
export function noteProcess(folder: string): void {
  writeFileSync(path.join(folder, NAME), `${process.pid} ${hostname()}\n`);
}

/** Says that it does no longer. */
export function forgetProcess(folder: string): void {
  rmSync(path.join(folder, NAME), { force: true });
}

/**
 * Refuses a run that another process is at work on.
 * @throws ProblemError `resume.running`
 */
export async function checkNotRunning(folder: string): Promise<void> {
  const file = path.join(folder, NAME);
  const since = Date.now();
  let pid = await processIn(file);
  while (pid !== undefined && Date.now() - since < GOING_MS) {
    await setTimeout(AGAIN_MS);
    pid = await processIn(file);
  }
  if (pid === undefined) return;
  fail({
    code: 'resume.running',
    message: l10n.t`the run is still going, as process ${String(pid)}`,
    where: { file: folder },
    mend: l10n.t`Wait for its end, or stop it first: Ctrl-C where it was started, or Stop in its panel. If that process is something else, remove ${file}.`,
  });
}

/** The process that a file names, where it is another one that is there. */
async function processIn(file: string): Promise<number | undefined> {
  try {
    const [number, host] = (await readFile(file, 'utf8')).trim().split(' ');
    const pid = Number(number);
    if (!isPid(pid) || pid === process.pid || host !== hostname()) return undefined;
    // Numbers begin anew with the machine.
    const started = Date.now() - 1000 * uptime();
    if ((await stat(file)).mtimeMs < started) return undefined;
    return isProcessThere({ pid }) && !(await hasEnded(pid)) ? pid : undefined;
  } catch {
    // There is no such file: the run has ended.
    return undefined;
  }
}

/** Whether a process is at its end and waits for its parent to hear of it; where that cannot be told, not. */
async function hasEnded(pid: number): Promise<boolean> {
  if (process.platform !== 'linux') return false;
  try {
    // `PID (NAME) STATE …`; a name may hold brackets.
    const text = await readFile(`/proc/${String(pid)}/stat`, 'utf8');
    return /^[ZX]/.test(text.slice(text.lastIndexOf(')') + 2));
  } catch {
    return true;
  }
}
