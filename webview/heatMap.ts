import * as l10n from '@vscode/l10n';
import { make, setShown, setText } from './dom.js';
import { colorOf, cssColor, heatShare, isLogarithmic, readableOn, sidedShare } from './heatMapColors.js';
import type { HeatRange, Scale } from './heatMapColors.js';
import type { HeatMapData } from './heatMapData.js';
import { onThemeChange, readHeatTheme, sized } from './heatMapTheme.js';
import type { HeatTheme } from './heatMapTheme.js';

export interface HeatMap {
  readonly element: HTMLElement;
  draw(data: HeatMapData): void;
  /** Marks a cell as the one whose details are shown. */
  select(site: number | undefined): void;
  /** Puts the focus on the cell that had it last. */
  focus(): void;
  /** As it is drawn, with the names of rows and columns and a title, at the screen's resolution. */
  picture(title: string): HTMLCanvasElement;
}

const HEAD = 20;
const CELL_HEIGHT = 24;
const CELL_WIDTHS = [14, 64] as const;
const FONT = 11;

/**
 * A heat map: drawn on a canvas, with a grid of transparent cells over it that the arrow keys go through and screen
 * readers read. Enter, space or a click open a cell.
 */
export function createHeatMap(label: string, onOpen?: (site: number) => void): HeatMap {
  const canvas = document.createElement('canvas');
  canvas.setAttribute('aria-hidden', 'true');
  const grid = make('div', { role: 'grid', 'aria-label': label, class: 'heat-grid' });
  const sheet = make('div', { class: 'heat-sheet' }, canvas, grid);
  const scroll = make('div', { class: 'heat-scroll' }, sheet);
  const readout = make('p', { class: 'readout' });
  const element = make('div', { class: 'heat' }, scroll, readout);
  let data: HeatMapData | undefined;
  let theme = readHeatTheme();
  let cells: (HTMLElement | undefined)[][] = [];
  let built = '';
  let pointed: readonly [number, number] = [0, 0];
  let told: readonly [number, number] | undefined;
  let selected: number | undefined;
  let nameWidth = 0;
  let cellWidth = 0;

  /** Rows and columns are built anew only when they are others. */
  function build({ rows, columns, corner, nameEvery }: HeatMapData): void {
    const next = JSON.stringify([
      corner,
      nameEvery,
      columns,
      rows.map(({ name, cells: each }) => [name, each.map((cell) => cell?.site)]),
    ]);
    if (next === built) return;
    built = next;
    pointed = [0, Math.max(0, rows[0]?.cells.findIndex((cell) => cell !== undefined) ?? 0)];
    told = undefined;
    cells = rows.map((row, y) =>
      row.cells.map((cell, x) =>
        cell === undefined
          ? undefined
          : make('div', {
              role: 'gridcell',
              class: 'heat-cell',
              tabindex: '-1',
              'data-y': `${y}`,
              'data-x': `${x}`,
            }),
      ),
    );
    const head = make(
      'div',
      { role: 'row', class: 'heat-row heat-head' },
      make('div', { role: 'columnheader' }, corner ?? l10n.t`layer`),
      ...columns.map((name, x) =>
        isNamed(x, nameEvery)
          ? make('div', { role: 'columnheader' }, name)
          : make('div', { role: 'columnheader' }, make('span', { class: 'for-ears' }, name)),
      ),
    );
    grid.replaceChildren(
      head,
      ...rows.map(({ name }, y) =>
        make(
          'div',
          { role: 'row', class: 'heat-row' },
          make('div', { role: 'rowheader', title: name }, name),
          ...(cells[y] ?? []).map(
            (cell) => cell ?? make('div', { role: 'gridcell', 'aria-label': l10n.t`no such module` }),
          ),
        ),
      ),
    );
    at(...pointed)?.setAttribute('tabindex', '0');
  }

  function layOut({ rows, columns }: HeatMapData): boolean {
    const width = Math.floor(scroll.getBoundingClientRect().width);
    if (width < 100) return false;
    const context = canvas.getContext('2d');
    if (!context) return false;
    context.font = `${theme.fontSize}px ${theme.font}`;
    const longest = Math.max(40, ...rows.map(({ name }) => context.measureText(name).width));
    nameWidth = Math.min(Math.ceil(longest) + 12, Math.floor(width * 0.4));
    const room = Math.floor((width - nameWidth) / Math.max(1, columns.length));
    cellWidth = Math.max(CELL_WIDTHS[0], Math.min(CELL_WIDTHS[1], room));
    grid.style.setProperty('--heat-columns', `${nameWidth}px repeat(${columns.length}, ${cellWidth}px)`);
    return true;
  }

  function render(): void {
    if (!data || !layOut(data)) return;
    const { rows, columns } = data;
    const context = sized(canvas, columns.length * cellWidth, rows.length * CELL_HEIGHT);
    canvas.style.left = `${nameWidth}px`;
    canvas.style.top = `${HEAD}px`;
    if (context) paint(context, data, theme, cellWidth);
    rows.forEach((row, y) =>
      row.cells.forEach((cell, x) => {
        const shown = cells[y]?.[x];
        if (cell === undefined || !shown) return;
        if (shown.getAttribute('aria-label') !== cell.label) shown.setAttribute('aria-label', cell.label);
        const isSelected = String(cell.site === selected);
        if (shown.getAttribute('aria-selected') !== isSelected) shown.setAttribute('aria-selected', isSelected);
      }),
    );
    tell();
  }

  function at(y: number, x: number): HTMLElement | undefined {
    return cells[y]?.[x];
  }

  function tell(): void {
    const cell = told && data?.rows[told[0]]?.cells[told[1]];
    setText(readout, cell?.label ?? data?.hint ?? '');
  }

  function placeIn(target: EventTarget | null): readonly [number, number] | undefined {
    if (!(target instanceof HTMLElement)) return undefined;
    const { x, y } = target.dataset;
    return x === undefined || y === undefined ? undefined : [Number(y), Number(x)];
  }

  function point(place: readonly [number, number]): void {
    at(...pointed)?.setAttribute('tabindex', '-1');
    pointed = place;
    told = place;
    at(...place)?.setAttribute('tabindex', '0');
    tell();
  }

  grid.addEventListener('pointerover', ({ target }) => {
    told = placeIn(target) ?? told;
    tell();
  });
  grid.addEventListener('pointerleave', () => {
    told = grid.contains(document.activeElement) ? pointed : undefined;
    tell();
  });
  grid.addEventListener('focusin', ({ target }) => {
    const place = placeIn(target);
    if (place) point(place);
  });
  grid.addEventListener('click', ({ target }) => open(placeIn(target)));
  grid.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      open(placeIn(event.target));
      return;
    }
    const [y, x] = pointed;
    const lastRow = cells.length - 1;
    const lastColumn = (cells[y]?.length ?? 1) - 1;
    const ways: Readonly<Record<string, readonly [number, number, number, number]>> = {
      // From where, and which way on while there is no cell.
      ArrowLeft: [y, x - 1, 0, -1],
      ArrowRight: [y, x + 1, 0, 1],
      ArrowUp: [y - 1, x, -1, 0],
      ArrowDown: [y + 1, x, 1, 0],
      Home: event.ctrlKey ? [0, 0, 0, 1] : [y, 0, 0, 1],
      End: event.ctrlKey ? [lastRow, lastColumn, 0, -1] : [y, lastColumn, 0, -1],
    };
    const way = ways[event.key];
    if (way === undefined) return;
    event.preventDefault();
    const [fromY, fromX, down, right] = way;
    for (let nextY = fromY, nextX = fromX; ; nextY += down, nextX += right) {
      if (nextY < 0 || nextX < 0 || nextY > lastRow || nextX > lastColumn) return;
      const next = at(nextY, nextX);
      if (next === undefined) continue;
      next.focus();
      return;
    }
  });

  function open(place: readonly [number, number] | undefined): void {
    const cell = place && data?.rows[place[0]]?.cells[place[1]];
    if (cell) onOpen?.(cell.site);
  }

  new ResizeObserver(render).observe(scroll);
  onThemeChange(() => {
    theme = readHeatTheme();
    render();
  });
  return {
    element,
    draw(next) {
      data = next;
      element.classList.toggle('heat-opens', next.opens);
      setShown(element, next.rows.length > 0);
      build(next);
      render();
    },
    select(site) {
      selected = site;
      render();
    },
    focus: () => at(...pointed)?.focus(),
    picture(title) {
      const whole = document.createElement('canvas');
      if (!data) return whole;
      const { rows, columns } = data;
      const titled = HEAD + 8;
      const width = Math.max(nameWidth + columns.length * cellWidth + 12, 480);
      const context = sized(whole, width, titled + HEAD + rows.length * CELL_HEIGHT + 34);
      if (!context) return whole;
      context.fillStyle = cssColor(theme.background);
      context.fillRect(0, 0, whole.width, whole.height);
      context.fillStyle = cssColor(theme.foreground);
      context.textBaseline = 'middle';
      context.font = `600 ${FONT + 2}px ${theme.font}`;
      context.fillText(title, 8, titled / 2);
      context.font = `${FONT}px ${theme.font}`;
      context.textAlign = 'right';
      rows.forEach(({ name }, y) =>
        context.fillText(name, nameWidth - 6, titled + HEAD + (y + 0.5) * CELL_HEIGHT, nameWidth - 10),
      );
      context.textAlign = 'center';
      columns.forEach((name, x) => {
        if (!isNamed(x, data?.nameEvery)) return;
        context.fillText(name, nameWidth + (x + 0.5) * cellWidth, titled + HEAD / 2);
      });
      context.translate(nameWidth, titled + HEAD);
      paint(context, data, theme, cellWidth);
      context.translate(0, rows.length * CELL_HEIGHT + 10);
      paintScale(context, theme, 160, scaleOf(data, theme));
      context.textAlign = 'left';
      context.fillStyle = cssColor(theme.foreground);
      const [least, most] = legendOf(data.range, data.formatShort, data.middle);
      context.fillText(l10n.t`${least} to ${most}`, 170, 6);
      return whole;
    },
  };
}

