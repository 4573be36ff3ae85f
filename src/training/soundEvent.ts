import { isJsonObject } from '../common/json.js';
import type { RunEvent } from './events.js';
import { isRunEvent } from './isRunEvent.js';

/** What whoever reads events relies on. Numbers are not among it: one that is missing is shown as such. */
interface Needs {
  readonly texts?: readonly string[];
  readonly objects?: Readonly<Record<string, Needs>>;
  readonly lists?: Readonly<Record<string, Needs | 'any'>>;
}

const PROBLEM: Needs = { texts: ['code', 'message'] };

const NEEDS: Readonly<Record<RunEvent['type'], Needs>> = {
  started: { texts: ['config'] },
  coverage: {
    lists: {
      targets: { texts: ['entry'] },
      modules: { texts: ['path'], lists: { shape: 'any' } },
      warnings: PROBLEM,
    },
  },
  data: { texts: ['split'], objects: { report: { lists: { broken: {} } } } },
  plan: {
    objects: {
      plan: { lists: { parts: { texts: ['name', 'formula'] }, moments: {}, assumptions: 'any' } },
      batch: {},
    },
  },
  sample: { texts: ['split'], lists: { spans: { texts: ['text'] } } },
  step: {},
  evaluation: {},
  'rank-evaluation': { lists: { ranks: {} } },
  generations: { lists: { rows: { texts: ['prompt', 'answer', 'reference'] } } },
  ranks: { lists: { sites: { texts: ['path'] } } },
  masks: { lists: { sites: { texts: ['path'] } } },
  attention: { lists: { sites: { texts: ['path', 'adapter', 'task'] } } },
  memory: { objects: { parts: {} } },
  checkpoint: {},
  log: { texts: ['level', 'message'] },
  progress: { texts: ['activity'] },
  paused: {},
  continued: {},
  finished: { texts: ['reason', 'adapter'], objects: { metrics: {} } },
  failed: { objects: { problem: PROBLEM } },
};

const SHARED: Needs = { texts: ['name'], lists: { paths: 'any' } };

/**
 * An event out of a file or a message, made sound in place: numbers that JSON wrote as null, since they are not finite,
 * are NaN again. Undefined for what is no event, or lacks a part that cannot be done without.
 */
export function soundEvent(message: unknown): RunEvent | undefined {
  if (!isRunEvent(message) || !has(message, NEEDS[message.type])) return undefined;
  mendNumbers(message);
  switch (message.type) {
    case 'step':
      if (message.terms !== undefined && !isJsonObject(message.terms)) return undefined;
      mendNumbers(message.terms ?? {});
      break;
    case 'coverage':
      if (message.shared !== undefined && !isListOf(message.shared, SHARED)) return undefined;
      break;
    case 'rank-evaluation':
      for (const each of message.ranks) mendNumbers(each);
      break;
    case 'masks':
      if (!message.sites.every(({ shape }) => shape === undefined || isShape(shape))) return undefined;
      break;
    case 'failed':
      if (message.others !== undefined && !isListOf(message.others, PROBLEM)) return undefined;
      break;
  }
  return message;
}

/** The event in a line of a record; undefined for what is none, as half a line that a kill left. */
export function eventOfLine(line: string): RunEvent | undefined {
  try {
    return soundEvent(JSON.parse(line));
  } catch {
    return undefined;
  }
}

function has(value: unknown, { texts = [], objects = {}, lists = {} }: Needs): boolean {
  if (!isJsonObject(value)) return false;
  return (
    texts.every((name) => typeof value[name] === 'string') &&
    Object.entries(objects).every(([name, needs]) => has(value[name], needs)) &&
    Object.entries(lists).every(([name, needs]) => isListOf(value[name], needs))
  );
}

function isListOf(value: unknown, needs: Needs | 'any'): boolean {
  return Array.isArray(value) && (needs === 'any' || value.every((each) => has(each, needs)));
}

function mendNumbers(record: object): void {
  for (const [name, value] of Object.entries(record)) if (value === null) Object.assign(record, { [name]: NaN });
}

function isShape(shape: unknown): boolean {
  return Array.isArray(shape) && shape.every((length) => Number.isSafeInteger(length) && Number(length) >= 0);
}
