import { fileName } from '../src/common/fileName.js';
import { formatCount } from '../src/common/format.js';
import type { DataLoaded, Sample } from '../src/training/events.js';
import { button, make, setShown, tile } from './dom.js';
import type { Send, View } from './view.js';

/** What became of the rows, and decoded examples with their label mask. */
export function createDataView(send: Send): View {
  const waiting = make('p', { class: 'muted' }, 'Data and samples are told before the first step.');
  const splits = make('div', {});
  const broken = make('ul', { class: 'broken', 'aria-label': 'Rows that could not be read' });
  const legend = make(
    'p',
    { class: 'mask-legend' },
    make('span', { class: 'supervised' }, 'supervised'),
    ' counts in the loss; ',
    make('span', { class: 'masked' }, 'the rest'),
    ' is only read.',
  );
  const samples = make('div', { class: 'samples' });
  const body = make('div', {}, splits, broken, make('h2', {}, 'Samples'), legend, samples);
  let drawnSamples = 0;
  let drawnData = 0;
  return {
    element: make('div', { class: 'tab' }, waiting, body),
    draw(model) {
      const none = model.data.length === 0 && model.samples.length === 0;
      setShown(waiting, none);
      setShown(body, !none);
      if (model.data.length !== drawnData) {
        drawnData = model.data.length;
        splits.replaceChildren(...model.data.flatMap(splitParts));
        broken.replaceChildren(...model.data.flatMap((data) => brokenItems(data, send)));
      }
      if (model.samples.length !== drawnSamples) {
        drawnSamples = model.samples.length;
        samples.replaceChildren(...model.samples.map(drawSample));
      }
    },
  };
}

function splitParts({ split, report }: DataLoaded): HTMLElement[] {
  return [
    make('h2', {}, `${split === 'train' ? 'Training' : 'Validation'} rows (${report.format})`),
    make(
      'dl',
      { class: 'tiles' },
      tile('Rows used', `${formatCount(report.kept)} of ${formatCount(report.rows)}`),
      tile('Broken', formatCount(report.brokenCount)),
      tile('Truncated', formatCount(report.truncated)),
      tile('Dropped, no label', formatCount(report.unsupervised)),
      tile('Tokens', formatCount(report.tokens)),
      tile('Supervised', formatCount(report.supervisedTokens)),
    ),
  ];
}

function brokenItems({ report }: DataLoaded, send: Send): HTMLElement[] {
  const items = report.broken.map(({ file, line, reason }) => {
    const name = `${fileName(file)}:${line}`;
    const open = button(name, 'secondary', () => send({ type: 'openPlace', place: { file, line } }));
    return make('li', {}, open, ` skipped: ${reason}`);
  });
  const more = report.brokenCount - report.broken.length;
  return more > 0 ? [...items, make('li', {}, `and ${formatCount(more)} more`)] : items;
}

function drawSample({ split, line, spans }: Sample): HTMLElement {
  const text = spans.map((span) => make('span', { class: span.supervised ? 'supervised' : 'masked' }, span.text));
  return make(
    'figure',
    {},
    make('figcaption', {}, `${split === 'train' ? 'training' : 'validation'} row, line ${line}`),
    make('pre', { tabindex: '0', 'aria-label': `Decoded sample of line ${line}` }, ...text),
  );
}
