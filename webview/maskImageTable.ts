import * as l10n from '@vscode/l10n';
import { formatLoss } from '../src/common/format.js';
import type { TensorMask } from '../src/engines/tensorMask.js';
import { make, setText } from './dom.js';
import { forEachIn } from './maskImageMath.js';
import type { SparseMatrix, Window } from './maskImageMath.js';
import { maskWords } from './maskWords.js';

/** Rows of the table beside the picture: zooming in shows the others. */
const MOST_ROWS = 200;
/** Lines of a copy: about 25 MB of text. */
const MOST_LINES = 1_000_000;

/** The numbers that train in the part of a matrix that is seen; filled while it is open. */
export function createMaskTable(): {
  readonly element: HTMLElement;
  draw(mask: TensorMask, window: Window): void;
} {
  const caption = make('caption', {});
  const body = make('tbody', {});
  const head = make(
    'tr',
    {},
    ...[l10n.t`row`, l10n.t`column`, 'δ'].map((name) => make('th', { scope: 'col' }, name)),
  );
  const region = make(
    'div',
    { class: 'table-scroll', tabindex: '0', role: 'region', 'aria-label': maskWords(false).numbers },
    make('table', {}, caption, make('thead', {}, head), body),
  );
  const element = make('details', { class: 'heat-table' }, make('summary', {}, l10n.t`As a table`), region);
  let draw: () => void = () => undefined;
  element.addEventListener('toggle', () => draw());
  return {
    element,
    draw(mask, window) {
      draw = () => {
        const words = maskWords(mask.learned === true);
        region.setAttribute('aria-label', words.numbers);
        if (!element.hasAttribute('open')) return;
        const rows: HTMLElement[] = [];
        forEachIn(mask, window, (row, column, at) => {
          const value = mask.values?.[at];
          const cells = [String(row), String(column), value === undefined ? '–' : formatLoss(value)];
          rows.push(make('tr', {}, ...cells.map((text) => make('td', {}, text))));
          return rows.length < MOST_ROWS;
        });
        setText(caption, words.table(rows.length === MOST_ROWS ? MOST_ROWS : undefined));
        body.replaceChildren(...rows);
      };
      draw();
    },
  };
}

/** The numbers that train in a window as CSV; a last line says so where there are more than a copy takes. */
export function maskCsv(matrix: SparseMatrix, window: Window, most = MOST_LINES): string {
  const lines = [matrix.values ? 'row,column,delta' : 'row,column'];
  forEachIn(matrix, window, (row, column, at) => {
    if (lines.length > most) {
      lines.push(`# only the first ${most}: zoom in for the others`);
      return false;
    }
    lines.push(matrix.values ? `${row},${column},${matrix.values[at]}` : `${row},${column}`);
    return true;
  });
  return `${lines.join('\n')}\n`;
}
