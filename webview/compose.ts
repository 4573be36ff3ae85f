import './language.js';
import * as l10n from '@vscode/l10n';
import { fileName } from '../src/common/fileName.js';
import { formatCount, formatDuration } from '../src/common/format.js';
import { bestTrial } from '../src/engines/composition/record.js';
import type { HubRecord } from '../src/engines/composition/record.js';
import { hubRemarks } from '../src/engines/composition/remarks.js';
import type { FromCompose, ShownMixture, ToCompose } from '../src/host/composeProtocol.js';
import type { FromAnyPage } from '../src/host/pageProtocol.js';
import { createPicturePlot } from './comparePlot.js';
import { lossPicture, namesOf, signed, told, trialsCsv, weightMap } from './composeModel.js';
import { button, make, setDisabled, setShown, setText, tile } from './dom.js';
import { reportFaults } from './faults.js';
import { createHeatMap, legendOf } from './heatMap.js';
import { createHeatLegend } from './heatMapLegend.js';
import { createHeatTable } from './heatMapTable.js';
import { createLossTable } from './lossTable.js';
import { registerToolkit } from './toolkit.js';
import { createWeightBars } from './weightBars.js';

declare function acquireVsCodeApi(): {
  postMessage(message: FromCompose | FromAnyPage): void;
  setState(state: ShownMixture): void;
};

const editor = acquireVsCodeApi();

function send(message: FromCompose | FromAnyPage): void {
  editor.postMessage(message);
}

reportFaults(send);
registerToolkit();
let shown: HubRecord | undefined;

const title = make('h1', {}, l10n.t`Compose Adapters`);
const status = make('p', { class: 'muted', role: 'status' }, l10n.t`Reading the search…`);
const activity = make('p', { class: 'activity' });
const barFill = make('div', { class: 'bar-fill' });
const bar = make('div', { class: 'bar', 'aria-hidden': 'true' }, barFill);
const failure = make('p', { class: 'problem', role: 'alert' });
const stop = button(l10n.t`Stop`, 'secondary', () => send({ type: 'stop' }));
const write = button(l10n.t`Write Adapter…`, 'primary', () => send({ type: 'write' }));
const tries = button(l10n.t`Try…`, 'primary', () => send({ type: 'try' }));
const playground = button(l10n.t`Open Playground`, 'secondary', () => send({ type: 'playground' }));
const reveal = button(l10n.t`Reveal`, 'secondary', () => send({ type: 'reveal' }));
const again = button(l10n.t`Search Again`, 'secondary', () => send({ type: 'again' }));
const saveCsv = button(l10n.t`Save CSV…`, 'secondary', () => {
  if (shown !== undefined) send({ type: 'save', name: `${dataName(shown)}-mixtures.csv`, text: trialsCsv(shown) });
});
const remarks = make('ul', { class: 'remarks' });
const tiles = make('dl', { class: 'tiles' });
const bars = createWeightBars();
const losses = createLossTable();
const plot = createPicturePlot('trial');
const map = createHeatMap(l10n.t`Weights tried`);
const legend = createHeatLegend(true);
const table = createHeatTable();
const body = make(
  'div',
  {},
  tiles,
  remarks,
  make(
    'div',
    { class: 'compose-found' },
    section(l10n.t`Weights of the best mixture`, bars.element),
    section(l10n.t`Losses`, losses.element),
  ),
  make('div', { class: 'compose-plot' }, plot.element),
  section(l10n.t`Weights tried`, map.element, legend.element, table.element),
);
document
  .getElementById('compose')
  ?.append(
    make(
      'div',
      { class: 'title-row' },
      title,
      make('div', { class: 'buttons' }, tries, write, playground, reveal, again, stop, saveCsv),
    ),
    status,
    activity,
    bar,
    failure,
    body,
  );

function section(heading: string, ...content: readonly HTMLElement[]): HTMLElement {
  return make('section', {}, make('h2', {}, heading), ...content);
}

function dataName({ data }: HubRecord): string {
  return fileName(data[0] ?? '').replace(/\.\w+$/, '');
}

