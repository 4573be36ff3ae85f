import './language.js';
import * as l10n from '@vscode/l10n';
import { placedSentences } from '../src/common/sentences.js';
import type { PlaygroundOptions } from '../src/engines/playground/protocol.js';
import type { PlaygroundColumn, PlaygroundSetup } from '../src/engines/playground/setup.js';
import type { FromPlayground, KeptPlayground, ToPlayground } from '../src/host/playgroundProtocol.js';
import { button, make, setShown, setText } from './dom.js';
import { reportFaults } from './faults.js';
import { createAnswerView } from './playgroundAnswer.js';
import type { AnswerView } from './playgroundAnswer.js';
import { createOptionsForm } from './playgroundForm.js';
import { keptConversation, restoredTurns } from './playgroundKept.js';
import {
  STRONGEST,
  jsonOf,
  levelText,
  markdownOf,
  promptFor,
  takeEvent,
  titleOf,
  turnOf,
  turnsWith,
} from './playgroundModel.js';
import type { ShownAnswer, Turn } from './playgroundModel.js';
import { registerToolkit } from './toolkit.js';

declare function acquireVsCodeApi(): {
  postMessage(message: FromPlayground): void;
  getState(): Partial<KeptPlayground> | undefined;
  setState(state: KeptPlayground): void;
};

/** What is typed is kept after so long. */
const KEEP_MS = 300;

const editor = acquireVsCodeApi();

function send(message: FromPlayground): void {
  editor.postMessage(message);
}

reportFaults(send);
registerToolkit();
const kept = editor.getState();
let setup: PlaygroundSetup = { base: undefined, columns: [], activity: '', chat: undefined };
let defaults: PlaygroundOptions | undefined;
let mode: Turn['mode'] = kept?.mode ?? 'prompt';
let turns: Turn[] = restoredTurns(kept?.conversation);
/** Turns before these that were not kept over a reload. */
let gone = turns.length > 0 ? (kept?.conversation?.dropped ?? 0) : 0;
let conversation = keptConversation(turns, gone);
/** The base model that the turns are of. */
let baseOfTurns = kept?.setup?.base?.key;
let running: number | undefined;
let lastRequest = 0;
let keeping: number | undefined;
const views = new Map<ShownAnswer, AnswerView>();
/** The factors of columns that steer, and those that are being typed. */
const factors = new Map<string, HTMLInputElement>();
const typed = new Set<string>();

const title = make('h1', {}, l10n.t`Playground`);
const activity = make('p', { class: 'activity', role: 'status' });
const announcement = make('p', { class: 'for-ears', role: 'status' });
const addAdapter = button(l10n.t`Add Adapter…`, 'secondary', () => send({ type: 'addAdapter' }));
const chooseBase = button(l10n.t`Choose Model…`, 'secondary', () => send({ type: 'chooseBase' }));
const system = textArea(
  l10n.t`System prompt`,
  2,
  l10n.t`What the model is told before the conversation; may stay empty`,
);
const prompt = textArea(l10n.t`Prompt`, 5, '');
const systemField = make('label', { class: 'field' }, make('span', {}, l10n.t`System prompt`), system);
const promptName = make('span', {}, l10n.t`Prompt`);
const modes = make(
  'fieldset',
  { class: 'modes' },
  make('legend', { class: 'for-ears' }, l10n.t`Way of asking`),
  ...(['prompt', 'chat'] as const).map(modeChoice),
);
const noChat = make('p', { class: 'muted' }, l10n.t`This model has no chat template: it can be prompted only.`);
const form = createOptionsForm(keep);
const run = button(l10n.t`Run`, 'primary', start);
const stop = button(
  l10n.t`Stop`,
  'primary',
  () => running !== undefined && send({ type: 'stop', request: running }),
);
const clear = button(l10n.t`Clear`, 'secondary', forget);
const copyMarkdown = button(l10n.t`Copy as Markdown`, 'secondary', () =>
  copy(markdownOf(setup.base?.model ?? '', turns), 'Markdown'),
);
const copyJson = button(l10n.t`Copy as JSON`, 'secondary', () =>
  copy(jsonOf(setup.base?.model ?? '', form.read(), turns), 'JSON'),
);
run.title = l10n.t`Run (Ctrl+Enter)`;
stop.title = l10n.t`Stop after the present token (Escape)`;
const notKept = make('p', { class: 'muted', role: 'status' });
const columns = make('div', { class: 'columns' });
const readout = make('p', { class: 'token-readout' });
const legend = make(
  'div',
  { class: 'difference-legend' },
  make('span', {}, l10n.t`A token in its column, compared with the base model after the same words:`),
  make('span', { class: 'ends' }, l10n.t`less likely`),
  make(
    'span',
    { class: 'scale' },
    ...Array.from({ length: 2 * STRONGEST + 1 }, (_, at) => legendStep(at - STRONGEST)),
  ),
  make('span', { class: 'ends' }, l10n.t`more likely`),
);
const nothing = make('p', { class: 'muted' }, l10n.t`Choose a model to talk with.`);
const ask = make(
  'section',
  { class: 'ask', 'aria-label': l10n.t`Prompt and settings` },
  modes,
  noChat,
  systemField,
  make('label', { class: 'field' }, promptName, prompt),
  form.element,
  make('div', { class: 'buttons' }, run, stop, clear, copyMarkdown, copyJson),
);
document
  .getElementById('playground')
  ?.append(
    make('div', { class: 'title-row' }, title, make('div', { class: 'buttons' }, addAdapter, chooseBase)),
    activity,
    nothing,
    ask,
    legend,
    readout,
    notKept,
    columns,
    announcement,
  );
