import * as l10n from '@vscode/l10n';
import type { Step } from '../src/training/events.js';
import { createCurveColors } from './curveColors.js';
import { axisOf, createColumns, followRun, stepAt } from './curveColumns.js';
import type { XAxis } from './curveColumns.js';
import { createCurveCompare } from './curveCompare.js';
import { base64Of, pictureBlob } from './curveExport.js';
import { createCurveLegend } from './curveLegend.js';
import { picturesOf } from './curvePictures.js';
import type { Curve, Picture, ShownRun } from './curvePictures.js';
import { createCurvePlot } from './curvePlot.js';
import { fullSpan, shiftedWithin, zoomed } from './curveRange.js';
import { createCurveStrip } from './curveStrip.js';
import { createCurveTable } from './curveTable.js';
import { curvesCsv, readAt } from './curveText.js';
import { AXIS_TITLES, placeText } from './curveTicks.js';
import { nearest } from './decimate.js';
import type { Span } from './decimate.js';
import { button, make, setDisabled, setShown, setText } from './dom.js';
import type { RunModel } from './runModel.js';
import { makeCheckbox, makeDropdown } from './toolkit.js';
import type { Page, View } from './view.js';

/** Weights of the past in the average; 0 draws each step as it was. */
const SMOOTHING = ['0', '0.6', '0.9', '0.98', '0.995'];
const AXES: readonly XAxis[] = ['step', 'time', 'tokens'];
const HEIGHT = 320;
/** A notch of the wheel, and a press of + or -, shows so much less or more. */
const ZOOM = 0.8;
/** A page key moves by this share of what is shown. */
const PAGE_SHARE = 0.05;
/** How often an open table follows a run that goes on. */
const TABLE_MS = 1000;

