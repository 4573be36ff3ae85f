import * as l10n from '@vscode/l10n';
import { formatCount, formatLoss, formatPercent } from '../src/common/format.js';
import type { TensorMask } from '../src/engines/tensorMask.js';
import { button, make, setShown, setText } from './dom.js';
import { colorOf, cssColor, readableOn } from './heatMapColors.js';
import { exportButtons } from './heatMapExport.js';
import { createHeatLegend } from './heatMapLegend.js';
import { onThemeChange, readHeatTheme, sized } from './heatMapTheme.js';
import {
  binned,
  forEachIn,
  indexAt,
  largestMeasured,
  measured,
  moved,
  partOf,
  showing,
  wholeOf,
  zoomed,
} from './maskImageMath.js';
import type { BinMeasure, Bins, Window } from './maskImageMath.js';
import { createMaskTable, maskCsv } from './maskImageTable.js';
import { describeMask, maskWords } from './maskWords.js';
import type { MaskWords } from './maskWords.js';
import type { Ask } from './requests.js';
import { makeDropdown } from './toolkit.js';

/** A mask as a picture, from the whole matrix down to single numbers. */
export interface MaskImage {
  readonly element: HTMLElement;
  /** Shows another mask, whole. */
  show(path: string, mask: TensorMask): void;
  focus(): void;
}

const HEIGHTS = [120, 520] as const;
const NARROWEST = 320;
/** Lines between numbers are drawn from this size on, in CSS pixels. */
const LINES_FROM = 12;
const FONT = 11;

