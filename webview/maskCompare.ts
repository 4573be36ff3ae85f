import * as l10n from '@vscode/l10n';
import { describeProblem } from '../src/common/problem.js';
import { formatCount, formatPercent } from '../src/common/format.js';
import type { MaskReport, NamedOverlap } from '../src/engines/masks/maskReport.js';
import { expectedJaccard, jaccard } from '../src/engines/masks/overlap.js';
import type { Overlap } from '../src/engines/masks/overlap.js';
import { button, make, setExpanded, setShown, setText, tile } from './dom.js';
import { layerText } from './maskShares.js';
import { numberTable } from './numberTable.js';
import { RequestRefused, isCancelled } from './requests.js';
import type { Ask } from './requests.js';
import { makeDropdown } from './toolkit.js';

/** The choice of another mask, and how this run's overlaps with it. */
export interface MaskCompare {
  readonly element: HTMLElement;
  /** Puts it away: another run is shown. */
  close(): void;
}

/** What no run is chosen by. */
const NONE = '';

export function createMaskCompare(ask: Ask): MaskCompare {
  const note = make('p', { role: 'status' });
  const tiles = make('dl', { class: 'tiles' });
  const heads = (name: string): string[] => [
    name,
    l10n.t`this run`,
    l10n.t`the other`,
    l10n.t`in both`,
    l10n.t`Jaccard`,
    l10n.t`at random`,
  ];
  const layers = numberTable(l10n.t`Overlap by layer`, heads(l10n.t`layer`));
  const kinds = numberTable(l10n.t`Overlap by kind of module`, heads(l10n.t`kind`));
  const about = make(
    'p',
    { class: 'muted' },
    l10n.t`Jaccard: numbers in both masks, of those in either. At random: of masks with as many numbers in each tensor, drawn without looking at each other: an overlap near it is that of chance.`,
  );
  const found = make('div', { class: 'heat-table' }, tiles, layers.element, kinds.element, about);
  const runs = makeDropdown(l10n.t`Run`, (folder) => {
    chosen = folder;
    if (folder !== NONE) void compare(folder);
  });
  const choose = button(l10n.t`Choose Folder…`, 'secondary', () => void compare(undefined));
  const body = make(
    'div',
    {},
    make('div', { class: 'choices' }, runs.element, make('div', { class: 'buttons' }, choose)),
    note,
    found,
  );
  const opener = button(l10n.t`Overlap with Another Mask…`, 'secondary', () => {
    setShown(body, body.hidden);
    setExpanded(opener, !body.hidden);
    if (!body.hidden) void list();
  });
  const element = make(
    'section',
    { class: 'mask-compare', 'aria-label': l10n.t`Overlap with another mask` },
    make('div', { class: 'buttons' }, opener),
    body,
  );
  let chosen = NONE;
  let asking: AbortController | undefined;
  setExpanded(opener, false);
  setShown(body, false);
  setShown(found, false);

  async function list(): Promise<void> {
    try {
      const others = await ask('listRuns', {});
      runs.setOptions(
        [
          { key: NONE, title: l10n.t`Choose a run` },
          ...others.map(({ folder, name, method = '' }) => ({ key: folder, title: `${name} ${method}`.trim() })),
        ],
        chosen,
      );
    } catch (error) {
      setText(note, messageOf(error));
    }
  }

  /** @param folder undefined: the user is asked for one */
  async function compare(folder: string | undefined): Promise<void> {
    asking?.abort();
    const controller = new AbortController();
    asking = controller;
    setShown(found, false);
    setText(note, l10n.t`Comparing masks…`);
    try {
      const { report } = await ask('compareMasks', folder === undefined ? {} : { folder }, controller.signal);
      setText(note, '');
      if (report !== undefined) show(report);
    } catch (error) {
      if (!isCancelled(error)) setText(note, messageOf(error));
    }
  }

  function show({ masks, pairs }: MaskReport): void {
    const [own, other, pair] = [masks[0], masks[1], pairs[0]];
    if (own === undefined || other === undefined || pair === undefined) return;
    const { total } = pair;
    const share = ({ marked, size }: { readonly marked: number; readonly size: number }): string =>
      l10n.t`${formatCount(marked)} (${formatPercent(marked / size)})`;
    tiles.replaceChildren(
      tile(l10n.t`This run`, share(own)),
      tile(l10n.t`The other`, share(other)),
      tile(l10n.t`In both`, formatCount(total.shared)),
      tile(l10n.t`Jaccard`, indexText(jaccard(total))),
      tile(l10n.t`At random`, indexText(expectedJaccard(total))),
    );
    setText(
      note,
      l10n.t`Compared with ${other.folder} (${other.method}). Shares are of all numbers of the base model.`,
    );
    layers.fill(marked(pair.layers).map((layer) => rowOf(layerText(layer.name), layer)));
    kinds.fill(marked(pair.kinds).map((kind) => rowOf(kind.name, kind)));
    setShown(found, true);
  }

  return {
    element,
    close() {
      asking?.abort();
      chosen = NONE;
      setText(note, '');
      setShown(found, false);
      setShown(body, false);
      setExpanded(opener, false);
    },
  };
}

/** Where neither has a number there is nothing to compare. */
function marked(groups: readonly NamedOverlap[]): readonly NamedOverlap[] {
  return groups.filter(({ one, other }) => one + other > 0);
}

function rowOf(name: string, overlap: Overlap): string[] {
  const { one, other, shared } = overlap;
  const counts = [one, other, shared].map(formatCount);
  return [name, ...counts, indexText(jaccard(overlap)), indexText(expectedJaccard(overlap))];
}

/** Three places; a dash where both masks are empty. */
function indexText(index: number | undefined): string {
  return index === undefined ? '–' : String(Number(index.toPrecision(3)));
}

function messageOf(error: unknown): string {
  return error instanceof RequestRefused ? describeProblem(error.problem) : String(error);
}
