import * as l10n from '@vscode/l10n';
import { fork } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Failed, Finished } from '../training/events.js';
import { isRunEvent } from '../training/isRunEvent.js';
import { endingOf } from './endingOf.js';
import { loaderOf } from './loaderOf.js';
import { watchMemory } from './memoryWatch.js';
import type { MemoryRecord } from './memoryWatch.js';
import { oomKills } from './oomKills.js';
import type { Happening } from './runState.js';
import type { WorkerRequest } from './workerProtocol.js';

/** Lines of standard error quoted when the process dies without a word. */
export const LAST_WORDS = 3;

/** How long a process may outlive its last event before it is ended by force. */
const LINGER_MS = 10_000;

/** One run's process, from outside. */
export interface WorkerRun {
  /** Asks the worker to finish the present step, write the adapter so far and end. */
  stop(): void;
  /** Ends the process at once; what was not written is lost. */
  kill(): void;
  /** Settles after the last happening was told. */
  readonly done: Promise<void>;
}

export interface WorkerOptions {
  /** The worker's program, absolute; bundled or, run by a loader of TypeScript, not. */
  readonly worker: string;
  /** The run file, absolute. */
  readonly file: string;
  /** `a.b=c`, over what the file says. */
  readonly overrides?: readonly string[];
  /** Go on from the last checkpoint instead of starting anew (see `WorkerRequest`). */
  readonly resume?: boolean;
  /** Called for each happening, in order; the last is `ended`. */
  readonly tell: (happening: Happening) => void;
  /** Called for each line that the worker prints. */
  readonly print: (line: string) => void;
}

/**
 * Forks the worker and trains the run file in it. Never throws: a process that cannot be started is told as
 * `ended` with `launchError`.
 */
export function startWorker({ worker, file, overrides, resume, tell, print }: WorkerOptions): WorkerRun {
  tell({ type: 'launched', file, time: Date.now() });
  const lastWords: string[] = [];
  let last: Finished | Failed | undefined;
  let checkpoint: number | undefined;
  let memory: MemoryRecord = {};
  const killsBefore = oomKills();
  let killed = false;
  let launchError: string | undefined;
  let linger: NodeJS.Timeout | undefined;

  const child = fork(worker, [], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    execArgv: [...loaderOf(worker)],
  });
  eachLine(child.stdout, print);
  eachLine(child.stderr, (line) => {
    if (line.trim() !== '') lastWords.push(line);
    if (lastWords.length > LAST_WORDS) lastWords.shift();
    print(line);
  });

  function send(message: WorkerRequest): void {
    if (!child.connected) return;
    child.send(message, (error) => {
      if (error) print(l10n.t`The worker did not take the message "${message.type}": ${error.message}`);
    });
  }

  child.on('message', (message) => {
    if (!isRunEvent(message)) {
      print(
        l10n.t`The worker sent something that is no run event; it is ignored: ${shorten(JSON.stringify(message))}`,
      );
      return;
    }
    memory = watchMemory(memory, message);
    if (message.type === 'checkpoint') checkpoint = message.step;
    if (message.type === 'finished' || message.type === 'failed') {
      last = message;
      linger = setTimeout(() => {
        print(l10n.t`The worker did not exit within ${LINGER_MS / 1000} s of its last event; it is ended.`);
        child.kill('SIGKILL');
      }, LINGER_MS);
    }
    tell({ type: 'event', event: message });
  });

  const done = new Promise<void>((resolve) => {
    let over = false;
    async function end(code: number | null, signal: string | null): Promise<void> {
      if (over) return;
      over = true;
      clearTimeout(linger);
      const seen = { code, signal, launchError, last, killed, lastWords, checkpoint, memory };
      const ending = await endingOf(seen, await killsBefore);
      tell({ type: 'ended', time: Date.now(), ending });
      resolve();
    }
    child.on('error', (error) => {
      if (child.pid !== undefined) {
        print(l10n.t`The worker's process reported: ${error.message}`);
        return;
      }
      launchError = error.message;
      void end(null, null);
    });
    // 'close' comes after the last message and the last printed line, 'exit' may come before them.
    child.on('close', (code, signal) => void end(code, signal));
  });

  send({ type: 'train', file, overrides, resume });
  return {
    stop() {
      tell({ type: 'stopRequested' });
      send({ type: 'stop' });
    },
    kill() {
      killed = true;
      child.kill('SIGKILL');
    },
    done,
  };
}

function eachLine(stream: Readable | null, take: (line: string) => void): void {
  if (stream) createInterface({ input: stream }).on('line', take);
}

function shorten(text: string | undefined): string {
  const most = 200;
  if (text === undefined) return 'undefined';
  return text.length > most ? `${text.slice(0, most)}…` : text;
}
