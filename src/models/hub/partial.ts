import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { HOST, isPidAlive } from '../../common/halfWritten.js';

/** A file of another machine, or of another program, that nobody has written to for so long is left over. */
const ABANDONED_MS = 10 * 60 * 1000;

/**
 * The file that a blob's bytes are gathered in, beside the blob: `HASH.HOST-PID-RANDOM.incomplete`. No other process
 * writes to it, whatever it thinks of locks. What an earlier try left (its process is gone, or it gave the file free)
 * is taken over under this name: a rename, which only one process can win.
 */
export async function takePartial(blob: string): Promise<string> {
  await mkdir(path.dirname(blob), { recursive: true });
  const own = `${blob}.${HOST}-${process.pid}-${randomBytes(3).toString('hex')}.incomplete`;
  for (const left of await leftOver(blob)) {
    try {
      await rename(left, own);
      return own;
    } catch {
      // Another process was quicker: the next one, or a new file.
    }
  }
  return own;
}

/** Gives a file free for the next try, in this process or another. */
export async function freePartial(blob: string, partial: string): Promise<void> {
  // Nothing may have arrived yet, or another process waits to replace it (Windows): then there is nothing to keep.
  await rename(partial, `${blob}.free.incomplete`).catch(() => rm(partial, { force: true }));
}

/** Removes what earlier tries left, once the blob is there. */
export async function dropLeftOver(blob: string): Promise<void> {
  for (const left of await leftOver(blob)) await rm(left, { force: true }).catch(() => undefined);
}

/** Files of earlier tries that no living process writes to, the longest first. */
async function leftOver(blob: string): Promise<string[]> {
  const folder = path.dirname(blob);
  const found: { file: string; size: number }[] = [];
  for (const name of await readdir(folder)) {
    if (!name.startsWith(`${path.basename(blob)}.`) || !name.endsWith('.incomplete')) continue;
    const file = path.join(folder, name);
    const now = await stat(file).catch(() => undefined);
    if (now === undefined || !isLeft(name, now.mtimeMs)) continue;
    found.push({ file, size: now.size });
  }
  return found.sort((a, b) => b.size - a.size).map(({ file }) => file);
}

function isLeft(name: string, writtenAt: number): boolean {
  const owner = /\.(?:(free)|([0-9a-f]{8})-(\d+)-[0-9a-f]+)\.incomplete$/.exec(name);
  if (owner?.[1] !== undefined) return true;
  if (owner?.[2] === HOST) return !isPidAlive(Number(owner[3]));
  return Date.now() - writtenAt > ABANDONED_MS;
}
