import * as l10n from '@vscode/l10n';
import path from 'node:path';
import { formatCount, formatPercent } from '../common/format.js';
import { compareMasks } from '../engines/masks/compareMasks.js';
import type { MaskPair, MaskReport, MarkedShare } from '../engines/masks/maskReport.js';
import { openMask } from '../engines/masks/openMask.js';
import type { OpenedMask } from '../engines/masks/openMask.js';
import { expectedJaccard, jaccard } from '../engines/masks/overlap.js';
import type { Overlap } from '../engines/masks/overlap.js';
import { modelOnDisk } from '../language/modelHub.js';
import type { Command } from './command.js';
import { DONE } from './exitCode.js';
import type { Io } from './io.js';
import { printable } from './styles.js';
import { table } from './table.js';

export const masks: Command = {
  name: 'masks',
  summary:
    'Show which numbers of the base model adapters change, by layer and kind of module, and how masks overlap.',
  positionals: [
    { name: 'ADAPTER', help: 'folders of 1 to 8 adapters of selective methods, or of runs', multiple: true },
  ],
  options: {
    model: { value: 'BASE', help: 'The base model of all of them. Default: the one that each names.' },
  },
  json: '{ "masks": [{ "folder", "method", "base", "marked", "size", "layers": [{ "name", "marked", "size" }], "kinds" }], "pairs": [{ "one", "other", "total": { "one", "other", "shared", "expectedShared", "size", "jaccard", "expectedJaccard" }, "layers": [{ "name", … }], "kinds" }] }; a layer\'s name is "" for what stands beside the layers, a Jaccard index null where both masks are empty',
  jsonForm: 'document',
  examples: ['runs/fish/2025-01-31T12-00-00/adapter', 'runs/a/TIME runs/b/TIME --json'],
  async run(args, io) {
    const folders = [...new Set(args.rest(0).map((folder) => path.resolve(folder)))];
    const model = args.text('model');
    const opened: OpenedMask[] = [];
    for (const folder of folders) {
      opened.push(await openMask(folder, { model, placeOf: (named) => modelOnDisk(named, '.') }));
    }
    io.interrupt.check();
    const report = await compareMasks(opened, (done, total) => {
      io.interrupt.check();
      io.progress.update({ activity: l10n.t`Comparing masks`, done, total });
    });
    io.progress.end();
    if (args.flag('json')) io.json(withIndices(report));
    else io.line(printable(reportText(report)));
    warnOfBases(report, io);
    return DONE;
  },
};

/** Different names may stand for one model: sizes are the same, but nobody says that its numbers are. */
function warnOfBases({ masks: all }: MaskReport, io: Io): void {
  const bases = [...new Set(all.flatMap(({ base }) => base ?? []))];
  if (bases.length < 2) return;
  io.problem({
    code: 'masks.base-names',
    severity: 'warning',
    message: `the masks name different base models: ${bases.join(', ')}`,
    mend: 'Nothing to do if that is one model, or if masks of models of one size are to be compared.',
  });
}

type WithIndices<T> = T & { readonly jaccard: number | null; readonly expectedJaccard: number | null };

function indices<T extends Overlap>(overlap: T): WithIndices<T> {
  return {
    ...overlap,
    jaccard: jaccard(overlap) ?? null,
    expectedJaccard: expectedJaccard(overlap) ?? null,
  };
}

function withIndices({ masks: all, pairs }: MaskReport) {
  return {
    masks: all,
    pairs: pairs.map((pair) => ({
      ...pair,
      total: indices(pair.total),
      layers: pair.layers.map(indices),
      kinds: pair.kinds.map(indices),
    })),
  };
}

/** What masks are called in tables. */
const letter = (at: number): string => String.fromCharCode('A'.charCodeAt(0) + at);

function reportText(report: MaskReport): string {
  const { masks: all, pairs } = report;
  const several = all.length > 1;
  return [
    table(
      all.map(({ folder, method, base, marked, size }, at) => [
        ...(several ? [letter(at)] : []),
        method,
        `${formatCount(marked)} of ${formatCount(size)}`,
        formatPercent(marked / size),
        base ?? 'not named',
        folder,
      ]),
      [...(several ? ['MASK'] : []), 'METHOD', 'NUMBERS', 'SHARE', 'BASE', 'FOLDER'],
    ),
    sharesText('LAYER', report, ({ layers }) => layers, layerName),
    sharesText(
      'KIND',
      report,
      ({ kinds }) => kinds,
      (name) => name,
    ),
    ...(several ? [matrixText(report)] : []),
    ...pairs.flatMap((pair) => [
      overlapText('LAYER', pair, pair.layers, layerName),
      overlapText('KIND', pair, pair.kinds, (name) => name),
    ]),
    ...(several
      ? [
          'Jaccard: |A ∩ B| / |A ∪ B|. At random: of masks with as many places in each tensor, drawn without looking at each other.',
        ]
      : []),
  ].join('\n\n');
}

const layerName = (name: string): string => (name === '' ? 'beside the layers' : name);

/** The share of each mask in each group; of masks over one base model the groups are the same. */
function sharesText(
  heading: string,
  { masks: all }: MaskReport,
  groupsOf: (mask: MaskReport['masks'][number]) => readonly MarkedShare[],
  nameOf: (name: string) => string,
): string {
  const [first] = all;
  const several = all.length > 1;
  return table(
    groupsOf(first!).map(({ name, size }, at) => [
      nameOf(name),
      ...all.flatMap((mask) => {
        const { marked, size: own } = groupsOf(mask)[at]!;
        const share = formatPercent(own === 0 ? 0 : marked / own);
        return several ? [share] : [formatCount(marked), formatCount(size), share];
      }),
    ]),
    [heading, ...(several ? all.map((_, at) => letter(at)) : ['NUMBERS', 'OF', 'SHARE'])],
  );
}

/** Jaccard indices of each with each, with those of random masks. */
function matrixText({ masks: all, pairs }: MaskReport): string {
  const cell = (one: number, other: number): string => {
    if (one === other) return '1';
    const pair = pairs.find((each) => each.one === Math.min(one, other) && each.other === Math.max(one, other))!;
    return `${indexText(jaccard(pair.total))} (at random ${indexText(expectedJaccard(pair.total))})`;
  };
  return table(
    all.map((_, one) => [letter(one), ...all.map((__, other) => cell(one, other))]),
    ['JACCARD', ...all.map((_, at) => letter(at))],
  );
}

/** The overlap of two masks in each group, and in all; groups in which neither has any are counted below. */
function overlapText(
  heading: string,
  { one, other, total }: MaskPair,
  groups: readonly (Overlap & { readonly name: string })[],
  nameOf: (name: string) => string,
): string {
  const row = (name: string, overlap: Overlap): string[] => [
    name,
    formatCount(overlap.one),
    formatCount(overlap.other),
    formatCount(overlap.shared),
    indexText(jaccard(overlap)),
    indexText(expectedJaccard(overlap)),
  ];
  const marked = groups.filter((group) => group.one + group.other > 0);
  const text = table(
    [...marked.map((group) => row(nameOf(group.name), group)), row('all', total)],
    [heading, letter(one), letter(other), 'BOTH', 'JACCARD', 'AT RANDOM'],
  );
  const left = groups.length - marked.length;
  return left === 0 ? text : `${text}\nLeft out, for neither changes anything there: ${left}`;
}

function indexText(index: number | undefined): string {
  return index === undefined ? '–' : String(Number(index.toPrecision(3)));
}
