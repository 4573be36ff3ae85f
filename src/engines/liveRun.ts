import * as l10n from '@vscode/l10n';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { open } from 'node:fs/promises';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { environmentOf } from '../common/machineMemory.js';
import { messageOf } from '../common/problem.js';
import type { Failed, Finished } from '../training/events.js';
import { isRunEvent } from '../training/isRunEvent.js';
import { endingOf } from './endingOf.js';
import {
  createEntry,
  isPid,
  isProcessThere,
  liveFolder,
  livePlaces,
  readEntries,
  readEntry,
  removeEntry,
  removeLog,
  removeOldLogs,
} from './liveEntry.js';
import type { LiveEntry, LiveRequest } from './liveEntry.js';
import { eachLine } from './liveLines.js';
import { FOLLOW, lineOf } from './liveServer.js';
import type { LiveNote } from './liveServer.js';
import { loaderOf } from './loaderOf.js';
import { watchMemory } from './memoryWatch.js';
import type { MemoryRecord } from './memoryWatch.js';
import { oomKills } from './oomKills.js';
import type { Happening } from './runState.js';
import { LAST_WORDS } from './workerRun.js';
import type { WorkerRun } from './workerRun.js';
import type { Wish } from './workerProtocol.js';

/** A run in a process of its own, followed. */
export interface LiveRun extends WorkerRun {
  readonly entry: LiveEntry;
  /** Has it pause after the present step, go on, or write a checkpoint; lost while nobody listens. */
  ask(wish: Exclude<Wish, 'stop'>): void;
  /** Follows it no longer; the run goes on. */
  leave(): void;
}

/** Who is told. */
export interface Follower {
  /** Called for each happening, in order: `launched`, the events from the first one on, `ended`. */
  readonly tell: (happening: Happening) => void;
  /** Called for each line that the process printed, when it has ended. */
  readonly print: (line: string) => void;
}

/** How long a process may take until it listens: Node starts in a tenth of a second on an idle machine. */
const LAUNCH_MS = 60_000;
const RETRY_MS = 50;
/** How long a process may outlive its socket before it is not waited for. */
const EXIT_MS = 5000;
/** Of what a process printed this much is read. */
const MAX_LOG_BYTES = 64 * 1024;

/**
 * Starts the worker in a process of its own, which no window's end ends, and follows it.
 * @param worker the worker's program, absolute
 * @param memoryLimit bytes that the run may take at most, by which it warns before its first step; without it, what is free
 */
export async function launchRun(
  worker: string,
  run: LiveRequest,
  follower: Follower,
  memoryLimit?: number,
): Promise<LiveRun> {
  const entry = await createEntry(run);
  const { entry: entryFile, log } = livePlaces(await liveFolder(), entry.id);
  const output = await open(log, 'a', 0o600);
  let child: ChildProcess;
  try {
    child = spawn(process.execPath, [...loaderOf(worker), worker, entryFile], {
      detached: true,
      windowsHide: true,
      stdio: ['ignore', output.fd, output.fd],
      env: { ...process.env, ...environmentOf(memoryLimit), ELECTRON_RUN_AS_NODE: '1' },
    });
  } finally {
    await output.close();
  }
  child.unref();
  return follow(entry, follower, child);
}

/** Follows a run that goes already, from its first event on. */
export async function followRun(entry: LiveEntry, follower: Follower): Promise<LiveRun> {
  return follow(entry, follower, undefined);
}

/**
 * The runs that are going or just begin, of those whose run file passes; what is left of workers that were killed is
 * removed.
 */
export async function findLiveRuns(isWanted: (file: string) => boolean): Promise<readonly LiveEntry[]> {
  const live: LiveEntry[] = [];
  for (const entry of await readEntries()) {
    const begins = entry.pid === undefined && Date.now() - entry.began < LAUNCH_MS;
    if (begins || (await answers(entry))) {
      if (isWanted(entry.file)) live.push(entry);
    } else if (!isProcessThere(entry) || Date.now() - entry.began > LAUNCH_MS) {
      // A process that does not answer has the number of one that was ours, or is about to end.
      await removeEntry(entry.id);
    }
  }
  await removeOldLogs();
  return live;
}

async function answers(entry: LiveEntry): Promise<boolean> {
  if (!isProcessThere(entry)) return false;
  const socket = await connect(livePlaces(await liveFolder(), entry.id).socket);
  socket?.destroy();
  return socket !== undefined;
}

