import { createReadStream } from 'node:fs';
import path from 'node:path';
import type { Problem } from '../../common/problem.js';
import { readLines } from '../../data/lines.js';
import type { FoundRun } from '../../engines/findRuns.js';
import { RESOLVED_CONFIG, RUN_EVENTS } from '../../engines/runFiles.js';
import type { RunState } from '../../engines/runState.js';
import type { RunEvent } from '../../training/events.js';
import { isRunEvent } from '../../training/isRunEvent.js';
import { createHistory } from '../../engines/history.js';

/** A run read back from its folder, as the panel shows one. */
export interface ReadRun {
  readonly state: RunState;
  readonly events: readonly RunEvent[];
}

/**
 * Reads all events of a run. Lines that are no events are passed over: a kill leaves half a line.
 * Rejects where `events.jsonl` cannot be read; with `data.line-too-long` for a file without lines.
 */
export async function readPastRun(found: FoundRun): Promise<ReadRun> {
  const history = createHistory();
  const file = path.join(found.folder, RUN_EVENTS);
  // Events may come from elsewhere: no line is held whatever its length.
  const bytes: AsyncIterable<Uint8Array> = createReadStream(file);
  let first: RunEvent | undefined;
  let last: RunEvent | undefined;
  for await (const line of readLines(bytes, file)) {
    const event = 'text' in line ? eventOf(line.text) : undefined;
    if (event === undefined) continue;
    history.add(event);
    first ??= event;
    if (event.type === 'finished' || event.type === 'failed' || event.type === 'started') last = event;
  }
  const began = first?.type === 'started' ? Date.parse(first.time) : NaN;
  const going = {
    file: found.file ?? path.join(found.folder, RESOLVED_CONFIG),
    began: Number.isFinite(began) ? began : found.modified,
  };
  return { state: stateOf(found, going, last), events: history.events() };
}

function stateOf(
  { state, modified, folder, checkpoint }: FoundRun,
  going: { readonly file: string; readonly began: number },
  last: RunEvent | undefined,
): RunState {
  if (last?.type === 'finished') return { kind: 'finished', ...going, ended: modified, result: last };
  const failed = (problem: Problem, others: readonly Problem[] = []): RunState => ({
    kind: 'failed',
    ...going,
    ended: modified,
    problem,
    others,
  });
  if (last?.type === 'failed') return failed(last.problem, last.others);
  if (state.kind === 'running') return { kind: 'running', ...going };
  return failed({
    code: 'run.interrupted',
    message: 'the run ended without a word: it was killed, or the machine went down',
    where: { file: folder },
    mend:
      checkpoint === undefined
        ? 'It wrote no checkpoint: train anew.'
        : `Resume it: it goes on from its checkpoint of step ${checkpoint}.`,
  });
}

function eventOf(line: string): RunEvent | undefined {
  try {
    const event: unknown = JSON.parse(line);
    return isRunEvent(event) ? event : undefined;
  } catch {
    return undefined;
  }
}
