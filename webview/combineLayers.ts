import * as l10n from '@vscode/l10n';
import { weightIn } from '../src/engines/combination/form.js';
import type { FormLayers, FormPart } from '../src/engines/combination/form.js';
import { button, make, setShown, setText } from './dom.js';
import { createNumberField } from './numberField.js';
import type { NumberField } from './numberField.js';

interface Row {
  readonly element: HTMLElement;
  readonly layers: HTMLInputElement;
  readonly weights: HTMLElement;
  readonly fields: Map<string, { readonly element: HTMLElement; readonly field: NumberField }>;
}

/** Layers in which the adapters have other weights. */
export function createLayerWeights(onChange: (layers: readonly FormLayers[]) => void): {
  readonly element: HTMLElement;
  draw(layers: readonly FormLayers[], parts: readonly FormPart[], name: (folder: string) => string): void;
} {
  const list = make('ul', { class: 'layers', 'aria-label': l10n.t`Weights in some layers` });
  const add = button(l10n.t`Other Weights in Some Layers…`, 'secondary', () => {
    onChange([...shown, { layers: '', weights: {} }]);
    rows.at(-1)?.layers.focus();
  });
  const about = make(
    'p',
    { class: 'muted' },
    l10n.t`Numbers of layers from 0, such as 0-11 or 3,5; or modules by name or pattern, such as q_proj, which go before layers.`,
  );
  const element = make('div', { class: 'layer-weights' }, list, about, add);
  const rows: Row[] = [];
  let shown: readonly FormLayers[] = [];

  function change(at: number, changed: Partial<FormLayers>): void {
    onChange(shown.map((each, index) => (index === at ? { ...each, ...changed } : each)));
  }

  function rowAt(at: number): Row {
    const layers = document.createElement('input');
    layers.type = 'text';
    layers.spellcheck = false;
    layers.placeholder = '0-11';
    layers.className = 'layers-field';
    layers.addEventListener('input', () => change(at, { layers: layers.value }));
    const gone = document.createElement('button');
    gone.type = 'button';
    gone.className = 'remove';
    gone.textContent = '✕';
    gone.title = l10n.t`Remove these layers`;
    gone.setAttribute('aria-label', gone.title);
    gone.addEventListener('click', () => {
      onChange(shown.filter((_, index) => index !== at));
      add.focus();
    });
    const weights = make('div', { class: 'layers-weights' });
    const head = make(
      'div',
      { class: 'part-head' },
      make('label', { class: 'choice' }, make('span', {}, l10n.t`Layers`), layers),
      gone,
    );
    return { element: make('li', { class: 'part' }, head, weights), layers, weights, fields: new Map() };
  }

  return {
    element,
    draw(layers, parts, name) {
      shown = layers;
      while (rows.length < layers.length) rows.push(rowAt(rows.length));
      for (const { element: extra } of rows.splice(layers.length)) extra.remove();
      layers.forEach((each, at) => {
        const row = rows[at]!;
        if (row.layers.value !== each.layers) row.layers.value = each.layers;
        for (const [folder, { element: gone }] of row.fields) {
          if (parts.some((part) => part.folder === folder)) continue;
          gone.remove();
          row.fields.delete(folder);
        }
        for (const part of parts) {
          const { folder } = part;
          let own = row.fields.get(folder);
          if (own === undefined) {
            const field = createNumberField(name(folder), { step: '0.05' }, (weight) =>
              change(at, { weights: { ...shown[at]?.weights, [folder]: weight } }),
            );
            own = {
              field,
              element: make('label', { class: 'choice' }, make('span', {}, name(folder)), field.element),
            };
            row.fields.set(folder, own);
            row.weights.append(own.element);
          }
          setText(own.element.firstElementChild!, name(folder));
          own.field.write(weightIn(each, part));
        }
        if (row.element.parentElement === null) list.append(row.element);
      });
      setShown(list, layers.length > 0);
      setShown(about, layers.length > 0);
    },
  };
}
