// A page of webview/ run in Node, in a document of jsdom: see webPage.d.mts. There is no layout, so that boxes have one
// given size, and a canvas takes whatever is drawn.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { JSDOM } from 'jsdom';

const BOX = { width: 900, height: 300 };
/** Longer than what pages gather, and than two frames. */
const DRAWN_MS = 80;
const READ_OUT = ['aria-label', 'aria-valuetext', 'title', 'placeholder', 'label'];

export async function openWebPage(name, texts) {
  const html = `<!doctype html><html lang="zh-cn"><body><main id="${name}"></main><script type="application/json" id="texts"></script></body></html>`;
  const { window } = new JSDOM(html, { url: 'http://localhost/', pretendToBeVisual: true });
  window.document.getElementById('texts').textContent = JSON.stringify(texts);
  const sent = [];
  install(window, sent);
  await import(`../../webview/${name}.ts`);
  return {
    sent,
    async tell(message) {
      window.dispatchEvent(new window.MessageEvent('message', { data: message }));
      await sleep(DRAWN_MS);
    },
    async click(selector) {
      window.document.querySelector(selector).click();
      await sleep(DRAWN_MS);
    },
    async press(key, selector) {
      const target = selector === undefined ? window : window.document.querySelector(selector);
      target.dispatchEvent(new window.KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
      await sleep(DRAWN_MS);
    },
    async type(selector, text) {
      const field = window.document.querySelector(selector);
      field.value = text;
      for (const name of ['input', 'change']) field.dispatchEvent(new window.Event(name, { bubbles: true }));
      await sleep(DRAWN_MS);
    },
    hidden: (selector) => window.document.querySelector(selector).closest('[hidden]') !== null,
    value: (selector) => window.document.querySelector(selector).value,
    async open(selector) {
      for (const details of window.document.querySelectorAll(selector)) details.open = true;
      await sleep(DRAWN_MS);
    },
    async focus(selector) {
      window.document.querySelector(selector).dispatchEvent(new window.FocusEvent('focusin', { bubbles: true }));
      await sleep(DRAWN_MS);
    },
    close: () => window.close(),
    texts: (selector = 'main') => textsOf(window, window.document.querySelector(selector)),
    count: (selector) => window.document.querySelectorAll(selector).length,
  };
}

/** Makes the document's names global, as they are in a browser, and adds what jsdom lacks. */
function install(window, sent) {
  const { HTMLCanvasElement, Element } = window;
  HTMLCanvasElement.prototype.getContext = canvasContext;
  Element.prototype.getBoundingClientRect = () => ({
    left: 0,
    top: 0,
    right: 900,
    bottom: 300,
    x: 0,
    y: 0,
    ...BOX,
  });
  Element.prototype.scrollIntoView = () => undefined;
  window.matchMedia = () => ({ matches: false, ...listeners() });
  window.ResizeObserver = class {
    constructor(call) {
      this.call = call;
    }
    observe() {
      // Boxes are measured where they are drawn; a box without a width here keeps uPlot away, which needs a real canvas.
      setTimeout(() => this.call([]));
    }
    disconnect() {}
    unobserve() {}
  };
  window.Path2D = class {
    constructor() {
      return anything();
    }
  };
  window.ImageData = class {
    constructor(width, height) {
      this.data = new Uint8ClampedArray(4 * width * height);
    }
  };
  window.acquireVsCodeApi = () => ({
    postMessage: (message) => sent.push(message),
    getState: () => undefined,
    setState: () => undefined,
  });
  // A clock of the page does not keep the process alive.
  const { setInterval } = globalThis;
  globalThis.setInterval = (...parameters) => setInterval(...parameters).unref();
  const own = ['window', 'document', 'navigator', 'self', 'Event', 'EventTarget', 'CustomEvent', 'MessageEvent'];
  for (const name of new Set([...own, ...Object.getOwnPropertyNames(window)])) {
    if (name in globalThis && !own.includes(name)) continue;
    Object.defineProperty(globalThis, name, { value: window[name], configurable: true, writable: true });
  }
}

function listeners() {
  const nothing = () => undefined;
  return {
    addListener: nothing,
    removeListener: nothing,
    addEventListener: nothing,
    removeEventListener: nothing,
  };
}

function canvasContext() {
  return anything({ canvas: this, measureText: (text) => ({ width: 7 * text.length }) });
}

/** Takes every call and every property. */
function anything(known = {}) {
  return new Proxy(known, { get: (target, name) => target[name] ?? (() => undefined) });
}

function textsOf(window, main) {
  const found = [];
  const visit = (node) => {
    if (node.nodeType === window.Node.TEXT_NODE) found.push(node.data);
    if (node.nodeType !== window.Node.ELEMENT_NODE) return;
    if (node.localName === 'style') return;
    for (const name of READ_OUT) if (node.hasAttribute(name)) found.push(node.getAttribute(name));
    for (const child of [...node.childNodes, ...(node.shadowRoot?.childNodes ?? [])]) visit(child);
  };
  visit(main);
  return found.map((text) => text.trim()).filter((text) => text !== '');
}

/** The translations as they are shipped. */
export function chineseTexts() {
  return JSON.parse(readFileSync(new URL('../../l10n/bundle.l10n.zh-cn.json', import.meta.url), 'utf8'));
}
