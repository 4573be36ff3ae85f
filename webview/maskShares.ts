import * as l10n from '@vscode/l10n';
import { formatCount, formatPercent } from '../src/common/format.js';
import { make } from './dom.js';
import { numberTable } from './numberTable.js';
import { sharesOf } from './shareCounts.js';
import type { Share } from './shareCounts.js';
import type { SiteFrame, SiteHistory } from './siteHistory.js';

/** The shares as tables, filled while they are open. */
export function createMaskShares(): {
  readonly element: HTMLElement;
  draw(history: SiteHistory, frame: SiteFrame): void;
} {
  const heads = (name: string): string[] => [name, l10n.t`numbers`, l10n.t`of`, l10n.t`share`];
  const layers = numberTable(l10n.t`Share by layer`, heads(l10n.t`layer`));
  const kinds = numberTable(l10n.t`Share by kind of module`, heads(l10n.t`kind`));
  const element = make(
    'details',
    { class: 'heat-table' },
    make('summary', {}, l10n.t`Shares by layer and kind of module`),
    layers.element,
    kinds.element,
  );
  let draw: () => void = () => undefined;
  element.addEventListener('toggle', () => draw());
  return {
    element,
    draw(history, frame) {
      draw = () => {
        if (!element.hasAttribute('open')) return;
        const shares = sharesOf(history, frame);
        const row = ({ name, kept, size }: Share): string[] => [
          layerText(name),
          formatCount(kept),
          formatCount(size),
          formatPercent(kept / size),
        ];
        layers.fill(shares.layers.map(row));
        kinds.fill(shares.kinds.map(row));
      };
      draw();
    },
  };
}

/** What belongs to no layer has no name. */
export function layerText(name: string): string {
  return name === '' ? l10n.t`beside the layers` : name;
}
