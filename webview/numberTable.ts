import { make } from './dom.js';

/** A table of numbers in a box that scrolls; the first cell of a row names it. */
export function numberTable(
  caption: string,
  heads: readonly string[],
): { readonly element: HTMLElement; fill(rows: readonly (readonly string[])[]): void } {
  const body = make('tbody', {});
  const head = make('tr', {}, ...heads.map((name) => make('th', { scope: 'col' }, name)));
  const table = make('table', {}, make('caption', {}, caption), make('thead', {}, head), body);
  return {
    element: make('div', { class: 'table-scroll', tabindex: '0', role: 'region', 'aria-label': caption }, table),
    fill(rows) {
      body.replaceChildren(
        ...rows.map(([name = '', ...cells]) =>
          make('tr', {}, make('th', { scope: 'row' }, name), ...cells.map((text) => make('td', {}, text))),
        ),
      );
    },
  };
}
