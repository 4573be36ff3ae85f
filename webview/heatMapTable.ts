import * as l10n from '@vscode/l10n';
import { make, setText } from './dom.js';
import type { HeatMapData } from './heatMapData.js';

/** The numbers of a heat map as a table, beside the picture: filled while it is open. */
export function createHeatTable(): {
  readonly element: HTMLElement;
  draw(data: HeatMapData, caption: string): void;
} {
  const caption = make('caption', {});
  const head = make('thead', {});
  const body = make('tbody', {});
  const element = make(
    'details',
    { class: 'heat-table' },
    make('summary', {}, l10n.t`As a table`),
    make(
      'div',
      { class: 'table-scroll', tabindex: '0', role: 'region', 'aria-label': l10n.t`Numbers of the map` },
      make('table', {}, caption, head, body),
    ),
  );
  let draw: () => void = () => undefined;
  element.addEventListener('toggle', () => draw());
  return {
    element,
    draw({ columns, rows, formatShort, corner }, title) {
      draw = () => {
        if (!element.hasAttribute('open')) return;
        setText(caption, title);
        const names =
          corner === undefined
            ? [l10n.t`module`, ...columns.map((name) => l10n.t`layer ${name}`)]
            : [corner, ...columns];
        head.replaceChildren(make('tr', {}, ...names.map((name) => make('th', { scope: 'col' }, name))));
        body.replaceChildren(
          ...rows.map(({ name, cells }) =>
            make(
              'tr',
              {},
              make('th', { scope: 'row' }, name),
              ...cells.map((cell) => make('td', {}, cell?.value === undefined ? '–' : formatShort(cell.value))),
            ),
          ),
        );
      };
      draw();
    },
  };
}
