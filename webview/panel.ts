import { isGoing } from '../src/engines/runState.js';
import type { RunState } from '../src/engines/runState.js';
import type { FromPage, PanelTab, RunToPage, ToPage } from '../src/host/protocol.js';
import { createCoverageView } from './coverageView.js';
import { createDataView } from './dataView.js';
import { createEndView } from './endView.js';
import { createHeaderView } from './headerView.js';
import { createLossView } from './lossView.js';
import { createMemoryView } from './memoryView.js';
import { createRunModel, takeEvent } from './runModel.js';
import { makeTabs, registerToolkit } from './toolkit.js';
import type { View } from './view.js';

/** What the editor keeps for the page while it is hidden. */
interface Kept {
  tab: PanelTab;
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

/** Whatever goes wrong here is told to the editor: nobody looks at the page's console. */
function report(error: unknown): void {
  send({ type: 'pageError', message: error instanceof Error ? (error.stack ?? error.message) : String(error) });
}

window.addEventListener('error', ({ error, message }) => report(error ?? message));
window.addEventListener('unhandledrejection', ({ reason }) => report(reason));
window.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI, sourceFile, lineNumber }) =>
  report(`${violatedDirective} refuses ${blockedURI} in ${sourceFile}:${lineNumber}`),
);

registerToolkit();
const header = createHeaderView(send);
const end = createEndView(send);
const views: Readonly<Record<PanelTab, View>> = {
  loss: createLossView(kept, keepAndDraw),
  coverage: createCoverageView(send),
  data: createDataView(send),
  memory: createMemoryView(),
};
const titles = { loss: 'Loss', coverage: 'Coverage', data: 'Data', memory: 'Memory' } as const;
const ids = ['loss', 'coverage', 'data', 'memory'] as const;
const tabs = makeTabs(
  'What the run reports',
  ids.map((id) => ({ id, title: titles[id], content: views[id].element })),
  kept.tab,
  (id) => {
    kept.tab = ids.find((each) => each === id) ?? 'loss';
    keepAndDraw();
  },
);
document.getElementById('panel')?.append(header.element, end.element, tabs.element);

/** Events that are drawn without a fault. */
let drawn = 0;

function keepAndDraw(): void {
  editor.setState(kept);
  draw();
}

/** Draws what is in front; a tab behind is drawn when it comes to the front. */
function draw(): void {
  try {
    header.draw(model, state);
    end.draw(model, state);
    tabs.badge('coverage', model.coverage?.warnings.length ?? 0);
    tabs.badge(
      'data',
      model.data.reduce((sum, { report: { brokenCount } }) => sum + brokenCount, 0),
    );
    views[kept.tab].draw(model, state);
    drawn = model.count;
  } catch (error) {
    report(error);
  }
}

window.addEventListener('message', ({ data: message }: MessageEvent<ToPage>) => {
  switch (message.type) {
    case 'showTab':
      tabs.show(message.tab);
      requestAnimationFrame(() => send({ type: 'tabShown', tab: kept.tab }));
      break;
    case 'run':
      model = createRunModel();
      drawn = 0;
      take(message);
      break;
    case 'more':
      take(message);
      break;
  }
});

function take(message: RunToPage): void {
  state = message.state;
  for (const event of message.events) takeEvent(model, event);
  requestAnimationFrame(() => {
    draw();
    send({ type: 'drawn', events: drawn });
  });
}

setInterval(() => {
  if (isGoing(state)) draw();
}, CLOCK_MS);
draw();
send({ type: 'ready' });
