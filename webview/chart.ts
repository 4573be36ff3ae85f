import * as l10n from '@vscode/l10n';
import { formatCount } from '../src/common/format.js';
import { nearestIndex, niceTicks, rangeOf, thin } from './chartMath.js';
import type { Points } from './chartMath.js';
import { make, makeSvg, setText } from './dom.js';

/** A curve of a chart. Its looks are the CSS class `curve-{look}`. */
export interface Curve extends Points {
  readonly name: string;
  readonly look: 'raw' | 'main' | 'evaluation' | 'second' | 'third' | 'limit';
  /** Draw each point as a dot too. */
  readonly dots?: boolean;
}

export interface ChartData {
  readonly curves: readonly Curve[];
  readonly xName: string;
  readonly yName: string;
  /** Ticks are round in this unit: 1, or a power of 1024 for bytes. */
  readonly unit?: number;
  readonly formatY: (value: number) => string;
  /** For the ticks, when they are to be shorter. */
  readonly formatTick?: (value: number) => string;
  /** Forces 0 onto the axis. */
  readonly fromZero?: boolean;
  /** The right end of the axis, where it is known before the run gets there. */
  readonly xEnd?: number;
  readonly empty: string;
}

export interface Chart {
  readonly element: HTMLElement;
  draw(data: ChartData): void;
}

const HEIGHT = 280;
/** More dots than this hide their curve. */
const MOST_DOTS = 40;
const MARGIN = { top: 12, right: 28, bottom: 38, left: 64 } as const;

