import './language.js';
import * as l10n from '@vscode/l10n';
import type { RunComparison } from '../src/engines/runComparison.js';
import type { FromCompare, ToCompare } from '../src/host/compareProtocol.js';
import type { FromAnyPage } from '../src/host/pageProtocol.js';
import { comparePictures } from './comparePictures.js';
import { comparePlot } from './comparePlot.js';
import { compareTables } from './compareTables.js';
import { button, make, setShown, setText } from './dom.js';
import { reportFaults } from './faults.js';
import { makeGrid, registerToolkit } from './toolkit.js';

declare function acquireVsCodeApi(): { postMessage(message: FromCompare | FromAnyPage): void };

const editor = acquireVsCodeApi();

function send(message: FromCompare | FromAnyPage): void {
  editor.postMessage(message);
}

reportFaults(send);
registerToolkit();
const status = make('p', { class: 'muted', role: 'status' }, l10n.t`Reading the runs…`);
const failure = make('p', { class: 'problem', role: 'alert' });
const body = make('div', {});
const again = button(l10n.t`Read Again`, 'secondary', () => send({ type: 'again' }));
document
  .getElementById('compare')
  ?.append(
    make(
      'div',
      { class: 'title-row' },
      make('h1', {}, l10n.t`Compare Runs`),
      make('div', { class: 'buttons' }, again),
    ),
    status,
    failure,
    body,
  );

function draw(comparison: RunComparison): void {
  const { runs } = comparison;
  const names = make(
    'ul',
    { class: 'broken', 'aria-label': l10n.t`The runs` },
    ...runs.map(({ label, folder, problems }) =>
      make(
        'li',
        {},
        button(label, 'secondary', () => send({ type: 'openPanel', folder })),
        ...problems.map(({ message }) => make('span', { class: 'problem' }, ` ${message}`)),
      ),
    ),
  );
  const tables = compareTables(comparison).flatMap(({ title, about, empty, rows }) => {
    const heading = make('h2', {}, title);
    if (rows.length === 0) return [heading, make('p', { class: 'muted' }, empty)];
    const grid = makeGrid(
      title,
      [{ key: 'name', title: about }, ...runs.map(({ label }, at) => ({ key: `run${at}`, title: label }))],
      `2fr ${'1fr '.repeat(runs.length)}`.trim(),
    );
    grid.setRows(
      rows.map(({ name, values }) => ({
        name,
        ...Object.fromEntries(values.map((value, at) => [`run${at}`, value])),
      })),
    );
    return [heading, grid.element];
  });
  body.replaceChildren(names, ...comparePictures(runs).map(comparePlot), ...tables);
  send({ type: 'drawn', runs: runs.length });
}

window.addEventListener('message', ({ data: message }: MessageEvent<ToCompare>) => {
  setShown(status, message.type === 'reading');
  setShown(failure, message.type === 'failed');
  switch (message.type) {
    case 'reading':
      break;
    case 'comparison':
      draw(message.comparison);
      break;
    case 'failed':
      setText(failure, message.message);
      break;
  }
});
setShown(failure, false);
send({ type: 'ready' });
