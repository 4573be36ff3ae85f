import { fileName } from '../src/common/fileName.js';
import { formatCount, formatPercent } from '../src/common/format.js';
import type { DataPreview, PreviewSample, SplitPreview } from '../src/engines/dataPreview.js';
import type { FromAnyPage } from '../src/host/pageProtocol.js';
import type { FromPreview, ToPreview } from '../src/host/previewProtocol.js';
import { button, make, setShown, setText, tile } from './dom.js';
import { reportFaults } from './faults.js';
import { createHistogram } from './histogram.js';
import { samplesListed, splitShown, within } from './previewModel.js';
import type { Chosen } from './previewModel.js';
import { brokenItems, maskLegend, reportParts } from './reportView.js';
import { createSampleView } from './sampleView.js';
import { makeCheckbox, makeDropdown, registerToolkit } from './toolkit.js';

declare function acquireVsCodeApi(): {
  postMessage(message: FromPreview | FromAnyPage): void;
  getState(): Partial<Chosen> | undefined;
  setState(state: Chosen): void;
};

const editor = acquireVsCodeApi();
const chosen: Chosen = { split: 'train', onlyTruncated: false, at: 0, ...editor.getState() };
let preview: DataPreview | undefined;

function send(message: FromPreview | FromAnyPage): void {
  editor.postMessage(message);
}

reportFaults(send);
registerToolkit();
const title = make('h1', {}, 'Data');
const subject = make('p', { class: 'subject' });
const status = make('p', { class: 'muted', role: 'status' }, 'Reading the data…');
const failure = make('p', { class: 'problem', role: 'alert' });
const warnings = make('ul', { class: 'broken', 'aria-label': 'Warnings' });
const counts = make('div', {});
const unused = make('ul', { class: 'broken', 'aria-label': 'Rows that are not used' });
const histogram = createHistogram();
const splits = makeDropdown('Rows', (value) => choose({ split: value === 'validation' ? value : 'train', at: 0 }));
const filter = makeCheckbox('Only truncated', (onlyTruncated) => choose({ onlyTruncated, at: 0 }));
const previous = button('Previous', 'secondary', () => step(-1));
const next = button('Next', 'secondary', () => step(1));
previous.title = 'Previous sample (P)';
next.title = 'Next sample (N)';
filter.element.title = 'Only samples that were cut to max_length (T)';
const position = make('span', { class: 'position', role: 'status' });
const openRow = button('Open row', 'secondary', () => {
  const sample = sampleShown();
  if (sample) send({ type: 'openPlace', place: { file: sample.file, line: sample.line } });
});
const sampleView = createSampleView();
const nothing = make('p', { class: 'muted' });
const body = make(
  'div',
  {},
  counts,
  unused,
  histogram.element,
  make('h2', {}, 'Samples'),
  make('div', { class: 'choices' }, splits.element, filter.element, previous, next, position, openRow),
  maskLegend(),
  sampleView.element,
  nothing,
);
const again = button('Read Again', 'secondary', () => send({ type: 'again' }));
document
  .getElementById('preview')
  ?.append(
    make('div', { class: 'title-row' }, title, make('div', { class: 'buttons' }, again)),
    subject,
    status,
    failure,
    warnings,
    body,
  );

/** Another run file is read: its data may not come, and these are not its. */
function forget(): void {
  preview = undefined;
  setText(title, 'Data');
  setText(subject, '');
  warnings.replaceChildren();
  choose({ split: 'train', onlyTruncated: false, at: 0 });
}

function choose(change: Partial<Chosen>): void {
  Object.assign(chosen, change);
  editor.setState(chosen);
  draw();
}

function listed(): readonly PreviewSample[] {
  const split = preview && splitShown(preview, chosen);
  return split ? samplesListed(split, chosen) : [];
}

function sampleShown(): PreviewSample | undefined {
  const samples = listed();
  return samples[within(chosen.at, samples.length)];
}

function step(by: number): void {
  const count = listed().length;
  if (count > 0) choose({ at: within(within(chosen.at, count) + by, count) });
}

function draw(): void {
  const split = preview && splitShown(preview, chosen);
  setShown(body, split !== undefined);
  if (!preview || !split) return;
  setText(title, `Data: ${fileName(preview.file)}`);
  const packed = preview.packing ? ', packed' : '';
  setText(subject, `${preview.model} · at most ${formatCount(preview.maxLength)} tokens in a row${packed}`);
  splits.setOptions(
    preview.splits.map((each) => ({
      key: each.split,
      title: each.split === 'train' ? 'Training' : 'Validation',
    })),
    split.split,
  );
  filter.tick(chosen.onlyTruncated);
  drawSample(split);
}

/** What does not depend on the sample. */
function drawSplit(): void {
  const split = preview && splitShown(preview, chosen);
  if (!preview || !split) return;
  const { report: rows, dropped, lengths } = split;
  const share = formatPercent(rows.supervisedTokens / rows.tokens);
  counts.replaceChildren(
    ...reportParts(split.split, rows),
    make(
      'dl',
      { class: 'tiles' },
      tile('Supervised share', share),
      tile('Median length', formatCount(lengths.median)),
      tile('95 % are up to', formatCount(lengths.p95)),
      tile('Longest', formatCount(lengths.longest)),
    ),
  );
  unused.replaceChildren(
    ...brokenItems(rows.broken, rows.brokenCount, (place) => send({ type: 'openPlace', place })),
    ...brokenItems(dropped, rows.unsupervised, (place) => send({ type: 'openPlace', place })),
  );
  warnings.replaceChildren(
    ...preview.warnings.map(({ message, mend }) =>
      make('li', {}, `Warning: ${message}.${mend === undefined ? '' : ` ${mend}`}`),
    ),
  );
  histogram.draw(lengths);
}

let drawnSplit: SplitPreview | undefined;

function drawSample(split: SplitPreview): void {
  if (split !== drawnSplit) {
    drawnSplit = split;
    drawSplit();
  }
  const samples = listed();
  const at = within(chosen.at, samples.length);
  const sample = samples[at];
  sampleView.draw(sample);
  setShown(openRow, sample !== undefined);
  const { kept, truncated } = split.report;
  const [all, kind] = chosen.onlyTruncated ? [truncated, 'cut rows'] : [kept, 'rows'];
  const note = all > samples.length ? `, of ${formatCount(all)} ${kind}` : '';
  setText(position, sample ? `${at + 1} of ${formatCount(samples.length)}${note}` : '');
  setText(nothing, chosen.onlyTruncated ? 'No row was cut.' : 'There is no sample.');
  setShown(nothing, sample === undefined);
  previous.toggleAttribute('disabled', at === 0);
  next.toggleAttribute('disabled', at >= samples.length - 1);
}

window.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  switch (event.key) {
    case 'n':
      step(1);
      break;
    case 'p':
      step(-1);
      break;
    case 't':
      choose({ onlyTruncated: !chosen.onlyTruncated, at: 0 });
      break;
    default:
      return;
  }
  event.preventDefault();
});

window.addEventListener('message', ({ data: message }: MessageEvent<ToPreview>) => {
  setText(status, message.type === 'reading' ? 'Reading the data…' : '');
  setShown(status, message.type === 'reading');
  if (message.type !== 'reading') setText(failure, message.type === 'failed' ? message.message : '');
  if (message.type === 'reading' && preview && preview.file !== message.file) forget();
  if (message.type !== 'preview') return;
  preview = message.preview;
  draw();
  requestAnimationFrame(() => send({ type: 'drawn', samples: listed().length }));
});

setShown(body, false);
send({ type: 'ready' });
