import type { CurveColors } from './curveColors.js';
import type { PlotAxis } from './curveColumns.js';
import type { Curve, Picture } from './curvePictures.js';
import { fullSpan } from './curveRange.js';
import { describePicture } from './curveText.js';
import { axisName, padded, xTicks, yTicks } from './curveTicks.js';
import { align, decimate, extent, firstAbove, firstAtLeast } from './decimate.js';
import type { Span } from './decimate.js';
import { make } from './dom.js';
import { createPlot } from './uplot.js';
import type { Plot, PlotLine } from './uplot.js';

/** What is drawn, and which part of it. */
export interface PlotView {
  readonly picture: Picture;
  /** Those of the picture that are not switched off. */
  readonly curves: readonly Curve[];
  readonly axis: PlotAxis;
  /** The stretch of the axis that is shown; `undefined` shows all. */
  readonly span: Span | undefined;
  readonly logarithmic: boolean;
}

/** What the user does with the plot. */
export interface PlotActions {
  readonly onSelect: (span: Span) => void;
  readonly onPoint: (x: number | undefined) => void;
}

/** One picture's plot in a box that it fills. */
export interface CurvePlot {
  readonly element: HTMLElement;
  draw(view: PlotView): void;
  point(x: number | undefined): void;
  recolor(): void;
  /** What was drawn last, without the box. */
  readonly canvas: () => HTMLCanvasElement | undefined;
  /** A place on the x axis under a distance from the page's left edge. */
  toX(clientX: number): number | undefined;
}

/** Less room than this is none: a tab behind, or a window that is being laid out. */
const LEAST_WIDTH = 100;
/** CSS pixels between ticks. */
const X_TICK_SPACE = 70;
const Y_TICK_SPACE = 34;
/** How often a picture is told anew in words: describing goes over all points. */
const DESCRIBE_MS = 5000;

/** Makes a plot that is `height` CSS pixels high and as wide as its box, with the name of its x axis or without. */
export function createCurvePlot(
  height: number,
  isNamed: boolean,
  colors: CurveColors,
  actions: PlotActions,
): CurvePlot {
  const element = make('div', { class: 'plot', role: 'img' });
  let plot: Plot | undefined;
  let shape = '';
  let shown: PlotView | undefined;
  let width = 0;
  let cursor: number | undefined;

  function render(): void {
    if (!shown || width < LEAST_WIDTH) return;
    const { picture, axis, logarithmic } = shown;
    // The picture's own run lies on top.
    const curves = [...shown.curves].sort((a, b) => Number(b.laidOver ?? false) - Number(a.laidOver ?? false));
    const whole = fullSpan(curves);
    const span = shown.span ?? whole ?? [0, 1];
    const dense = curves.map((curve) => isDense(curve, span, width));
    const wanted = JSON.stringify([logarithmic, dense, curves.map(({ key, color, look }) => [key, color, look])]);
    if (plot === undefined || wanted !== shape) {
      plot?.destroy();
      const lines = curves.map((curve, at) => lineFor(curve, dense[at] ?? false, colors));
      plot = createPlot(
        element,
        { lines, logarithmic, isNamed, colors: colors.plot, ...actions },
        { width, height },
      );
      shape = wanted;
    }
    const columns = Math.max(1, plot.columns() || width);
    const points = curves.map((curve) => decimate(curve, span, columns, logarithmic));
    const range = padded(extent(points, span) ?? (logarithmic ? [0.1, 1] : [0, 1]), {
      log: logarithmic,
      fromZero: picture.fromZero,
    });
    plot.draw({
      data: align(points),
      x: span,
      y: range,
      xName: axisName(axis, span),
      xTicks: xTicks(axis, span, Math.max(2, Math.floor(width / X_TICK_SPACE))),
      yTicks: yTicks(range, Math.max(2, Math.floor(height / Y_TICK_SPACE)), {
        log: logarithmic,
        percent: picture.id === 'accuracy',
      }),
    });
    plot.point(cursor);
  }

  new ResizeObserver(([entry]) => {
    const now = Math.floor(entry?.contentRect.width ?? 0);
    if (now === width) return;
    width = now;
    // Not at once: what is laid out anew while sizes are told is an error to the browser.
    requestAnimationFrame(() => {
      if (width >= LEAST_WIDTH) plot?.resize(width, height);
      render();
    });
  }).observe(element);

  let describedAs = '';
  let describing: number | undefined;
  function describe(): void {
    describing = undefined;
    if (shown) element.setAttribute('aria-label', describePicture(shown.picture, shown.curves, shown.axis));
  }

  return {
    element,
    draw(view) {
      shown = view;
      render();
      const about = `${view.picture.id} ${view.axis} ${view.curves.map(({ key }) => key).join(' ')}`;
      if (about !== describedAs) {
        describedAs = about;
        describe();
      }
      describing ??= window.setTimeout(describe, DESCRIBE_MS);
    },
    point(x) {
      cursor = x;
      plot?.point(x);
    },
    recolor: () => plot?.recolor(),
    canvas: () => plot?.canvas,
    toX: (clientX) => plot?.toX(clientX - plot.area.getBoundingClientRect().left),
  };
}

/** Whether a line may go up and down within each pixel. */
function isDense({ x }: Curve, [from, to]: Span, width: number): boolean {
  return firstAbove(x, to) - firstAtLeast(x, from) > width / 2;
}

/**
 * How a curve is drawn. Where it is dense, dashes cannot be seen, and a line of one pixel of the device looks the same
 * as a wider one: they take a software renderer six times as long.
 */
function lineFor({ color, look }: Curve, dense: boolean, colors: CurveColors): PlotLine {
  const isFaint = look === 'faint';
  return {
    color: () => colors.of(color),
    width: dense ? 1 / window.devicePixelRatio : isFaint ? 1 : 1.75,
    alpha: isFaint ? 0.45 : 1,
    dots: look === 'dots',
    ...(look === 'dashed' && !dense ? { dash: [6, 3] } : {}),
  };
}
