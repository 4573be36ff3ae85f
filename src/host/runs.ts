import * as vscode from 'vscode';
import { advance, idle, isGoing } from '../engines/runState.js';
import type { Happening, RunState } from '../engines/runState.js';
import { startWorker } from '../engines/workerRun.js';
import type { WorkerRun } from '../engines/workerRun.js';
import type { RunEvent } from '../training/events.js';
import { createHistory } from './history.js';
import type { History } from './history.js';

/** What is told to those who show the run: its new state and, when one came, the event. */
export interface RunChange {
  readonly state: RunState;
  readonly event?: RunEvent;
  /** True when a new run replaces the one before. */
  readonly fresh: boolean;
}

/** The run of this window: one at a time, since a run takes every core. */
export interface Runs {
  readonly onDidChange: vscode.Event<RunChange>;
  state(): RunState;
  /** The events of the present or last run. */
  events(): readonly RunEvent[];
  /** Starts a run. False when one is going. Settles when the process has ended. */
  start(file: string): Promise<boolean>;
  stop(): void;
  kill(): void;
  dispose(): void;
}

/**
 * Makes the window's place for runs; none is going yet.
 * @param worker the worker's program, absolute
 * @param print called for each line that a worker prints
 */
export function createRuns(worker: string, print: (line: string) => void): Runs {
  const emitter = new vscode.EventEmitter<RunChange>();
  let state: RunState = idle;
  let history: History = createHistory();
  let process: WorkerRun | undefined;

  function tell(happening: Happening): void {
    const fresh = happening.type === 'launched';
    const event = happening.type === 'event' ? happening.event : undefined;
    const before = state;
    state = advance(state, happening);
    if (fresh) history = createHistory();
    if (event) history.add(event);
    if (fresh || event !== undefined || state !== before) emitter.fire({ state, event, fresh });
  }

  return {
    onDidChange: emitter.event,
    state: () => state,
    events: () => history.events(),
    async start(file) {
      if (isGoing(state)) return false;
      process = startWorker({ worker, file, tell, print });
      await process.done;
      process = undefined;
      return true;
    },
    stop: () => process?.stop(),
    kill: () => process?.kill(),
    dispose() {
      // The worker writes its adapter and ends by itself; the window does not wait for it.
      if (isGoing(state)) process?.stop();
      emitter.dispose();
    },
  };
}
