import * as l10n from '@vscode/l10n';
import path from 'node:path';
import { isGoneError } from '../common/files.js';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { RunEvent, Started } from '../training/events.js';
import { adapterNow } from './adapterNow.js';
import type { Liveness } from './findRuns.js';
import { createHistory } from './history.js';
import { recordReader } from './recordReader.js';
import type { Written } from './recordReader.js';
import { RESOLVED_CONFIG } from './runFiles.js';
import { failedRun, isGoing } from './runState.js';
import type { RunState } from './runState.js';

/** A run that is over, or that another process works on, read from its folder. */
export interface PastRun {
  /** Absolute. */
  readonly folder: string;
  state(): RunState;
  /** What is kept of its events, in order (see {@link createHistory}). */
  events(): readonly RunEvent[];
  /** Reads what was written since. Rejects as {@link openPastRun}. */
  read(): Promise<Written>;
}

/**
 * Reads a run's record, `events.jsonl` in its folder.
 * @throws ProblemError `run.no-record` where there is none, `run.record` where the file has no lines
 */
export async function openPastRun(folder: string, isAlive: Liveness): Promise<PastRun> {
  const reader = recordReader(folder);
  let history = createHistory();
  let started: Started | undefined;
  let last: RunEvent | undefined;
  let checkpoint: number | undefined;
  let state: RunState = { kind: 'idle' };

  function take(event: RunEvent): void {
    history.add(event);
    if (event.type === 'started') started = event;
    if (event.type === 'checkpoint') checkpoint = event.step;
    if (MARKS.has(event.type)) last = event;
  }

  async function read(): Promise<Written> {
    const written = await reader.read().catch((error: unknown) => {
      if (isGoneError(error)) return fail(noRecord(folder), error);
      throw error;
    });
    // Of a run that is over, only what is written says that it goes on.
    const isNews = written.again || written.events.length > 0 || state.kind === 'idle';
    if (!isNews && !isGoing(state)) return written;
    const mark = written.events.findLast(({ type }) => MARKS.has(type)) ?? (written.again ? undefined : last);
    const isOver = mark?.type === 'finished' || mark?.type === 'failed';
    // Asked before events are taken in: whoever looks meanwhile is told of them once, by whoever reads.
    const alive = !isOver && (await isAlive(folder, written.modified));
    if (written.again) {
      history = createHistory();
      [started, last, checkpoint] = [undefined, undefined, undefined];
    }
    written.events.forEach(take);
    const file = started?.config ?? path.join(folder, RESOLVED_CONFIG);
    const began = Date.parse(started?.time ?? '');
    const about = { folder, file, began: Number.isFinite(began) ? began : written.modified };
    state = stateOf({ ...about, ended: written.modified, started, last, alive, checkpoint });
    return written;
  }

  await read();
  return { folder, state: () => state, events: () => history.events(), read };
}

/** The last of these says where a run stands. */
const MARKS: ReadonlySet<RunEvent['type']> = new Set(['started', 'paused', 'continued', 'finished', 'failed']);

function stateOf(about: {
  readonly folder: string;
  readonly file: string;
  readonly began: number;
  readonly ended: number;
  readonly started: Started | undefined;
  readonly last: RunEvent | undefined;
  readonly alive: boolean;
  readonly checkpoint: number | undefined;
}): RunState {
  const { file, began, ended, last } = about;
  if (last?.type === 'finished') {
    const adapter = adapterNow(about.folder, about.started, last.adapter);
    return { kind: 'finished', file, began, ended, result: { ...last, adapter } };
  }
  if (last?.type === 'failed') return failedRun(about, last.problem, last.others);
  if (about.alive) return { kind: last?.type === 'paused' ? 'paused' : 'running', file, began };
  return failedRun(about, {
    code: 'run.interrupted',
    message: l10n.t`the run ended without a word: it was killed, or the machine went down`,
    where: { file: about.folder },
    mend:
      about.checkpoint === undefined
        ? l10n.t`It wrote no checkpoint: train anew.`
        : l10n.t`Resume it: it goes on from its checkpoint of step ${about.checkpoint}.`,
  });
}

function noRecord(folder: string): Problem {
  return {
    code: 'run.no-record',
    message: l10n.t`the folder holds no record of a run (events.jsonl)`,
    where: { file: folder },
    mend: l10n.t`It was moved or deleted. Close the panel, or open the run where it lies now.`,
  };
}