system.value = kept?.system ?? '';
prompt.value = kept?.prompt ?? '';

function textArea(label: string, rows: number, placeholder: string): HTMLTextAreaElement {
  const area = document.createElement('textarea');
  area.rows = rows;
  area.placeholder = placeholder;
  area.setAttribute('aria-label', label);
  area.addEventListener('input', keepSoon);
  return area;
}

function modeChoice(value: Turn['mode']): HTMLElement {
  const input = document.createElement('input');
  input.type = 'radio';
  input.name = 'mode';
  input.value = value;
  input.checked = value === mode;
  input.addEventListener('change', () => {
    mode = value;
    // A text that was continued is no turn of a conversation.
    forget();
    draw();
  });
  return make('label', {}, input, value === 'prompt' ? l10n.t`Prompt` : l10n.t`Chat`);
}

function legendStep(level: number): HTMLElement {
  const kind = level === 0 ? '' : ` ${level > 0 ? 'more' : 'less'} level-${Math.abs(level)}`;
  return make('span', {
    class: `step${kind}`,
    title: levelText(level),
    role: 'img',
    'aria-label': levelText(level),
  });
}

/** What a reload of the window brings back. */
function keep(): void {
  clearTimeout(keeping);
  keeping = undefined;
  const texts = { system: system.value, prompt: prompt.value };
  editor.setState({ setup, mode, ...texts, options: form.read(), conversation });
}

/** All that is kept is written at once, which is too much to do for each letter. */
function keepSoon(): void {
  keeping ??= window.setTimeout(keep, KEEP_MS);
}

/** Other turns than before, or more of them. */
function keepTurns(): void {
  conversation = keptConversation(turns, gone);
  keep();
}

function forget(): void {
  if (running !== undefined) return;
  turns = [];
  gone = 0;
  views.clear();
  keepTurns();
  draw();
}

/** What a conversation has lost by a reload, or would lose. */
function notKeptText(): string {
  if (gone > 0)
    return l10n.t`The first turns of this conversation were more than a reload of the window keeps. The model is told of those below only.`;
  if (conversation.dropped === 0) return '';
  return l10n.t`This conversation is long: a reload of the window keeps its last turns only, ${conversation.turns.length} of ${turns.length}.`;
}

function copy(text: string, kind: string): void {
  send({ type: 'copy', text });
  setText(announcement, l10n.t`Copied as ${kind}`);
}

