import { isJsonObject } from '../common/json.js';
import type { Json } from '../common/json.js';
import type { ConfigPath } from './tree.js';

/** What to write into a run file: a path of keys and indices, and the value there. */
export interface ConfigChange {
  readonly path: ConfigPath;
  readonly value: Json;
}

/**
 * A copy of `holder` with the value at a path; mappings that are missing on the way are made. Undefined where the path
 * leads through something else. A single method counts as a list of one, as in `placeAt`.
 */
export function setIn(holder: Json, path: ConfigPath, value: Json): Json | undefined {
  const [step, ...rest] = path;
  if (step === undefined) return value;
  if (typeof step === 'number') {
    if (!Array.isArray(holder)) return step === 0 ? setIn(holder, rest, value) : undefined;
    const item = step < holder.length ? setIn(holder[step]!, rest, value) : undefined;
    return item === undefined ? undefined : holder.with(step, item);
  }
  if (holder !== null && !isJsonObject(holder)) return undefined;
  const below = setIn(holder?.[step] ?? null, rest, value);
  return below === undefined ? undefined : { ...holder, [step]: below };
}
