import * as l10n from '@vscode/l10n';
import type { Problem } from '../common/problem.js';
import type { Failed, Finished, RunEvent } from '../training/events.js';
import { memoryStory } from './memoryWatch.js';
import type { MemoryRecord } from './memoryWatch.js';

/** Where a run stands. Times are milliseconds since the epoch. */
export type RunState =
  | { readonly kind: 'idle' }
  | ({ readonly kind: 'starting' } & Going)
  | ({ readonly kind: 'running' } & Going)
  /** Asked to pause: the present step is finished first. */
  | ({ readonly kind: 'pausing' } & Going)
  /** Waits between two steps. */
  | ({ readonly kind: 'paused' } & Going)
  | ({ readonly kind: 'stopping' } & Going)
  | ({
      readonly kind: 'finished';
      readonly ended: number;
      readonly result: Finished;
      readonly note?: string;
    } & Going)
  | ({
      readonly kind: 'failed';
      readonly ended: number;
      readonly problem: Problem;
      /** Further problems of the same input. */
      readonly others: readonly Problem[];
    } & Going);

interface Going {
  /** The run file, absolute. */
  readonly file: string;
  readonly began: number;
}

/** What can happen to a run, seen from outside its process. */
export type Happening =
  | { readonly type: 'launched'; readonly file: string; readonly time: number }
  | { readonly type: 'event'; readonly event: RunEvent }
  | { readonly type: 'stopRequested' }
  | { readonly type: 'pauseRequested' }
  | { readonly type: 'ended'; readonly time: number; readonly ending: Ending };

/** How the worker's process went, with what it left on disk. */
export interface Ending {
  readonly code: number | null;
  readonly signal: string | null;
  /** The process could not be started at all. */
  readonly launchError?: string;
  /** The run's last word, when it had one. */
  readonly last?: Finished | Failed;
  /** Whether the folder named by `finished` holds weights. */
  readonly adapterFound: boolean;
  /** We ended the process ourselves because the user asked for it. */
  readonly killed: boolean;
  /** The last lines the process printed. */
  readonly lastWords: readonly string[];
  /** The step of the last checkpoint, where one was written. */
  readonly checkpoint?: number;
  /** Whether the kernel's out-of-memory killer ended processes meanwhile; undefined where that is not told. */
  readonly oomKilled?: boolean;
  /** What it told of its memory. */
  readonly memory?: MemoryRecord;
}

export const idle: RunState = { kind: 'idle' };

/** Whether the run's process is at work. */
export function isGoing(
  state: RunState,
): state is Extract<RunState, { kind: 'starting' | 'running' | 'pausing' | 'paused' | 'stopping' }> {
  switch (state.kind) {
    case 'starting':
    case 'running':
    case 'pausing':
    case 'paused':
    case 'stopping':
      return true;
    default:
      return false;
  }
}

/** Whether the run that was seen `then` is going `now`: what is asked meanwhile may be answered late. */
export function isStillGoing(then: RunState, now: RunState): boolean {
  return then.kind !== 'idle' && isGoing(now) && now.file === then.file && now.began === then.began;
}

/** The code of `stoppedEarly` of `engines/embedded.ts`, which loads the runtime: the panel's page cannot import it. */
export const STOPPED_EARLY_CODE = 'run.stopped-early';

/** Whether the user stopped the run before it learned anything: that is told, but not as a failure. */
export function wasStoppedEarly(state: RunState): boolean {
  return state.kind === 'failed' && isEarlyStop(state.problem);
}

/** Whether a run's last problem is that it was stopped before it learned anything. */
export function isEarlyStop({ code }: Problem): boolean {
  return code === STOPPED_EARLY_CODE;
}

/** The folder of a run that told these events, once it has one. */
export function runFolderOf(events: readonly RunEvent[]): string | undefined {
  return events.find((event) => event.type === 'started')?.folder;
}

/** A run's state in a few words: `finished`, `training`, … */
export function describeState(state: RunState): string {
  switch (state.kind) {
    case 'idle':
      return l10n.t`no run`;
    case 'starting':
      return l10n.t`starting`;
    case 'running':
      return l10n.t`training`;
    case 'pausing':
      return l10n.t`pausing`;
    case 'paused':
      return l10n.t`paused`;
    case 'stopping':
      return l10n.t`stopping`;
    case 'finished':
      return state.result.reason === 'stopped' ? l10n.t`stopped` : l10n.t`finished`;
    case 'failed':
      return wasStoppedEarly(state) ? l10n.t`stopped` : l10n.t`failed`;
  }
}

/**
 * The next state. A run's end comes from its process and from what lies on disk: an event alone neither
 * finishes nor fails it, so the editor never shows an end while the process still works.
 */
export function advance(state: RunState, happening: Happening): RunState {
  if (happening.type === 'launched') {
    return isGoing(state) ? state : { kind: 'starting', file: happening.file, began: happening.time };
  }
  if (state.kind === 'idle' || state.kind === 'finished' || state.kind === 'failed') return state;
  switch (happening.type) {
    case 'event':
      return afterEvent(state, happening.event);
    case 'pauseRequested':
      return state.kind === 'running' ? { ...state, kind: 'pausing' } : state;
    case 'stopRequested':
      return { ...state, kind: 'stopping' };
    case 'ended':
      return conclude(state, happening.time, happening.ending);
  }
}

