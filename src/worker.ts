import { pathKind } from './common/files.js';
import { useLanguage } from './common/language.js';
import { isError, problemOf } from './common/problem.js';
import type { Problem } from './common/problem.js';
import { loadRunFile } from './config/loadRunFile.js';
import { parentChannel } from './engines/channel.js';
import type { Listener } from './engines/channel.js';
import { embeddedEngine } from './engines/embedded.js';
import { readEntry } from './engines/liveEntry.js';
import { serveRun } from './engines/liveServer.js';
import { resumeFolder, resumeNewest } from './engines/resumeRun.js';
import { forgetProcess, noteProcess } from './engines/runProcess.js';
import { isEarlyStop } from './engines/runState.js';
import type { WorkerExit, WorkerRequest } from './engines/workerProtocol.js';
import type { RunEvent } from './training/events.js';
import { createWishes } from './training/wishes.js';

/**
 * Process entry of the embedded engine: forked by the command line, which talks with it by messages, or started by the
 * editor as a process of its own, which serves a socket (the argument is its entry, see engines/liveEntry.ts). What
 * libraries print goes to standard error. A native fault of the runtime ends this process and no other.
 */
useLanguage();
const wishes = createWishes();
let started = false;

const exitCodes: WorkerExit = { completed: 0, failed: 1, stopped: 130 };

const requestStop = (): void => wishes.take('stop');
// Ctrl-C reaches the whole process group; the parent decides and says `stop`.
process.on('SIGINT', () => undefined);
// The system ends, the terminal closes, the parent is gone: finish the step, write what was learned, end.
process.on('SIGTERM', requestStop);
process.on('SIGHUP', requestStop);

const listener: Listener = {
  request(request) {
    switch (request.type) {
      case 'stop':
      case 'pause':
      case 'continue':
      case 'checkpoint':
        wishes.take(request.type);
        break;
      case 'train':
        if (started) return;
        started = true;
        void run(request).then(exitWith);
        break;
    }
  },
  abandoned: requestStop,
};

const [entryFile] = process.argv.slice(2);
const entry = entryFile === undefined ? undefined : await readEntry(entryFile);
if (entryFile !== undefined && entry === undefined) throw new Error(`${entryFile} is no entry of a run.`);
const channel = entry === undefined ? parentChannel(listener) : await serveRun(entry, listener);
if (entry !== undefined) listener.request({ type: 'train', ...entry, file: entry.resumeFolder ?? entry.file });

async function run({
  file,
  overrides = [],
  resume = false,
}: Extract<WorkerRequest, { type: 'train' }>): Promise<number> {
  let last: RunEvent | undefined;
  // Warnings of the run file go out with the coverage; a run that fails before has to tell them with its failure.
  let untold: readonly Problem[] = [];
  let folder: string | undefined;
  // Before its end is told: whoever hears of it may resume at once.
  const leaveFolder = (): void => {
    if (folder !== undefined) forgetProcess(folder);
  };
  const emit = (event: RunEvent): void => {
    last = event;
    if (event.type === 'coverage') untold = [];
    if (event.type === 'started') noteProcess((folder = event.folder));
    if (event.type === 'finished' || event.type === 'failed') leaveFolder();
    channel.send(event);
  };
  try {
    if (resume && (await pathKind(file)) === 'folder') {
      const found = await resumeFolder(file);
      await embeddedEngine(found.run, { emit, resume: found.point, stopRequested: wishes.stop, wishes });
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
    await embeddedEngine(loaded, { emit, warnings: problems, stopRequested: wishes.stop, wishes, ...point });
    return exitCode(last);
  } catch (error) {
    if (error instanceof Error && problemOf(error).code === 'internal') process.stderr.write(`${error.stack}\n`);
    emit({ type: 'failed', problem: problemOf(error), ...(untold.length > 0 ? { others: untold } : {}) });
    return isEarlyStop(problemOf(error)) ? exitCodes.stopped : exitCodes.failed;
  }
}

function exitCode(last: RunEvent | undefined): number {
  return last?.type === 'finished' && last.reason === 'stopped' ? exitCodes.stopped : exitCodes.completed;
}

/** Ends the process when the last message has left. */
async function exitWith(code: number): Promise<void> {
  process.exitCode = code;
  await channel.close(code);
  // ONNX Runtime's threads must not keep a finished worker alive.
  setTimeout(() => process.exit(code), 2000).unref();
}
