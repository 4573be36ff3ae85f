import * as l10n from '@vscode/l10n';
import { formatCount } from '../src/common/format.js';
import type { XAxis } from './curveColumns.js';
import type { Curve, Picture } from './curvePictures.js';
import { tableRows } from './curveText.js';
import { AXIS_TITLES, placeText } from './curveTicks.js';
import type { Span } from './decimate.js';
import { button, make, setDisabled, setText } from './dom.js';

/** The numbers of a picture, page by page. */
export interface CurveTable {
  readonly element: HTMLElement;
  draw(picture: Picture, curves: readonly Curve[], axis: XAxis, span: Span): void;
}

/** Rows of a page: more make a page slow to read out and to lay out. */
const PAGE = 100;

/** Makes the table; it begins at its last page, for that is where a run is. */
export function createCurveTable(): CurveTable {
  const caption = make('caption', {});
  const head = make('thead', {});
  const body = make('tbody', {});
  const position = make('span', { class: 'position', role: 'status' });
  let fromEnd = 0;
  let redraw: () => void = () => undefined;
  const turn = (by: number): void => {
    fromEnd += by;
    redraw();
  };
  const turns = {
    first: button(l10n.t`First`, 'secondary', () => turn(Infinity)),
    earlier: button(l10n.t`Earlier`, 'secondary', () => turn(1)),
    later: button(l10n.t`Later`, 'secondary', () => turn(-1)),
    last: button(l10n.t`Last`, 'secondary', () => turn(-Infinity)),
  };
  const element = make(
    'div',
    { class: 'curve-table' },
    make('div', { class: 'buttons' }, ...Object.values(turns), position),
    make(
      'div',
      { class: 'table-scroll', tabindex: '0', role: 'region', 'aria-label': l10n.t`Values of the curves` },
      make('table', {}, caption, head, body),
    ),
  );
  return {
    element,
    draw(picture, curves, axis, span) {
      redraw = () => {
        const rows = tableRows(curves, span);
        const pages = Math.max(1, Math.ceil(rows.length / PAGE));
        fromEnd = Math.max(0, Math.min(pages - 1, fromEnd));
        for (const each of [turns.first, turns.earlier]) setDisabled(each, fromEnd === pages - 1);
        for (const each of [turns.later, turns.last]) setDisabled(each, fromEnd === 0);
        const end = rows.length - fromEnd * PAGE;
        const page = rows.slice(Math.max(0, end - PAGE), end);
        const numbered = (row: number): string => formatCount(row);
        setText(
          position,
          rows.length === 0
            ? l10n.t`No rows`
            : l10n.t`Rows ${numbered(Math.max(1, end - PAGE + 1))} to ${numbered(end)} of ${numbered(rows.length)}`,
        );
        setText(caption, l10n.t`${picture.title}: ${picture.about}`);
        const names = [AXIS_TITLES[axis]()];
        head.replaceChildren(
          make(
            'tr',
            {},
            ...[...names, ...curves.map(({ name }) => name)].map((name) => make('th', { scope: 'col' }, name)),
          ),
        );
        body.replaceChildren(
          ...page.map(({ x, values }) =>
            make(
              'tr',
              {},
              make('th', { scope: 'row' }, axis === 'step' ? formatCount(x) : placeText(axis, x)),
              ...values.map((value) =>
                make('td', {}, value === undefined || Number.isNaN(value) ? '–' : picture.format(value)),
              ),
            ),
          ),
        );
      };
      redraw();
    },
  };
}
