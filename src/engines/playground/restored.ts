import path from 'node:path';
import { isJsonObject } from '../../common/json.js';
import { BASE_COLUMN } from './protocol.js';
import type { Steering } from './protocol.js';
import { NO_SETUP, setupOf, withAdapter } from './setup.js';
import type { PlaygroundSetup } from './setup.js';

/** Base and columns out of what a page kept over a reload; the process starts when something is run. */
export function restored(kept: unknown): PlaygroundSetup {
  const before = isJsonObject(kept) && isJsonObject(kept['setup']) ? kept['setup'] : undefined;
  const base = before?.['base'];
  if (!isJsonObject(base)) return NO_SETUP;
  const { model, label, key, folder } = base;
  if (typeof model !== 'string' || typeof label !== 'string' || typeof key !== 'string') return NO_SETUP;
  let setup = setupOf({ model, label, key, ...(typeof folder === 'string' ? { folder } : {}) });
  const columns = before?.['columns'];
  for (const column of Array.isArray(columns) ? columns : []) {
    if (!isJsonObject(column) || column['id'] === BASE_COLUMN || typeof column['folder'] !== 'string') continue;
    const name = typeof column['name'] === 'string' ? column['name'] : path.basename(column['folder']);
    const steering = steeringOf(column['steering']);
    // A column that steers is not to come back as one that is attached to the base.
    if (column['steering'] !== undefined && steering === undefined) continue;
    // Answers that the page kept are known by their column.
    setup = withAdapter(setup, { folder: column['folder'], name, steering }, column['id']) ?? setup;
  }
  return setup;
}

function steeringOf(kept: unknown): Steering | undefined {
  if (!isJsonObject(kept)) return undefined;
  const { model, alpha } = kept;
  if (typeof model !== 'string' || typeof alpha !== 'number' || !Number.isFinite(alpha)) return undefined;
  return { model, alpha };
}
