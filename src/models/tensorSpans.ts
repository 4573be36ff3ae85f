import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';

/** Where a tensor's bytes lie in its file. */
export interface Span {
  readonly name: string;
  /** Bytes from the file's start. */
  readonly offset: number;
  /** In bytes. */
  readonly length: number;
}

/**
 * Checks that spans lie within [start, end) and do not overlap; with `gaps: 'refuse'` also that they leave no
 * byte uncovered. Errors: `<code>.span`, `<code>.overlap`, `<code>.hole`.
 */
export function checkSpans(
  spans: readonly Span[],
  area: { file: string; start: number; end: number; code: string; gaps: 'refuse' | 'accept' },
): void {
  const { file, start, end, code, gaps } = area;
  const where = { file };
  const mend = l10n.t`The file is damaged or cut short: download or export it again.`;
  const sorted = [...spans].sort((a, b) => a.offset - b.offset || a.length - b.length);
  let covered = start;
  let last = '';
  for (const { name, offset, length } of sorted) {
    if (offset < start || offset + length > end) {
      fail({
        code: `${code}.span`,
        message: l10n.t`tensor ${name} lies at bytes ${offset} to ${offset + length}`,
        where,
        expected: l10n.t`within the data, bytes ${start} to ${end}`,
        mend,
      });
    }
    if (offset < covered) {
      fail({ code: `${code}.overlap`, message: l10n.t`tensors ${last} and ${name} overlap`, where, mend });
    }
    if (gaps === 'refuse' && offset > covered) holeAt(covered, offset);
    covered = offset + length;
    last = name;
  }
  if (gaps === 'refuse' && covered < end) holeAt(covered, end);

  function holeAt(from: number, to: number): never {
    fail({ code: `${code}.hole`, message: l10n.t`bytes ${from} to ${to} belong to no tensor`, where, mend });
  }
}

/** Number of values of a shape; undefined when it is beyond what a double counts exactly. */
export function elementCount(shape: readonly number[]): number | undefined {
  let count = 1;
  for (const size of shape) count *= size;
  return Number.isSafeInteger(count) ? count : undefined;
}
