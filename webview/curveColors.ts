import type { PlotColors } from './uplot.js';

/** The theme's colours, as a canvas needs them. They are read once per theme. */
export interface CurveColors {
  /** The value of a CSS variable, named without its dashes. */
  of(name: string): string;
  readonly plot: () => PlotColors;
}

/** Reads the colours from the page's CSS, and calls back when the theme has changed. */
export function createCurveColors(onChange: () => void): CurveColors {
  const known = new Map<string, string>();
  const style = getComputedStyle(document.body);
  function of(name: string): string {
    let color = known.get(name);
    if (color === undefined) {
      color = style.getPropertyValue(`--${name}`).trim();
      known.set(name, color);
    }
    return color;
  }
  // The editor says a theme by the body's classes and the document's variables.
  const observer = new MutationObserver(() => {
    known.clear();
    onChange();
  });
  observer.observe(document.body, { attributes: true, attributeFilter: ['class'] });
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ['style', 'class'] });
  return {
    of,
    plot: () => ({ text: of('curve-text'), grid: of('curve-grid'), font: style.fontFamily }),
  };
}