function start(): void {
  if (running !== undefined || setup.base === undefined || prompt.value === '') return;
  const request = ++lastRequest;
  const about = { request, mode, system: system.value, prompt: prompt.value };
  const before = mode === 'chat' ? turns : [];
  if (before.length === 0) gone = 0;
  const usable = setup.columns.filter(({ state }) => state !== 'failed' || baseFailed());
  const asked = usable.length > 0 ? usable : setup.columns;
  turns = [
    ...before,
    turnOf(
      about,
      asked.map((column) => ({ id: column.id, name: titleOf(column) })),
    ),
  ];
  running = request;
  setText(announcement, '');
  send({
    type: 'generate',
    request,
    columns: asked.map(({ id }) => ({ column: id, prompt: promptFor(id, about, before) })),
    options: form.read(),
  });
  if (mode === 'chat') prompt.value = '';
  keepTurns();
  draw();
  showNewest();
}

/** A conversation grows downwards, below the end of the window. */
function showNewest(): void {
  const [newest] = turns.at(-1)?.answers ?? [];
  if (newest && mode === 'chat') viewOf(newest).element.scrollIntoView({ block: 'nearest' });
}

/** A base that failed is opened anew with the next run. */
function baseFailed(): boolean {
  return setup.columns[0]?.state === 'failed';
}

function draw(): void {
  const open = setup.base !== undefined;
  setText(title, open ? l10n.t`Playground: ${setup.base!.label}` : l10n.t`Playground`);
  title.title = setup.base?.model ?? '';
  setText(activity, setup.activity === '' ? '' : l10n.t`${setup.activity}…`);
  setShown(nothing, !open);
  setShown(ask, open);
  if (setup.chat === false) mode = 'prompt';
  setShown(noChat, setup.chat === false);
  for (const input of modes.querySelectorAll('input')) {
    input.checked = input.value === mode;
    input.disabled = running !== undefined || (input.value === 'chat' && setup.chat === false);
  }
  setShown(systemField, mode === 'chat');
  setText(promptName, mode === 'chat' ? l10n.t`Your message` : l10n.t`Prompt`);
  prompt.setAttribute('aria-label', mode === 'chat' ? l10n.t`Your message` : l10n.t`Prompt`);
  setShown(run, running === undefined);
  setShown(stop, running !== undefined);
  const idle = running === undefined;
  for (const each of [addAdapter, chooseBase, clear]) each.toggleAttribute('disabled', !idle);
  addAdapter.toggleAttribute('disabled', !idle || !open);
  for (const each of [copyMarkdown, copyJson]) each.toggleAttribute('disabled', turns.length === 0);
  setShown(legend, setup.columns.length > 1);
  setText(notKept, notKeptText());
  setText(readout, turns.length > 0 ? l10n.t`Point at a token, or go along them with the arrow keys.` : '');
  const focused = document.activeElement;
  columns.replaceChildren(...setup.columns.map(columnElement));
  // A token that the keys point at stays pointed at.
  if (focused instanceof HTMLElement && columns.contains(focused)) focused.focus({ preventScroll: true });
}

function columnElement(column: PlaygroundColumn): HTMLElement {
  const { id, folder, state, problem, warnings, steering } = column;
  const name = titleOf(column);
  const removal = l10n.t`Remove ${name}`;
  const remove = make('button', { class: 'remove', title: removal, 'aria-label': removal }, '✕');
  remove.addEventListener('click', () => send({ type: 'removeAdapter', column: id }));
  remove.toggleAttribute('disabled', running !== undefined);
  const heading = make(
    'h2',
    { title: folder ?? setup.base?.model ?? '' },
    folder === undefined ? name : `${id} · ${name}`,
  );
  const states = { resting: l10n.t`Opens with the next run`, loading: l10n.t`Loading…`, ready: '', failed: '' };
  return make(
    'section',
    { class: 'column', 'aria-label': name },
    make('div', { class: 'column-head' }, heading, ...(folder === undefined ? [] : [remove])),
    ...(steering === undefined ? [] : [factorField(id, name, steering.alpha)]),
    ...(states[state] === '' ? [] : [make('p', { class: 'muted' }, states[state])]),
    ...(problem === undefined ? [] : [make('p', { class: 'problem', role: 'alert' }, placedSentences(problem))]),
    ...warnings.map((warning) => make('p', { class: 'muted' }, l10n.t`Warning: ${placedSentences(warning)}`)),
    ...turns.flatMap((turn) => {
      const answer = turn.answers.find((each) => each.column === id);
      const said = make('div', { class: 'said' }, turn.prompt);
      if (answer === undefined)
        return turn.mode === 'chat' ? [said, make('p', { class: 'muted' }, l10n.t`Was not there.`)] : [];
      return [...(turn.mode === 'chat' ? [said] : []), viewOf(answer).element];
    }),
  );
}

