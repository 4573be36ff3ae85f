// How long a frame of the live panel's curves takes in Chromium, with 100,000 steps, after `node build.mjs`:
// `node --import tsx bench/curves.mjs [--steps N] [--runs N] [--pictures FOLDER]`; CS_DIR as for test/e2e.
// The page is the built one, under its content policy; the editor is played by a few lines. Told are the processor time
// per frame of the page's script and of its main thread, the drawing of the canvas included (there is no GPU here); and,
// by the clock, the work of a frame (its animation callbacks) and the time between frames.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { packEvents } from '../src/engines/packEvents.js';
import { PANEL_VERSION } from '../src/engines/panelVersion.js';
import { startBrowser } from '../test/e2e/server.mjs';

const { values } = parseArgs({
  options: {
    steps: { type: 'string', default: '100000' },
    runs: { type: 'string', default: '7' },
    pictures: { type: 'string' },
    theme: { type: 'string', default: 'dark' },
  },
});
const steps = Number(values.steps);
const dist = fileURLToPath(new URL('../dist/webview/', import.meta.url));

const THEMES = {
  dark: {
    foreground: '#cccccc',
    descriptionForeground: '#9d9d9d',
    'editor-background': '#1f1f1f',
    'panel-border': '#2b2b2b',
    'widget-border': '#313131',
    focusBorder: '#0078d4',
    'charts-blue': '#3794ff',
    'charts-yellow': '#cca700',
    'charts-purple': '#b180d7',
    'charts-green': '#89d185',
    'charts-red': '#f14c4c',
  },
};

/** The editor's side of the page, as far as the curves need it. */
const EDITOR = `
  const listeners = [];
  window.said = [];
  window.acquireVsCodeApi = () => ({
    getState: () => undefined,
    setState: () => undefined,
    postMessage(message) {
      window.said.push({ at: performance.now(), ...message });
      if (message.type !== 'request') return;
      const value =
        message.name === 'listRuns'
          ? Array.from({ length: ${values.runs} }, (_, at) => ({ folder: '/runs/' + at, name: 'run ' + (at + 1), method: 'lora', modified: 1.7e12 }))
          : { name: 'other', state: { kind: 'idle' }, events: window.otherRun(Number(message.params.folder.slice(6))) };
      window.postMessage({ version: ${PANEL_VERSION}, type: 'reply', id: message.id, value }, '*');
    },
  });
  // The work of each frame: what its callbacks took.
  window.frames_ = [];
  let frame;
  const request = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (callback) =>
    request((time) => {
      const start = performance.now();
      callback(time);
      const took = performance.now() - start;
      if (frame?.time === time) frame.work += took;
      else window.frames_.push((frame = { time, work: took }));
    });
`;

function stepAt(at, seed) {
  const noise = Math.sin(at * 12.9898 + seed * 78.233) * 43758.5453;
  const random = noise - Math.floor(noise);
  return {
    type: 'step',
    step: at + 1,
    epoch: at / 1000,
    loss: (2 + seed * 0.15) / (1 + at / (steps / 20)) + 0.6 + random ** 4 * 0.8,
    learningRate: 2e-4 * Math.min(1, (at + 1) / (steps / 30)) * (1 - at / (steps + 1)),
    gradientNorm: 0.5 + random ** 6 * 5,
    tokens: 900 + Math.round(random * 200),
    supervisedTokens: 300,
    rows: 8,
    seconds: 0.4 + random * 0.05,
  };
}

function eventsOf(seed) {
  const events = [];
  for (let at = 0; at < steps; at += 1) {
    events.push(stepAt(at, seed));
    if ((at + 1) % Math.ceil(steps / 20) !== 0) continue;
    const loss = (2 + seed * 0.15) / (1 + at / (steps / 20)) + 0.75;
    const accuracy = 1 - loss / 4;
    events.push({
      ...{ type: 'evaluation', step: at + 1, split: 'validation', loss, tokenAccuracy: accuracy },
      ...{ rowAccuracy: accuracy / 2, rows: 64, supervisedTokens: 900, seconds: 1 },
    });
  }
  return events;
}

const packed = Array.from({ length: Number(values.runs) + 1 }, (_, seed) => {
  const { events, steps: columns } = packEvents(eventsOf(seed));
  const plain = (of) => Object.fromEntries(Object.entries(of).map(([name, column]) => [name, [...column]]));
  return { events, at: [...columns.at], columns: plain(columns.columns) };
});

