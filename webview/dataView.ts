import * as l10n from '@vscode/l10n';
import type { Sample } from '../src/training/events.js';
import { make, setShown } from './dom.js';
import { brokenItems, maskLegend, reportParts } from './reportView.js';
import type { Send, View } from './view.js';

/** What became of the rows, and decoded examples with their label mask. */
export function createDataView(send: Send): View {
  const waiting = make('p', { class: 'muted' }, l10n.t`Data and samples are told before the first step.`);
  const splits = make('div', {});
  const broken = make('ul', { class: 'broken', 'aria-label': l10n.t`Rows that could not be read` });
  const samples = make('div', { class: 'samples' });
  const body = make('div', {}, splits, broken, make('h2', {}, l10n.t`Samples`), maskLegend(), samples);
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
        splits.replaceChildren(...model.data.flatMap(({ split, report }) => reportParts(split, report)));
        broken.replaceChildren(
          ...model.data.flatMap(({ report }) =>
            brokenItems(report.broken, report.brokenCount, (place) => send({ type: 'openPlace', place })),
          ),
        );
      }
      if (model.samples.length !== drawnSamples) {
        drawnSamples = model.samples.length;
        samples.replaceChildren(...model.samples.map(drawSample));
      }
    },
  };
}

function drawSample({ split, line, spans }: Sample): HTMLElement {
  const text = spans.map((span) => make('span', { class: span.supervised ? 'supervised' : 'masked' }, span.text));
  return make(
    'figure',
    {},
    make(
      'figcaption',
      {},
      split === 'train' ? l10n.t`training row, line ${line}` : l10n.t`validation row, line ${line}`,
    ),
    make('pre', { tabindex: '0', role: 'group', 'aria-label': l10n.t`Decoded sample of line ${line}` }, ...text),
  );
}