function afterEvent(state: Exclude<RunState, { kind: 'idle' }>, { type }: RunEvent): RunState {
  switch (type) {
    case 'started':
      return state.kind === 'starting' ? { ...state, kind: 'running' } : state;
    case 'paused':
      return state.kind === 'running' || state.kind === 'pausing' ? { ...state, kind: 'paused' } : state;
    case 'continued':
      return state.kind === 'paused' ? { ...state, kind: 'running' } : state;
    default:
      return state;
  }
}

/** The state of a run that failed. */
export function failedRun(
  run: { readonly file: string; readonly began: number; readonly ended: number },
  problem: Problem,
  others: readonly Problem[] = [],
): RunState {
  const { file, began, ended } = run;
  return { kind: 'failed', file, began, ended, problem, others };
}

function conclude({ file, began }: Going, ended: number, ending: Ending): RunState {
  const { last } = ending;
  const run = { file, began, ended };
  if (last?.type === 'failed') return failedRun(run, last.problem, last.others);
  if (last?.type === 'finished') {
    if (!ending.adapterFound) return failedRun(run, nothingWritten(last));
    const expectedCode = last.reason === 'stopped' ? 130 : 0;
    const clean = ending.code === expectedCode || ending.code === 0;
    return {
      kind: 'finished',
      ...run,
      result: last,
      note: clean ? undefined : l10n.t`The adapter is written, but afterwards the worker ${howItEnded(ending)}.`,
    };
  }
  return failedRun(run, processEnded(file, ending));
}

function nothingWritten(last: Finished): Problem {
  return {
    code: 'run.nothing-written',
    message: l10n.t`the run said that it finished, but ${last.adapter} holds no weights`,
    expected: l10n.t`a folder with a .safetensors file that is not empty`,
    mend: l10n.t`Look for free space and write permission in that folder, then train again.`,
  };
}

function processEnded(file: string, ending: Ending): Problem {
  const said = ending.lastWords.length > 0 ? l10n.t`; its last words: ${ending.lastWords.join(' | ')}` : '';
  if (ending.launchError !== undefined) {
    return {
      code: 'run.not-launched',
      message: l10n.t`the worker process could not be started: ${ending.launchError}`,
      mend: l10n.t`Install PEFT Studio anew; if that does not help, report it with this message.`,
    };
  }
  if (ending.killed) {
    return {
      code: 'run.killed',
      message: l10n.t`the run was killed before it could write its adapter`,
      where: { file },
      mend: resumeFrom(ending) || l10n.t`Train again; Stop, instead of killing, writes what was learned so far.`,
    };
  }
  const story = memoryStory(ending.memory ?? {});
  const held = story === '' ? '' : l10n.t`; ${story}`;
  if (ranOutOfMemory(ending)) {
    return {
      code: 'run.out-of-memory',
      message: l10n.t`memory ran out: the worker process ${howItEnded(ending)}${held}${said}`,
      mend: [useLess(), resumeFrom(ending)].filter(Boolean).join(' '),
    };
  }
  return {
    code: 'run.process-ended',
    message: l10n.t`the worker process ${howItEnded(ending)} without saying how the run ended${wasKilled(ending) ? held : ''}${said}`,
    mend: [mendFor(ending), resumeFrom(ending)].filter(Boolean).join(' '),
  };
}

const useLess = (): string =>
  l10n.t`Lower per_device_train_batch_size (gradient_accumulation_steps makes up for it) or max_length, take a smaller model, or close other programs.`;

/** What Node and the C++ library print when memory runs out beneath them; both end their process. */
const LAST_WORDS_WITHOUT_MEMORY = /bad_alloc|heap out of memory|process out of memory|allocation failed/i;

function ranOutOfMemory(ending: Ending): boolean {
  if (wasKilled(ending)) return ending.oomKilled === true;
  return ending.lastWords.some((line) => LAST_WORDS_WITHOUT_MEMORY.test(line));
}

/**
 * Whether the process was killed: the kernel's out-of-memory killer sends SIGKILL, and a shell reports the same as
 * 128 + 9. Of a process that another window started only its end is known.
 */
function wasKilled({ code, signal }: Ending): boolean {
  return signal === 'SIGKILL' || code === 137 || (code === null && signal === null);
}

function resumeFrom({ checkpoint }: Ending): string {
  return checkpoint === undefined ? '' : l10n.t`Resume goes on from the checkpoint of step ${checkpoint}.`;
}

function howItEnded({ code, signal }: Ending): string {
  if (signal !== null) return l10n.t`was ended by signal ${signal}`;
  return code === null ? l10n.t`is gone` : l10n.t`exited with code ${code}`;
}

function mendFor(ending: Ending): string {
  if (wasKilled(ending)) {
    return ending.oomKilled === false
      ? l10n.t`The kernel's out-of-memory killer was not it: a person ended the process, or another program (a limit of a batch system, a watchdog of memory).`
      : l10n.t`Most often the machine ran out of memory: use a smaller batch size, a shorter max_length or a smaller model.`;
  }
  const { signal } = ending;
  if (signal === 'SIGSEGV' || signal === 'SIGBUS' || signal === 'SIGILL') {
    return l10n.t`The native library crashed: report it with what it printed and the run file.`;
  }
  return l10n.t`What the worker printed says more (in the editor: Show Log).`;
}
