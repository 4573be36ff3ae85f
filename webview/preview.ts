import './language.js';
import * as l10n from '@vscode/l10n';
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
const title = make('h1', {}, l10n.t`Data`);
const subject = make('p', { class: 'subject' });
const status = make('p', { class: 'muted', role: 'status' }, l10n.t`Reading the data…`);
const failure = make('p', { class: 'problem', role: 'alert' });
const warnings = make('ul', { class: 'broken', 'aria-label': l10n.t`Warnings` });
const counts = make('div', {});
const unused = make('ul', { class: 'broken', 'aria-label': l10n.t`Rows that are not used` });
const histogram = createHistogram();
const splits = makeDropdown(l10n.t`Rows`, (value) =>
  choose({ split: value === 'validation' ? value : 'train', at: 0 }),
);
const filter = makeCheckbox(l10n.t`Only truncated`, (onlyTruncated) => choose({ onlyTruncated, at: 0 }));
const previous = button(l10n.t`Previous`, 'secondary', () => step(-1));
const next = button(l10n.t`Next`, 'secondary', () => step(1));
previous.title = l10n.t`Previous sample (P)`;
next.title = l10n.t`Next sample (N)`;
filter.element.title = l10n.t`Only samples that were cut to max_length (T)`;
const position = make('span', { class: 'position', role: 'status' });
const openRow = button(l10n.t`Open row`, 'secondary', () => {
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
  make('h2', {}, l10n.t`Samples`),
  make('div', { class: 'choices' }, splits.element, filter.element, previous, next, position, openRow),
  maskLegend(),
  sampleView.element,
  nothing,
);
const again = button(l10n.t`Read Again`, 'secondary', () => send({ type: 'again' }));
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
  setText(title, l10n.t`Data`);
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
  setText(title, l10n.t`Data: ${fileName(preview.file)}`);
  const longest = formatCount(preview.maxLength);
  setText(
    subject,
    preview.packing
      ? l10n.t`${preview.model} · at most ${longest} tokens in a row, packed`
      : l10n.t`${preview.model} · at most ${longest} tokens in a row`,
  );
  splits.setOptions(
    preview.splits.map((each) => ({
      key: each.split,
      title: each.split === 'train' ? l10n.t`Training` : l10n.t`Validation`,
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
      ...(rows.classes === undefined ? [tile(l10n.t`Supervised share`, share)] : []),
      tile(l10n.t`Median length`, formatCount(lengths.median)),
      tile(l10n.t`95 % are up to`, formatCount(lengths.p95)),
      tile(l10n.t`Longest`, formatCount(lengths.longest)),
    ),
  );
  unused.replaceChildren(
    ...brokenItems(rows.broken, rows.brokenCount, (place) => send({ type: 'openPlace', place })),
    ...brokenItems(dropped, rows.unsupervised, (place) => send({ type: 'openPlace', place })),
  );
  warnings.replaceChildren(
    ...preview.warnings.map(({ message, mend }) => make('li', {}, warningText(message, mend))),
  );
  histogram.draw(lengths);
}

function warningText(message: string, mend = ''): string {
  const text = l10n.t`Warning: ${message}.`;
  return mend === '' ? text : `${text} ${mend}`;
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
  const all = chosen.onlyTruncated ? truncated : kept;
  const [number, count, rows] = [formatCount(at + 1), formatCount(samples.length), formatCount(all)];
  setText(
    position,
    sample === undefined
      ? ''
      : all <= samples.length
        ? l10n.t`${number} of ${count}`
        : chosen.onlyTruncated
          ? l10n.t`${number} of ${count}, of ${rows} cut rows`
          : l10n.t`${number} of ${count}, of ${rows} rows`,
  );
  setText(nothing, chosen.onlyTruncated ? l10n.t`No row was cut.` : l10n.t`There is no sample.`);
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
  setText(status, message.type === 'reading' ? l10n.t`Reading the data…` : '');
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
