import { createCurveColors } from './curveColors.js';
import { createCurveLegend } from './curveLegend.js';
import type { Picture } from './curvePictures.js';
import { createCurvePlot } from './curvePlot.js';
import { readAt } from './curveText.js';
import type { Span } from './decimate.js';
import { make } from './dom.js';

const HEIGHT = 240;

/** A picture of a comparison: its curves over the steps. Dragging zooms, a double click shows all again. */
export function comparePlot(picture: Picture): HTMLElement {
  const hidden = new Set<string>();
  let span: Span | undefined;
  const colors = createCurveColors(() => plot.recolor());
  const plot = createCurvePlot(HEIGHT, true, colors, {
    onSelect: (selected) => show(selected),
    onPoint: (x) => {
      plot.point(x);
      tell(x);
    },
  });
  const legend = createCurveLegend((key) => {
    if (!hidden.delete(key)) hidden.add(key);
    draw();
  });

  function draw(): void {
    const curves = picture.curves.filter(({ key }) => !hidden.has(key));
    legend.draw(picture.curves, hidden);
    plot.draw({ picture, curves, axis: 'step', span, logarithmic: false });
  }

  function tell(x: number | undefined): void {
    legend.tell((curve) => readAt(curve, x ?? Infinity, picture, 'step'));
  }

  function show(next: Span | undefined): void {
    span = next;
    draw();
  }

  plot.element.addEventListener('dblclick', () => show(undefined));
  draw();
  tell(undefined);
  return make(
    'section',
    {},
    make(
      'div',
      { class: 'picture-head' },
      make('h2', {}, picture.title),
      make('span', { class: 'muted' }, picture.about),
    ),
    legend.element,
    plot.element,
  );
}
