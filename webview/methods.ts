import './language.js';
import * as l10n from '@vscode/l10n';
import type { MethodComparison } from '../src/engines/compareMethods/comparison.js';
import { comparisonCsv } from '../src/engines/compareMethods/comparisonCsv.js';
import { comparisonPicture, pictureFile } from '../src/engines/compareMethods/comparisonPicture.js';
import { comparisonNotes, methodRemarks } from '../src/engines/compareMethods/comparisonText.js';
import type { SvgElement } from '../src/engines/compareMethods/svgText.js';
import { runName } from '../src/config/runName.js';
import type { FromMethods, ToMethods } from '../src/host/methodsProtocol.js';
import type { FromAnyPage } from '../src/host/pageProtocol.js';
import { button, make, makeSvg, setShown, setText } from './dom.js';
import { reportFaults } from './faults.js';
import { createMethodsTable } from './methodsTable.js';
import { registerToolkit } from './toolkit.js';

declare function acquireVsCodeApi(): { postMessage(message: FromMethods | FromAnyPage): void };

const editor = acquireVsCodeApi();

function send(message: FromMethods | FromAnyPage): void {
  editor.postMessage(message);
}

reportFaults(send);
registerToolkit();
let shown: MethodComparison | undefined;

function save(ending: 'csv' | 'svg'): void {
  if (shown === undefined) return;
  const text = ending === 'csv' ? comparisonCsv(shown) : pictureFile(shown);
  send({ type: 'save', name: `${runName(shown.file)}-methods.${ending}`, text });
}

const title = make('h1', {}, l10n.t`Compare Methods`);
const status = make('p', { class: 'muted', role: 'status' }, l10n.t`Reading the comparison…`);
const failure = make('p', { class: 'problem', role: 'alert' });
const stop = button(l10n.t`Stop`, 'secondary', () => send({ type: 'stop' }));
const goOn = button(l10n.t`Go On`, 'primary', () => send({ type: 'goOn' }));
const saveCsv = button(l10n.t`Save CSV…`, 'secondary', () => save('csv'));
const saveSvg = button(l10n.t`Save SVG…`, 'secondary', () => save('svg'));
const notes = make('p', { class: 'muted' });
const table = createMethodsTable((folder) => send({ type: 'openPanel', folder }));
const remarks = make('ul', {});
const picture = make('div', {
  class: 'methods-picture-frame',
  tabindex: '0',
  role: 'region',
  'aria-label': l10n.t`Held-out loss against trainable share`,
});
const body = make('div', {}, notes, table.element, remarks, picture);
document
  .getElementById('methods')
  ?.append(
    make('div', { class: 'title-row' }, title, make('div', { class: 'buttons' }, goOn, stop, saveCsv, saveSvg)),
    status,
    failure,
    body,
  );

function draw(comparison: MethodComparison, running: boolean): void {
  shown = comparison;
  const { done, of } = comparison;
  setText(title, l10n.t`Methods compared on ${runName(comparison.file)}`);
  setText(
    status,
    running
      ? l10n.t`Running: ${done} of ${of} runs have ended.`
      : done < of
        ? l10n.t`Stopped after ${done} of ${of} runs.`
        : l10n.t`All ${of} runs have ended.`,
  );
  setShown(stop, running);
  setShown(goOn, !running && done < of);
  setText(notes, comparisonNotes(comparison).join(' '));
  table.draw(comparison);
  remarks.replaceChildren(...methodRemarks(comparison).map((text) => make('li', {}, text)));
  picture.replaceChildren(elementOf(comparisonPicture(comparison)));
  setShown(body, true);
  send({ type: 'drawn', methods: comparison.methods.length, done });
}

function elementOf({ tag, attributes, children = [] }: SvgElement): SVGElement {
  return makeSvg(tag, attributes, ...children.map((each) => (typeof each === 'string' ? each : elementOf(each))));
}

window.addEventListener('message', ({ data: message }: MessageEvent<ToMethods>) => {
  setShown(failure, message.type === 'failed');
  switch (message.type) {
    case 'comparison':
      draw(message.comparison, message.running);
      break;
    case 'failed':
      setText(failure, message.message);
      setShown(status, false);
      break;
  }
});
for (const each of [failure, stop, goOn, body]) setShown(each, false);
send({ type: 'ready' });
