import { createHash, randomBytes } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';

/** This machine in names of files: a process number means nothing on another that shares the disk. */
export const HOST = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);

/** What {@link temporaryBeside} adds to a name. */
const ENDING = /^\.([0-9a-f]{8})-(\d+)-[0-9a-f]{6}\.tmp$/;

/** Where something is made that is written whole or not at all: `NAME.HOST-PID-RANDOM.tmp`, beside its place. */
export function temporaryBeside(target: string): string {
  return `${target}.${HOST}-${process.pid}-${randomBytes(3).toString('hex')}.tmp`;
}

/** Removes what earlier tries to write the same left behind when they were killed; what a process is at work on stays. */
export async function sweepHalfWritten(target: string): Promise<void> {
  const [folder, name] = [path.dirname(target), path.basename(target)];
  for (const entry of await readdir(folder)) {
    if (!entry.startsWith(`${name}.`)) continue;
    const [, host, pid] = ENDING.exec(entry.slice(name.length)) ?? [];
    if (host !== HOST || isPidAlive(Number(pid))) continue;
    // It may be another user's, who will sweep it.
    await rm(path.join(folder, entry), { recursive: true, force: true }).catch(() => undefined);
  }
}

/** Whether there is a process of this number on this machine. It may be another one by now. */
export function isPidAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // A process of another user lives, too.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
