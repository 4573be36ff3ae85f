import path from 'node:path';
import { advance, idle } from '../host/runState.js';
import type { Ending, RunState } from '../host/runState.js';
import type { RunEvent } from '../training/events.js';
import type { Command } from './command.js';
import { DONE, FAILED } from './exitCode.js';
import { INTERRUPTED } from './interrupt.js';
import type { Io } from './io.js';
import { ProblemsError, openRunFile } from './runFile.js';
import { startTraining } from './trainingProcess.js';
import { createTrainView } from './trainView.js';

export const train: Command = {
  name: 'train',
  summary: 'Train what a run file describes.',
  positionals: [{ name: 'FILE', help: 'the run file (*.peft.yaml)' }],
  options: {
    set: {
      value: 'KEY=VALUE',
      multiple: true,
      help: 'Override an option of the file, such as training.learning_rate=1e-4; the value is YAML.',
    },
  },
  json: 'the run\'s events, one JSON object per line, from "started" to "finished" or "failed" (as in events.jsonl)',
  jsonForm: 'events',
  examples: [
    'sql.peft.yaml',
    'sql.peft.yaml --set training.max_steps=100 --set method.r=16',
    'sql.peft.yaml --json > events.jsonl',
  ],
  async run(args, io) {
    const file = path.resolve(args.positional(0));
    const overrides = args.all('set');
    await openRunFile(file, overrides, io);
    const json = args.flag('json');
    const show = json ? (event: RunEvent): void => io.json(event) : createTrainView(io);
    io.interrupt.check();
    const began = Date.now();
    const training = startTraining({
      worker: io.worker,
      file,
      overrides,
      // A failure is told at the end, when the process has ended.
      onEvent: (event) => (event.type === 'failed' ? undefined : show(event)),
      onLine: io.note,
    });
    io.interrupt.onSignal((count) => {
      if (count > 1) {
        io.note('Killing the run: nothing more is written.');
        training.kill();
        return;
      }
      io.note('Stopping after this step; the adapter so far is written. Ctrl-C again kills the run.');
      training.stop();
    });
    const ending = await training.ending;
    io.progress.end();
    // Ctrl-C reaches the worker too, which dies of it before its program has begun.
    if (ending.last === undefined && ending.signal === 'SIGINT') io.interrupt.check();
    return conclude(stateAfter(file, began, ending), io);
  },
};

/** How the run went, judged by its process and by what lies on disk, as the editor judges it. */
function stateAfter(file: string, began: number, ending: Ending): RunState {
  const launched = advance(idle, { type: 'launched', file, time: began });
  return advance(launched, { type: 'ended', time: Date.now(), ending });
}

function conclude(state: RunState, io: Io): number {
  if (state.kind === 'failed') throw new ProblemsError(state.problem, state.others);
  if (state.kind !== 'finished') return FAILED;
  if (state.note !== undefined) io.note(state.note);
  return state.result.reason === 'stopped' ? INTERRUPTED : DONE;
}
