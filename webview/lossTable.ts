import * as l10n from '@vscode/l10n';
import { formatCount, formatPercent } from '../src/common/format.js';
import type { HubRecord } from '../src/engines/composition/record.js';
import { lossRows, signed, told } from './composeModel.js';
import type { LossRow } from './composeModel.js';
import { make, setText } from './dom.js';

/** The losses of a search: of its mixture, and of what needs no search. */
export function createLossTable(): { readonly element: HTMLElement; draw(record: HubRecord): void } {
  const caption = make('caption', { class: 'for-ears' });
  const head = make('tr', {});
  const body = make('tbody', {});
  const element = make(
    'div',
    { class: 'table-scroll loss-table', tabindex: '0', role: 'region', 'aria-label': l10n.t`Losses` },
    make('table', {}, caption, make('thead', {}, head), body),
  );
  let drawn = '';
  return {
    element,
    draw(record) {
      const rows = lossRows(record);
      const next = JSON.stringify([rows, record.heldOut?.rows]);
      if (next === drawn) return;
      drawn = next;
      const { heldOut, rows: count } = record;
      setText(caption, l10n.t`Loss of the mixture beside that of the base model, the average and each adapter`);
      const titles = [
        '',
        count === undefined
          ? l10n.t`Loss`
          : count === 1
            ? l10n.t`Loss on 1 row`
            : l10n.t`Loss on ${formatCount(count)} rows`,
        l10n.t`To the base`,
        ...(heldOut === undefined
          ? []
          : [l10n.t`Loss on ${formatCount(heldOut.rows)} held-out rows`, l10n.t`Tokens right`]),
      ];
      head.replaceChildren(
        ...titles.map((title) => (title === '' ? make('td', {}) : make('th', { scope: 'col' }, title))),
      );
      const base = record.trials[0]?.loss ?? undefined;
      body.replaceChildren(...rows.map((row) => rowOf(row, base, heldOut !== undefined)));
    },
  };
}

function rowOf(
  { kind, name, loss, heldOut, least }: LossRow,
  base: number | undefined,
  hasMore: boolean,
): HTMLElement {
  const change = kind === 'base' || base === undefined || loss == null ? '' : signed(loss - base);
  return make(
    'tr',
    { 'data-kind': kind, ...(least ? { class: 'least' } : {}) },
    make('th', { scope: 'row' }, name),
    make('td', {}, ...(least ? [make('span', { class: 'state' }, l10n.t`least`), ' '] : []), told(loss)),
    make('td', {}, change),
    ...(hasMore
      ? [
          make('td', {}, heldOut === undefined ? '' : told(heldOut.loss)),
          make('td', {}, heldOut === undefined ? '' : formatPercent(heldOut.tokenAccuracy)),
        ]
      : []),
  );
}
