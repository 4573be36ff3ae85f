import * as l10n from '@vscode/l10n';
import { isGoing } from '../src/engines/runState.js';
import { make, setShown, setText } from './dom.js';
import { createMemoryChart } from './memoryChart.js';
import { memoryRows } from './memoryRows.js';
import type { MemoryRow } from './memoryRows.js';
import type { View } from './view.js';

/** Measured memory over the steps, stacked by part, beside what was predicted; and both as a table. */
export function createMemoryView(): View {
  const chart = createMemoryChart();
  const body = make('tbody');
  const head = [l10n.t`Part`, l10n.t`Predicted`, l10n.t`Measured now`, l10n.t`Measured peak`].map((title) =>
    make('th', { scope: 'col' }, title),
  );
  const caption = make('caption', { class: 'for-ears' }, l10n.t`Memory by part: predicted and measured`);
  const table = make(
    'table',
    { class: 'memory-table' },
    caption,
    make('thead', {}, make('tr', {}, ...head)),
    body,
  );
  const notes = [make('p', { class: 'muted' }), make('p', { class: 'muted' })];
  let shown = '';
  return {
    element: make('div', { class: 'tab' }, chart.element, ...notes, table),
    draw({ memory, started, plan }, state) {
      chart.draw(memory, plan?.plan, isGoing(state) ? started?.totalSteps : undefined);
      const hasParts = memory.some(({ parts }) => parts.graph !== undefined);
      measuredNote(hasParts).forEach((text, at) => {
        const note = notes[at];
        if (!note) return;
        setShown(note, memory.length > 0);
        setText(note, text);
      });
      const rows = memoryRows(plan?.plan, memory);
      setShown(table, rows.length > 0);
      // A table that is drawn anew would take the focus from its formulas.
      const next = JSON.stringify(rows);
      if (next === shown) return;
      shown = next;
      const focused = [...body.children].findIndex((row) => row.contains(document.activeElement));
      body.replaceChildren(...rows.map(rowElement));
      if (focused >= 0) body.children[focused]?.querySelector<HTMLElement>('[tabindex]')?.focus();
    },
  };
}

/** What the measured numbers are. */
function measuredNote(hasParts: boolean): readonly string[] {
  return [
    l10n.t`Measured in the worker’s process between steps; the peak is that of any moment, also in the middle of a step. The runtime keeps what a pass took for the next one.`,
    hasParts
      ? l10n.t`Mapped weights and program files are pages that the system can take back under pressure; the rest it cannot.`
      : l10n.t`On this system only the sum, and parts that are known by their size, are told.`,
  ];
}

/** The formula of a prediction shows on hover and with the keyboard's focus. */
function rowElement({ part, predicted, now, peak, formula, isDetail }: MemoryRow): HTMLElement {
  const value =
    formula === ''
      ? make('td', {}, predicted)
      : make(
          'td',
          { tabindex: '0', class: 'explained', title: formula },
          predicted,
          make('span', { class: 'explanation', 'aria-hidden': 'true' }, formula),
        );
  const name = make('th', { scope: 'row' }, part);
  const row = make('tr', {}, name, value, make('td', {}, now), make('td', {}, peak));
  if (isDetail === true) row.classList.add('detail');
  return row;
}
