import * as l10n from '@vscode/l10n';
import { randomBytes } from 'node:crypto';
import { lstat, mkdir, readFile, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { writeFileWhole } from '../common/files.js';
import { isPidAlive } from '../common/halfWritten.js';
import { isJsonObject } from '../common/json.js';
import type { Json } from '../common/json.js';
import { fail } from '../common/problem.js';

/** A run that lives in a process of its own, as any window can find it: the pid file of the worker. */
export interface LiveEntry {
  /** Names the files and the socket. */
  readonly id: string;
  /** The run file, absolute. */
  readonly file: string;
  /** The folder of the run to resume, absolute; without it the file's newest one is. */
  readonly resumeFolder?: string;
  readonly overrides: readonly string[];
  readonly resume: boolean;
  /** Milliseconds since the epoch. */
  readonly began: number;
  /** The worker's process, once it listens. */
  readonly pid?: number;
  /** The run's folder, once there is one. */
  readonly runFolder?: string;
}

/** What a process is to do. */
export type LiveRequest = Pick<LiveEntry, 'file' | 'resumeFolder' | 'overrides' | 'resume'>;

/** Where an entry's parts are. */
export interface LivePlaces {
  readonly entry: string;
  /** A Unix domain socket, or a named pipe on Windows. */
  readonly socket: string;
  /** What the worker's process prints. */
  readonly log: string;
}

/** An entry has a few paths. */
const MAX_ENTRY_BYTES = 64 * 1024;
/** Longest path of a socket on macOS; elsewhere a few more. */
const MAX_SOCKET_PATH = 103;
/** What a process printed is kept so long for whoever started it. */
const LOG_KEPT_MS = 60_000;

/**
 * The folder of the user's live runs, made when it is missing; nobody else may enter it, so that nobody else can stop
 * runs or read along. It lies where paths are short: a socket's path has at most some hundred characters.
 *
 * @throws ProblemError `run.live-folder` when the folder is not the user's own, or its path is too long for a socket's
 */
export async function liveFolder(): Promise<string> {
  const given = process.env['PEFT_STUDIO_RUNTIME_DIR'];
  // Not userInfo(): a container's user often has no name, and that throws.
  const uid = process.getuid?.();
  const folder =
    given ??
    path.join(process.env['XDG_RUNTIME_DIR'] ?? tmpdir(), `peft-studio${uid === undefined ? '' : `-${uid}`}`);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  // On Windows the temporary folder is the user's own, and modes say nothing.
  if (process.platform === 'win32') return folder;
  const longest = livePlaces(folder, '0'.repeat(16)).socket;
  if (Buffer.byteLength(longest) > MAX_SOCKET_PATH) {
    fail({
      code: 'run.live-folder',
      message: l10n.t`the path of the folder for running workers is too long for a socket in it`,
      where: { file: folder },
      expected: l10n.t`at most ${MAX_SOCKET_PATH - 22} bytes`,
      mend: l10n.t`Name a folder with a shorter path in PEFT_STUDIO_RUNTIME_DIR.`,
    });
  }
  const found = await lstat(folder);
  if (found.isDirectory() && found.uid === uid && (found.mode & 0o077) === 0) return folder;
  return fail({
    code: 'run.live-folder',
    message: l10n.t`the folder for running workers is a link, or others may enter it`,
    where: { file: folder },
    expected: l10n.t`a folder of your own with the mode 700`,
    mend: l10n.t`Remove it, or name another one in PEFT_STUDIO_RUNTIME_DIR.`,
  });
}

/** Where the parts of an entry are. */
export function livePlaces(folder: string, id: string): LivePlaces {
  return {
    entry: path.join(folder, `${id}.json`),
    socket: process.platform === 'win32' ? `\\\\.\\pipe\\peft-studio-${id}` : path.join(folder, `${id}.sock`),
    log: path.join(folder, `${id}.log`),
  };
}

/** A new entry, written. */
export async function createEntry(run: LiveRequest): Promise<LiveEntry> {
  const entry = { id: randomBytes(8).toString('hex'), ...run, began: Date.now() };
  await writeEntry(await liveFolder(), entry);
  return entry;
}

export async function writeEntry(folder: string, entry: LiveEntry): Promise<void> {
  await writeFileWhole(livePlaces(folder, entry.id).entry, JSON.stringify(entry));
}

/** The entry in a file; undefined when the file is gone, cut off or none of ours. */
export async function readEntry(file: string): Promise<LiveEntry | undefined> {
  try {
    if ((await stat(file)).size > MAX_ENTRY_BYTES) return undefined;
    const text = await readFile(file, 'utf8');
    const value = JSON.parse(text) as Json;
    return isJsonObject(value) && isEntry(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Every entry, those of workers that are gone included. */
export async function readEntries(): Promise<readonly LiveEntry[]> {
  const folder = await liveFolder();
  const names = (await readdir(folder)).filter((name) => name.endsWith('.json'));
  const entries = await Promise.all(names.map((name) => readEntry(path.join(folder, name))));
  return entries.filter((entry) => entry !== undefined);
}

/** Removes an entry and its socket: its run has ended. */
export async function removeEntry(id: string): Promise<void> {
  const { entry, socket } = livePlaces(await liveFolder(), id);
  await rm(entry, { force: true });
  if (process.platform !== 'win32') await rm(socket, { force: true });
}

/** Removes what a process printed, when it was read. */
export async function removeLog(id: string): Promise<void> {
  await rm(livePlaces(await liveFolder(), id).log, { force: true });
}

/** Removes what processes printed whose runs have ended and that nobody came to read. */
export async function removeOldLogs(): Promise<void> {
  const folder = await liveFolder();
  const kept = new Set((await readEntries()).map(({ id }) => `${id}.log`));
  for (const name of await readdir(folder)) {
    if (!/^[0-9a-f]{16}\.log$/.test(name) || kept.has(name)) continue;
    const file = path.join(folder, name);
    const found = await stat(file).catch(() => undefined);
    if (found !== undefined && Date.now() - found.mtimeMs > LOG_KEPT_MS) await rm(file, { force: true });
  }
}

/** Whether the entry's process is there. Another process may have got its number: connecting tells for sure. */
export function isProcessThere({ pid }: Pick<LiveEntry, 'pid'>): boolean {
  return pid !== undefined && isPidAlive(pid);
}

/** Whether a run folder's process is at work. */
export async function isRunLive(runFolder: string): Promise<boolean> {
  const entries = await readEntries();
  return entries.some((entry) => entry.runFolder === runFolder && isProcessThere(entry));
}

function isEntry(value: object): value is LiveEntry {
  const { id, file, resumeFolder, overrides, resume, began, pid, runFolder } = value as Record<string, unknown>;
  return (
    typeof id === 'string' &&
    /^[0-9a-f]{16}$/.test(id) &&
    typeof file === 'string' &&
    (resumeFolder === undefined || typeof resumeFolder === 'string') &&
    Array.isArray(overrides) &&
    overrides.every((each) => typeof each === 'string') &&
    typeof resume === 'boolean' &&
    typeof began === 'number' &&
    (pid === undefined || isPid(pid)) &&
    (runFolder === undefined || typeof runFolder === 'string')
  );
}

/** The number of one process: 0 and negative ones stand for groups of them. */
export function isPid(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value > 1;
}
