import { isGoing } from '../src/engines/runState.js';
import type { RunState } from '../src/engines/runState.js';
import type { FromPage, ToPage } from '../src/host/protocol.js';
import { createCoverageView } from './coverageView.js';
import { createDataView } from './dataView.js';
import { make } from './dom.js';
import { createEndView } from './endView.js';
import { createHeaderView } from './headerView.js';
import { createLossView } from './lossView.js';
import { createMemoryView } from './memoryView.js';
import { createRunModel, takeEvent } from './runModel.js';
import { makeTabs, registerToolkit } from './toolkit.js';
import type { View } from './view.js';

/** What the editor keeps for the page while it is hidden. */
interface Kept {
  tab: string;
  curve: string;
  smoothing: string;
}

declare function acquireVsCodeApi(): {
  postMessage(message: FromPage): void;
  getState(): Partial<Kept> | undefined;
  setState(state: Kept): void;
};

/** How often the elapsed time moves while nothing else does. */
const CLOCK_MS = 1000;

const editor = acquireVsCodeApi();
const kept: Kept = { tab: 'loss', curve: 'loss', smoothing: '0.9', ...editor.getState() };
let model = createRunModel();
let state: RunState = { kind: 'idle' };

function send(message: FromPage): void {
  editor.postMessage(message);
}

window.addEventListener('error', (event) => send({ type: 'pageError', message: event.message }));

registerToolkit();
const header = createHeaderView(send);
const end = createEndView(send);
const views: Readonly<Record<string, View>> = {
  loss: createLossView(kept, keepAndDraw),
  coverage: createCoverageView(send),
  data: createDataView(send),
  memory: createMemoryView(),
};
const tabs = makeTabs(
  'What the run reports',
  [
    { id: 'loss', title: 'Loss' },
    { id: 'coverage', title: 'Coverage' },
    { id: 'data', title: 'Data' },
    { id: 'memory', title: 'Memory' },
  ].map((tab) => ({ ...tab, content: views[tab.id]?.element ?? make('div') })),
  kept.tab,
  (id) => {
    kept.tab = id;
    keepAndDraw();
  },
);
document.getElementById('panel')?.append(header.element, end.element, tabs.element);

function keepAndDraw(): void {
  editor.setState(kept);
  draw();
}

/** Draws what is in front; a tab behind is drawn when it comes to the front. */
function draw(): void {
  header.draw(model, state);
  end.draw(model, state);
  tabs.badge('coverage', model.coverage?.warnings.length ?? 0);
  tabs.badge(
    'data',
    model.data.reduce((sum, { report }) => sum + report.brokenCount, 0),
  );
  // After the end nothing changes any more: tabs behind are drawn once, ready to come to the front.
  for (const [id, view] of Object.entries(views)) if (id === kept.tab || !isGoing(state)) view.draw(model, state);
}

/** Events that are drawn without a fault. */
let drawn = 0;

window.addEventListener('message', (event: MessageEvent<ToPage>) => {
  const message = event.data;
  if (message.type !== 'run' && message.type !== 'more') return;
  if (message.type === 'run') {
    model = createRunModel();
    drawn = 0;
  }
  state = message.state;
  for (const one of message.events) takeEvent(model, one);
  requestAnimationFrame(() => {
    try {
      draw();
      drawn = model.count;
    } catch (error) {
      send({
        type: 'pageError',
        message: error instanceof Error ? (error.stack ?? error.message) : String(error),
      });
    }
    send({ type: 'drawn', events: drawn });
  });
});

setInterval(() => {
  if (isGoing(state)) header.draw(model, state);
}, CLOCK_MS);
draw();
send({ type: 'ready' });
