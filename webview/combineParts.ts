import * as l10n from '@vscode/l10n';
import { formatCount } from '../src/common/format.js';
import type { FormPart } from '../src/engines/combination/form.js';
import type { CombinedAdapter } from '../src/host/combineProtocol.js';
import { make, setShown, setText } from './dom.js';
import { createNumberField } from './numberField.js';
import type { NumberField } from './numberField.js';

/** Weights that the slider has; the field takes others too. */
const MOST = 2;

interface Row {
  readonly element: HTMLElement;
  readonly name: HTMLElement;
  readonly about: HTMLElement;
  readonly weight: NumberField;
  readonly slider: HTMLInputElement;
  readonly remove: HTMLButtonElement;
}

/** The adapters of a combination, each with its weight. */
export function createParts(onChange: (parts: readonly FormPart[]) => void): {
  readonly element: HTMLElement;
  draw(parts: readonly FormPart[], adapters: readonly CombinedAdapter[]): void;
} {
  const element = make('ul', { class: 'parts', 'aria-label': l10n.t`Adapters and their weights` });
  const rows = new Map<string, Row>();
  let shown: readonly FormPart[] = [];

  function change(folder: string, weight: number | null): void {
    shown = shown.map((part) => (part.folder === folder ? { ...part, weight } : part));
    rows.get(folder)?.element.classList.toggle('part-left-out', weight === 0);
    onChange(shown);
  }

  function remove(folder: string): void {
    const at = shown.findIndex((part) => part.folder === folder);
    shown = shown.filter((part) => part.folder !== folder);
    onChange(shown);
    const next = shown[Math.min(at, shown.length - 1)];
    if (next !== undefined) rows.get(next.folder)?.remove.focus();
  }

  function rowOf(folder: string, label: string): Row {
    const name = make('span', { class: 'part-name' });
    const about = make('span', { class: 'muted part-about' });
    const slider = document.createElement('input');
    for (const [key, value] of Object.entries({ type: 'range', min: -MOST, max: MOST, step: 0.05 })) {
      slider.setAttribute(key, String(value));
    }
    slider.setAttribute('aria-label', l10n.t`Weight of ${label}, slider`);
    const weight = createNumberField(l10n.t`Weight of ${label}`, { step: '0.05' }, (value) => {
      if (value !== null) slider.value = String(value);
      change(folder, value);
    });
    slider.addEventListener('input', () => {
      const value = Number(slider.value);
      weight.write(value);
      change(folder, value);
    });
    const gone = document.createElement('button');
    gone.type = 'button';
    gone.className = 'remove';
    gone.textContent = '✕';
    const says = l10n.t`Remove ${label}`;
    gone.title = says;
    gone.setAttribute('aria-label', says);
    gone.addEventListener('click', () => remove(folder));
    const element = make(
      'li',
      { class: 'part' },
      make('div', { class: 'part-head' }, name, gone),
      about,
      make('div', { class: 'part-weight' }, slider, weight.element),
    );
    return { element, name, about, weight, slider, remove: gone };
  }

  return {
    element,
    draw(parts, adapters) {
      shown = parts;
      const named = new Map(adapters.map((adapter) => [adapter.folder, adapter]));
      for (const [folder] of rows) if (!parts.some((part) => part.folder === folder)) rows.delete(folder);
      parts.forEach(({ folder, weight }, at) => {
        const adapter = named.get(folder);
        // What is not known of it yet is told soon.
        const label = adapter?.name ?? folder;
        const row = rows.get(folder) ?? rowOf(folder, label);
        rows.set(folder, row);
        setText(row.name, label);
        row.name.title = adapter?.place ?? folder;
        setText(row.about, adapter === undefined ? '' : aboutText(adapter));
        row.weight.write(weight);
        if (weight !== null) row.slider.value = String(weight);
        row.element.classList.toggle('part-left-out', weight === 0);
        if (element.children[at] !== row.element) element.insertBefore(row.element, element.children[at] ?? null);
      });
      for (const extra of [...element.children].slice(parts.length)) extra.remove();
      setShown(element, parts.length > 0);
    },
  };
}

/** `lora, r 8, 24,576 numbers` */
function aboutText({ method, ranks, trained }: CombinedAdapter): string {
  if (method === undefined) return l10n.t`not found in this workspace`;
  return [
    method,
    ...(ranks === undefined ? [] : [rankText(ranks)]),
    ...(trained === undefined ? [] : [l10n.t`${formatCount(trained)} numbers`]),
  ].join(' · ');
}

/** `r 8`, `r 4–16` */
export function rankText([least, most]: readonly [number, number]): string {
  return least === most ? `r ${least}` : `r ${least}–${most}`;
}
