import type { Json } from '../../common/json.js';
import { isJsonObject } from '../../common/json.js';
import type { HubEvent } from './record.js';

const TYPES: ReadonlySet<unknown> = new Set<HubEvent['type']>(['began', 'compared', 'trial', 'finished']);

/** A line of `compose --json`. The command line is our own program: an event's type is enough to know it; undefined for others. */
export function hubEvent(told: Json): HubEvent | undefined {
  return isHubEvent(told) ? told : undefined;
}

function isHubEvent(told: Json): told is Json & HubEvent {
  return isJsonObject(told) && TYPES.has(told['type']);
}