/** Makes the picture; `onClose` is called when it is to be put away. */
export function createMaskImage(ask: Ask, onClose: () => void): MaskImage {
  const title = make('h2', {});
  const about = make('p', { class: 'muted' });
  const canvas = make('canvas', { class: 'mask-canvas', tabindex: '0', role: 'img' });
  const readout = make('p', { class: 'readout', role: 'status' });
  const where = make('p', { class: 'mask-where' });
  const legend = createHeatLegend();
  const keys = make('p', { class: 'muted' });
  const table = createMaskTable();
  const frame = make('div', { class: 'mask-frame' }, canvas);
  const chooser = makeDropdown(l10n.t`Colour`, (key) => {
    measure = key === 'size' ? 'size' : 'share';
    render();
  });
  const element = make(
    'section',
    { class: 'mask', 'aria-label': l10n.t`Mask of a matrix` },
    title,
    about,
    make(
      'div',
      { class: 'choices' },
      chooser.element,
      make(
        'div',
        { class: 'buttons' },
        button(l10n.t`Zoom In`, 'secondary', () => zoom(2)),
        button(l10n.t`Zoom Out`, 'secondary', () => zoom(0.5)),
        button(l10n.t`Whole Matrix`, 'secondary', () => look(mask && wholeOf(mask))),
        button(l10n.t`Previous Number`, 'secondary', () => step(-1)),
        button(l10n.t`Next Number`, 'secondary', () => step(1)),
        button(l10n.t`Close`, 'secondary', onClose),
      ),
    ),
    frame,
    legend.element,
    readout,
    where,
    keys,
    table.element,
    exportButtons(ask, {
      name: () => `mask-${path}`,
      csv: () => (mask && view ? maskCsv(mask, view) : ''),
      picture: () => (canvas instanceof HTMLCanvasElement ? canvas : document.createElement('canvas')),
    }),
  );
  let path = '';
  let words = maskWords(false);
  let mask: TensorMask | undefined;
  let view: Window | undefined;
  let bins: Bins | undefined;
  let measure: BinMeasure = 'share';
  let theme = readHeatTheme();
  /** Of the number that is marked: its place in the indices. */
  let marked: number | undefined;
  let width = 0;
  let height = 0;

  function render(): void {
    const room = Math.floor(frame.getBoundingClientRect().width);
    if (!mask || !view || !(canvas instanceof HTMLCanvasElement) || room < 100) return;
    const { rows, columns } = mask;
    // Tall matrices are drawn narrower, down to a width at which columns are still told apart.
    width = Math.min(room, Math.max(NARROWEST, Math.round((HEIGHTS[1] * columns) / rows)));
    height = Math.max(HEIGHTS[0], Math.min(HEIGHTS[1], Math.round((width * rows) / columns)));
    const context = sized(canvas, width, height);
    if (!context) return;
    bins = binned(mask, view, canvas.width, canvas.height);
    const largest = largestMeasured(bins, measure);
    paint(context, bins, largest);
    if (marked !== undefined) mark(context, marked);
    tellWindow(bins, largest);
    table.draw(mask, view);
  }

  function paint(context: CanvasRenderingContext2D, now: Bins, largest: number): void {
    const { across, down, tall, wide, window } = now;
    const pixels = new ImageData(across, down);
    for (let y = 0; y < down; y += 1) {
      for (let x = 0; x < across; x += 1) {
        const value = measured(now, measure, x, y);
        const [red, green, blue] = colorOf(theme.scale, largest > 0 ? value / largest : 0);
        pixels.data.set([red, green, blue, 255], 4 * (y * across + x));
      }
    }
    const small = document.createElement('canvas');
    small.width = across;
    small.height = down;
    small.getContext('2d')?.putImageData(pixels, 0, 0);
    const [cellWidth, cellHeight] = [(wide * width) / window.columns, (tall * height) / window.rows];
    context.imageSmoothingEnabled = false;
    context.drawImage(small, 0, 0, across * cellWidth, down * cellHeight);
    if (wide > 1 || tall > 1) return;
    if (Math.min(cellWidth, cellHeight) >= LINES_FROM) {
      context.fillStyle = cssColor(theme.border ?? theme.background);
      for (let x = 1; x < across; x += 1) context.fillRect(Math.round(x * cellWidth), 0, 1, height);
      for (let y = 1; y < down; y += 1) context.fillRect(0, Math.round(y * cellHeight), width, 1);
    }
    writeValues(context, now, largest, cellWidth, cellHeight);
  }

  /** δ within the cells, where all of them have room. */
  function writeValues(
    context: CanvasRenderingContext2D,
    now: Bins,
    largest: number,
    cellWidth: number,
    cellHeight: number,
  ): void {
    const { values } = mask ?? {};
    context.font = `${FONT}px ${theme.font}`;
    if (!mask || !values || cellHeight < FONT + 4 || cellWidth < context.measureText('−0.00e-00').width) return;
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    forEachIn(mask, now.window, (row, column, at) => {
      const [x, y] = [column - now.window.left, row - now.window.top];
      const share = largest > 0 ? measured(now, measure, x, y) / largest : 0;
      context.fillStyle = cssColor(readableOn(colorOf(theme.scale, share)));
      context.fillText(shortValue(values[at] ?? 0), (x + 0.5) * cellWidth, (y + 0.5) * cellHeight);
    });
  }

  function mark(context: CanvasRenderingContext2D, at: number): void {
    if (!mask || !view) return;
    const [row, column] = placeOf(mask, at);
    const [cellWidth, cellHeight] = [width / view.columns, height / view.rows];
    const [left, top] = [(column - view.left) * cellWidth, (row - view.top) * cellHeight];
    const size = [Math.max(6, cellWidth), Math.max(6, cellHeight)] as const;
    context.strokeStyle = cssColor(theme.mark);
    context.lineWidth = 2;
    context.strokeRect(left + (cellWidth - size[0]) / 2, top + (cellHeight - size[1]) / 2, ...size);
  }

  function tellWindow(now: Bins, largest: number): void {
    const { window, wide, tall, total } = now;
    const numbers = window.rows * window.columns;
    const single = wide === 1 && tall === 1;
    const pixel = single
      ? l10n.t`each cell is one number`
      : measure === 'share'
        ? words.pixel(tall, wide)
        : l10n.t`each pixel is ${formatCount(tall)} × ${formatCount(wide)} numbers, coloured by the mean |δ| of those that train`;
    const counts = words.counted(total, numbers);
    setText(where, l10n.t`${partText(window)}: ${counts}; ${pixel}.`);
    canvas.setAttribute('aria-label', l10n.t`Mask of ${path}. ${where.textContent ?? ''}`);
    if (measure === 'size') legend.draw('|δ| 0', formatLoss(largest));
    else if (single) legend.draw(...words.legend);
    else legend.draw('0 %', formatPercent(largest));
  }

  function describe(x: number, y: number): string {
    if (!mask || !bins) return '';
    const part = partOf(bins, x, y);
    const { top, left, rows, columns } = part;
    if (rows === 1 && columns === 1) return describeNumber(mask, words, top, left);
    const count = bins.counts[y * bins.across + x] ?? 0;
    const counts = words.counted(count, rows * columns);
    return bins.sizes && count > 0
      ? l10n.t`${partText(part)}: ${counts}, mean |δ| ${formatLoss(measured(bins, 'size', x, y))}`
      : l10n.t`${partText(part)}: ${counts}`;
  }

  function look(next: Window | undefined): void {
    view = next;
    render();
  }

  function zoom(factor: number, across?: number, down?: number): void {
    if (mask && view) look(zoomed(mask, view, factor, across, down));
  }

  /** Marks the next number that trains, or the one before, and shows it. */
  function step(by: 1 | -1): void {
    if (!mask || !view || mask.indices.length === 0) return;
    const last = mask.indices.length - 1;
    if (marked === undefined) {
      let first: number | undefined;
      forEachIn(mask, view, (_row, _column, at) => {
        first = at;
        return false;
      });
      marked = first ?? 0;
    } else marked = Math.max(0, Math.min(last, marked + by));
    const [row, column] = placeOf(mask, marked);
    let next = view;
    // From afar a number is a speck: nearer, until it is a cell.
    for (let times = 0; width / next.columns < 12 && times < 40; times += 1) {
      const nearer = zoomed(mask, next, 2);
      if (nearer.columns === next.columns && nearer.rows === next.rows) break;
      next = nearer;
    }
    look(showing(mask, next, row, column));
    setText(readout, describeNumber(mask, words, row, column));
  }

  /** The bin at a place of the picture. */
  function binAt({ offsetX, offsetY }: MouseEvent): readonly [number, number] | undefined {
    if (!bins || offsetX < 0 || offsetY < 0) return undefined;
    const x = Math.floor((offsetX / width) * (bins.window.columns / bins.wide));
    const y = Math.floor((offsetY / height) * (bins.window.rows / bins.tall));
    return x < bins.across && y < bins.down ? [x, y] : undefined;
  }

  let drag: { readonly x: number; readonly y: number; readonly from: Window } | undefined;
  canvas.addEventListener('pointerdown', (event) => {
    if (event.button !== 0 || !view) return;
    drag = { x: event.offsetX, y: event.offsetY, from: view };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener('pointerup', () => (drag = undefined));
  canvas.addEventListener('pointercancel', () => (drag = undefined));
  canvas.addEventListener('pointermove', (event) => {
    if (drag && mask) {
      const { x, y, from } = drag;
      const down = Math.round(((y - event.offsetY) / height) * from.rows);
      const right = Math.round(((x - event.offsetX) / width) * from.columns);
      look(moved(mask, from, down, right));
    }
    const bin = binAt(event);
    if (bin) setText(readout, describe(...bin));
  });
  canvas.addEventListener('click', (event) => {
    const bin = binAt(event);
    if (!bin || !bins || !mask || bins.wide > 1 || bins.tall > 1) return;
    const { top, left } = partOf(bins, ...bin);
    marked = indexAt(mask, top, left);
    render();
  });
  canvas.addEventListener('dblclick', (event) => zoom(4, event.offsetX / width, event.offsetY / height));
  canvas.addEventListener(
    'wheel',
    (event) => {
      // Without the key the page scrolls, as everywhere.
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      zoom(event.deltaY < 0 ? 1.25 : 0.8, event.offsetX / width, event.offsetY / height);
    },
    { passive: false },
  );
  canvas.addEventListener('keydown', (event) => {
    if (!mask || !view) return;
    const [down, right] = [Math.max(1, Math.round(view.rows / 8)), Math.max(1, Math.round(view.columns / 8))];
    const here = view;
    const of = mask;
    const acts: Readonly<Record<string, () => void>> = {
      ArrowUp: () => look(moved(of, here, -down, 0)),
      ArrowDown: () => look(moved(of, here, down, 0)),
      ArrowLeft: () => look(moved(of, here, 0, -right)),
      ArrowRight: () => look(moved(of, here, 0, right)),
      '+': () => zoom(2),
      '=': () => zoom(2),
      '-': () => zoom(0.5),
      '0': () => look(wholeOf(of)),
      n: () => step(1),
      p: () => step(-1),
      Escape: onClose,
    };
    const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  });

  new ResizeObserver(render).observe(frame);
  onThemeChange(() => {
    theme = readHeatTheme();
    render();
  });
  return {
    element,
    show(nextPath, nextMask) {
      path = nextPath;
      mask = nextMask;
      marked = undefined;
      const { values } = mask;
      words = maskWords(mask.learned === true);
      const sizes = [
        { key: 'share', title: words.share },
        { key: 'size', title: l10n.t`Mean |δ|` },
      ];
      if (values === undefined) measure = 'share';
      chooser.setOptions(sizes, measure);
      setShown(chooser.element, values !== undefined);
      setText(title, path);
      setText(about, describeMask(mask));
      setText(keys, words.keys);
      setText(readout, l10n.t`Point at the picture.`);
      look(wholeOf(mask));
    },
    focus: () => canvas.focus(),
  };
}

function placeOf({ indices, columns }: TensorMask, at: number): readonly [number, number] {
  const place = indices[at] ?? 0;
  return [Math.floor(place / columns), place % columns];
}

/** `Row 12, column 40: trains, δ 0.01234`, or that it rests. */
function describeNumber(mask: TensorMask, words: MaskWords, row: number, column: number): string {
  const at = indexAt(mask, row, column);
  const value = at === undefined ? undefined : mask.values?.[at];
  return value === undefined
    ? words.at(row, column, at !== undefined)
    : l10n.t`Row ${row}, column ${column}: trains, δ ${formatLoss(value)}`;
}

function partText({ top, left, rows, columns }: Window): string {
  return l10n.t`Rows ${top} to ${top + rows - 1}, columns ${left} to ${left + columns - 1}`;
}

function shortValue(value: number): string {
  return value === 0 || Math.abs(value) >= 0.001 ? value.toPrecision(2) : value.toExponential(1);
}
