import { pathKind } from './common/files.js';
import { isError, problemOf } from './common/problem.js';
import type { Problem } from './common/problem.js';
import { loadRunFile } from './config/loadRunFile.js';
import { embeddedEngine, STOPPED_EARLY } from './engines/embedded.js';
import { resumeFolder, resumeNewest } from './engines/resumeRun.js';
import type { WorkerExit, WorkerRequest } from './engines/workerProtocol.js';
import type { RunEvent } from './training/events.js';

/**
 * Process entry of the embedded engine, forked by the editor and the command line alike: requests come in as
 * messages, events go out as messages, what libraries print goes to standard error. A native fault of the
 * runtime ends this process and no other.
 */
let stopRequested = false;
let started = false;

const exitCodes: WorkerExit = { completed: 0, failed: 1, stopped: 130 };

process.on('message', (request: WorkerRequest) => {
  switch (request.type) {
    case 'stop':
      stopRequested = true;
      break;
    case 'train':
      if (started) return;
      started = true;
      void run(request).then(exitWith);
      break;
  }
});

const requestStop = (): void => {
  stopRequested = true;
};
// Ctrl-C reaches the whole process group; the parent decides and says `stop`.
process.on('SIGINT', () => undefined);
// The system ends, the terminal closes, the parent is gone: finish the step, write what was learned, end.
process.on('SIGTERM', requestStop);
process.on('SIGHUP', requestStop);
process.on('disconnect', requestStop);

async function run({
  file,
  overrides = [],
  resume = false,
}: Extract<WorkerRequest, { type: 'train' }>): Promise<number> {
  let last: RunEvent | undefined;
  // Warnings of the run file go out with the coverage; a run that fails before has to tell them with its failure.
  let untold: readonly Problem[] = [];
  const emit = (event: RunEvent): void => {
    last = event;
    if (event.type === 'coverage') untold = [];
    send(event);
  };
  try {
    if (resume && (await pathKind(file)) === 'folder') {
      const found = await resumeFolder(file);
      await embeddedEngine(found.run, { emit, resume: found.point, stopRequested: () => stopRequested });
      return exitCode(last);
    }
    const { run: loaded, problems } = await loadRunFile(file, overrides);
    if (loaded === undefined) {
      const first = problems.find(isError)!;
      emit({ type: 'failed', problem: first, others: problems.filter((problem) => problem !== first) });
      return exitCodes.failed;
    }
    untold = problems;
    const point = resume ? { resume: await resumeNewest(loaded) } : {};
    await embeddedEngine(loaded, { emit, warnings: problems, stopRequested: () => stopRequested, ...point });
    return exitCode(last);
  } catch (error) {
    if (error instanceof Error && problemOf(error).code === 'internal') process.stderr.write(`${error.stack}\n`);
    emit({ type: 'failed', problem: problemOf(error), ...(untold.length > 0 ? { others: untold } : {}) });
    return problemOf(error).code === STOPPED_EARLY.code ? exitCodes.stopped : exitCodes.failed;
  }
}

function exitCode(last: RunEvent | undefined): number {
  return last?.type === 'finished' && last.reason === 'stopped' ? exitCodes.stopped : exitCodes.completed;
}

let unsent = 0;
let afterLast = (): void => undefined;

/** The parent may be gone though the channel looks open: a step holds the thread, so nobody was told yet. */
function send(event: RunEvent): void {
  if (!process.connected) return;
  unsent++;
  process.send!(event, undefined, undefined, (error) => {
    if (error !== null) requestStop();
    unsent--;
    if (unsent === 0) afterLast();
  });
}

/** Ends the process when the last message has left; disconnecting before would drop those still queued. */
function exitWith(code: number): void {
  process.exitCode = code;
  afterLast = () => {
    if (process.connected) process.disconnect();
  };
  if (unsent === 0) afterLast();
  // ONNX Runtime's threads must not keep a finished worker alive.
  setTimeout(() => process.exit(code), 2000).unref();
}
