import * as l10n from '@vscode/l10n';
import { sortedMethods } from '../src/engines/compareMethods/comparison.js';
import type { ComparedMethod, MethodComparison, Sort } from '../src/engines/compareMethods/comparison.js';
import { METHOD_COLUMNS, columnTitles, methodCells } from '../src/engines/compareMethods/comparisonText.js';
import type { MethodColumn } from '../src/engines/compareMethods/comparisonText.js';
import { familyName } from '../src/engines/compareMethods/comparisonPicture.js';
import { make } from './dom.js';

/** What a click on a column's title sorts by. */
const SORT_OF: Readonly<Partial<Record<MethodColumn, Sort>>> = {
  method: 'name',
  trainable: 'trainable',
  loss: 'loss',
  metric: 'metric',
  memory: 'memory',
  time: 'time',
  size: 'size',
};

/** The table of compared methods, sorted by a click or key on a column's title. */
export function createMethodsTable(onOpen: (folder: string) => void): {
  readonly element: HTMLElement;
  draw(comparison: MethodComparison): void;
} {
  const caption = make('caption', { class: 'for-ears' });
  const head = make('tr', {});
  const body = make('tbody', {});
  const element = make(
    'div',
    { class: 'table-scroll methods-table', tabindex: '0', role: 'region', 'aria-label': l10n.t`Compared methods` },
    make('table', {}, caption, make('thead', {}, head), body),
  );
  let sort: Sort = 'loss';
  let reversed = false;
  let shown: MethodComparison | undefined;

  function sortBy(next: Sort): void {
    reversed = sort === next && !reversed;
    sort = next;
    if (shown === undefined) return;
    draw(shown);
    head.querySelector<HTMLElement>(`[data-sort="${next}"]`)?.focus();
  }

  function draw(comparison: MethodComparison): void {
    shown = comparison;
    const titles = columnTitles(comparison);
    caption.textContent = l10n.t`Compared methods, a row for each; titles of columns sort`;
    const focused = head.querySelector(':focus')?.getAttribute('data-sort');
    head.replaceChildren(
      ...METHOD_COLUMNS.map((column) => {
        const by = SORT_OF[column];
        if (by === undefined) return make('th', { scope: 'col' }, titles[column]);
        const button = make('button', { class: 'sort', type: 'button', 'data-sort': by }, titles[column]);
        button.addEventListener('click', () => sortBy(by));
        const order = by !== sort ? 'none' : reversed ? 'descending' : 'ascending';
        return make('th', { scope: 'col', 'aria-sort': order }, button);
      }),
    );
    if (focused != null) head.querySelector<HTMLElement>(`[data-sort="${focused}"]`)?.focus();
    body.replaceChildren(...ordered(comparison).map((each) => row(each, comparison)));
  }

  /** What has no value stays last, also where the order is turned round. */
  function ordered(comparison: MethodComparison): readonly ComparedMethod[] {
    const sorted = sortedMethods(comparison, sort);
    if (!reversed) return sorted;
    const has = ({ results, trainable }: ComparedMethod): boolean =>
      sort === 'name' || (sort === 'trainable' ? trainable !== null : results !== undefined);
    return [...sorted.filter(has).toReversed(), ...sorted.filter((each) => !has(each))];
  }

  function row(each: ComparedMethod, comparison: MethodComparison): HTMLElement {
    const cells = methodCells(each, comparison);
    return make(
      'tr',
      { 'data-state': each.state },
      ...METHOD_COLUMNS.map((column) => {
        if (column !== 'method') return make('td', {}, cells[column]);
        return make('th', { scope: 'row' }, name(each), ' ', make('span', { class: 'muted' }, about(each)));
      }),
    );
  }

  /** Opens the first of the runs that count. */
  function name({ method, runs, learning_rate: rate }: ComparedMethod): HTMLElement {
    const run = runs.find((one) => one.learning_rate === rate);
    if (run === undefined) return make('span', {}, method);
    const button = make('button', { class: 'open-run', type: 'button' }, method);
    button.addEventListener('click', () => onOpen(run.folder));
    return button;
  }

  return { element, draw };
}

/** Its family, or where it stands while it has no result. */
function about({ family, state, results }: ComparedMethod): string {
  switch (state) {
    case 'running':
      return results === undefined ? l10n.t`running` : l10n.t`running, so far`;
    case 'waiting':
      return l10n.t`waiting`;
    case 'failed':
      return l10n.t`failed`;
    case 'refused':
      return l10n.t`does not fit`;
    case 'left-out':
      return l10n.t`left out`;
    case 'done':
      return familyName(family);
  }
}
