import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../common/json.js';
import { nearestName } from '../common/nearest.js';
import { listNames } from './row.js';

/** The tasks that rows name, each by its place in the list. */
export interface RowTasks {
  readonly names: string[];
  /** Whether rows of further tasks add theirs; else they cannot be used. */
  readonly grows: boolean;
}

/**
 * The task of a row: what its column holds, text or a number.
 * @returns its place among `tasks`, which may grow by it, else the reason why there is none
 */
export function rowTask(
  value: JsonObject | string,
  column: string,
  tasks: RowTasks,
): number | { readonly reason: string } {
  const found = typeof value !== 'string' && Object.hasOwn(value, column) ? value[column] : undefined;
  const isNamed = (typeof found === 'string' && found !== '') || Number.isSafeInteger(found);
  if (!isNamed) return { reason: l10n.t`column "${column}" names no task` };
  const name = String(found);
  const known = tasks.names.indexOf(name);
  if (known >= 0) return known;
  if (tasks.grows) return tasks.names.push(name) - 1;
  const near = nearestName(name, tasks.names);
  const expected = listNames(tasks.names);
  return {
    reason:
      near === undefined
        ? l10n.t`no training row is of the task "${name}"; there are ${expected}`
        : l10n.t`no training row is of the task "${name}" (did you mean "${near}"?); there are ${expected}`,
  };
}
