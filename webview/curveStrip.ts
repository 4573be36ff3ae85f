import * as l10n from '@vscode/l10n';
import type { CurveColors } from './curveColors.js';
import type { Curve, Picture } from './curvePictures.js';
import { createCurvePlot } from './curvePlot.js';
import type { CurvePlot, PlotActions, PlotView } from './curvePlot.js';
import { make, setText } from './dom.js';

/** Small pictures side by side; each has a button that makes it the large one. */
export interface CurveStrip {
  readonly element: HTMLElement;
  draw(views: readonly PlotView[]): void;
  point(x: number | undefined): void;
  /** What stands beside each title: the value of the picture's main curve. */
  tell(value: (picture: Picture, curve: Curve) => string): void;
  recolor(): void;
}

const HEIGHT = 120;

interface Small {
  readonly element: HTMLElement;
  readonly title: HTMLElement;
  readonly value: HTMLElement;
  readonly plot: CurvePlot;
  view: PlotView;
}

/** Makes the strip; `onChoose` is told the id of a picture. */
export function createCurveStrip(
  colors: CurveColors,
  actions: PlotActions,
  onChoose: (id: string) => void,
): CurveStrip {
  const element = make('div', { class: 'strip', role: 'group', 'aria-label': l10n.t`Other curves` });
  const all = new Map<string, Small>();
  let shown: readonly Small[] = [];

  function smallFor(view: PlotView): Small {
    const { id } = view.picture;
    const found = all.get(id);
    if (found) return found;
    const title = make('span', {});
    const value = make('span', { class: 'key-value' });
    const head = make('button', { type: 'button', class: 'small-head', title: l10n.t`Show large` }, title, value);
    head.addEventListener('click', () => onChoose(id));
    const plot = createCurvePlot(HEIGHT, false, colors, actions);
    const small = { element: make('div', { class: 'small' }, head, plot.element), title, value, plot, view };
    all.set(id, small);
    return small;
  }

  return {
    element,
    draw(views) {
      const next = views.map((view) => {
        const small = smallFor(view);
        small.view = view;
        setText(small.title, view.picture.title);
        return small;
      });
      if (next.length !== shown.length || next.some((small, at) => small !== shown[at])) {
        element.replaceChildren(...next.map((small) => small.element));
      }
      shown = next;
      for (const { plot, view } of shown) plot.draw(view);
    },
    point(x) {
      for (const { plot } of shown) plot.point(x);
    },
    tell(value) {
      for (const small of shown) {
        const { picture, curves } = small.view;
        const main = curves.find(({ look }) => look !== 'faint');
        setText(small.value, main === undefined ? '' : value(picture, main));
      }
    },
    recolor() {
      for (const { plot } of shown) plot.recolor();
    },
  };
}
