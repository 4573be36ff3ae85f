import { isJsonObject } from '../common/json.js';
import type { RunEvent } from './events.js';

/** Every kind of event, as a record so that the compiler finds a forgotten one. */
const KINDS: Readonly<Record<RunEvent['type'], true>> = {
  started: true,
  coverage: true,
  data: true,
  plan: true,
  sample: true,
  step: true,
  evaluation: true,
  'rank-evaluation': true,
  generations: true,
  ranks: true,
  masks: true,
  attention: true,
  memory: true,
  checkpoint: true,
  log: true,
  progress: true,
  paused: true,
  continued: true,
  finished: true,
  failed: true,
};

/** Whether a message is an event. The worker is our own process, so its kind is enough to know its shape. */
export function isRunEvent(message: unknown): message is RunEvent {
  return isJsonObject(message) && typeof message['type'] === 'string' && Object.hasOwn(KINDS, message['type']);
}
