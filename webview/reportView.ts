import * as l10n from '@vscode/l10n';
import { fileName } from '../src/common/fileName.js';
import { formatCount } from '../src/common/format.js';
import type { Place } from '../src/common/problem.js';
import type { DataReport } from '../src/data/example.js';
import { button, make, tile } from './dom.js';

/** What became of a split's rows, as a heading and tiles. */
export function reportParts(split: 'train' | 'validation', report: DataReport): HTMLElement[] {
  return [
    make(
      'h2',
      {},
      split === 'train' ? l10n.t`Training rows (${report.format})` : l10n.t`Validation rows (${report.format})`,
    ),
    make(
      'dl',
      { class: 'tiles' },
      tile(l10n.t`Rows used`, l10n.t`${formatCount(report.kept)} of ${formatCount(report.rows)}`),
      tile(l10n.t`Broken`, formatCount(report.brokenCount)),
      tile(l10n.t`Truncated`, formatCount(report.truncated)),
      tile(l10n.t`Dropped, no label`, formatCount(report.unsupervised)),
      tile(l10n.t`Tokens`, formatCount(report.tokens)),
      report.classes === undefined
        ? tile(l10n.t`Supervised`, formatCount(report.supervisedTokens))
        : tile(
            l10n.t`Rows by class`,
            report.classes.map(({ name, rows }) => `${name} ${formatCount(rows)}`).join(', '),
          ),
    ),
  ];
}

/** Rows that are not used, each with a button to its place, and how many there are beside those listed. */
export function brokenItems(
  rows: readonly { readonly file: string; readonly line: number; readonly reason: string }[],
  count: number,
  open: (place: Place) => void,
): HTMLElement[] {
  const items = rows.map(({ file, line, reason }) => {
    const go = button(`${fileName(file)}:${line}`, 'secondary', () => open({ file, line }));
    return make('li', {}, go, ' ', l10n.t`skipped: ${reason}`);
  });
  const more = count - rows.length;
  return more > 0 ? [...items, make('li', {}, l10n.t`and ${formatCount(more)} more`)] : items;
}

/** What the colours of a sample mean. */
export function maskLegend(): HTMLElement {
  return make(
    'p',
    { class: 'mask-legend' },
    make('span', { class: 'supervised' }, l10n.t`supervised: counts in the loss`),
    ' ',
    make('span', { class: 'masked' }, l10n.t`the rest is only read`),
  );
}