/** A line chart with axes and a read-out that follows the pointer or, with focus, the arrow keys. */
export function createChart(label: string): Chart {
  const svg = makeSvg('svg', { class: 'chart', role: 'img', tabindex: 0, 'aria-label': label, height: HEIGHT });
  const readOut = make('div', { class: 'readout', role: 'status' });
  const legend = make('div', { class: 'legend' });
  const element = make('div', { class: 'chart-box' }, legend, svg, readOut);
  let data: ChartData | undefined;
  let cursor: number | undefined;
  let toX: ((pixel: number) => number) | undefined;

  function render(): void {
    const width = Math.floor(svg.getBoundingClientRect().width);
    if (!data || width < 120) return;
    const { curves, formatTick = data.formatY } = data;
    const xs = rangeOf([...curves.map(({ x }) => x), data.xEnd === undefined ? [] : [data.xEnd]]);
    const ys = rangeOf([...curves.map(({ y }) => y), data.fromZero ? [0] : []]);
    if (!xs || !ys) {
      toX = undefined;
      legend.replaceChildren();
      setText(readOut, '');
      svg.replaceChildren(
        makeSvg('text', { class: 'empty', x: width / 2, y: HEIGHT / 2, 'text-anchor': 'middle' }, data.empty),
      );
      return;
    }
    const right = width - MARGIN.right;
    const bottom = HEIGHT - MARGIN.bottom;
    const yTicks = niceTicks(ys[0], ys[1], 5, data.unit);
    const low = Math.min(ys[0], yTicks[0] ?? ys[0]);
    const high = Math.max(ys[1], yTicks.at(-1) ?? ys[1]);
    const [left, end] = xs;
    const px = (x: number): number => MARGIN.left + ((x - left) / (end - left)) * (right - MARGIN.left);
    const py = (y: number): number => bottom - ((y - low) / (high - low)) * (bottom - MARGIN.top);
    toX = (pixel) => left + ((pixel - MARGIN.left) / (right - MARGIN.left)) * (end - left);
    const xTicks = niceTicks(left, end, Math.max(2, Math.floor(width / 110))).filter(
      (tick) => tick >= left && tick <= end && Number.isInteger(tick),
    );

    const parts: SVGElement[] = [];
    for (const tick of yTicks) {
      parts.push(makeSvg('line', { class: 'grid', x1: MARGIN.left, x2: right, y1: py(tick), y2: py(tick) }));
      parts.push(
        makeSvg(
          'text',
          { class: 'tick', x: MARGIN.left - 8, y: py(tick) + 4, 'text-anchor': 'end' },
          formatTick(tick),
        ),
      );
    }
    for (const tick of xTicks) {
      parts.push(makeSvg('line', { class: 'axis', x1: px(tick), x2: px(tick), y1: bottom, y2: bottom + 4 }));
      parts.push(
        makeSvg(
          'text',
          { class: 'tick', x: px(tick), y: bottom + 17, 'text-anchor': 'middle' },
          formatCount(tick),
        ),
      );
    }
    parts.push(makeSvg('line', { class: 'axis', x1: MARGIN.left, x2: right, y1: bottom, y2: bottom }));
    parts.push(
      makeSvg(
        'text',
        { class: 'axis-name', x: (MARGIN.left + right) / 2, y: HEIGHT - 4, 'text-anchor': 'middle' },
        data.xName,
      ),
    );
    for (const curve of curves) {
      const points = thin(curve, Math.max(1, right - MARGIN.left));
      const path = points.x.map((x, index) => `${px(x).toFixed(1)},${py(points.y[index] ?? 0).toFixed(1)}`);
      parts.push(makeSvg('polyline', { class: `curve curve-${curve.look}`, points: path.join(' ') }));
      if ((curve.dots && points.x.length <= MOST_DOTS) || points.x.length === 1) {
        points.x.forEach((x, index) =>
          parts.push(
            makeSvg('circle', { class: `dot dot-${curve.look}`, cx: px(x), cy: py(points.y[index] ?? 0), r: 3 }),
          ),
        );
      }
    }
    if (cursor !== undefined) {
      const at = Math.min(end, Math.max(left, cursor));
      parts.push(makeSvg('line', { class: 'cursor', x1: px(at), x2: px(at), y1: MARGIN.top, y2: bottom }));
      for (const curve of curves) {
        const y = curve.y[nearestIndex(curve.x, at)];
        const x = curve.x[nearestIndex(curve.x, at)];
        if (x === undefined || y === undefined || !Number.isFinite(y)) continue;
        parts.push(makeSvg('circle', { class: `dot dot-${curve.look}`, cx: px(x), cy: py(y), r: 4 }));
      }
    }
    svg.replaceChildren(...parts);
    svg.setAttribute('aria-label', l10n.t`${label}. ${summary(data)}`);
    setText(readOut, cursor === undefined ? summary(data) : readAt(data, cursor));
    const names = curves.map(({ name, look }) =>
      make('span', { class: 'key' }, make('span', { class: `swatch swatch-${look}` }), name),
    );
    legend.replaceChildren(make('span', { class: 'y-name' }, data.yName), ...names);
  }

  function moveTo(x: number | undefined): void {
    const curve = data?.curves[0];
    // The cursor stands on a point of the first curve, not between.
    cursor = x === undefined || !curve ? undefined : curve.x[nearestIndex(curve.x, x)];
    render();
  }

  svg.addEventListener('pointermove', (event) => {
    moveTo(toX?.(event.clientX - svg.getBoundingClientRect().left));
  });
  svg.addEventListener('pointerleave', () => moveTo(undefined));
  svg.addEventListener('blur', () => moveTo(undefined));
  svg.addEventListener('keydown', (event) => {
    const xs = data?.curves[0]?.x;
    if (!xs || xs.length === 0) return;
    const here = cursor === undefined ? xs.length - 1 : nearestIndex(xs, cursor);
    const moves: Readonly<Record<string, number>> = {
      ArrowLeft: here - 1,
      ArrowRight: here + 1,
      PageDown: here + Math.ceil(xs.length / 20),
      PageUp: here - Math.ceil(xs.length / 20),
      Home: 0,
      End: xs.length - 1,
    };
    const index = moves[event.key];
    if (index === undefined) return;
    event.preventDefault();
    moveTo(xs[Math.max(0, Math.min(xs.length - 1, index))]);
  });
  new ResizeObserver(render).observe(svg);
  return {
    element,
    draw(next) {
      data = next;
      render();
    },
  };
}

/** The last value of each curve. */
function summary(data: ChartData): string {
  const x = data.curves[0]?.x.at(-1);
  return x === undefined ? data.empty : readAt(data, x);
}

function readAt({ curves, xName, formatY }: ChartData, x: number): string {
  const values = curves.map((curve) => {
    const index = nearestIndex(curve.x, x);
    const at = curve.x[index];
    const y = curve.y[index];
    if (at === undefined || y === undefined) return undefined;
    const value = `${curve.name} ${formatY(y)}`;
    return at === x ? value : l10n.t`${value} (at ${formatCount(at)})`;
  });
  return [`${xName} ${formatCount(x)}`, ...values.filter((value) => value !== undefined)].join('  ·  ');
}
