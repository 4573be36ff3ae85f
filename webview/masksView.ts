import * as l10n from '@vscode/l10n';
import { describeProblem } from '../src/common/problem.js';
import { formatCount, formatLoss, formatPercent } from '../src/common/format.js';
import { make, setShown, setText, tile } from './dom.js';
import { createSiteMap } from './heatMapView.js';
import type { MapQuantity } from './heatMapView.js';
import { createMaskCompare } from './maskCompare.js';
import { createMaskImage } from './maskImage.js';
import { createMaskShares } from './maskShares.js';
import { maskWords } from './maskWords.js';
import type { MaskWords } from './maskWords.js';
import { RequestRefused, isCancelled } from './requests.js';
import type { Ask } from './requests.js';
import { valueAt } from './siteHistory.js';
import type { SiteHistory } from './siteHistory.js';
import type { View } from './view.js';

const quantities = (words: () => MaskWords): readonly MapQuantity[] => [
  {
    key: 'density',
    get title() {
      return words().share;
    },
    get about() {
      return words().about;
    },
    format: formatPercent,
    formatShort: (share) => `${Number((100 * share).toPrecision(2))}`,
  },
  {
    key: 'norm',
    title: l10n.t`Norm of δ`,
    about: l10n.t`Frobenius norm ‖δ‖ of what each tensor has learned, told at evaluations.`,
    format: formatLoss,
    formatShort: (value) => String(Number(value.toPrecision(3))),
  },
];

/** Which numbers train: their share in every tensor over time, and the mask of one of them. */
export function createMasksView(ask: Ask): View {
  let words = maskWords(false);
  const waiting = make('p', { class: 'muted' }, l10n.t`Masks are told before the first step.`);
  const summary = make('dl', { class: 'tiles' });
  const map = createSiteMap(
    {
      label: l10n.t`Masks: kinds of modules by layers`,
      quantities: quantities(() => words),
      fileName: 'masks',
      opens: l10n.t`Open Mask`,
      hint: l10n.t`Point at a cell or use the arrow keys; Enter opens its mask.`,
      onOpen: (path) => void open(path),
      onChange: () => drawTiles(),
    },
    ask,
  );
  const notice = make('p', { role: 'status' });
  const image = createMaskImage(ask, () => {
    close();
    map.focus();
  });
  const shares = createMaskShares();
  const compare = createMaskCompare(ask);
  const body = make('div', {}, summary, map.element, notice, image.element, shares.element, compare.element);
  let history: SiteHistory | undefined;
  let asking: AbortController | undefined;
  setShown(image.element, false);

  async function open(path: string): Promise<void> {
    close();
    map.select(path);
    const shape = history?.shapes.get(path);
    if (shape === undefined) {
      setText(notice, maskless(path));
      return;
    }
    const controller = new AbortController();
    asking = controller;
    setText(notice, l10n.t`Reading the mask of ${path}…`);
    try {
      const mask = await ask('maskOf', { path, shape }, controller.signal);
      setText(notice, '');
      setShown(image.element, true);
      image.show(path, mask);
      image.focus();
      image.element.scrollIntoView({ block: 'nearest' });
    } catch (error) {
      if (isCancelled(error)) return;
      setText(notice, error instanceof RequestRefused ? describeProblem(error.problem) : String(error));
    }
  }

  /** Why there is no mask to open. */
  function maskless(path: string): string {
    const [frame, site] = [map.frame(), history?.indexOf.get(path)];
    const density = frame && site !== undefined ? valueAt(frame, 'density', site) : undefined;
    if (density !== undefined && density > 0 && density < 1) {
      return l10n.t`${path}: its mask is drawn anew at each step, there is none to open.`;
    }
    return l10n.t`${path}: all of its numbers train or rest together, there is no mask to open.`;
  }

  function close(): void {
    asking?.abort();
    asking = undefined;
    map.select(undefined);
    setText(notice, '');
    setShown(image.element, false);
  }

  function drawTiles(): void {
    const frame = map.frame();
    if (!frame || !history) return;
    shares.draw(history, frame);
    setShown(shares.element, history.shapes.size > 0);
    const densities = history.paths.flatMap((_path, site) => valueAt(frame, 'density', site) ?? []);
    const { kept, all } = counted(history, (site) => valueAt(frame, 'density', site));
    summary.replaceChildren(
      tile(l10n.t`After step`, formatCount(frame.step)),
      tile(l10n.t`Tensors`, formatCount(densities.length)),
      tile(words.none, formatCount(densities.filter((share) => share === 0).length)),
      tile(words.all, formatCount(densities.filter((share) => share === 1).length)),
      ...(all > 0 ? [tile(words.numbers, l10n.t`${formatCount(kept)} of ${formatCount(all)}`)] : []),
      ...(all > 0 ? [tile(l10n.t`Share`, formatPercent(kept / all))] : []),
    );
  }

  return {
    element: make('div', { class: 'tab' }, waiting, body),
    draw({ masks, started }) {
      words = maskWords(started?.method.split(' + ').includes('learned_mask') ?? false);
      const none = masks.paths.length === 0;
      setShown(waiting, none);
      setShown(body, !none);
      // Another run.
      if (history !== masks) {
        close();
        compare.close();
      }
      history = masks;
      if (none) return;
      map.draw(masks);
      drawTiles();
    },
  };
}

/** Numbers that train, of those in tensors whose shape is known. */
function counted(
  { paths, shapes }: SiteHistory,
  densityOf: (site: number) => number | undefined,
): { readonly kept: number; readonly all: number } {
  let [kept, all] = [0, 0];
  paths.forEach((path, site) => {
    const [shape, density] = [shapes.get(path), densityOf(site)];
    if (shape === undefined || density === undefined) return;
    const size = shape.reduce((product, length) => product * length, 1);
    all += size;
    kept += Math.round(density * size);
  });
  return { kept, all };
}
