// The only file that knows uPlot, so that it stays replaceable.
import UPlot from 'uplot';
import type { Aligned, Span } from './decimate.js';
import type { Ticks } from './curveTicks.js';

/** How a line looks; colours are asked for at each drawing, for the theme may change. */
export interface PlotLine {
  readonly color: () => string;
  /** CSS pixels. */
  readonly width: number;
  readonly dash?: readonly number[];
  readonly alpha: number;
  /** Draw each point as a dot too. */
  readonly dots: boolean;
}

export interface PlotColors {
  readonly text: string;
  readonly grid: string;
  readonly font: string;
}

export interface PlotShape {
  readonly lines: readonly PlotLine[];
  readonly logarithmic: boolean;
  /** Whether the x axis has its name below. */
  readonly isNamed: boolean;
  readonly colors: () => PlotColors;
  /** Told in CSS pixels of the page when the user drags over a stretch of the x axis. */
  readonly onSelect: (span: Span) => void;
  /** Where the pointer is on the x axis; `undefined` when it left. */
  readonly onPoint: (x: number | undefined) => void;
}

/** All that one drawing needs. */
export interface PlotFrame {
  readonly data: Aligned;
  readonly x: Span;
  readonly y: Span;
  readonly xName: string;
  readonly xTicks: Ticks;
  readonly yTicks: Ticks;
}

export interface Plot {
  /** Draws at once. */
  draw(frame: PlotFrame): void;
  resize(width: number, height: number): void;
  /** Draws the same in the present colours. */
  recolor(): void;
  /** Puts the cursor onto a place of the x axis, or takes it away. */
  point(x: number | undefined): void;
  /** A place on the x axis from a distance to the left edge of the plotted area, in CSS pixels. */
  toX(pixel: number): number;
  /** Pixels of the device that the plotted area is wide. */
  columns(): number;
  /** The plotted area, for pointer events. */
  readonly area: HTMLElement;
  readonly canvas: HTMLCanvasElement;
  destroy(): void;
}

const FONT_SIZE = 11;
const NOTHING: Ticks = { at: [], text: [] };

/** Makes a plot in `parent`, of a size in CSS pixels. */
export function createPlot(
  parent: HTMLElement,
  shape: PlotShape,
  size: { readonly width: number; readonly height: number },
): Plot {
  const { lines, colors, onSelect, onPoint } = shape;
  let frame: PlotFrame = {
    data: { x: [], ys: [] },
    x: [0, 1],
    y: [0, 1],
    xName: '',
    xTicks: NOTHING,
    yTicks: NOTHING,
  };
  // The plot moves its cursor itself when it is drawn anew: only what a pointer did is told.
  let moving = false;
  const axis = (ticks: () => Ticks): UPlot.Axis => ({
    stroke: () => colors().text,
    font: `${FONT_SIZE}px ${colors().font}`,
    labelFont: `${FONT_SIZE}px ${colors().font}`,
    grid: { stroke: () => colors().grid, width: 1 },
    ticks: { stroke: () => colors().grid, width: 1, size: 4 },
    gap: 4,
    splits: () => [...ticks().at],
    filter: (_plot, splits) => splits,
    values: () => [...ticks().text],
  });
  const plot = new UPlot(
    {
      ...size,
      padding: [8, 30, 0, 0],
      legend: { show: false },
      scales: {
        x: { time: false, range: () => [...frame.x] },
        y: {
          range: () => [...frame.y],
          ...(shape.logarithmic ? { distr: 100, fwd: Math.log10, bwd: (value: number) => 10 ** value } : {}),
        },
      },
      axes: [
        {
          ...axis(() => frame.xTicks),
          size: 24,
          ...(shape.isNamed ? { label: () => frame.xName, labelSize: 18, labelGap: 0 } : {}),
        },
        { ...axis(() => frame.yTicks), size: (_plot, values) => widthFor(values ?? []) },
      ],
      series: [
        {},
        ...lines.map((line) => ({
          stroke: line.color,
          width: line.width,
          alpha: line.alpha,
          ...(line.dash === undefined ? {} : { dash: [...line.dash] }),
          points: line.dots
            ? { show: true, size: 6, fill: line.color }
            : { show: isLonely, size: 6, fill: line.color },
        })),
      ],
      cursor: {
        y: false,
        drag: { x: true, y: false, setScale: false, dist: 4 },
        points: { size: 7, fill: (_plot, at) => lines[at - 1]?.color() ?? '', width: 0 },
        bind: { dblclick: () => null },
      },
      hooks: {
        setSelect: [
          ({ select }) => {
            if (select.width > 0) onSelect([toX(select.left), toX(select.left + select.width)]);
            plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          },
        ],
        setCursor: [
          ({ cursor: { left } }) => {
            if (!moving) onPoint(left === undefined || left < 0 ? undefined : toX(left));
          },
        ],
      },
    },
    [[], ...lines.map(() => [])],
    parent,
  );

  function toX(pixel: number): number {
    return plot.posToVal(pixel, 'x');
  }

  function quietly(act: () => void): void {
    moving = true;
    act();
    moving = false;
  }

  return {
    draw(next) {
      frame = next;
      quietly(() =>
        plot.batch(() => {
          plot.setData([next.data.x, ...next.data.ys]);
          // Ticks depend on the room there is, too: without this they change only when a scale does.
          plot.redraw(false, true);
        }),
      );
    },
    resize: (width, height) => quietly(() => plot.batch(() => plot.setSize({ width, height }))),
    recolor: () => plot.redraw(false),
    point(x) {
      const left = x === undefined ? -10 : plot.valToPos(x, 'x');
      quietly(() => plot.setCursor({ left, top: x === undefined ? -10 : plot.over.clientHeight / 2 }, false));
    },
    toX,
    columns: () => Math.round(plot.bbox.width),
    area: plot.over,
    canvas: plot.ctx.canvas,
    destroy: () => plot.destroy(),
  };
}

/** A point without a neighbour has no line that would show it. */
function isLonely(plot: UPlot, at: number): boolean {
  let count = 0;
  for (const value of plot.data[at] ?? []) {
    if (value !== null && value !== undefined) count += 1;
    if (count > 1) return false;
  }
  return count === 1;
}

/** CSS pixels that the texts beside an axis need. */
function widthFor(texts: readonly string[]): number {
  return 16 + Math.max(4, ...texts.map(({ length }) => length)) * FONT_SIZE * 0.6;
}
