import * as l10n from '@vscode/l10n';
import { formatCount } from '../src/common/format.js';
import type { LengthCounts } from '../src/engines/dataPreview.js';
import { make, makeSvg } from './dom.js';

const WIDTH = 600;
const HEIGHT = 80;

/** How many rows have how many tokens, as bars. */
export function createHistogram(): { readonly element: HTMLElement; draw(lengths: LengthCounts): void } {
  const box = make('div', { class: 'histogram' });
  return {
    element: box,
    draw({ bins, shortest, longest, median }) {
      const most = Math.max(1, ...bins.map(({ rows }) => rows));
      const width = WIDTH / Math.max(1, bins.length);
      const bars = bins.map(({ from, to, rows }, at) => {
        const height = (rows / most) * HEIGHT;
        const bar = makeSvg(
          'rect',
          { class: 'length-bar', x: at * width + 1, y: HEIGHT - height, width: width - 2, height },
          makeSvg(
            'title',
            {},
            from === to
              ? l10n.t`${from} tokens: ${formatCount(rows)} rows`
              : l10n.t`${from} to ${to} tokens: ${formatCount(rows)} rows`,
          ),
        );
        return bar;
      });
      const label = l10n.t`Lengths of the rows: from ${shortest} to ${longest} tokens, median ${median}`;
      box.replaceChildren(
        make('h2', {}, l10n.t`Tokens in a row`),
        makeSvg(
          'svg',
          {
            role: 'img',
            'aria-label': label,
            viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
            preserveAspectRatio: 'none',
            class: 'length-bars',
          },
          ...bars,
        ),
        make(
          'p',
          { class: 'length-ends' },
          make('span', {}, formatCount(shortest)),
          make('span', {}, formatCount(longest)),
        ),
      );
    },
  };
}
