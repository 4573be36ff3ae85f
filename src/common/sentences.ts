import * as l10n from '@vscode/l10n';
import type { Problem } from './problem.js';

/** A problem as running text: what was found, what was expected, what to do. Its place is shown apart. */
export function sentences({ message, expected, mend }: Problem): string {
  return [message, expected === undefined ? undefined : l10n.t`Expected: ${expected}`, mend]
    .filter((part) => part !== undefined)
    .map(ended)
    .join(' ')
    .replace(/(?<=[。！？]) /g, '');
}

/** With a full stop, unless it has its own end. */
export function ended(text: string): string {
  return /[.!?…。！？]$/.test(text) ? text : l10n.t`${text}.`;
}

/** {@link sentences} after their place, `file:line`, for where nothing else shows it. */
export function placedSentences(problem: Problem): string {
  const { file, line } = problem.where ?? {};
  const place = [file, line].filter((part) => part !== undefined).join(':');
  return place === '' ? sentences(problem) : `${place}: ${sentences(problem)}`;
}