/** The curves of a run: one picture large, the others in a strip below, over one axis that all share. */
export function createCurvesView({ kept: { curves: choice }, keep, ask }: Page): View {
  const columns = createColumns();
  const hidden = new Set<string>();
  let pictures: readonly Picture[] = [];
  let span: Span | undefined;
  let cursor: number | undefined;
  let tableShown = false;
  let tableDrawn = 0;
  let tableLater: number | undefined;
  let last: { readonly step?: Step; readonly steps: number; readonly evaluations: number } = {
    steps: 0,
    evaluations: 0,
  };
  let shownModel: RunModel | undefined;
  let frame: number | undefined;

  const colors = createCurveColors(() => {
    plot.recolor();
    strip.recolor();
  });
  const actions = {
    onSelect: (selected: Span) => show(selected),
    onPoint: (x: number | undefined) => pointTo(x),
  };
  const plot = createCurvePlot(HEIGHT, true, colors, actions);
  const strip = createCurveStrip(colors, actions, (id) => {
    choice.picture = id;
    keep();
    later();
  });
  const legend = createCurveLegend((key) => {
    if (!hidden.delete(key)) hidden.add(key);
    later();
  });
  const compare = createCurveCompare(ask, later);
  const table = createCurveTable();

  const axisList = makeDropdown(l10n.t`X axis`, (value) => {
    choice.axis = value;
    span = undefined;
    cursor = undefined;
    keep();
    later();
  });
  const smoothingList = makeDropdown(l10n.t`Smoothing`, (value) => {
    choice.smoothing = value;
    keep();
    later();
  });
  smoothingList.setOptions(
    SMOOTHING.map((key) => ({ key, title: key === '0' ? l10n.t`off` : key })),
    choice.smoothing,
  );
  const logBox = makeCheckbox(l10n.t`Log scale`, (ticked) => {
    const others = choice.logarithmic.filter((id) => id !== large()?.id);
    const id = large()?.id;
    choice.logarithmic = ticked && id !== undefined ? [...others, id] : others;
    keep();
    later();
  });
  const tableBox = makeCheckbox(l10n.t`Table`, (ticked) => {
    tableShown = ticked;
    tableDrawn = 0;
    later();
  });
  const reset = button(l10n.t`Show all`, 'secondary', () => show(undefined));
  const title = make('h2', {});
  const about = make('span', { class: 'muted' });
  const readout = make('div', { class: 'readout' });
  const hint = make('span', { class: 'muted' }, l10n.t`Drag or Ctrl+wheel zooms, a double click shows all.`);
  const spoken = make('div', { class: 'for-ears', role: 'status' });
  const done = make('span', { class: 'muted', role: 'status' });
  const body = make(
    'div',
    {},
    compare.list,
    make('div', { class: 'picture-head' }, title, about),
    legend.element,
    plot.element,
    make('div', { class: 'readout-row' }, readout, hint),
    make(
      'div',
      { class: 'buttons' },
      reset,
      button(l10n.t`Copy CSV`, 'secondary', () => void tellWhenDone(copyCsv())),
      button(l10n.t`Copy PNG`, 'secondary', () => void tellWhenDone(copyPng())),
      button(l10n.t`Save PNG…`, 'secondary', () => void tellWhenDone(savePng())),
      done,
    ),
    table.element,
    strip.element,
    spoken,
  );
  const waiting = make('p', { class: 'muted' }, l10n.t`The curves start with the first optimizer step.`);
  const choices = make(
    'div',
    { class: 'choices' },
    axisList.element,
    smoothingList.element,
    logBox.element,
    tableBox.element,
    compare.opener,
  );
  const element = make('div', { class: 'tab curves' }, choices, waiting, body);
  plot.element.setAttribute('tabindex', '0');
  plot.element.setAttribute('aria-describedby', 'curve-keys');
  hint.after(
    make(
      'p',
      { class: 'for-ears', id: 'curve-keys' },
      l10n.t`Arrow keys move from step to step, page keys further; plus and minus zoom, 0 shows all.`,
    ),
  );

  const axis = (): XAxis => AXES.find((each) => each === choice.axis) ?? 'step';
  const memory = (): number => Number(choice.smoothing);
  const large = (): Picture | undefined => pictures.find(({ id }) => id === choice.picture) ?? pictures[0];
  const visible = (picture: Picture): readonly Curve[] => picture.curves.filter(({ key }) => !hidden.has(key));
  const isLog = ({ id }: Picture): boolean => choice.logarithmic.includes(id);
  const whole = (): Span | undefined => fullSpan(pictures.flatMap(({ curves }) => curves));

  function later(): void {
    frame ??= requestAnimationFrame(() => {
      frame = undefined;
      render();
    });
  }

  function show(next: Span | undefined): void {
    span = next;
    later();
  }

  function render(): void {
    const runs: readonly ShownRun[] = [{ id: '', name: l10n.t`this run`, columns }, ...compare.runs()];
    pictures = picturesOf(runs, { axis: axis(), memory: memory() });
    const picture = large();
    setShown(waiting, picture === undefined);
    setShown(choices, picture !== undefined);
    setShown(body, picture !== undefined);
    axisList.setOptions(
      AXES.map((key) => ({ key, title: AXIS_TITLES[key]() })),
      axis(),
    );
    if (!picture) return;
    const shownSpan = span ?? whole();
    setText(title, picture.title);
    setText(about, picture.about);
    logBox.tick(isLog(picture));
    setShown(logBox.element, picture.id !== 'accuracy');
    setDisabled(reset, span === undefined);
    legend.draw(picture.curves, hidden);
    plot.draw({ picture, curves: visible(picture), axis: axis(), span: shownSpan, logarithmic: isLog(picture) });
    strip.draw(
      pictures
        .filter(({ id }) => id !== picture.id)
        .map((each) => ({
          picture: each,
          curves: visible(each),
          axis: axis(),
          span: shownSpan,
          logarithmic: isLog(each),
        })),
    );
    setShown(table.element, tableShown);
    const wait = tableDrawn + TABLE_MS - performance.now();
    if (tableShown && shownSpan && wait <= 0) {
      tableDrawn = performance.now();
      table.draw(picture, visible(picture), axis(), shownSpan);
    } else if (tableShown) {
      // What came last is drawn too, also when nothing comes after it.
      clearTimeout(tableLater);
      tableLater = window.setTimeout(later, wait);
    }
    tellCursor();
  }

  /** Puts the cursor onto the step that is nearest to a place, everywhere. */
  function pointTo(x: number | undefined): void {
    const places = axisOf(columns, axis());
    const at = x === undefined ? undefined : (places[nearest(places, x)] ?? x);
    if (at === cursor) return;
    cursor = at;
    plot.point(cursor);
    strip.point(cursor);
    tellCursor();
  }

  /** The values where the cursor is; without one, the last. */
  function tellCursor(): void {
    const places = axisOf(columns, axis());
    const at = cursor ?? Infinity;
    const index = cursor === undefined ? places.length - 1 : nearest(places, cursor);
    if (index >= 0) {
      const { step, time, tokens } = stepAt(columns, index);
      setText(
        readout,
        [placeText('step', step), placeText('time', time), placeText('tokens', tokens)].join('  ·  '),
      );
    } else setText(readout, '');
    const picture = large();
    if (picture) legend.tell((curve) => readAt(curve, at, picture, axis()));
    strip.tell((each, curve) => readAt(curve, at, each, axis()));
  }

  function speak(): void {
    const picture = large();
    if (!picture) return;
    const at = cursor ?? Infinity;
    const values = visible(picture).map((curve) => `${curve.name} ${readAt(curve, at, picture, axis())}`);
    setText(spoken, [readout.textContent ?? '', ...values].join(', '));
  }

  function zoomBy(factor: number, around: number | undefined): void {
    const all = whole();
    if (!all) return;
    const now = span ?? all;
    show(zoomed(now, factor, around ?? (now[0] + now[1]) / 2, all));
  }

  function moveTo(index: number): void {
    const places = axisOf(columns, axis());
    const x = places[Math.max(0, Math.min(places.length - 1, index))];
    if (x === undefined) return;
    const all = whole();
    if (span && all && (x < span[0] || x > span[1])) {
      const width = span[1] - span[0];
      show(shiftedWithin(span, (x - (x < span[0] ? span[0] : span[1])) / width, all));
    }
    pointTo(x);
    speak();
  }

  plot.element.addEventListener('keydown', (event) => {
    const places = axisOf(columns, axis());
    const now = span ?? whole();
    if (!now || event.ctrlKey || event.metaKey || event.altKey) return;
    const ends = [nearest(places, now[0]), nearest(places, now[1])] as const;
    const here = cursor === undefined ? ends[1] : nearest(places, cursor);
    const page = Math.max(1, Math.round((ends[1] - ends[0]) * PAGE_SHARE));
    const acts: Readonly<Record<string, () => void>> = {
      ArrowLeft: () => moveTo(here - 1),
      ArrowRight: () => moveTo(here + 1),
      PageUp: () => moveTo(here - page),
      PageDown: () => moveTo(here + page),
      Home: () => moveTo(ends[0]),
      End: () => moveTo(ends[1]),
      '+': () => zoomBy(ZOOM, cursor),
      '=': () => zoomBy(ZOOM, cursor),
      '-': () => zoomBy(1 / ZOOM, cursor),
      '0': () => show(undefined),
    };
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  plot.element.addEventListener('pointerdown', () => plot.element.focus());
  plot.element.addEventListener('blur', () => pointTo(undefined));
  plot.element.addEventListener('dblclick', () => show(undefined));
  plot.element.addEventListener(
    'wheel',
    (event) => {
      // A wheel that only passes by scrolls the page.
      if (!event.ctrlKey && !event.metaKey && document.activeElement !== plot.element) return;
      event.preventDefault();
      const all = whole();
      const sideways = event.shiftKey ? event.deltaY : event.deltaX;
      if (
        all &&
        span &&
        Math.abs(sideways) > 0 &&
        (event.shiftKey || Math.abs(sideways) > Math.abs(event.deltaY))
      ) {
        show(shiftedWithin(span, Math.sign(sideways) * PAGE_SHARE, all));
      } else if (event.deltaY !== 0) {
        zoomBy(event.deltaY < 0 ? ZOOM : 1 / ZOOM, plot.toX(event.clientX));
      }
    },
    { passive: false },
  );

  async function copyCsv(): Promise<string> {
    const picture = large();
    const shownSpan = span ?? whole();
    if (!picture || !shownSpan) return l10n.t`There is nothing to copy yet.`;
    const text = curvesCsv(visible(picture), axis(), shownSpan);
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // A page without the focus may not write to the clipboard; the editor may.
      await ask('copyText', { text });
    }
    return l10n.t`Copied as CSV.`;
  }

  function makePng(): Promise<Blob> {
    const picture = large();
    const canvas = plot.canvas();
    if (!picture || !canvas) return Promise.reject(new Error(l10n.t`There is nothing to copy yet.`));
    return pictureBlob(canvas, picture, visible(picture), colors);
  }

  async function copyPng(): Promise<string> {
    await navigator.clipboard.write([new ClipboardItem({ 'image/png': makePng() })]);
    return l10n.t`Copied as PNG.`;
  }

  async function savePng(): Promise<string> {
    const content = { base64: await base64Of(await makePng()) };
    const { saved } = await ask('saveFile', { name: `${large()?.id ?? 'curves'}.png`, content });
    return saved === undefined ? '' : l10n.t`Saved as ${saved}.`;
  }

  async function tellWhenDone(work: Promise<string>): Promise<void> {
    try {
      setText(done, await work);
    } catch (error) {
      setText(done, l10n.t`That did not work: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  return {
    element,
    draw(model) {
      if (model !== shownModel) {
        shownModel = model;
        span = undefined;
        cursor = undefined;
      }
      const step = model.steps.at(-1);
      const { length: steps } = model.steps;
      const { length: evaluations } = model.evaluations;
      const isSame = step === last.step && steps === last.steps && evaluations === last.evaluations;
      last = { ...(step === undefined ? {} : { step }), steps, evaluations };
      if (isSame && pictures.length > 0) return;
      followRun(columns, model);
      render();
    },
  };
}
