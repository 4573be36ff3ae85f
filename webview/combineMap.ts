import * as l10n from '@vscode/l10n';
import { valueOf } from '../src/engines/combination/preview.js';
import type { CombinationPreview, Quantity } from '../src/engines/combination/preview.js';
import type { HeatCell, HeatMapData } from './heatMapData.js';
import type { HeatRange } from './heatMapColors.js';
import { gridOf } from './siteGrid.js';

/** A quantity of a preview, laid out. */
export interface CombinationMap {
  /** A row of whole layers, then one for each kind of module. */
  readonly data: HeatMapData;
  /** Modules beside the layers. */
  readonly others: readonly { readonly path: string; readonly text: string }[];
}

/** Lays a quantity out. */
export function combinationMap(
  { modules, layers }: CombinationPreview,
  quantity: Quantity,
  words: {
    readonly title: string;
    readonly format: (value: number) => string;
    /** For cells. */
    readonly formatShort: (value: number) => string;
  },
): CombinationMap {
  const { title, format, formatShort } = words;
  const grid = gridOf(modules.map(({ path }) => path));
  const values = modules.map((each) => valueOf(each, quantity));
  const textOf = (value: number | undefined): string => (value === undefined ? '–' : format(value));
  const cell = (site: number, place: string, value: number | undefined): HeatCell => {
    const said = `${title} ${textOf(value)}`;
    return { site, value, label: l10n.t`${place}: ${said}` };
  };
  const numbered = layers.filter(({ layer }) => layer !== null);
  const ofLayer = new Map(numbered.map((each) => [each.layer, each]));
  const whole = grid.layers.map((layer, column) => {
    const found = ofLayer.get(layer);
    return found && cell(modules.length + column, l10n.t`layer ${layer}, whole`, valueOf(found, quantity));
  });
  // Layers of two stacks have the same numbers; of one kind of module the whole layer is that module.
  const hasWhole = ofLayer.size === numbered.length && grid.rows.length > 1;
  const rows = grid.rows.map(({ kind, sites }) => ({
    name: kind,
    cells: sites.map((site, column) =>
      site === undefined
        ? undefined
        : cell(site, l10n.t`${kind}, layer ${grid.layers[column] ?? 0}`, values[site]),
    ),
  }));
  const shown = hasWhole ? [{ name: l10n.t`whole layer`, cells: whole }, ...rows] : rows;
  return {
    data: {
      columns: grid.layers.map(String),
      rows: shown,
      range: rangeOf(
        shown.flatMap(({ cells }) => cells.map((each) => each?.value)),
        quantity,
      ),
      opens: false,
      hint: l10n.t`Point at a cell or use the arrow keys.`,
      formatShort,
      middle: middleOf(quantity),
    },
    others: grid.others.map((site) => ({ path: modules[site]!.path, text: textOf(values[site]) })),
  };
}

/** Signs are opposed in half of the numbers by chance, and seldom far from it. */
const CHANCE = 0.5;
/** So far from chance shares may be without the strongest colours. */
const LEAST_REACH = 0.05;

/** What numbers lie on both sides of. */
function middleOf({ kind }: Quantity): number | undefined {
  return kind === 'cosine' ? 0 : kind === 'signs' ? CHANCE : undefined;
}

/**
 * Shares from 0 to 1, so that colours mean the same from one preview to the next; of opposed signs as far to both sides of
 * chance as they lie, few of them the good side, others from their smallest to their largest.
 */
function rangeOf(values: readonly (number | undefined)[], { kind }: Quantity): HeatRange {
  if (kind === 'signs') {
    const far = values.map((value) => Math.abs((value ?? CHANCE) - CHANCE));
    return { smallest: 0, largest: CHANCE - Math.max(LEAST_REACH, ...far) };
  }
  if (kind !== 'norm' && kind !== 'own-norm' && kind !== 'lost' && kind !== 'rank') {
    return { smallest: 0, largest: 1 };
  }
  const positive = values.flatMap((value) => (value !== undefined && value > 0 ? [value] : []));
  return positive.length === 0
    ? { smallest: 0, largest: 0 }
    : { smallest: Math.min(...positive), largest: Math.max(...positive) };
}
