import * as l10n from '@vscode/l10n';
import { formatCount } from '../src/common/format.js';
import { button, make, setShown, setText } from './dom.js';
import { createHeatMap, legendOf } from './heatMap.js';
import type { HeatMapData } from './heatMapData.js';
import type { HeatRange } from './heatMapColors.js';
import { exportButtons } from './heatMapExport.js';
import { createHeatLegend } from './heatMapLegend.js';
import { createHeatTable } from './heatMapTable.js';
import { createTimeSlider } from './heatMapTime.js';
import type { Ask } from './requests.js';
import { gridOf } from './siteGrid.js';
import type { SiteGrid } from './siteGrid.js';
import { framesWith, historyCsv, rangeOf, toldQuantities, valueAt } from './siteHistory.js';
import type { Quantity, SiteFrame, SiteHistory } from './siteHistory.js';
import { makeDropdown } from './toolkit.js';

/** A quantity that the map can show. */
export interface MapQuantity {
  readonly key: Quantity;
  readonly title: string;
  /** What the number is. */
  readonly about: string;
  readonly format: (value: number) => string;
  /** For cells, when it is to be shorter. */
  readonly formatShort?: (value: number) => string;
}

export interface SiteMapSetup {
  readonly label: string;
  /** Those that were told can be chosen, the first of them at first. */
  readonly quantities: readonly MapQuantity[];
  /** Of saved files. */
  readonly fileName: string;
  /** What the buttons say that open a site. */
  readonly opens?: string;
  /** How a cell is opened, in words. */
  readonly hint?: string;
  /** Opens a site's details. */
  readonly onOpen?: (path: string) => void;
  /** Called after another step or quantity was chosen. */
  readonly onChange?: () => void;
}

/** What the methods tell of each site: a map of layers and kinds of modules at a step, and the way through time. */
export interface SiteMap {
  readonly element: HTMLElement;
  draw(history: SiteHistory): void;
  /** The frame that is shown. */
  frame(): SiteFrame | undefined;
  /** Marks a site as opened. */
  select(path: string | undefined): void;
  /** Puts the focus on the cell that had it. */
  focus(): void;
}

/** Makes the map; `ask` speaks to the editor. */
export function createSiteMap(setup: SiteMapSetup, ask: Ask): SiteMap {
  const { quantities, onOpen } = setup;
  const map = createHeatMap(setup.label, onOpen && ((site) => openSite(site)));
  const slider = createTimeSlider(() => {
    render();
    setup.onChange?.();
  });
  const legend = createHeatLegend();
  const table = createHeatTable();
  const about = make('p', { class: 'muted' });
  const chooser = makeDropdown(l10n.t`Quantity`, (key) => {
    chosen = key;
    render();
    setup.onChange?.();
  });
  const othersTitle = make('h2', {}, l10n.t`Beside the layers`);
  const others = make('ul', { class: 'heat-others', 'aria-label': l10n.t`Modules beside the layers` });
  const exporting = exportButtons(ask, {
    name: () => `${setup.fileName}-${quantity().key}`,
    csv: () => (history ? historyCsv(history, framesWith(history, quantity().key), quantity().key) : ''),
    picture: () => map.picture(l10n.t`${quantity().title}, step ${formatCount(frame()?.step ?? 0)}`),
  });
  let history: SiteHistory | undefined;
  let chosen: string = quantities[0]?.key ?? 'rank';
  let frames: SiteFrame[] = [];
  let framesOf = '';
  let range: HeatRange = { smallest: 0, largest: 0 };
  let grid: SiteGrid = gridOf([]);
  let gridSize = -1;
  let gridHistory: SiteHistory | undefined;

  function openSite(site: number): void {
    const path = history?.paths[site];
    if (path !== undefined) onOpen?.(path);
  }

  function quantity(): MapQuantity {
    return quantities.find(({ key }) => key === chosen) ?? quantities[0]!;
  }

  function frame(): SiteFrame | undefined {
    return frames[slider.index()];
  }

  function render(): void {
    if (!history) return;
    const told = toldQuantities(history);
    const options = quantities.filter(({ key }) => told.includes(key));
    if (!options.some(({ key }) => key === chosen)) chosen = options[0]?.key ?? chosen;
    chooser.setOptions(options, chosen);
    setShown(chooser.element, options.length > 1);
    const now = quantity();
    const key = `${now.key} ${history.version}`;
    if (key !== framesOf || gridHistory !== history) {
      framesOf = key;
      frames = framesWith(history, now.key);
      range = rangeOf(frames, now.key);
    }
    if (gridSize !== history.paths.length || gridHistory !== history) {
      gridSize = history.paths.length;
      gridHistory = history;
      grid = gridOf(history.paths);
    }
    slider.draw(frames.map(({ step }) => step));
    const shown = frame();
    if (!shown) return;
    setText(about, now.about);
    const opens = onOpen !== undefined && history.shapes.size > 0;
    const hint = (opens ? setup.hint : undefined) ?? l10n.t`Point at a cell or use the arrow keys.`;
    const data = { ...dataOf(grid, shown, now, range), opens, hint };
    map.draw(data);
    legend.draw(...legendOf(range, now.format));
    table.draw(data, l10n.t`${now.title} after step ${formatCount(shown.step)}`);
    drawOthers(history.paths, shown, now);
  }

  let othersDrawn = '';
  function drawOthers(paths: readonly string[], shown: SiteFrame, now: MapQuantity): void {
    const lines = grid.others.map((site) => {
      const value = valueAt(shown, now.key, site);
      return { site, path: paths[site] ?? '', text: value === undefined ? '–' : now.format(value) };
    });
    const next = JSON.stringify(lines);
    setShown(othersTitle, lines.length > 0);
    setShown(others, lines.length > 0);
    if (next === othersDrawn) return;
    othersDrawn = next;
    others.replaceChildren(
      ...lines.map(({ site, path, text }) =>
        make(
          'li',
          {},
          make('code', {}, path),
          text,
          ...(onOpen && history?.shapes.has(path)
            ? [button(setup.opens ?? '', 'secondary', () => openSite(site))]
            : []),
        ),
      ),
    );
  }

  return {
    element: make(
      'div',
      { class: 'site-map' },
      make('div', { class: 'choices' }, chooser.element, slider.element),
      about,
      map.element,
      legend.element,
      othersTitle,
      others,
      table.element,
      exporting,
    ),
    draw(next) {
      history = next;
      render();
    },
    frame,
    select: (path) => map.select(path === undefined ? undefined : history?.indexOf.get(path)),
    focus: () => map.focus(),
  };
}

function dataOf(
  grid: SiteGrid,
  frame: SiteFrame,
  { key, title, format, formatShort }: MapQuantity,
  range: HeatRange,
): Omit<HeatMapData, 'opens' | 'hint'> {
  // Within a sentence.
  const name = title.charAt(0).toLowerCase() + title.slice(1);
  return {
    columns: grid.layers.map(String),
    range,
    formatShort: formatShort ?? format,
    rows: grid.rows.map(({ kind, sites }) => ({
      name: kind,
      cells: sites.map((site, column) => {
        if (site === undefined) return undefined;
        const value = valueAt(frame, key, site);
        const said = value === undefined ? l10n.t`nothing told` : `${name} ${format(value)}`;
        return { site, value, label: l10n.t`${kind}, layer ${grid.layers[column] ?? 0}: ${said}` };
      }),
    })),
  };
}