/** α of a column that steers; it holds from the next answer on. */
function factorField(id: string, name: string, alpha: number): HTMLElement {
  const input = factors.get(id) ?? factorInput(id);
  factors.set(id, input);
  if (!typed.has(id)) input.value = String(alpha);
  input.disabled = running !== undefined;
  input.setAttribute('aria-label', l10n.t`α of ${name}`);
  const tip = l10n.t`The factor on what the adapter changed in the small model, from the next answer on: 1 as it is, 0 the base model alone`;
  return make('label', { class: 'factor', title: tip }, make('span', {}, 'α'), input);
}

function factorInput(id: string): HTMLInputElement {
  const input = document.createElement('input');
  input.type = 'number';
  input.step = '0.1';
  input.addEventListener('input', () => typed.add(id));
  input.addEventListener('change', () => {
    typed.delete(id);
    const was = setup.columns.find((column) => column.id === id)?.steering?.alpha;
    const alpha = input.valueAsNumber;
    if (Number.isFinite(alpha) && alpha !== was) send({ type: 'steer', column: id, alpha });
    else input.value = String(was);
  });
  return input;
}

function viewOf(answer: ShownAnswer): AnswerView {
  const known = views.get(answer);
  if (known) return known;
  const made = createAnswerView(answer, (text) => setText(readout, text));
  views.set(answer, made);
  made.draw();
  return made;
}

function take(events: Extract<ToPlayground, { type: 'answers' }>['events']): void {
  const turn = turns.at(-1);
  if (turn === undefined) return;
  const changed = new Set<ShownAnswer>();
  const said: string[] = [];
  for (const event of events) {
    for (const answer of takeEvent(turn, event)) changed.add(answer);
    if (event.type === 'answered' || event.type === 'refused') {
      const name = turn.answers.find(({ column }) => column === event.column)?.name ?? '';
      said.push(
        event.type === 'answered' ? l10n.t`${name} has answered: ${event.answer.text}` : l10n.t`${name} failed.`,
      );
    }
    if (event.type === 'done' && event.request === running) finished(turn);
  }
  for (const answer of changed) viewOf(answer).draw();
  if (said.length > 0) setText(announcement, said.join(' '));
}

function finished(turn: Turn): void {
  running = undefined;
  keepTurns();
  draw();
  showNewest();
  const answers = turn.answers.filter(({ answer }) => answer !== undefined).length;
  requestAnimationFrame(() => send({ type: 'drawn', request: turn.request, answers }));
}

window.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    start();
  } else if (event.key === 'Escape' && running !== undefined) send({ type: 'stop', request: running });
});

window.addEventListener('message', ({ data: message }: MessageEvent<ToPlayground>) => {
  switch (message.type) {
    case 'setup':
      if (defaults === undefined) form.write({ ...message.defaults, ...kept?.options });
      defaults = message.defaults;
      // Answers of another model are not those of this one.
      if (message.setup.base?.key !== baseOfTurns) {
        turns = [];
        gone = 0;
      }
      baseOfTurns = message.setup.base?.key;
      turns = turnsWith(turns, message.setup.columns);
      setup = message.setup;
      keepTurns();
      draw();
      break;
    case 'answers':
      take(message.events);
      break;
    case 'ask':
      prompt.value = message.prompt;
      form.write(message.options);
      start();
      break;
  }
});

draw();
send({ type: 'ready' });