function isNamed(column: number, every = 1): boolean {
  return column === 0 || (column + 1) % every === 0;
}

/** The colours of a map's numbers. */
function scaleOf({ middle }: Pick<HeatMapData, 'middle'>, theme: HeatTheme): Scale {
  return middle === undefined ? theme.scale : theme.signed;
}

function paint(context: CanvasRenderingContext2D, data: HeatMapData, theme: HeatTheme, cellWidth: number): void {
  const { rows, range, formatShort, middle: between } = data;
  context.font = `${FONT}px ${theme.font}`;
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  const texts = rows.map((row) =>
    row.cells.map((cell) => (cell?.value === undefined ? '' : formatShort(cell.value))),
  );
  const widest = texts.flat().reduce((most, text) => Math.max(most, context.measureText(text).width), 0);
  const hasRoom = widest + 4 <= cellWidth;
  rows.forEach((row, y) =>
    row.cells.forEach((cell, x) => {
      if (cell === undefined) return;
      const [left, top] = [x * cellWidth, y * CELL_HEIGHT];
      const [width, height] = [cellWidth - 1, CELL_HEIGHT - 1];
      const middle = [left + width / 2, top + height / 2 + 0.5] as const;
      if (cell.value === undefined) {
        context.fillStyle = cssColor(theme.muted);
        context.fillText('·', ...middle);
        return;
      }
      const share = between === undefined ? heatShare(cell.value, range) : sidedShare(cell.value, range, between);
      const color = colorOf(scaleOf(data, theme), share);
      context.fillStyle = cssColor(color);
      context.fillRect(left, top, width, height);
      if (theme.border) {
        context.strokeStyle = cssColor(theme.border);
        context.lineWidth = 1;
        context.strokeRect(left + 0.5, top + 0.5, width - 1, height - 1);
      }
      if (!hasRoom) return;
      context.fillStyle = cssColor(readableOn(color));
      context.fillText(texts[y]?.[x] ?? '', ...middle);
    }),
  );
}

/**
 * What stands at the two ends of the colours.
 * @param middle of numbers on both sides of one
 */
export function legendOf(
  range: HeatRange,
  format: (value: number) => string,
  middle?: number,
): readonly [string, string] {
  const { smallest, largest } = range;
  if (middle !== undefined) return [format(2 * middle - largest), format(largest)];
  return isLogarithmic(range)
    ? [`0, ${format(smallest)}`, l10n.t`${format(largest)}, logarithmic`]
    : ['0', format(largest)];
}

/** A strip of the scale's colours, 12 px high. */
export function paintScale(
  context: CanvasRenderingContext2D,
  theme: HeatTheme,
  width: number,
  scale = theme.scale,
): void {
  for (let x = 0; x < width; x += 1) {
    context.fillStyle = cssColor(colorOf(scale, x / (width - 1)));
    context.fillRect(x, 0, 1, 12);
  }
  if (!theme.border) return;
  context.strokeStyle = cssColor(theme.border);
  context.lineWidth = 1;
  context.strokeRect(0.5, 0.5, width - 1, 11);
}
