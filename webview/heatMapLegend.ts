import { make, setText } from './dom.js';
import { paintScale } from './heatMap.js';
import { onThemeChange, readHeatTheme, sized } from './heatMapTheme.js';

const WIDTH = 160;

/**
 * What the colours mean: a strip between two numbers.
 * @param signed of numbers of both signs
 */
export function createHeatLegend(signed = false): {
  readonly element: HTMLElement;
  draw(from: string, to: string): void;
} {
  const strip = document.createElement('canvas');
  strip.setAttribute('aria-hidden', 'true');
  const low = make('span', {});
  const high = make('span', {});
  const render = (): void => {
    const context = sized(strip, WIDTH, 12);
    const theme = readHeatTheme();
    if (context) paintScale(context, theme, WIDTH, signed ? theme.signed : theme.scale);
  };
  onThemeChange(render);
  render();
  return {
    element: make('p', { class: 'heat-legend' }, low, strip, high),
    draw(from, to) {
      setText(low, from);
      setText(high, to);
    },
  };
}
