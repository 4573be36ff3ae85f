import * as l10n from '@vscode/l10n';
import { formatCount, formatLoss, formatPercent } from '../src/common/format.js';
import {
  quantitiesOf,
  quantityKey,
  ranksOf,
  sharedByChance,
  valueOf,
} from '../src/engines/combination/preview.js';
import type { CombinationPreview, Quantity } from '../src/engines/combination/preview.js';
import { combinationMap } from './combineMap.js';
import { rankText } from './combineParts.js';
import { quantityWords } from './combineWords.js';
import { make, setShown, setText, tile } from './dom.js';
import { createHeatMap, legendOf } from './heatMap.js';
import { createHeatLegend } from './heatMapLegend.js';
import { numberTable } from './numberTable.js';
import { makeDropdown } from './toolkit.js';

/** What would come out: totals, a map of layers and modules, and all numbers as a table. */
export interface PreviewView {
  readonly element: HTMLElement;
  /** @param names of the adapters, as the preview has them */
  draw(preview: CombinationPreview, names: readonly string[]): void;
}

/** @param onChoice told which quantity the map is to show from now on */
export function createPreviewView(chosenBefore: string, onChoice: (quantity: string) => void): PreviewView {
  const totals = make('dl', { class: 'tiles' });
  const warnings = make('ul', { class: 'warnings' });
  const map = createHeatMap(l10n.t`Layers and modules`);
  const legend = createHeatLegend();
  const signedLegend = createHeatLegend(true);
  const about = make('p', { class: 'muted' });
  const chooser = makeDropdown(l10n.t`Quantity`, (key) => {
    chosen = key;
    onChoice(key);
    redraw();
  });
  const besideTitle = make('h3', {}, l10n.t`Beside the layers`);
  const beside = make('ul', { class: 'heat-others', 'aria-label': l10n.t`Modules beside the layers` });
  const tables = make('div', {});
  const table = make('details', { class: 'heat-table' }, make('summary', {}, l10n.t`As a table`), tables);
  let chosen = chosenBefore;
  let redraw = (): void => undefined;

  function draw(preview: CombinationPreview, names: readonly string[]): void {
    const quantities = quantitiesOf(preview);
    const quantity = quantities.find((each) => quantityKey(each) === chosen) ?? quantities[0];
    setShown(chooser.element, quantities.length > 0);
    if (quantity === undefined) return;
    chooser.setOptions(
      quantities.map((each) => ({ key: quantityKey(each), title: quantityWords(each, names).title })),
      quantityKey(quantity),
    );
    const words = quantityWords(quantity, names);
    setText(about, words.about);
    const format = (value: number): string => formatted(quantity, value);
    const { data, others } = combinationMap(preview, quantity, {
      title: words.title,
      format,
      formatShort: (value) => short(quantity, value),
    });
    map.draw(data);
    const isSigned = data.middle !== undefined;
    setShown(legend.element, data.rows.length > 0 && !isSigned);
    setShown(signedLegend.element, data.rows.length > 0 && isSigned);
    (isSigned ? signedLegend : legend).draw(...legendOf(data.range, format, data.middle));
    beside.replaceChildren(...others.map(({ path, text }) => make('li', {}, make('code', {}, path), text)));
    setShown(beside, others.length > 0);
    setShown(besideTitle, others.length > 0);
    drawTable(preview, quantities, names);
  }

  function drawTable(
    preview: CombinationPreview,
    quantities: readonly Quantity[],
    names: readonly string[],
  ): void {
    if (!table.hasAttribute('open')) return;
    const shown = numberTable(l10n.t`What would come out, module by module`, [
      l10n.t`module`,
      ...quantities.map((each) => quantityWords(each, names).title),
    ]);
    shown.fill(
      preview.modules.map((each) => [
        each.path,
        ...quantities.map((quantity) => {
          const value = valueOf(each, quantity);
          return value === undefined ? '–' : formatted(quantity, value);
        }),
      ]),
    );
    const { scrollTop = 0, scrollLeft = 0 } = tables.firstElementChild ?? {};
    tables.replaceChildren(shown.element);
    Object.assign(shown.element, { scrollTop, scrollLeft });
  }
  table.addEventListener('toggle', () => redraw());

  return {
    element: make(
      'div',
      { class: 'preview' },
      totals,
      warnings,
      make('div', { class: 'choices' }, chooser.element),
      about,
      map.element,
      legend.element,
      signedLegend.element,
      besideTitle,
      beside,
      table,
    ),
    draw(preview, names) {
      totals.replaceChildren(...totalsOf(preview).map(([title, value]) => tile(title, value)));
      warnings.replaceChildren(...preview.warnings.map(({ message }) => make('li', {}, message)));
      setShown(warnings, preview.warnings.length > 0);
      redraw = () => draw(preview, names);
      redraw();
    },
  };
}

/** As its kind is written: norms with four digits, shares as per cent. */
function formatted({ kind }: Quantity, value: number): string {
  switch (kind) {
    case 'norm':
    case 'own-norm':
      return value === 0 ? '0' : formatLoss(value);
    case 'cosine':
      return value.toFixed(2);
    case 'rank':
      return String(value);
    default:
      return value === 0 ? '0 %' : formatPercent(value);
  }
}

/** For cells: norms with three digits. */
function short(quantity: Quantity, value: number): string {
  const isNorm = quantity.kind === 'norm' || quantity.kind === 'own-norm';
  return isNorm && value >= 1e-3 && value < 1000 ? value.toPrecision(3) : formatted(quantity, value);
}

/** The whole in a line: `145,920 numbers, r 12, lost 2.3 %, signs opposed in 41 % (50 % is chance)`. */
export function summaryOf({ numbers, overlap, modules, total }: CombinationPreview): string {
  const ranks = ranksOf(modules);
  const signs = valueOf(total, { kind: 'signs' });
  return [
    l10n.t`${formatCount(numbers)} numbers`,
    ...(overlap === undefined ? [] : [l10n.t`${formatCount(overlap)} of more than one adapter`]),
    ...(ranks === undefined ? [] : [rankText(ranks), l10n.t`lost ${formatted({ kind: 'lost' }, total.error)}`]),
    ...(signs === undefined ? [] : [l10n.t`signs opposed in ${formatPercent(signs)} (50 % is chance)`]),
  ].join(' · ');
}

/** What else the whole comes to. */
function totalsOf({ total }: CombinationPreview): readonly (readonly [string, string])[] {
  const of = (quantity: Quantity): string | undefined => {
    const value = valueOf(total, quantity);
    return value === undefined ? undefined : formatted(quantity, value);
  };
  const shared = of({ kind: 'shared' });
  const chance = sharedByChance(total);
  const rows: readonly (readonly [string, string | undefined])[] = [
    [l10n.t`Norm of the result`, of({ kind: 'norm' })],
    [l10n.t`Cosine`, of({ kind: 'cosine' })],
    [
      l10n.t`Overlap`,
      shared === undefined || chance === undefined
        ? shared
        : l10n.t`${shared} (${formatPercent(chance)} is chance)`,
    ],
    [l10n.t`Pruned`, of({ kind: 'pruned' })],
    [l10n.t`Outvoted`, of({ kind: 'outvoted' })],
  ];
  return rows.flatMap(([title, value]) => (value === undefined ? [] : [[title, value] as const]));
}
