import { createCurveColors } from './curveColors.js';
import { createCurveLegend } from './curveLegend.js';
import type { PlotAxis } from './curveColumns.js';
import type { Picture } from './curvePictures.js';
import { createCurvePlot } from './curvePlot.js';
import { readAt } from './curveText.js';
import type { Span } from './decimate.js';
import { make, setText } from './dom.js';

const HEIGHT = 240;

/** A picture of a comparison: its curves over the steps. */
export function comparePlot(picture: Picture): HTMLElement {
  const { element, draw } = createPicturePlot('step');
  draw(picture);
  return element;
}

/** A picture that may grow: its curves over an axis, by name. Dragging zooms, a double click shows all again. */
export function createPicturePlot(axis: PlotAxis): {
  readonly element: HTMLElement;
  draw(picture: Picture): void;
} {
  let picture: Picture | undefined;
  const hidden = new Set<string>();
  let span: Span | undefined;
  let pointed: number | undefined;
  const colors = createCurveColors(() => plot.recolor());
  const plot = createCurvePlot(HEIGHT, true, colors, {
    onSelect: (selected) => show(selected),
    onPoint: (x) => {
      pointed = x;
      plot.point(x);
      tell();
    },
  });
  const legend = createCurveLegend((key) => {
    if (!hidden.delete(key)) hidden.add(key);
    render();
  });

  function render(): void {
    if (picture === undefined) return;
    const curves = picture.curves.filter(({ key }) => !hidden.has(key));
    legend.draw(picture.curves, hidden);
    plot.draw({ picture, curves, axis, span, logarithmic: false });
  }

  function tell(): void {
    const of = picture;
    if (of !== undefined) legend.tell((curve) => readAt(curve, pointed ?? Infinity, of, axis));
  }

  function show(next: Span | undefined): void {
    span = next;
    render();
  }

  plot.element.addEventListener('dblclick', () => show(undefined));
  const title = make('h2', {});
  const about = make('span', { class: 'muted' });
  const head = make('div', { class: 'picture-head' }, title, about);
  return {
    element: make('section', {}, head, legend.element, plot.element),
    draw(next) {
      picture = next;
      setText(title, next.title);
      setText(about, next.about);
      render();
      tell();
    },
  };
}
