import * as l10n from '@vscode/l10n';
import { formatCount, formatPercent } from '../src/common/format.js';
import { make, setShown, tile } from './dom.js';
import { createSiteMap } from './heatMapView.js';
import type { MapQuantity } from './heatMapView.js';
import type { Ask } from './requests.js';
import type { SiteHistory } from './siteHistory.js';
import type { View } from './view.js';

const quantities = (): readonly MapQuantity[] => [
  {
    key: 'share',
    title: l10n.t`Share`,
    about: l10n.t`How much of each adapter's result is taken, in the mean over the tokens of held-out rows; in the cells in per cent. Rows of the map: place and adapter, and behind the arrow the task of the rows.`,
    format: formatPercent,
    formatShort: (share) => `${Number((100 * share).toPrecision(2))}`,
  },
];

/** What a fusion of adapters takes from each of them, layer by layer, over time. */
export function createAttentionView(ask: Ask): View {
  const waiting = make('p', { class: 'muted' }, l10n.t`Shares are told at evaluations, once the fusion trains.`);
  const summary = make('dl', { class: 'tiles' });
  const map = createSiteMap(
    {
      label: l10n.t`Fusion: adapters by layers`,
      quantities: quantities(),
      fileName: 'fusion',
      onChange: () => drawTiles(),
    },
    ask,
  );
  const body = make('div', {}, summary, map.element);

  function drawTiles(): void {
    const frame = map.frame();
    if (frame) summary.replaceChildren(tile(l10n.t`After step`, formatCount(frame.step)));
  }

  return {
    element: make('div', { class: 'tab' }, waiting, body),
    draw({ attention }: { readonly attention: SiteHistory }) {
      const none = attention.paths.length === 0;
      setShown(waiting, none);
      setShown(body, !none);
      if (none) return;
      map.draw(attention);
      drawTiles();
    },
  };
}
