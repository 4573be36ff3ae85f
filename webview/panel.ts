import './language.js';
import * as l10n from '@vscode/l10n';
import { PANEL_VERSION } from '../src/engines/panelVersion.js';
import { unpackEvents } from '../src/engines/packEvents.js';
import { isGoing } from '../src/engines/runState.js';
import type { FromPage, PageMessage, RunAbout, RunToPage, ToPage } from '../src/host/protocol.js';
import { createAttentionView } from './attentionView.js';
import { createCoverageView } from './coverageView.js';
import { createCurvesView } from './curvesView.js';
import { createDataView } from './dataView.js';
import { make } from './dom.js';
import { createEndView } from './endView.js';
import { reportFaults } from './faults.js';
import { createGenerationsView } from './generationsView.js';
import { createHeaderView } from './headerView.js';
import { keptOr } from './kept.js';
import type { Kept } from './kept.js';
import { createLogView } from './logView.js';
import { createMasksView } from './masksView.js';
import { createMemoryView } from './memoryView.js';
import { createRanksView } from './ranksView.js';
import { createRequests } from './requests.js';
import { createRunModel, takeEvent } from './runModel.js';
import { makeTabs, registerToolkit } from './toolkit.js';
import type { Page, TabView } from './view.js';

declare function acquireVsCodeApi(): {
  postMessage(message: FromPage): void;
  getState(): unknown;
  setState(state: Kept): void;
};

/** How often the elapsed time moves while nothing else does. */
const CLOCK_MS = 1000;

const editor = acquireVsCodeApi();
const kept = keptOr(editor.getState());
let model = createRunModel();
let about: RunAbout = { state: { kind: 'idle' }, canControl: false };

function send(message: PageMessage): void {
  editor.postMessage({ version: PANEL_VERSION, ...message });
}

const report = reportFaults(send);
registerToolkit();
const requests = createRequests(send);
const page: Page = { send, ask: requests.ask, kept, keep: keepAndDraw };
const header = createHeaderView(send);
const end = createEndView(send);

/** The tabs, from left to right: a new view is a line here. */
const views: readonly TabView[] = [
  { id: 'curves', title: l10n.t`Curves`, ...createCurvesView(page) },
  {
    id: 'ranks',
    title: l10n.t`Ranks`,
    hasContent: ({ ranks, steps }) => ranks.paths.length > 0 || steps.length === 0,
    ...createRanksView(page.ask),
  },
  {
    id: 'masks',
    title: l10n.t`Masks`,
    hasContent: ({ masks, steps }) => masks.paths.length > 0 || steps.length === 0,
    ...createMasksView(page.ask),
  },
  {
    id: 'fusion',
    title: l10n.t`Fusion`,
    hasContent: ({ attention }) => attention.paths.length > 0,
    ...createAttentionView(page.ask),
  },
  {
    id: 'coverage',
    title: l10n.t`Coverage`,
    badge: ({ coverage }) => coverage?.warnings.length ?? 0,
    ...createCoverageView(send),
  },
  {
    id: 'data',
    title: l10n.t`Data`,
    badge: ({ data }) => data.reduce((sum, { report: { brokenCount } }) => sum + brokenCount, 0),
    ...createDataView(send),
  },
  {
    id: 'answers',
    title: l10n.t`Answers`,
    hasContent: ({ generations }) => generations.items().length > 0,
    ...createGenerationsView(page.ask),
  },
  { id: 'memory', title: l10n.t`Memory`, ...createMemoryView() },
  { id: 'log', title: l10n.t`Log`, badge: ({ log }) => log.serious, ...createLogView(page) },
];

const tabs = makeTabs(
  l10n.t`What the run reports`,
  views.map(({ id, title, element: content }) => ({ id, title, content })),
  kept.tab,
  (id) => {
    kept.tab = id;
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
    const { state } = about;
    header.draw(model, about);
    end.draw(model, state);
    for (const { id, badge, hasContent } of views) {
      if (badge) tabs.badge(id, badge(model));
      if (hasContent) tabs.setShown(id, hasContent(model));
    }
    views.find(({ id }) => id === tabs.inFront())?.draw(model, state);
    drawn = model.count;
  } catch (error) {
    report(error);
  }
}

window.addEventListener('message', ({ data: message }: MessageEvent<ToPage>) => {
  if (message.version !== PANEL_VERSION) {
    // An extension that was updated beside this page: only a new page understands it.
    header.element.replaceChildren(
      make('p', { role: 'alert' }, l10n.t`PEFT Studio was updated. Close this panel and open it again.`),
    );
    return;
  }
  switch (message.type) {
    case 'showTab':
      tabs.show(message.tab);
      requestAnimationFrame(() => send({ type: 'tabShown', tab: tabs.inFront() }));
      break;
    case 'run':
      model = createRunModel();
      drawn = 0;
      take(message);
      break;
    case 'more':
      take(message);
      break;
    case 'reply':
    case 'refused':
      requests.take(message);
      break;
  }
});

function take(message: RunToPage): void {
  about = message.about;
  if (about.folder !== kept.folder) {
    kept.folder = about.folder;
    editor.setState(kept);
  }
  for (const event of unpackEvents(message.events)) takeEvent(model, event);
  requestAnimationFrame(() => {
    draw();
    send({ type: 'drawn', events: drawn });
  });
}

setInterval(() => {
  if (isGoing(about.state)) draw();
}, CLOCK_MS);
draw();
send({ type: 'ready' });
