import type { Problem } from '../common/problem.js';

/** A problem as running text: what was found, what was expected, what to do. Its place is shown apart. */
export function sentences({ message, expected, mend }: Problem): string {
  return [message, expected === undefined ? undefined : `Expected: ${expected}`, mend]
    .filter((part) => part !== undefined)
    .map(ended)
    .join(' ');
}

/** With a full stop, unless it has its own end. */
function ended(text: string): string {
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}
