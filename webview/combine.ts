import './language.js';
import * as l10n from '@vscode/l10n';
import { becomesLora, formFault } from '../src/engines/combination/form.js';
import type { CombinationForm } from '../src/engines/combination/form.js';
import type { FromCombine, KeptCombination, PreviewState, ToCombine } from '../src/host/combineProtocol.js';
import type { FromAnyPage } from '../src/host/pageProtocol.js';
import { createLayerWeights } from './combineLayers.js';
import { createCombineOptions } from './combineOptions.js';
import { createParts } from './combineParts.js';
import { createPreviewView, summaryOf } from './combinePreview.js';
import { faultWords } from './combineWords.js';
import { button, make, setDisabled, setShown, setText } from './dom.js';
import { reportFaults } from './faults.js';
import { registerToolkit } from './toolkit.js';

declare function acquireVsCodeApi(): {
  postMessage(message: FromCombine | FromAnyPage): void;
  getState(): Partial<KeptCombination> | undefined;
  setState(state: KeptCombination): void;
};

const editor = acquireVsCodeApi();

function send(message: FromCombine | FromAnyPage): void {
  editor.postMessage(message);
}

reportFaults(send);
registerToolkit();
let told: ToCombine | undefined;
/** As it stands in the fields: what the editor has told, and what was changed since. */
let form: CombinationForm | undefined;
/** The number of the last change. */
let changes = 0;
let quantity = editor.getState()?.quantity ?? '';
let drawn = 0;

const base = make('p', { class: 'subject' });
const chooseBase = button(l10n.t`Choose…`, 'secondary', () => send({ type: 'chooseBase' }));
chooseBase.setAttribute('aria-label', l10n.t`Choose… the base model`);
const addAdapter = button(l10n.t`Add Adapter…`, 'secondary', () => send({ type: 'addAdapter' }));
const write = button(l10n.t`Write Adapter…`, 'primary', () => send({ type: 'write' }));
const parts = createParts((next) => change({ parts: next }));
const layers = createLayerWeights((next) => change({ layers: next }));
const options = createCombineOptions(change);
const simple = make(
  'p',
  { class: 'muted' },
  l10n.t`These adapters keep differences of single numbers of the base model: they are added as they are.`,
);
const status = make('p', { class: 'summary', role: 'status' });
const barFill = make('div', { class: 'bar-fill' });
const bar = make('div', { class: 'bar', 'aria-hidden': 'true' }, barFill);
const failure = make('p', { class: 'problem', role: 'alert' });
const again = button(l10n.t`Try Again`, 'secondary', () => send({ type: 'again' }));
const trouble = make('div', { class: 'trouble' }, failure, again);
const preview = createPreviewView(quantity, (chosen) => {
  quantity = chosen;
  keep();
});
const command = make('pre', { tabindex: '0', class: 'command' });
const copy = button(l10n.t`Copy`, 'secondary', () => send({ type: 'copy', text: command.textContent ?? '' }));
const commandLine = make(
  'section',
  { class: 'command-line', 'aria-label': l10n.t`On the command line` },
  make('div', { class: 'title-row' }, make('h2', {}, l10n.t`On the command line`), copy),
  command,
);
const results = make(
  'section',
  { class: 'results', 'aria-label': l10n.t`Preview` },
  make('h2', {}, l10n.t`Preview`),
  preview.element,
);
document
  .getElementById('combine')
  ?.append(
    make(
      'div',
      { class: 'combine-head' },
      make(
        'div',
        { class: 'title-row' },
        make('h1', {}, l10n.t`Combine Adapters`),
        make('div', { class: 'buttons' }, addAdapter, write),
      ),
      status,
      trouble,
      bar,
    ),
    make(
      'div',
      { class: 'combine-body' },
      make(
        'div',
        { class: 'combine-form' },
        make(
          'section',
          { 'aria-label': l10n.t`Adapters` },
          make('h2', {}, l10n.t`Adapters`),
          make('div', { class: 'base' }, base, chooseBase),
          parts.element,
          layers.element,
          simple,
        ),
        options.element,
      ),
      make('div', {}, results, commandLine),
    ),
  );

function change(changed: Partial<CombinationForm>): void {
  if (form === undefined) return;
  form = { ...form, ...changed };
  changes += 1;
  keep();
  drawForm();
  send({ type: 'change', number: changes, form });
}

function keep(): void {
  if (form !== undefined) editor.setState({ form, quantity });
}

function drawForm(): void {
  if (told === undefined || form === undefined) return;
  const { adapters, kind, writing } = told;
  parts.draw(form.parts, adapters);
  layers.draw(form.layers, form.parts, nameOf);
  options.draw(form, kind);
  setShown(simple, !becomesLora(kind));
  const fault = formFault(form, kind);
  // What cannot be computed would fail in the same way once a folder is chosen.
  setDisabled(write, fault !== undefined || writing || told.state.kind === 'failed');
}

/** An adapter's name; its folder where nothing is known of it yet. */
function nameOf(folder: string): string {
  return told?.adapters.find((each) => each.folder === folder)?.name ?? folder;
}

function drawState(): void {
  if (told === undefined || form === undefined) return;
  const { kind, state, preview: found } = told;
  const fault = formFault(form, kind);
  setText(status, fault === undefined ? stateText(state) : faultWords(fault, nameOf));
  const failed = fault === undefined && state.kind === 'failed' ? state.message : undefined;
  setShown(status, failed === undefined);
  setText(failure, failed === undefined ? '' : l10n.t`It could not be computed: ${failed}`);
  setShown(trouble, failed !== undefined);
  const { done, total } = state.kind === 'computing' ? state : { done: 0, total: 0 };
  bar.classList.toggle('bar-idle', state.kind !== 'computing');
  barFill.style.width = `${total > 0 ? (100 * done) / total : 0}%`;
  setShown(results, found !== undefined);
  results.classList.toggle('stale', fault !== undefined || state.kind !== 'settled');
  results.setAttribute('aria-busy', String(state.kind === 'computing'));
}

function stateText(state: PreviewState): string {
  switch (state.kind) {
    case 'failed':
      return '';
    case 'settled':
      return told?.preview === undefined ? '' : summaryOf(told.preview.found);
    case 'computing':
      return state.total > 0
        ? l10n.t`${state.activity}: ${state.done} of ${state.total}`
        : state.activity === ''
          ? l10n.t`Computing…`
          : state.activity;
    case 'untrusted':
      return l10n.t`Trust this workspace to see what would come out.`;
  }
}

window.addEventListener('message', ({ data: message }: MessageEvent<ToCombine>) => {
  const isFirst = told === undefined;
  told = message;
  if (isFirst) changes = message.seen;
  // What was changed since is on its way to the editor.
  if (message.seen === changes) form = message.form;
  setText(base, message.base === '' ? l10n.t`Base model not named` : l10n.t`Base model ${message.base}`);
  setShown(commandLine, message.command !== undefined);
  setText(command, message.command ?? '');
  drawForm();
  drawState();
  keep();
  if (message.preview === undefined || message.preview.number === drawn) return;
  drawn = message.preview.number;
  const { found } = message.preview;
  preview.draw(
    found,
    found.from.map(({ folder }) => nameOf(folder)),
  );
  send({ type: 'drawn', number: drawn, modules: found.modules.length });
});
setShown(trouble, false);
setShown(results, false);
setShown(commandLine, false);
send({ type: 'ready' });