function draw(mixture: ShownMixture, writing: boolean): void {
  const { search, state, out, wanted } = mixture;
  shown = search;
  const running = state.kind === 'running';
  const best = search && bestTrial(search.trials);
  const data = search?.data[0] ?? wanted?.data;
  setText(title, data === undefined ? l10n.t`Compose Adapters` : l10n.t`Mixture for ${fileName(data)}`);
  setText(failure, state.kind === 'failed' ? state.message : '');
  setShown(failure, state.kind === 'failed');
  const [done, budget] = [search?.trials.length ?? 0, search?.budget ?? wanted?.budget ?? 0];
  // Trials are counted below.
  setText(activity, running && (done === 0 || done >= budget) ? state.activity : '');
  setShown(bar, running);
  barFill.style.width = `${budget > 0 ? (100 * done) / budget : 0}%`;
  setShown(stop, running);
  setShown(again, !running && wanted !== undefined);
  // The base model itself is no mixture.
  const isMixture = best !== undefined && search?.trials[best]?.weights.some((weight) => weight !== 0) === true;
  setText(status, statusText(mixture, isMixture));
  setShown(write, !running && out === undefined && isMixture);
  setDisabled(write, writing);
  for (const each of [tries, playground, reveal]) setShown(each, !running && out !== undefined);
  setShown(saveCsv, !running && done > 0);
  setShown(body, search !== undefined);
  if (search !== undefined) drawSearch(search, running, best);
  send({ type: 'drawn', trials: done });
}

function drawSearch(search: HubRecord, running: boolean, best: number | undefined): void {
  const { adapters, trials, budget, bound, rows, tokens, seconds } = search;
  const facts: readonly (readonly [string, string])[] = [
    [l10n.t`Adapters`, formatCount(adapters.length)],
    ...(rows === undefined ? [] : [[l10n.t`Examples`, formatCount(rows)] as const]),
    ...(tokens === undefined ? [] : [[l10n.t`Supervised tokens`, formatCount(tokens)] as const]),
    [l10n.t`Trials`, l10n.t`${formatCount(trials.length)} of ${formatCount(budget)}`],
    [l10n.t`Best trial`, best === undefined ? '–' : formatCount(best + 1)],
    [l10n.t`Loss with penalty`, best === undefined ? '–' : told(trials[best]?.objective)],
    ...(seconds === undefined ? [] : [[l10n.t`Took`, formatDuration(seconds)] as const]),
  ];
  tiles.replaceChildren(...facts.map(([name, value]) => tile(name, value)));
  remarks.replaceChildren(...(running ? [] : hubRemarks(search).map((text) => make('li', {}, text))));
  setShown(remarks, !running);
  const names = namesOf(search);
  bars.draw(
    adapters.map(({ folder, weight }, at) => ({ name: names[at]!, folder, weight })),
    bound,
  );
  losses.draw(search);
  setShown(plot.element, trials.length > 0);
  if (trials.length > 0) plot.draw(lossPicture(search));
  const data = weightMap(search);
  map.draw(data);
  map.select(best);
  legend.draw(...legendOf(data.range, (weight) => signed(weight, 1), data.middle));
  table.draw(data, l10n.t`Weights tried, a column for each trial shown`);
}

/** Said to screen readers when it changes: not at each trial. */
function statusText({ state, search, out, wanted }: ShownMixture, isMixture: boolean): string {
  const count = search?.adapters.length ?? wanted?.adapters.length ?? 0;
  switch (state.kind) {
    case 'running':
      return l10n.t`Searching for a mixture of ${count} adapters…`;
    case 'failed':
      return l10n.t`The search failed.`;
    case 'stopped':
      if (out !== undefined) return l10n.t`The search was stopped. Its best mixture is in ${out}.`;
      return isMixture
        ? l10n.t`The search was stopped. The best mixture so far can be written.`
        : l10n.t`The search was stopped.`;
    case 'ended':
      if (out !== undefined) return l10n.t`The mixture is in ${out}.`;
      return isMixture
        ? l10n.t`The search has ended. Its mixture is not written yet.`
        : l10n.t`The search has ended.`;
  }
}

window.addEventListener('message', ({ data: message }: MessageEvent<ToCompose>) => {
  editor.setState(message.mixture);
  draw(message.mixture, message.writing);
});
for (const each of [activity, bar, failure, tries, write, playground, reveal, again, stop, saveCsv, body]) {
  setShown(each, false);
}
send({ type: 'ready' });
