import * as l10n from '@vscode/l10n';
import type { Inspection } from '../../adapters/inspect.js';
import { singularValuesText } from '../../adapters/singularValuesText.js';
import type { TrainedShare } from '../../adapters/trainedShares.js';
import { formatBytes, formatCount, formatLoss, formatPercent } from '../../common/format.js';
import { isError } from '../../common/problem.js';
import { sentences } from '../../common/sentences.js';
import type { Entry } from './library.js';
import { dateText } from './present.js';
import { table, title } from './textTable.js';

/**
 * An inspection as a document of plain text with aligned columns: long lines are not broken, and it can be searched.
 * @param found what `inspect --json` printed
 */
export function inspectionText(found: Inspection, { item, base, unmatched }: Entry): string {
  const irregular = item.kind === 'adapter' ? item.irregular : [];
  const notes = [
    ...found.problems.map((problem) =>
      isError(problem) ? l10n.t`Error: ${sentences(problem)}` : l10n.t`Warning: ${sentences(problem)}`,
    ),
    // The command compares with the base that it finds from its own folder, which may be none.
    ...(found.problems.some(({ code }) => code === 'adapter.unmatched')
      ? []
      : unmatched.map((each) => l10n.t`Unmatched: ${each}.`)),
    ...irregular.map((each) => l10n.t`Irregular: ${each}.`),
  ];
  const facts: readonly (readonly [string, string | undefined])[] = [
    [l10n.t`Folder`, found.folder],
    [l10n.t`Method`, found.method],
    [l10n.t`Base model`, found.base ?? l10n.t`not named`],
    [
      l10n.t`Base found at`,
      base.place ?? (base.remote ? l10n.t`not downloaded yet` : l10n.t`nowhere on this machine`),
    ],
    ['r, alpha', found.r === undefined ? undefined : `${found.r}, ${found.alpha ?? '?'}`],
    [l10n.t`Trained`, l10n.t`${formatCount(found.trainable)} numbers in ${found.tensors} tensors`],
    [l10n.t`Size`, formatBytes(item.bytes)],
    [l10n.t`Written`, dateText(item.modified)],
  ];
  const rows = facts.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]));
  return [
    title(found.folder),
    '',
    ...table(rows),
    '',
    notes.length === 0 ? l10n.t`Nothing is wrong with it: every layer is in one state.` : l10n.t`WHAT STANDS OUT`,
    ...(notes.length === 0 ? [] : ['', ...notes.map((note) => note.replaceAll('\n', ' '))]),
    ...modulesText(found),
    ...sharesText(found),
    ...sharedText(found),
    ...wholeText(found),
    '',
  ].join('\n');
}

/** What stands for no number: one that cannot be had; or one that is not finite, for which JSON has null. */
function absent(value: unknown): string {
  return value === undefined ? '–' : '?';
}

function modulesText({ modules, factors }: Inspection): string[] {
  if (modules.length === 0) return [];
  const rows = modules.map(({ path, rank, effectiveRank, scale, a, b, trainable, norm, ...spectrum }) => [
    path,
    String(rank),
    typeof effectiveRank === 'number' ? effectiveRank.toFixed(2) : absent(effectiveRank),
    typeof scale === 'number' ? String(Number(scale.toPrecision(4))) : '?',
    typeof norm === 'number' ? formatLoss(norm) : absent(norm),
    ...[a, b].flatMap((sizes) => (sizes === undefined ? [] : [shape(sizes)])),
    formatCount(trainable),
    spectrum.energyRank === undefined ? '–' : String(spectrum.energyRank),
    singularValuesText(spectrum),
  ]);
  return [
    '',
    l10n.t`MODULES`,
    '',
    ...table([
      [
        l10n.t`MODULE`,
        l10n.t`RANK`,
        l10n.t`EFFECTIVE RANK`,
        l10n.t`SCALE`,
        '‖ΔW‖',
        ...factors,
        l10n.t`TRAINED`,
        l10n.t`90 % RANK`,
        l10n.t`SINGULAR VALUES`,
      ],
      ...rows,
    ]),
    '',
    l10n.t`Effective rank: exp of the entropy of the singular values of ΔW (Roy & Vetterli 2007).`,
    l10n.t`Near the rank, every direction is used; near 1, a smaller rank would do.`,
    l10n.t`‖ΔW‖ is the Frobenius norm of the update, its scale included.`,
    l10n.t`90 % rank: how many singular values hold nine tenths of ‖ΔW‖². Of singular values the largest, and their share of it.`,
  ];
}

function sharesText({ layers, kinds, trainable: all }: Inspection): string[] {
  const shares = (
    heading: string,
    column: string,
    groups: readonly TrainedShare[],
    unnamed: string,
  ): readonly string[] =>
    groups.length < 2
      ? []
      : [
          '',
          heading,
          '',
          ...table([
            [column, l10n.t`TRAINED`, l10n.t`SHARE`, '‖ΔW‖'],
            ...groups.map(({ name, trainable, norm }) => [
              name === '' ? unnamed : name,
              formatCount(trainable),
              formatPercent(trainable / all),
              typeof norm === 'number' ? formatLoss(norm) : '–',
            ]),
          ]),
        ];
  return [
    ...shares(l10n.t`SHARES OF LAYERS`, l10n.t`LAYER`, layers, l10n.t`beside the layers`),
    ...shares(l10n.t`SHARES OF KINDS OF MODULE`, l10n.t`KIND`, kinds, l10n.t`several`),
  ];
}

function sharedText({ shared }: Inspection): string[] {
  if (shared.length === 0) return [];
  const rows = shared.map(({ key, shape: sizes, trainable, modules }) => [
    key,
    shape(sizes),
    formatCount(trainable),
    formatCount(modules.length),
  ]);
  return [
    '',
    l10n.t`SHARED BY SEVERAL MODULES`,
    '',
    ...table([[l10n.t`TENSOR`, l10n.t`SHAPE`, l10n.t`TRAINED`, l10n.t`MODULES`], ...rows]),
  ];
}

function wholeText({ whole }: Inspection): string[] {
  if (whole.length === 0) return [];
  const rows = whole.map(({ key, shape: sizes, trainable }) => [key, shape(sizes), formatCount(trainable)]);
  return ['', l10n.t`TRAINED WHOLE`, '', ...table([[l10n.t`TENSOR`, l10n.t`SHAPE`, l10n.t`TRAINED`], ...rows])];
}

function shape(sizes: readonly number[]): string {
  return `[${sizes.join(', ')}]`;
}
