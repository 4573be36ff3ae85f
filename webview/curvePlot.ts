import type { CurveColors } from './curveColors.js';
import type { XAxis } from './curveColumns.js';
import type { Curve, Picture } from './curvePictures.js';
import { fullSpan } from './curveRange.js';
import { describePicture } from './curveText.js';
import { padded, xTicks, yTicks } from './curveTicks.js';
import { align, decimate, extent } from './decimate.js';
import type { Span } from './decimate.js';
import { make } from './dom.js';
import { createPlot } from './uplot.js';
import type { Plot, PlotLine } from './uplot.js';

/** What is drawn, and which part of it. */
export interface PlotView {
  readonly picture: Picture;
  /** Those of the picture that are not switched off. */
  readonly curves: readonly Curve[];
  readonly axis: XAxis;
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
const X_TICK_SPACE = 90;
const Y_TICK_SPACE = 42;

/** Makes a plot that is `height` CSS pixels high and as wide as its box. */
export function createCurvePlot(height: number, colors: CurveColors, actions: PlotActions): CurvePlot {
  const element = make('div', { class: 'plot', role: 'img' });
  let plot: Plot | undefined;
  let shape = '';
  let shown: PlotView | undefined;
  let width = 0;
  let cursor: number | undefined;

  function render(): void {
    if (!shown || width < LEAST_WIDTH) return;
    const { picture, curves, axis, logarithmic } = shown;
    const whole = fullSpan(curves);
    const wanted = JSON.stringify([logarithmic, curves.map(({ key, color, look }) => [key, color, look])]);
    if (plot === undefined || wanted !== shape) {
      plot?.destroy();
      const lines = curves.map((curve) => lineFor(curve, colors));
      plot = createPlot(element, { lines, logarithmic, colors: colors.plot, ...actions }, { width, height });
      shape = wanted;
    }
    const span = shown.span ?? whole ?? [0, 1];
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
    if (width >= LEAST_WIDTH) plot?.resize(width, height);
    render();
  }).observe(element);

  let described = 0;
  return {
    element,
    draw(view) {
      shown = view;
      render();
      // Describing goes over all points; nobody hears it more often than this.
      if (performance.now() - described > DESCRIBE_MS) {
        described = performance.now();
        element.setAttribute('aria-label', describePicture(view.picture, view.curves, view.axis));
      }
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

const DESCRIBE_MS = 1000;

function lineFor({ color, look }: Curve, colors: CurveColors): PlotLine {
  return {
    color: () => colors.of(color),
    width: look === 'faint' ? 1 : 1.75,
    alpha: look === 'faint' ? 0.35 : 1,
    dots: look === 'dots',
    ...(look === 'dashed' ? { dash: [6, 3] } : {}),
  };
}
