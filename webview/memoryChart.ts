import * as l10n from '@vscode/l10n';
import { formatBytes, formatCount } from '../src/common/format.js';
import type { MemoryPlan } from '../src/memory/plan.js';
import type { Memory } from '../src/training/events.js';
import { nearestIndex, niceTicks, thin } from './chartMath.js';
import { make, makeSvg, setText } from './dom.js';
import { GROUPS, measuredBytes, predictedParts } from './memoryRows.js';
import type { GroupName } from './memoryRows.js';

export interface MemoryChart {
  readonly element: HTMLElement;
  /** @param xEnd the last step, where the run is still on its way there */
  draw(memory: readonly Memory[], plan: MemoryPlan | undefined, xEnd: number | undefined): void;
}

const HEIGHT = 300;
/** The prediction's bar, right of the measured stack, and the space around it. */
const BAR = { width: 34, gap: 40 } as const;
const MARGIN = { top: 22, right: 12, bottom: 38, left: 64 } as const;

/**
 * Memory over steps as a stack of parts, and beside it the prediction as one bar of the same colours, its total a dashed
 * line through both. The arrow keys move a read-out, as the pointer does.
 */
export function createMemoryChart(): MemoryChart {
  const label = l10n.t`Memory of the worker over steps, by part, beside the prediction`;
  const svg = makeSvg('svg', { class: 'chart', role: 'img', tabindex: 0, 'aria-label': label, height: HEIGHT });
  const readOut = make('div', { class: 'readout', role: 'status' });
  const legend = make('div', { class: 'legend' });
  const element = make('div', { class: 'chart-box' }, legend, svg, readOut);
  let memory: readonly Memory[] = [];
  let plan: MemoryPlan | undefined;
  let xEnd: number | undefined;
  let cursor: number | undefined;
  let toX: ((pixel: number) => number) | undefined;

  function render(): void {
    const width = Math.floor(svg.getBoundingClientRect().width);
    if (width < 200) return;
    if (memory.length === 0 && plan === undefined) {
      toX = undefined;
      legend.replaceChildren();
      setText(readOut, '');
      const at = { class: 'empty', x: width / 2, y: HEIGHT / 2, 'text-anchor': 'middle' };
      svg.replaceChildren(makeSvg('text', at, l10n.t`Nothing measured yet.`));
      return;
    }
    const right = width - MARGIN.right - (plan === undefined ? 0 : BAR.width + BAR.gap);
    const bottom = HEIGHT - MARGIN.bottom;
    const most = Math.max(plan?.total ?? 0, ...memory.slice(-1).map(({ peakResident }) => peakResident));
    const unit = 1024 ** Math.max(0, Math.floor(Math.log2(Math.max(1, most)) / 10));
    const yTicks = niceTicks(0, most, 5, unit);
    const high = Math.max(most, yTicks.at(-1) ?? most);
    const steps = memory.map(({ step }) => step);
    const end = Math.max(1, xEnd ?? 0, steps.at(-1) ?? 0);
    const px = (step: number): number => MARGIN.left + (step / end) * (right - MARGIN.left);
    const py = (bytes: number): number => bottom - (bytes / high) * (bottom - MARGIN.top);
    toX = (pixel) => ((pixel - MARGIN.left) / (right - MARGIN.left)) * end;

    const parts: SVGElement[] = [];
    const line = (kind: string, x1: number, y1: number, x2: number, y2: number): void => {
      parts.push(makeSvg('line', { class: kind, x1, y1, x2, y2 }));
    };
    const text = (kind: string, x: number, y: number, anchor: string, value: string): void => {
      parts.push(makeSvg('text', { class: kind, x, y, 'text-anchor': anchor }, value));
    };
    const edge = plan === undefined ? right : width - MARGIN.right;
    for (const tick of yTicks) {
      line('grid', MARGIN.left, py(tick), edge, py(tick));
      text('tick', MARGIN.left - 8, py(tick) + 4, 'end', formatBytes(tick));
    }
    for (const tick of niceTicks(0, end, Math.max(2, Math.floor(width / 110)))) {
      if (tick > end || !Number.isInteger(tick)) continue;
      line('axis', px(tick), bottom, px(tick), bottom + 4);
      text('tick', px(tick), bottom + 17, 'middle', formatCount(tick));
    }
    let floor = steps.map(() => 0);
    for (const { name } of GROUPS) {
      const top = floor.map((below, at) => below + (measuredBytes(name, memory[at]!) ?? 0));
      if (top.some((bytes, at) => bytes > floor[at]!)) parts.push(area(name, steps, floor, top, px, py, right));
      floor = top;
    }
    if (memory.length > 0) {
      const peaks = memory.map(
        ({ step, peakResident }) => `${px(step).toFixed(1)},${py(peakResident).toFixed(1)}`,
      );
      parts.push(makeSvg('polyline', { class: 'curve curve-limit', points: peaks.join(' ') }));
    }
    if (plan !== undefined) {
      const x = right + BAR.gap;
      let below = 0;
      for (const { name, title } of GROUPS) {
        const bytes = predictedParts(name, plan).reduce((sum, part) => sum + part.bytes, 0);
        if (bytes === 0) continue;
        const rect = {
          class: `stack stack-${name}`,
          x,
          width: BAR.width,
          y: py(below + bytes),
          height: py(below) - py(below + bytes),
        };
        parts.push(
          makeSvg('rect', rect, makeSvg('title', {}, l10n.t`${title()}: ${formatBytes(bytes)} predicted`)),
        );
        below += bytes;
      }
      line('predicted', MARGIN.left, py(plan.total), edge, py(plan.total));
      text('tick', x + BAR.width / 2, bottom + 17, 'middle', l10n.t`predicted`);
    }
    line('axis', MARGIN.left, bottom, edge, bottom);
    text('axis-name', (MARGIN.left + right) / 2, HEIGHT - 4, 'middle', l10n.t`step`);
    if (cursor !== undefined) line('cursor', px(cursor), MARGIN.top, px(cursor), bottom);
    svg.replaceChildren(...parts);
    const said = readAt(cursor ?? steps.at(-1));
    svg.setAttribute('aria-label', l10n.t`${label}. ${said}`);
    setText(readOut, said);
    drawLegend();
  }

  function drawLegend(): void {
    const keys = GROUPS.filter(
      ({ name }) =>
        memory.some((each) => (measuredBytes(name, each) ?? 0) > 0) ||
        (plan !== undefined && predictedParts(name, plan).some(({ bytes }) => bytes > 0)),
    ).map(({ name, title }) =>
      make('span', { class: 'key' }, make('span', { class: `square square-${name}` }), title()),
    );
    const lines = [
      ...(memory.length === 0
        ? []
        : [make('span', { class: 'key' }, make('span', { class: 'swatch swatch-limit' }), l10n.t`Peak so far`)]),
      ...(plan === undefined
        ? []
        : [
            make(
              'span',
              { class: 'key' },
              make('span', { class: 'swatch swatch-predicted' }),
              l10n.t`Predicted peak`,
            ),
          ]),
    ];
    legend.replaceChildren(...keys, ...lines);
  }

  function readAt(step: number | undefined): string {
    const foreseen = plan === undefined ? [] : [l10n.t`predicted ${formatBytes(plan.total)}`];
    const at =
      step === undefined
        ? undefined
        : memory[
            nearestIndex(
              memory.map((each) => each.step),
              step,
            )
          ];
    if (at === undefined) return foreseen.join('');
    const told = GROUPS.flatMap(({ name, title, short = title }) => {
      const bytes = measuredBytes(name, at) ?? 0;
      return bytes > 0 ? [`${short()} ${formatBytes(bytes)}`] : [];
    });
    return [
      l10n.t`step ${formatCount(at.step)}`,
      ...told,
      l10n.t`resident ${formatBytes(at.resident)}`,
      l10n.t`peak ${formatBytes(at.peakResident)}`,
      ...foreseen,
    ].join('  ·  ');
  }

  /** The cursor stands on a measurement, not between. */
  function moveTo(step: number | undefined): void {
    const steps = memory.map((each) => each.step);
    cursor = step === undefined ? undefined : steps[nearestIndex(steps, step)];
    render();
  }

  svg.addEventListener('pointermove', (event) => {
    moveTo(toX?.(event.clientX - svg.getBoundingClientRect().left));
  });
  svg.addEventListener('pointerleave', () => moveTo(undefined));
  svg.addEventListener('blur', () => moveTo(undefined));
  svg.addEventListener('keydown', (event) => {
    const steps = memory.map((each) => each.step);
    const here = cursor === undefined ? steps.length - 1 : nearestIndex(steps, cursor);
    const moves: Readonly<Record<string, number>> = {
      ArrowLeft: here - 1,
      ArrowRight: here + 1,
      Home: 0,
      End: steps.length - 1,
    };
    const index = moves[event.key];
    if (index === undefined || steps.length === 0) return;
    event.preventDefault();
    moveTo(steps[Math.max(0, Math.min(steps.length - 1, index))]);
  });
  new ResizeObserver(render).observe(svg);
  return {
    element,
    draw(nextMemory, nextPlan, nextEnd) {
      memory = nextMemory;
      plan = nextPlan;
      xEnd = nextEnd;
      render();
    },
  };
}

/** A layer of the stack. A run that was measured once has a strip of it. */
function area(
  name: GroupName,
  steps: readonly number[],
  floor: readonly number[],
  top: readonly number[],
  px: (step: number) => number,
  py: (bytes: number) => number,
  right: number,
): SVGElement {
  const over = thin({ x: steps, y: top }, right);
  const under = thin({ x: steps, y: floor }, right);
  const points = (line: typeof over): string[] =>
    [...line.x].map((step, at) => `${px(step).toFixed(1)},${py(line.y[at] ?? 0).toFixed(1)}`);
  const strip =
    steps.length === 1 ? [`${px(steps[0]!) + 4},${py(top[0]!)}`, `${px(steps[0]!) + 4},${py(floor[0]!)}`] : [];
  return makeSvg('polygon', {
    class: `stack stack-${name}`,
    points: [...points(over), ...strip, ...points(under).reverse()].join(' '),
  });
}
