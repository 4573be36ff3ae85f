import * as l10n from '@vscode/l10n';
import { formatLoss, formatPercent, formatTick } from '../../common/format.js';
import type { ComparedMethod, MethodComparison } from './comparison.js';
import { placeLabels } from './placeLabels.js';
import type { Box } from './placeLabels.js';
import { svgText } from './svgText.js';
import type { SvgElement } from './svgText.js';

const WIDTH = 920;
const HEIGHT = 560;
const FRAME: Box = { x: 70, y: 44, width: WIDTH - 90, height: HEIGHT - 104 };
const RADIUS = 5;
const LABEL_HEIGHT = 15;
/** Of a letter at 12 px, as wide as the widest usual fonts have it. */
const LETTER = 7;
/** A label farther than this from its mark gets a line to it. */
const NEAR = 16;

/** A method that has a place in the picture. */
interface Point {
  readonly each: ComparedMethod;
  readonly share: number;
  readonly loss: number;
  readonly deviation: number;
  readonly x: number;
  readonly y: number;
  /** Its loss is above the picture. */
  readonly above: boolean;
}

/**
 * The held-out loss of methods against their trainable share, on a logarithmic axis: marks by family (by shape and colour),
 * deviations over the seeds, labels that do not collide. What ended worse than it began stands at the upper edge, with its
 * loss.
 */
export function comparisonPicture(comparison: MethodComparison): SvgElement {
  const known = comparison.methods.flatMap((each) => {
    const { results, share } = each;
    return results === undefined || share === null || share <= 0 ? [] : [{ each, share, results }];
  });
  const starts = known.flatMap(({ results }) => results.start?.mean ?? []);
  const start = starts.length === 0 ? undefined : medianOf(starts);
  const ends = known.map(({ results: { loss } }) => ({ ...loss, deviation: loss.deviation ?? 0 }));
  const worst = start === undefined ? Infinity : start * 1.04;
  const within = ends.filter(({ mean }) => mean <= worst);
  const x = logScale(known.map(({ share }) => share));
  const y = linearScale([
    ...within.flatMap(({ mean, deviation }) => [mean - deviation, Math.min(worst, mean + deviation)]),
    ...(start === undefined ? [] : [start]),
  ]);
  const points = known
    .map(({ each, share }, at): Point => {
      const { mean: loss, deviation } = ends[at]!;
      const above = loss > worst;
      return { each, share, loss, deviation, above, x: x.at(share), y: above ? FRAME.y + RADIUS : y.at(loss) };
    })
    // From the best down: those get the nearer places for their labels.
    .toSorted((one, other) => one.loss - other.loss);
  return {
    tag: 'svg',
    attributes: {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      role: 'img',
      'aria-labelledby': 'methods-title methods-description',
      class: 'methods-picture',
    },
    children: [
      {
        tag: 'title',
        attributes: { id: 'methods-title' },
        children: [l10n.t`Held-out loss against trainable share`],
      },
      { tag: 'desc', attributes: { id: 'methods-description' }, children: [description(points)] },
      ...axes(x.ticks, y.ticks, x.at, y.at),
      ...(start === undefined ? [] : startLine(y.at(start))),
      ...points.map(whisker(y.at)),
      ...points.map((point) => mark(point.each.family, point.x, point.y, pointText(point))),
      ...labels(points, start === undefined ? [] : [startBox(y.at(start))]),
      ...legend(points),
    ],
  };
}

/** The picture as a file of its own: readable on light and dark pages. */
export function pictureFile(comparison: MethodComparison): string {
  const { children = [], attributes, ...picture } = comparisonPicture(comparison);
  const style: SvgElement = { tag: 'style', children: [STYLE] };
  const whole = {
    ...picture,
    attributes: { xmlns: 'http://www.w3.org/2000/svg', ...attributes, width: WIDTH, height: HEIGHT },
  };
  return `${svgText({ ...whole, children: [...children.slice(0, 2), style, ...children.slice(2)] })}\n`;
}

const STYLE = `
text { font: 12px system-ui, sans-serif; fill: #24292f; }
.muted { fill: #57606a; }
.heading { font-size: 14px; font-weight: 600; }
.grid { stroke: #d0d7de; }
.start { stroke: #57606a; stroke-dasharray: 5 4; }
.whisker, .leader { stroke: #8c959f; }
.additive { fill: #0b7a99; }
.selective { fill: #6a4fd0; }
.low-rank { fill: #b85a10; }
.full { fill: #b8322b; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .muted { fill: #9da7b3; }
  .grid { stroke: #30363d; }
  .start { stroke: #9da7b3; }
  .whisker, .leader { stroke: #6e7681; }
  .additive { fill: #4bb8d6; }
  .selective { fill: #9b8cff; }
  .low-rank { fill: #e8833a; }
  .full { fill: #f0736a; }
}
`;

