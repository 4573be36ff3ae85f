import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import type { RunEvent } from '../training/events.js';
import { eventOfLine } from '../training/soundEvent.js';
import { RUN_EVENTS } from './runFiles.js';

/** A million steps; a longer record is not worth the wait before the first new step. */
const MAX_BYTES = 256 * 2 ** 20;

/**
 * What the curves of a resumed run had before it was taken up: its events with a step up to `resumedFrom`, in order.
 * Nothing where the record cannot be read: the run goes on all the same.
 */
export function pastCurves(runFolder: string, resumedFrom: number): readonly RunEvent[] {
  const file = path.join(runFolder, RUN_EVENTS);
  try {
    if (statSync(file).size > MAX_BYTES) return [];
    return readFileSync(file, 'utf8')
      .split('\n')
      .flatMap((line) => curveOf(line, resumedFrom));
  } catch {
    return [];
  }
}

function curveOf(line: string, resumedFrom: number): readonly RunEvent[] {
  const event = eventOfLine(line);
  switch (event?.type) {
    case 'step':
    case 'evaluation':
    case 'rank-evaluation':
    case 'ranks':
    case 'masks':
    case 'attention':
    case 'memory':
    case 'checkpoint':
      return event.step <= resumedFrom ? [event] : [];
    default:
      return [];
  }
}
