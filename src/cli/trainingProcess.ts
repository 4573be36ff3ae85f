import { fork } from 'node:child_process';
import { createInterface } from 'node:readline';
import { pathKind } from '../common/files.js';
import type { WorkerRequest } from '../engines/workerProtocol.js';
import { isRunEvent } from '../host/runEvent.js';
import type { Ending } from '../host/runState.js';
import type { Failed, Finished, RunEvent } from '../training/events.js';

/** Lines of standard error that are quoted when the process dies without a word. */
const LAST_WORDS = 3;

/** One run's process, from outside. */
export interface TrainingProcess {
  /** Asks for the end: the present step is finished, the adapter so far written. */
  readonly stop: () => void;
  /** Ends the process at once; what was not written is lost. */
  readonly kill: () => void;
  /** Settles after the last event was told; never rejects. */
  readonly ending: Promise<Ending>;
}

/** Forks the worker and trains the run file in it. */
export function startTraining(job: {
  /** The worker's program, absolute. */
  readonly worker: string;
  readonly file: string;
  readonly overrides: readonly string[];
  readonly onEvent: (event: RunEvent) => void;
  /** Called for each line that the worker prints. */
  readonly onLine: (line: string) => void;
}): TrainingProcess {
  const lastWords: string[] = [];
  let last: Finished | Failed | undefined;
  let killed = false;
  const child = fork(job.worker, [], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  const send = (request: WorkerRequest): void => {
    if (child.connected) child.send(request);
  };
  createInterface({ input: child.stdout! }).on('line', job.onLine);
  createInterface({ input: child.stderr! }).on('line', (line) => {
    lastWords.push(line);
    if (lastWords.length > LAST_WORDS) lastWords.shift();
    job.onLine(line);
  });
  child.on('message', (message) => {
    if (!isRunEvent(message)) {
      job.onLine(`The worker sent something that is no event: ${JSON.stringify(message).slice(0, 200)}`);
      return;
    }
    if (message.type === 'finished' || message.type === 'failed') last = message;
    job.onEvent(message);
  });
  const ending = new Promise<Ending>((resolve) => {
    const end = async (code: number | null, signal: string | null, launchError?: string): Promise<void> => {
      const adapterFound = last?.type === 'finished' && (await pathKind(last.adapter)) === 'folder';
      resolve({ code, signal, launchError, last, adapterFound, killed, lastWords });
    };
    child.on('error', (error) => {
      if (child.pid === undefined) void end(null, null, error.message);
    });
    // 'close' comes after the last message and the last printed line.
    child.on('close', (code, signal) => void end(code, signal));
  });
  send({ type: 'train', file: job.file, overrides: job.overrides });
  return {
    stop: () => send({ type: 'stop' }),
    kill() {
      killed = true;
      child.kill('SIGKILL');
    },
    ending,
  };
}
