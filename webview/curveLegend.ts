import * as l10n from '@vscode/l10n';
import type { Curve } from './curvePictures.js';
import { make, setText } from './dom.js';

/** The curves by name, each a button that switches it on and off, with its value beside. */
export interface CurveLegend {
  readonly element: HTMLElement;
  draw(curves: readonly Curve[], hidden: ReadonlySet<string>): void;
  /** What stands beside the names. */
  tell(value: (curve: Curve) => string): void;
}

/** Makes a legend; `onToggle` is told the key of the curve. */
export function createCurveLegend(onToggle: (key: string) => void): CurveLegend {
  const element = make('div', { class: 'legend', role: 'group', 'aria-label': l10n.t`Curves` });
  let drawn = '';
  let entries: { readonly curve: Curve; readonly value: HTMLElement; readonly key: HTMLElement }[] = [];
  return {
    element,
    draw(curves, hidden) {
      const wanted = JSON.stringify(curves.map(({ key, name, color, look }) => [key, name, color, look]));
      if (wanted !== drawn) {
        drawn = wanted;
        entries = curves.map((curve) => {
          const value = make('span', { class: 'key-value' });
          const swatch = make('span', { class: `swatch swatch-${curve.look} color-${curve.color}` });
          const key = make('button', { type: 'button', class: 'key' }, swatch, curve.name, value);
          key.addEventListener('click', () => onToggle(curve.key));
          return { curve, value, key };
        });
        element.replaceChildren(...entries.map(({ key }) => key));
      } else {
        entries = entries.map((entry, at) => ({ ...entry, curve: curves[at] ?? entry.curve }));
      }
      for (const { curve, key } of entries) key.setAttribute('aria-pressed', String(!hidden.has(curve.key)));
    },
    tell(value) {
      for (const entry of entries) setText(entry.value, value(entry.curve));
    },
  };
}
