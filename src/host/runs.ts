import { watch } from 'node:fs';
import * as vscode from 'vscode';
import { findRun } from '../engines/findRuns.js';
import { createHistory } from '../engines/history.js';
import type { History } from '../engines/history.js';
import { liveFolder } from '../engines/liveEntry.js';
import type { LiveRequest } from '../engines/liveEntry.js';
import { findLiveRuns, followRun, launchRun } from '../engines/liveRun.js';
import type { Follower, LiveRun } from '../engines/liveRun.js';
import { advance, idle, isGoing } from '../engines/runState.js';
import type { Happening, RunState } from '../engines/runState.js';
import type { RunEvent } from '../training/events.js';

/** What is told to those who show the run: its new state and, when one came, the event. */
export interface RunChange {
  readonly state: RunState;
  readonly event?: RunEvent;
  /** True when a new run replaces the one before. */
  readonly fresh: boolean;
}

/**
 * The run of this window: one at a time, since a run takes every core. It lives in a process of its own: a window that
 * loads anew, or another one on the same folder, finds it again.
 */
export interface Runs {
  readonly onDidChange: vscode.Event<RunChange>;
  state(): RunState;
  /** The events of the present or last run. */
  events(): readonly RunEvent[];
  /** Starts a run. False when one is going. Settles when the process has ended, or the window follows it no longer. */
  start(file: string): Promise<boolean>;
  /** Goes on with a run file's newest unfinished run, or with the run of a folder. As {@link Runs.start}. */
  resume(target: { readonly file: string } | { readonly folder: string }): Promise<boolean>;
  stop(): void;
  kill(): void;
  dispose(): void;
}

/** What the window's place for runs needs of the window. */
export interface RunsOptions {
  /** The worker's program, absolute. */
  readonly worker: string;
  /** Called for each line that a worker printed. */
  readonly print: (line: string) => void;
  /** Told of what goes wrong while nobody waits. */
  readonly report: (error: unknown) => void;
  /** Whether a run file belongs to this window. */
  readonly isOurs: (file: string) => boolean;
  /** Whether a run ends with the window that follows it. */
  readonly endsWithWindow: () => boolean;
}

/** A new run writes its entry before it listens: looked for again after a moment. */
const LOOK_AGAIN_MS = 300;

/** Makes the window's place for runs, and looks for one that is going already. */
export function createRuns(options: RunsOptions): Runs {
  const { worker, print, report, isOurs } = options;
  const emitter = new vscode.EventEmitter<RunChange>();
  let state: RunState = idle;
  let history: History = createHistory();
  let run: LiveRun | undefined;
  let busy = false;
  let disposed = false;

  function tell(happening: Happening): void {
    if (disposed) return;
    const fresh = happening.type === 'launched';
    const event = happening.type === 'event' ? happening.event : undefined;
    const before = state;
    state = advance(state, happening);
    if (fresh) history = createHistory();
    if (event) history.add(event);
    if (fresh || event !== undefined || state !== before) emitter.fire({ state, event, fresh });
  }

  const follower: Follower = { tell, print };

  /** Follows a run to its end; `busy` is set before. */
  async function follow(begin: () => Promise<LiveRun>): Promise<void> {
    try {
      run = await begin();
      await run.done;
    } finally {
      run = undefined;
      busy = false;
    }
  }

  async function launch(request: LiveRequest): Promise<boolean> {
    if (busy) return false;
    busy = true;
    try {
      const [found] = await findLiveRuns(isOurs);
      if (found === undefined) {
        await follow(() => launchRun(worker, request, follower));
        return true;
      }
      void follow(() => followRun(found, follower)).catch(report);
      return false;
    } catch (error) {
      busy = false;
      throw error;
    }
  }

  /** Looks for a run of these folders that is going, and follows it. */
  async function look(): Promise<void> {
    if (busy || disposed) return;
    busy = true;
    const [found] = await findLiveRuns(isOurs).catch((error: unknown) => {
      report(error);
      return [];
    });
    if (found === undefined || disposed) busy = false;
    else await follow(() => followRun(found, follower));
  }

  // Another window's run appears as an entry of the folder.
  let timer: NodeJS.Timeout | undefined;
  const watching = liveFolder().then((folder) => {
    const watcher = watch(folder, { persistent: false }, () => {
      clearTimeout(timer);
      timer = setTimeout(() => void look().catch(report), LOOK_AGAIN_MS);
    });
    watcher.on('error', report);
    return watcher;
  });
  watching.catch(report);
  void look().catch(report);

  return {
    onDidChange: emitter.event,
    state: () => state,
    events: () => history.events(),
    start: (file) => launch({ file, overrides: [], resume: false }),
    async resume(target) {
      if ('file' in target) return launch({ file: target.file, overrides: [], resume: true });
      const found = await findRun(target.folder, () => Promise.resolve(false));
      const file = found?.file ?? target.folder;
      return launch({ file, resumeFolder: target.folder, overrides: [], resume: true });
    },
    stop: () => run?.stop(),
    kill: () => run?.kill(),
    dispose() {
      // The worker finishes its step, writes its adapter and ends by itself; the window does not wait for it.
      if (isGoing(state) && options.endsWithWindow()) run?.stop();
      disposed = true;
      run?.leave();
      clearTimeout(timer);
      // That there is none was reported.
      watching.then(
        (watcher) => watcher.close(),
        () => undefined,
      );
      emitter.dispose();
    },
  };
}