async function follow(
  entry: LiveEntry,
  { tell, print }: Follower,
  child: ChildProcess | undefined,
): Promise<LiveRun> {
  const { socket: address, log } = livePlaces(await liveFolder(), entry.id);
  tell({ type: 'launched', file: entry.file, time: entry.began });
  let last: Finished | Failed | undefined;
  let checkpoint: number | undefined;
  let memory: MemoryRecord = {};
  const killsBefore = oomKills();
  let pid = entry.pid ?? child?.pid;
  let socket: net.Socket | undefined;
  let stopping = false;
  let killed = false;
  let greeted = false;
  let left = false;
  let code: number | null = null;
  let signal: string | null = null;
  let launchError: string | undefined;
  let over = child === undefined ? undefined : false;
  child?.on('error', (error) => (launchError = error.message));
  const exited = new Promise<void>((resolve) => {
    child?.on('exit', (exitCode, exitSignal) => {
      [code, signal, over] = [exitCode, exitSignal, true];
      resolve();
    });
    child?.on('error', () => resolve());
  });

  function take(line: string): void {
    const message: unknown = parsed(line);
    if (isNote(message)) {
      if (message.type === 'exit') code = message.code;
      else {
        pid = message.pid;
        // It tells everything from the first event on, also to one that was told before.
        if (greeted) tell({ type: 'launched', file: entry.file, time: entry.began });
        greeted = true;
      }
      return;
    }
    if (!isRunEvent(message)) {
      print(l10n.t`The worker sent something that is no run event; it is ignored: ${line.slice(0, 200)}`);
      return;
    }
    memory = watchMemory(memory, message);
    if (message.type === 'checkpoint') checkpoint = message.step;
    if (message.type === 'finished' || message.type === 'failed') last = message;
    tell({ type: 'event', event: message });
  }

  /** Connects to the worker, which may only be starting; undefined when there is none (any more). */
  async function reach(): Promise<net.Socket | undefined> {
    const until = Date.now() + LAUNCH_MS;
    while (!left || stopping) {
      // Asked first: it listens before it says so.
      const starting =
        child === undefined ? await isStarting(entry.id) : over !== true && launchError === undefined;
      const reached = await connect(address);
      if (reached !== undefined) return reached;
      if (!starting || Date.now() > until) return undefined;
      await Promise.race([sleep(RETRY_MS), exited]);
    }
    return undefined;
  }

  /** Reads until the worker closes the socket. */
  async function listen(reached: net.Socket): Promise<void> {
    socket = reached;
    eachLine(reached, take);
    reached.write(`${FOLLOW}\n`);
    if (stopping) reached.write(`${lineOf('stop')}\n`);
    if (left) reached.end();
    await new Promise<void>((resolve) => {
      reached.on('close', () => resolve());
      reached.on('error', () => reached.destroy());
    });
    socket = undefined;
  }

  async function conclude(): Promise<void> {
    let reached = await reach();
    while (reached !== undefined) {
      await listen(reached);
      // A worker that lets go of a window which did not read for long goes on.
      if (left || code !== null || pid === undefined || !isProcessThere({ pid })) break;
      await sleep(RETRY_MS);
      reached = await connect(address);
    }
    if (left) return;
    if (child !== undefined && launchError === undefined) {
      // Only its exit is still waited for.
      child.ref();
      await Promise.race([exited, sleep(EXIT_MS, undefined, { ref: false })]);
    }
    const printed = await readLog(log);
    printed.forEach(print);
    await end(lastWordsOf(printed.filter((line) => line.trim() !== '')));
  }

  async function end(lastWords: readonly string[]): Promise<void> {
    const seen = { code, signal, launchError, last, killed, lastWords, checkpoint, memory };
    const ending = await endingOf(seen, await killsBefore);
    try {
      const isOver = pid === undefined ? child !== undefined : !isProcessThere({ pid });
      if (isOver) await removeEntry(entry.id);
      // Others may read along, but who started the process is the one to read what it printed.
      if (child !== undefined) await removeLog(entry.id);
    } catch (error) {
      print(messageOf(error));
    }
    tell({ type: 'ended', time: Date.now(), ending });
  }

  const done = conclude().catch((error: unknown) => end([messageOf(error)]));
  return {
    entry,
    done,
    stop() {
      stopping = true;
      tell({ type: 'stopRequested' });
      socket?.write(`${lineOf('stop')}\n`);
    },
    ask(wish) {
      if (socket === undefined) return;
      if (wish === 'pause') tell({ type: 'pauseRequested' });
      socket.write(`${lineOf(wish)}\n`);
    },
    kill() {
      killed = true;
      try {
        if (pid !== undefined) process.kill(pid, 'SIGKILL');
      } catch {
        // It is gone already; its end is told by the socket.
      }
    },
    leave() {
      left = true;
      // What was said last is still sent.
      socket?.end();
    },
  };
}

function connect(address: string): Promise<net.Socket | undefined> {
  return new Promise((resolve) => {
    const socket = net.connect(address);
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      resolve(socket);
    });
    socket.once('error', () => resolve(undefined));
  });
}

/** Whether an entry is there whose process does not listen yet. */
async function isStarting(id: string): Promise<boolean> {
  const entry = await readEntry(livePlaces(await liveFolder(), id).entry);
  return entry !== undefined && entry.pid === undefined;
}

/** The last lines, and before them the last that names an error: Node prints where it happened below it. */
function lastWordsOf(lines: readonly string[]): readonly string[] {
  const last = lines.slice(-LAST_WORDS);
  const error = lines.findLast((line) => /\bError\b/.test(line));
  return error === undefined || last.includes(error) ? last : [error, ...last];
}

/** What the process printed last, by lines. */
async function readLog(file: string): Promise<readonly string[]> {
  const handle = await open(file, 'r').catch(() => undefined);
  if (handle === undefined) return [];
  try {
    const { size } = await handle.stat();
    const length = Math.min(size, MAX_LOG_BYTES);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, size - length);
    const text = buffer.toString('utf8', 0, bytesRead).trimEnd();
    return text === '' ? [] : text.split('\n');
  } finally {
    await handle.close();
  }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function isNote(message: unknown): message is LiveNote {
  if (typeof message !== 'object' || message === null || !('type' in message)) return false;
  const { type, pid, code } = message as Record<string, unknown>;
  return (type === 'live' && isPid(pid)) || (type === 'exit' && typeof code === 'number');
}