function pointText({ each, share, loss, deviation }: Point): string {
  const spread = deviation === 0 ? '' : ` ± ${String(Number(deviation.toPrecision(2)))}`;
  return `${each.method}: ${formatLoss(loss)}${spread}, ${formatPercent(share)}`;
}

function whisker(at: (loss: number) => number): (point: Point) => SvgElement {
  return ({ x, loss, deviation, above }) => ({
    tag: 'line',
    attributes: above
      ? { class: 'whisker', x1: x, x2: x, y1: FRAME.y, y2: FRAME.y }
      : {
          class: 'whisker',
          x1: round(x),
          x2: round(x),
          y1: round(Math.max(FRAME.y, at(loss + deviation))),
          y2: round(at(loss - deviation)),
        },
  });
}

/** Each family has a shape of its own, not a colour alone. */
function mark(family: string, x: number, y: number, text?: string): SvgElement {
  const inner = text === undefined ? {} : { children: [{ tag: 'title', children: [text] }] };
  const [cx, cy] = [round(x), round(y)];
  const [left, right, top, bottom] = [cx - RADIUS, cx + RADIUS, cy - RADIUS, cy + RADIUS];
  const polygon = (...points: readonly string[]): SvgElement => ({
    tag: 'polygon',
    attributes: { class: family, points: points.join(' ') },
    ...inner,
  });
  switch (family) {
    case 'selective':
      return polygon(`${left},${top}`, `${right},${top}`, `${right},${bottom}`, `${left},${bottom}`);
    case 'low-rank':
      return polygon(`${cx},${top}`, `${right},${bottom}`, `${left},${bottom}`);
    case 'full':
      return polygon(`${cx},${top}`, `${right},${cy}`, `${cx},${bottom}`, `${left},${cy}`);
    default:
      return { tag: 'circle', attributes: { class: family, cx, cy, r: RADIUS }, ...inner };
  }
}

function labels(points: readonly Point[], taken: readonly Box[]): readonly SvgElement[] {
  const texts = points.map(({ each, above, loss }) =>
    above ? `${each.method} ↑ ${formatLoss(loss)}` : each.method,
  );
  const boxes = placeLabels(
    points.map(({ x, y }, at) => ({ x, y, width: LETTER * texts[at]!.length, height: LABEL_HEIGHT })),
    FRAME,
    RADIUS,
    taken,
  );
  return boxes.flatMap((box, at) => {
    const { x, y } = points[at]!;
    if (box === undefined) return [];
    const isRight = box.x + box.width / 2 >= x;
    const nearX = Math.min(Math.max(x, box.x), box.x + box.width);
    const nearY = Math.min(Math.max(y, box.y), box.y + box.height);
    const far = Math.hypot(nearX - x, nearY - y) > NEAR;
    const leader: SvgElement = {
      tag: 'line',
      attributes: { class: 'leader', x1: round(x), y1: round(y), x2: round(nearX), y2: round(nearY) },
    };
    const text: SvgElement = {
      tag: 'text',
      attributes: {
        x: round(isRight ? box.x : box.x + box.width),
        y: round(box.y + LABEL_HEIGHT - 4),
        'text-anchor': isRight ? 'start' : 'end',
      },
      children: [texts[at]!],
    };
    return far ? [leader, text] : [text];
  });
}

function axes(
  xTicks: readonly number[],
  yTicks: readonly number[],
  x: (share: number) => number,
  y: (loss: number) => number,
): readonly SvgElement[] {
  const { x: left, y: top, width, height } = FRAME;
  const line = (x1: number, y1: number, x2: number, y2: number): SvgElement => ({
    tag: 'line',
    attributes: { class: 'grid', x1: round(x1), y1: round(y1), x2: round(x2), y2: round(y2) },
  });
  const text = (at: Readonly<Record<string, string | number>>, said: string): SvgElement => ({
    tag: 'text',
    attributes: { class: 'muted', ...at },
    children: [said],
  });
  return [
    {
      tag: 'text',
      attributes: { class: 'heading', x: left, y: 20 },
      children: [l10n.t`Held-out loss against trainable share`],
    },
    ...xTicks.flatMap((tick) => [
      line(x(tick), top, x(tick), top + height),
      text({ x: round(x(tick)), y: top + height + 18, 'text-anchor': 'middle' }, shareText(tick)),
    ]),
    ...yTicks.flatMap((tick) => [
      line(left, y(tick), left + width, y(tick)),
      text({ x: left - 8, y: round(y(tick) + 4), 'text-anchor': 'end' }, formatTick(tick)),
    ]),
    text(
      { x: left + width / 2, y: HEIGHT - 24, 'text-anchor': 'middle' },
      l10n.t`trainable share of the model (logarithmic)`,
    ),
    text(
      { x: 16, y: top + height / 2, 'text-anchor': 'middle', transform: `rotate(-90 16 ${top + height / 2})` },
      l10n.t`held-out loss (nats per token)`,
    ),
  ];
}

