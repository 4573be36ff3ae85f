import * as vscode from 'vscode';
import type { Problem } from '../common/problem.js';
import { RESOLVED_CONFIG } from '../engines/runFiles.js';
import type { PastRun } from '../engines/pastRun.js';
import { idle } from '../engines/runState.js';
import type { RunState } from '../engines/runState.js';
import type { RunEvent } from '../training/events.js';
import type { RunAbout } from './protocol.js';

/** What is told to those who show a run: the event, when one came, and the run's new state. */
export interface RunChange {
  readonly state: RunState;
  readonly event?: RunEvent;
  /** True when what was told before no longer counts: a run begins, or is told anew. */
  readonly fresh: boolean;
}

/** A run as a panel shows it, wherever it comes from. */
export interface RunSource {
  readonly onDidChange: vscode.Event<RunChange>;
  about(): RunAbout;
  events(): readonly RunEvent[];
  /** Ends the following of a record; nothing to the run. */
  dispose(): void;
}

/** A record is looked at so often: what a person takes for at once. Watching files fails on network drives. */
const PERIOD_MS = 500;

/**
 * A run read from its folder, followed while it grows: another window, the command line, or a run that is resumed
 * writes there.
 * @param report told when the record can no longer be read; once, until it can be
 */
export function followed(run: PastRun, report: (error: unknown) => void): RunSource {
  const emitter = new vscode.EventEmitter<RunChange>();
  let over = false;
  let away = false;
  let timer: NodeJS.Timeout | undefined;

  async function look(): Promise<void> {
    const before = run.state();
    const { events, again } = await run.read();
    if (over) return;
    const state = run.state();
    if (again) emitter.fire({ state, fresh: true });
    else if (events.length > 0) for (const event of events) emitter.fire({ state, event, fresh: false });
    else if (state.kind !== before.kind) emitter.fire({ state, fresh: false });
  }
  /** A record that is away, as on a drive that is, may come back. */
  async function lookAgain(): Promise<void> {
    try {
      await look();
      away = false;
    } catch (error) {
      if (!away && !over) report(error);
      away = true;
    }
    if (!over) later();
  }
  function later(): void {
    timer = setTimeout(() => void lookAgain(), PERIOD_MS).unref();
  }
  later();

  return {
    onDidChange: emitter.event,
    about: () => ({ state: run.state(), folder: run.folder, canControl: false }),
    events: () => run.events(),
    dispose() {
      over = true;
      clearTimeout(timer);
      emitter.dispose();
    },
  };
}

/** No run yet. */
export const noRun: RunSource = {
  onDidChange: () => new vscode.Disposable(() => undefined),
  about: () => ({ state: idle, canControl: false }),
  events: () => [],
  dispose: () => undefined,
};

/** A run whose record is gone: the panel says so. */
export function goneRun(folder: string, problem: Problem): RunSource {
  const file = vscode.Uri.joinPath(vscode.Uri.file(folder), RESOLVED_CONFIG).fsPath;
  const state: RunState = { kind: 'failed', file, began: 0, ended: 0, problem, others: [] };
  const source = { ...noRun, about: () => ({ state, folder, canControl: false }) };
  gone.add(source);
  return source;
}

const gone = new WeakSet<RunSource>();

/** Whether a run's record could not be read when its panel was made: it may be there by now. */
export function isGone(source: RunSource): boolean {
  return gone.has(source);
}
