import * as l10n from '@vscode/l10n';
import { make, makeSvg } from './dom.js';
import { signed } from './composeModel.js';

/** A weight by its adapter. */
export interface NamedWeight {
  readonly name: string;
  /** The whole name, shown on hovering. */
  readonly folder: string;
  readonly weight: number;
}

const [WIDTH, HEIGHT] = [240, 16];

/** Weights as bars from the middle, within ± a bound; the numbers stand beside them. */
export function createWeightBars(): {
  readonly element: HTMLElement;
  draw(weights: readonly NamedWeight[], bound: number): void;
} {
  const body = make('tbody', {});
  const scale = make('td', {});
  const element = make(
    'table',
    { class: 'weight-bars' },
    make('caption', { class: 'for-ears' }, l10n.t`Weights of the best mixture`),
    make(
      'thead',
      {},
      make(
        'tr',
        {},
        make('th', { scope: 'col' }, l10n.t`Adapter`),
        make('th', { scope: 'col' }, l10n.t`Weight`),
        scale,
      ),
    ),
    body,
  );
  let drawn = '';
  return {
    element,
    draw(weights, bound) {
      const next = JSON.stringify([weights, bound]);
      if (next === drawn) return;
      drawn = next;
      scale.replaceChildren(scaleOf(bound));
      body.replaceChildren(
        ...weights.map(({ name, folder, weight }) =>
          make(
            'tr',
            {},
            make('th', { scope: 'row', title: folder }, name),
            make('td', { class: 'number' }, signed(weight)),
            make('td', {}, barOf(weight, bound)),
          ),
        ),
      );
    },
  };
}

/** Longest at the bound. */
function barOf(weight: number, bound: number): SVGElement {
  const middle = WIDTH / 2;
  const length = Math.min(1, Math.abs(weight) / bound) * middle;
  const line = (x: number, kind: string): SVGElement =>
    makeSvg('line', { class: kind, x1: x, x2: x, y1: 0, y2: HEIGHT });
  return makeSvg(
    'svg',
    { class: 'weight-bar', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    line(0.5, 'grid'),
    line(WIDTH - 0.5, 'grid'),
    makeSvg('rect', {
      class: weight < 0 ? 'negative' : 'positive',
      x: weight < 0 ? middle - length : middle,
      y: 2.5,
      width: length,
      height: HEIGHT - 5,
    }),
    line(middle, 'axis'),
  );
}

/** What stands at the ends and in the middle. */
function scaleOf(bound: number): HTMLElement {
  return make(
    'div',
    { class: 'weight-scale', 'aria-hidden': 'true' },
    ...[-bound, 0, bound].map((weight) => make('span', {}, signed(weight, 1))),
  );
}