function startLine(y: number): readonly SvgElement[] {
  const { x, width } = FRAME;
  const box = startBox(y);
  return [
    { tag: 'line', attributes: { class: 'start', x1: x, x2: x + width, y1: round(y), y2: round(y) } },
    {
      tag: 'text',
      attributes: {
        class: 'muted',
        x: round(box.x + box.width),
        y: round(box.y + LABEL_HEIGHT - 4),
        'text-anchor': 'end',
      },
      children: [beforeTraining()],
    },
  ];
}

const beforeTraining = (): string => l10n.t`before training`;

/** Below the line, at its right end. */
function startBox(y: number): Box {
  const width = widthOf(beforeTraining());
  return { x: FRAME.x + FRAME.width - width - 4, y: y + 2, width, height: LABEL_HEIGHT };
}

function legend(points: readonly Point[]): readonly SvgElement[] {
  const shown = [...new Set(points.map(({ each }) => each.family))].sort();
  let x = FRAME.x + FRAME.width;
  return shown.toReversed().flatMap((family) => {
    const name = familyName(family);
    x -= widthOf(name) + 30;
    return [mark(family, x + RADIUS, 16), { tag: 'text', attributes: { x: x + 16, y: 20 }, children: [name] }];
  });
}

/** A family of methods as the reader calls it. */
export function familyName(family: string): string {
  switch (family) {
    case 'additive':
      return l10n.t`additive`;
    case 'selective':
      return l10n.t`selective`;
    case 'low-rank':
      return l10n.t`low-rank`;
    case 'full':
      return l10n.t`full`;
    default:
      return family;
  }
}

/** A sign of Chinese is as wide as it is high. */
function widthOf(text: string): number {
  return [...text].reduce((sum, letter) => sum + (letter > '\u2e80' ? 12 : LETTER), 0);
}

/** The picture in words: the best methods. */
function description(points: readonly Point[]): string {
  const best = points.slice(0, 3).map(pointText).join('; ');
  return points.length === 0
    ? l10n.t`No run has ended yet.`
    : l10n.t`${points.length} methods by the share of the model that trains, on a logarithmic axis, and the held-out loss in the end. The least losses: ${best}.`;
}

interface Scale {
  readonly at: (value: number) => number;
  readonly ticks: readonly number[];
}

/** Powers of ten, between them 2 and 5 where there are few. */
function logScale(values: readonly number[]): Scale {
  const [least, most] = values.length === 0 ? [0.001, 1] : [Math.min(...values), Math.max(...values)];
  // A decade at least, so that there are ticks.
  const room = Math.max(0.15, (1 - Math.log10(most / least)) / 2);
  const [from, to] = [Math.log10(least) - room, Math.log10(most) + room];
  const factors = to - from > 2.5 ? [1] : [1, 2, 5];
  const ticks: number[] = [];
  for (let power = Math.floor(from); power <= to; power++) {
    for (const factor of factors) ticks.push(Number(`${factor}e${power}`));
  }
  return {
    at: (value) => FRAME.x + ((Math.log10(value) - from) / (to - from)) * FRAME.width,
    ticks: ticks.filter((tick) => Math.log10(tick) >= from && Math.log10(tick) <= to),
  };
}

/** Steps of 1, 2 or 5 times a power of ten. */
function linearScale(values: readonly number[]): Scale {
  const [least, most] = values.length === 0 ? [0, 1] : [Math.min(...values), Math.max(...values)];
  const room = 0.05 * (most - least || Math.abs(most) || 1);
  const [from, to] = [least - room, most + room];
  const power = 10 ** Math.floor(Math.log10((to - from) / 6));
  const step = ([1, 2, 5].find((factor) => factor * power * 8 >= to - from) ?? 10) * power;
  const first = Math.ceil(from / step);
  const count = Math.floor(to / step) - first + 1;
  return {
    at: (value) => FRAME.y + ((to - value) / (to - from)) * FRAME.height,
    ticks: Array.from({ length: count }, (_, at) => (first + at) * step),
  };
}

/** `0.1 %` */
function shareText(share: number): string {
  return `${String(Number((100 * share).toPrecision(3)))} %`;
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0;
}

/** A tenth of a pixel is not seen. */
function round(value: number): number {
  return Math.round(10 * value) / 10;
}
