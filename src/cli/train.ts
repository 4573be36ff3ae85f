import path from 'node:path';
import { pathKind } from '../common/files.js';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { advance, idle } from '../engines/runState.js';
import type { RunState } from '../engines/runState.js';
import { startWorker } from '../engines/workerRun.js';
import type { RunEvent } from '../training/events.js';
import type { Command } from './command.js';
import { DONE, FAILED } from './exitCode.js';
import { INTERRUPTED, STOP_SIGNALS } from './interrupt.js';
import type { Io } from './io.js';
import { ProblemsError, checkRunFile } from './runFile.js';
import { printable } from './styles.js';
import { createTrainView } from './trainView.js';

export const train: Command = {
  name: 'train',
  summary: 'Train what a run file describes.',
  positionals: [{ name: 'FILE', help: 'the run file (*.peft.yaml); with --resume also the folder of a run' }],
  options: {
    set: {
      value: 'KEY=VALUE',
      multiple: true,
      help: 'Override an option of the file, such as training.learning_rate=1e-4; the value is YAML.',
    },
    resume: {
      help: "Go on from the last checkpoint of the file's newest run that did not come to its end, or of the run whose folder is named.",
    },
  },
  json: 'the run\'s events, one JSON object per line, from "started" to "finished" or "failed" (as in events.jsonl)',
  jsonForm: 'events',
  examples: [
    'sql.peft.yaml',
    'sql.peft.yaml --set training.max_steps=100 --set method.r=16',
    'sql.peft.yaml --resume',
    'sql.peft.yaml --json > events.jsonl',
  ],
  async run(args, io) {
    const file = path.resolve(args.positional(0));
    const overrides = args.all('set');
    const resume = args.flag('resume');
    const isFolder = resume && (await pathKind(file)) === 'folder';
    if (isFolder && overrides.length > 0) fail(OVERRIDDEN_FOLDER);
    const { warnings } = isFolder ? { warnings: [] } : await checkRunFile(file, overrides);
    // The run tells them with its coverage; one that fails before has to be told of them here.
    let untold = warnings;
    const json = args.flag('json');
    const show = json ? (event: RunEvent): void => io.json(event) : createTrainView(io);
    io.interrupt.check();
    let state: RunState = idle;
    let signal: string | null = null;
    const training = startWorker({
      worker: io.worker,
      file,
      overrides,
      resume,
      tell(happening) {
        state = advance(state, happening);
        if (happening.type === 'event' && happening.event.type === 'coverage') untold = [];
        // A failure is told at the end, when the process has ended.
        if (happening.type === 'event' && happening.event.type !== 'failed') show(happening.event);
        if (happening.type === 'ended' && happening.ending.last === undefined) signal = happening.ending.signal;
      },
      print: (line) => io.note(printable(line)),
    });
    io.interrupt.onSignal((count) => {
      if (count > 1) {
        io.note('Killing the run: nothing more is written.');
        training.kill();
        return;
      }
      io.note(
        'Stopping after this step; the adapter so far and a checkpoint are written. Ctrl-C again kills the run.',
      );
      training.stop();
    });
    await training.done;
    io.progress.end();
    // Signals to the process group reach the worker too, which dies of them before its program has begun.
    if (STOP_SIGNALS.some((each) => each === signal)) io.interrupt.check();
    return conclude(state, untold, io);
  },
};

const OVERRIDDEN_FOLDER: Problem = {
  code: 'cli.resume-set',
  message: '--set cannot change a run that goes on: it is resumed with what it was started with',
  mend: 'Leave --set out, or train anew.',
};

function conclude(state: RunState, untold: readonly Problem[], io: Io): number {
  if (state.kind === 'failed') {
    // A worker that tells of several problems found them in the file, and has named its warnings.
    throw new ProblemsError(state.problem, state.others.length > 0 ? state.others : untold);
  }
  if (state.kind !== 'finished') return FAILED;
  if (state.note !== undefined) io.note(state.note);
  return state.result.reason === 'stopped' ? INTERRUPTED : DONE;
}
