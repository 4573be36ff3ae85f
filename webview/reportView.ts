import { fileName } from '../src/common/fileName.js';
import { formatCount } from '../src/common/format.js';
import type { Place } from '../src/common/problem.js';
import type { DataReport } from '../src/data/example.js';
import { button, make, tile } from './dom.js';

/** What became of a split's rows, as a heading and tiles. */
export function reportParts(split: 'train' | 'validation', report: DataReport): HTMLElement[] {
  return [
    make('h2', {}, `${split === 'train' ? 'Training' : 'Validation'} rows (${report.format})`),
    make(
      'dl',
      { class: 'tiles' },
      tile('Rows used', `${formatCount(report.kept)} of ${formatCount(report.rows)}`),
      tile('Broken', formatCount(report.brokenCount)),
      tile('Truncated', formatCount(report.truncated)),
      tile('Dropped, no label', formatCount(report.unsupervised)),
      tile('Tokens', formatCount(report.tokens)),
      tile('Supervised', formatCount(report.supervisedTokens)),
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
    return make('li', {}, go, ` skipped: ${reason}`);
  });
  const more = count - rows.length;
  return more > 0 ? [...items, make('li', {}, `and ${formatCount(more)} more`)] : items;
}

/** What the colours of a sample mean. */
export function maskLegend(): HTMLElement {
  return make(
    'p',
    { class: 'mask-legend' },
    make('span', { class: 'supervised' }, 'supervised'),
    ' counts in the loss; ',
    make('span', { class: 'masked' }, 'the rest'),
    ' is only read.',
  );
}
