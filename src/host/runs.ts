import * as l10n from '@vscode/l10n';
import { watch } from 'node:fs';
import * as vscode from 'vscode';
import { findRun } from '../engines/findRuns.js';
import { createHistory } from '../engines/history.js';
import { liveFolder } from '../engines/liveEntry.js';
import type { LiveEntry, LiveRequest } from '../engines/liveEntry.js';
import { findLiveRuns, followRun, launchRun } from '../engines/liveRun.js';
import type { Follower, LiveRun } from '../engines/liveRun.js';
import { advance, idle, isGoing } from '../engines/runState.js';
import type { Happening, RunState } from '../engines/runState.js';
import type { RunEvent } from '../training/events.js';
import type { RunChange, RunSource } from './runSource.js';

/**
 * The run of this window: one at a time, since a run takes every core. It lives in a process of its own: a window that
 * loads anew, or another one on the same folder, finds it again.
 */
export interface Runs {
  readonly onDidChange: vscode.Event<RunChange>;
  state(): RunState;
  /** The events of the present or last run. */
  events(): readonly RunEvent[];
  /** The present or last run, by itself: it stays what it is when another one begins. */
  present(): RunSource | undefined;
  /** Starts a run. False when one is going. Settles when the process has ended, or the window follows it no longer. */
  start(file: string): Promise<boolean>;
  /** Goes on with a run file's newest unfinished run, or with the run of a folder. As {@link Runs.start}. */
  resume(target: { readonly file: string } | { readonly folder: string }): Promise<boolean>;
  stop(): void;
  kill(): void;
  /** Has a run that trains wait after its present step. */
  pause(): void;
  /** Has a paused run go on. */
  goOn(): void;
  /** Has a checkpoint written after the present step, or at once while the run is paused. */
  checkpointNow(): void;
  dispose(): void;
}

/** What the window's place for runs needs of the window. */
export interface RunsOptions {
  /** The worker's program, absolute. */
  readonly worker: string;
  /** Told of what goes wrong while nobody waits. */
  readonly report: (error: unknown) => void;
  /** Whether a run file belongs to this window. */
  readonly isOurs: (file: string) => boolean;
  /** Whether a run ends with the window that follows it. */
  readonly endsWithWindow: () => boolean;
  /** Bytes that a run may take at most; undefined where the user sets no limit. */
  readonly memoryLimit: () => number | undefined;
}

/** A new run writes its entry before it listens: looked for again after a moment. */
const LOOK_AGAIN_MS = 300;

/** Makes the window's place for runs, and looks for one that is going already. */
export function createRuns(options: RunsOptions): Runs {
  const { worker, report, isOurs } = options;
  const emitter = new vscode.EventEmitter<RunChange>();
  let present: Present | undefined;
  let run: LiveRun | undefined;
  let busy = false;
  let disposed = false;
  const stateNow = (): RunState => present?.state() ?? idle;

  /** @param folder of the run, where it is known before the run says so */
  function followerOf(folder: string | undefined): Follower {
    return {
      tell(happening) {
        if (disposed) return;
        // A run that is told anew, after the connection was lost, is the same run.
        const isNew = happening.type === 'launched' && !present?.isRun(happening);
        if (isNew) present = createPresent(folder);
        const change = present?.take(happening);
        if (change) emitter.fire(change);
      },
      print(line) {
        if (disposed) return;
        const event: RunEvent = { type: 'log', level: 'info', message: l10n.t`worker: ${line}` };
        const change = present?.take({ type: 'event', event });
        if (change) emitter.fire(change);
      },
    };
  }

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
        await follow(() => launchRun(worker, request, followerOf(request.resumeFolder), options.memoryLimit()));
        return true;
      }
      void follow(() => followFound(found)).catch(report);
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
    else await follow(() => followFound(found));
  }

  function followFound(found: LiveEntry): Promise<LiveRun> {
    return followRun(found, followerOf(found.runFolder ?? found.resumeFolder));
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
    state: stateNow,
    events: () => present?.events() ?? [],
    present: () => present,
    start: (file) => launch({ file, overrides: [], resume: false }),
    async resume(target) {
      if ('file' in target) return launch({ file: target.file, overrides: [], resume: true });
      const found = await findRun(target.folder, () => Promise.resolve(false));
      const file = found?.file ?? target.folder;
      return launch({ file, resumeFolder: target.folder, overrides: [], resume: true });
    },
    stop: () => run?.stop(),
    kill: () => run?.kill(),
    pause() {
      if (stateNow().kind === 'running') run?.ask('pause');
    },
    goOn() {
      if (stateNow().kind === 'paused') run?.ask('continue');
    },
    checkpointNow: () => run?.ask('checkpoint'),
    dispose() {
      // The worker finishes its step, writes its adapter and ends by itself; the window does not wait for it.
      if (isGoing(stateNow()) && options.endsWithWindow()) run?.stop();
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

/** The window's run, which takes in what happens to it. */
interface Present extends RunSource {
  state(): RunState;
  /** Whether it is the run that was launched so. */
  isRun(launched: Extract<Happening, { type: 'launched' }>): boolean;
  /** Undefined when nothing that is shown changed. */
  take(happening: Happening): RunChange | undefined;
}

function createPresent(knownFolder: string | undefined): Present {
  const emitter = new vscode.EventEmitter<RunChange>();
  let state: RunState = idle;
  let history = createHistory();
  let folder = knownFolder;
  return {
    onDidChange: emitter.event,
    state: () => state,
    events: () => history.events(),
    about: () => ({ state, folder, canControl: true }),
    isRun: ({ file, time }) => state.kind !== 'idle' && state.file === file && state.began === time,
    take(happening) {
      const fresh = happening.type === 'launched';
      const event = happening.type === 'event' ? happening.event : undefined;
      const before = state;
      // Told anew, it is as it was when it began; that it was asked to stop is not told.
      state = advance(fresh && state.kind !== 'stopping' ? idle : state, happening);
      if (fresh) history = createHistory();
      if (event) history.add(event);
      if (event?.type === 'started') folder = event.folder;
      if (!fresh && event === undefined && state === before) return undefined;
      const change = { state, event, fresh };
      emitter.fire(change);
      return change;
    },
    dispose: () => undefined,
  };
}
