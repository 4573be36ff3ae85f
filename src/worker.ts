import { isError, problemOf } from './common/problem.js';
import { loadRunFile } from './config/loadRunFile.js';
import { embeddedEngine } from './engines/embedded.js';
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
      void run(request.file, request.overrides ?? []).then(exitWith);
      break;
  }
});

// Ctrl-C reaches the whole process group; the parent decides and says `stop`.
process.on('SIGINT', () => undefined);
// The parent is gone: finish the step, write what was learned, end.
process.on('disconnect', () => (stopRequested = true));

async function run(file: string, overrides: readonly string[]): Promise<number> {
  let last: RunEvent | undefined;
  const emit = (event: RunEvent): void => {
    last = event;
    if (process.connected) process.send!(event);
  };
  try {
    const { run: loaded, problems } = await loadRunFile(file, overrides);
    const errors = problems.filter(isError);
    if (loaded === undefined) {
      emit({ type: 'failed', problem: errors[0]!, others: errors.slice(1) });
      return exitCodes.failed;
    }
    const warnings = problems.filter((problem) => !isError(problem));
    await embeddedEngine(loaded, { emit, warnings, stopRequested: () => stopRequested });
    return last?.type === 'finished' && last.reason === 'stopped' ? exitCodes.stopped : exitCodes.completed;
  } catch (error) {
    if (error instanceof Error && problemOf(error).code === 'internal') process.stderr.write(`${error.stack}\n`);
    emit({ type: 'failed', problem: problemOf(error) });
    return exitCodes.failed;
  }
}

/** Lets the last message leave before the process ends. */
function exitWith(code: number): void {
  process.exitCode = code;
  if (process.connected) process.disconnect();
  // ONNX Runtime's threads must not keep a finished worker alive.
  setTimeout(() => process.exit(code), 2000).unref();
}
