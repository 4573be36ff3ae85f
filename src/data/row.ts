import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../common/json.js';

/** One row as it stands in its file; `line` (from 1) is where it starts. Plain text rows are strings. */
export interface Row {
  readonly line: number;
  readonly value: JsonObject | string;
}

/** A row that could not be used, and why. */
export interface BrokenRow {
  readonly line: number;
  readonly reason: string;
}

export type ReadRow = Row | BrokenRow;

/** Whether a row could not be read; it says why. */
export function isBroken(row: object): row is BrokenRow {
  return 'reason' in row;
}

/** Names for a message, quoted; long lists and long names are cut, and say so. */
export function listNames(names: Iterable<string>, most = 20): string {
  const all = [...names].map((name) => `"${name.length > 60 ? name.slice(0, 59) + '…' : name}"`);
  if (all.length === 0) return 'none';
  return all.length > most
    ? l10n.t`${all.slice(0, most).join(', ')} and ${all.length - most} more`
    : all.join(', ');
}
