import * as l10n from '@vscode/l10n';
import type { Problem } from '../src/common/problem.js';

/** A problem as running text, its file first. */
export function problemText({ where, message, expected, mend }: Problem): string {
  const place = where === undefined ? '' : `${where.file}: `;
  const parts = [place + message, expected === undefined ? undefined : l10n.t`Expected: ${expected}`, mend];
  return parts
    .filter((part) => part !== undefined)
    .map((part) => (/[.!?…。！？]$/.test(part) ? part : l10n.t`${part}.`))
    .join(' ');
}