const server = http.createServer((request, response) => {
  const name = path.basename(request.url ?? '/');
  if (name.startsWith('run-')) {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(packed[Number(name.slice(4))]));
    return;
  }
  if (/^panel\.(js|css)$/.test(name)) {
    response.setHeader('content-type', name.endsWith('js') ? 'text/javascript' : 'text/css');
    response.end(readFileSync(path.join(dist, name)));
    return;
  }
  const variables = Object.entries(THEMES[values.theme]).map(([key, value]) => `--vscode-${key}:${value}`);
  response.setHeader('content-type', 'text/html');
  response.setHeader(
    'content-security-policy',
    "default-src 'none'; connect-src 'self'; style-src 'self' 'nonce-s'; script-src 'nonce-n'",
  );
  response.end(`<!doctype html><html lang="en"><head><meta property="csp-nonce" content="s">
<style nonce="s">:root{${variables.join(';')};--vscode-font-size:13px;--vscode-font-family:sans-serif}</style>
<link rel="stylesheet" href="/panel.css"><title>Curves</title></head><body class="vscode-${values.theme}"><main id="panel"></main>
<script nonce="n">${EDITOR}</script><script type="module" nonce="n" src="/panel.js"></script></body></html>`);
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const browser = await startBrowser();
const page = await (await browser.newContext({ viewport: { width: 1100, height: 950 } })).newPage();
page.setDefaultTimeout(120_000);
page.on('console', (message) => message.type() === 'error' && console.error(`page: ${message.text()}`));
page.on('pageerror', (error) => console.error(`page: ${error.message}`));
const devtools = await page.context().newCDPSession(page);
// The time that the thread has run for, which other programs on the machine do not lengthen.
await devtools.send('Performance.enable', { timeDomain: 'threadTicks' });

try {
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.waitForFunction(() => window.said.some(({ type }) => type === 'ready'));
  await page.evaluate(async (count) => {
    const runs = await Promise.all(
      Array.from({ length: count }, async (_, at) => (await fetch(`/run-${at}`)).json()),
    );
    const typed = (of) =>
      Object.fromEntries(Object.entries(of).map(([name, list]) => [name, Float64Array.from(list)]));
    window.pack = (at) => ({
      events: runs[at].events,
      steps: { at: Float64Array.from(runs[at].at), columns: typed(runs[at].columns), terms: {} },
    });
    window.otherRun = (at) => window.pack(at + 1);
  }, packed.length);

  const opened = await page.evaluate(async (version) => {
    const events = window.pack(0);
    const about = { state: { kind: 'idle' }, canControl: false };
    const start = performance.now();
    window.postMessage({ version, type: 'run', about, events }, '*');
    while (!window.said.some(({ type, events: drawn }) => type === 'drawn' && drawn > 0)) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return window.said.find(({ type, events: drawn }) => type === 'drawn' && drawn > 0).at - start;
  }, PANEL_VERSION);
  console.log(`${steps} steps, received to drawn: ${opened.toFixed(0)} ms`);
  await shoot('curves');
  await measure('zooming and panning, one run', zoomAndPan);
  await measure('30 events/s for 5 s, one run', live);
  if (Number(values.runs) > 0) {
    await page.locator('vscode-button', { hasText: 'Compare with' }).click();
    for (const box of await page.locator('.compare-choice input').all()) await box.check();
    await page.waitForFunction(
      (count) => document.querySelectorAll('button.key').length >= 2 + count,
      Number(values.runs),
    );
    await shoot('compare');
    await measure(`zooming and panning, ${values.runs} more runs laid over`, zoomAndPan);
    await measure(`30 events/s for 5 s, ${values.runs} more runs laid over`, live);
  }
  const errors = await page.evaluate(() => window.said.filter(({ type }) => type === 'pageError'));
  for (const { message } of errors) console.error(`page: ${message}`);
  if (errors.length > 0) process.exitCode = 1;
} finally {
  await browser.close();
  server.close();
}

async function shoot(name) {
  if (values.pictures !== undefined)
    await page.screenshot({ path: path.join(values.pictures, `${name}.png`), fullPage: true });
}

/** 300 frames, each zoomed or moved. */
async function zoomAndPan() {
  await page.evaluate(async () => {
    const plot = document.querySelector('.plot[tabindex]');
    const area = plot.getBoundingClientRect();
    for (let at = 0; at < 300; at += 1) {
      const panning = at % 60 >= 20 && at % 60 < 40;
      plot.dispatchEvent(
        new WheelEvent('wheel', {
          ...{ bubbles: true, cancelable: true, ctrlKey: true, shiftKey: panning },
          ...{ deltaY: at % 60 < 20 || (panning && at % 2 === 0) ? -100 : 100 },
          ...{ clientX: area.left + area.width * 0.6, clientY: area.top + 50 },
        }),
      );
      await new Promise((resolve) => window.requestAnimationFrame(resolve));
    }
    plot.dispatchEvent(new MouseEvent('dblclick', { bubbles: true }));
  });
}

/** Steps as they come from a run, three in every tenth of a second. */
async function live() {
  await page.evaluate(
    async ({ version, count }) => {
      window.next ??= count;
      for (let batch = 0; batch < 50; batch += 1) {
        const events = Array.from({ length: 3 }, () => {
          window.next += 1;
          const numbers = { epoch: 1, loss: 0.7, learningRate: 1e-5, gradientNorm: 1, tokens: 900 };
          return { type: 'step', step: window.next, ...numbers, supervisedTokens: 300, rows: 8, seconds: 0.4 };
        });
        const about = { state: { kind: 'idle' }, canControl: false };
        window.postMessage({ version, type: 'more', about, events: { events } }, '*');
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    },
    { version: PANEL_VERSION, count: steps },
  );
}

async function measure(name, act) {
  await page.waitForTimeout(300);
  await page.evaluate(() => void (window.frames_.length = 0));
  const before = await threadSeconds();
  await act();
  const after = await threadSeconds();
  const frames = await page.evaluate(() => window.frames_);
  const work = frames.map((frame) => frame.work);
  const apart = frames.slice(1).map(({ time }, at) => time - frames[at].time);
  const told = (list) => `p50 ${quantile(list, 0.5).toFixed(1)} ms, p95 ${quantile(list, 0.95).toFixed(1)} ms`;
  const perFrame = (metric) => `${(((after[metric] - before[metric]) * 1000) / frames.length).toFixed(1)} ms`;
  console.log(
    [
      `${name}: ${frames.length} frames`,
      `CPU per frame: script ${perFrame('ScriptDuration')}, layout ${perFrame('LayoutDuration')}, whole main thread ${perFrame('TaskDuration')}`,
      `by the clock: work ${told(work)}; between frames ${told(apart)}`,
    ].join('\n  '),
  );
}

async function threadSeconds() {
  const { metrics } = await devtools.send('Performance.getMetrics');
  return Object.fromEntries(metrics.map((metric) => [metric.name, metric.value]));
}

function quantile(list, share) {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}
