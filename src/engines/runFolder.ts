import * as l10n from '@vscode/l10n';
import { appendFileSync, closeSync, openSync, readSync, fstatSync } from 'node:fs';
import { mkdir, open, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { stringify } from 'yaml';
import { pathKind, writeFileWhole } from '../common/files.js';
import { fail } from '../common/problem.js';
import type { ResolvedRunConfig } from '../config/loadRunFile.js';
import type { RunEvent } from '../training/events.js';
import { isRunEvent } from '../training/isRunEvent.js';
import { RESOLVED_CONFIG, RUN_EVENTS } from './runFiles.js';

/** Where a run writes: `<dir>/<name>/<time>/`. */
export interface RunFolder {
  readonly path: string;
  /** Appends to `events.jsonl`, so that any past run can be reopened. */
  record(event: RunEvent): void;
}

/** Makes the folder of a new run and writes the resolved config into it. */
export async function createRunFolder(config: ResolvedRunConfig, now: Date): Promise<RunFolder> {
  const parent = path.join(config.output.dir, config.output.name);
  const folder = await newFolder(parent, now.toISOString().slice(0, 19).replace(/:/g, '-'));
  await writeFileWhole(path.join(folder, RESOLVED_CONFIG), stringify(config));
  return openRunFolder(folder);
}

/** The folder of a run that goes on. */
export function openRunFolder(folder: string): RunFolder {
  const events = path.join(folder, RUN_EVENTS);
  let first = true;
  return {
    path: folder,
    record(event) {
      // A run that was killed or whose disk was full may have left half a line.
      const start = first && endsInLine(events) ? '\n' : '';
      first = false;
      appendFileSync(events, `${start}${JSON.stringify(event)}\n`);
    },
  };
}

/** What a run writes whole or not at all, while it is written (`common/wholeFolder.ts`). */
const HALF_WRITTEN = /^(?:adapter|model|checkpoint)(?:-[\w-]+)?\.[0-9a-f-]+\.tmp$/;

/** Removes what a run had half-written when it was killed. No other process may be at work in the folder. */
export async function sweepRunFolder(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (HALF_WRITTEN.test(name)) await rm(path.join(folder, name), { recursive: true, force: true });
  }
}

/** The end of `events.jsonl` that holds its last line: a `finished` event has a few hundred bytes. */
const TAIL_BYTES = 64 * 1024;

/** Whether a run came to its end: whether the last thing that it said is that it finished, and not on request. */
export async function hasEnded(folder: string): Promise<boolean> {
  const last = (await tail(path.join(folder, RUN_EVENTS))).trimEnd().split('\n').at(-1)!;
  try {
    const event: unknown = JSON.parse(last);
    return isRunEvent(event) && event.type === 'finished' && event.reason !== 'stopped';
  } catch {
    // Half a line: the run was killed, or its disk was full.
    return false;
  }
}

async function tail(file: string): Promise<string> {
  if ((await pathKind(file)) !== 'file') return '';
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    const length = Math.min(size, TAIL_BYTES);
    const { buffer } = await handle.read(Buffer.alloc(length), 0, length, size - length);
    return buffer.toString('utf8');
  } finally {
    await handle.close();
  }
}

/** Whether a file ends within a line. */
function endsInLine(file: string): boolean {
  try {
    const handle = openSync(file, 'r');
    try {
      const { size } = fstatSync(handle);
      const last = Buffer.alloc(1);
      return size > 0 && readSync(handle, last, 0, 1, size - 1) === 1 && last[0] !== 0x0a;
    } finally {
      closeSync(handle);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/** Two runs of one second get names of their own. */
async function newFolder(parent: string, name: string): Promise<string> {
  try {
    await mkdir(parent, { recursive: true });
    for (let attempt = 1; ; attempt++) {
      const folder = path.join(parent, attempt === 1 ? name : `${name}-${attempt}`);
      try {
        await mkdir(folder);
        return folder;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
    }
  } catch (error) {
    return fail(
      {
        code: 'config.output',
        message: l10n.t`the folder for results cannot be made: ${(error as Error).message}`,
        where: { file: parent },
        mend: l10n.t`Set output.dir to a folder that you may write to.`,
      },
      error,
    );
  }
}
