import * as l10n from '@vscode/l10n';
import type { Inspection } from '../../adapters/inspect.js';
import { formatBytes, formatCount, formatLoss } from '../../common/format.js';
import { isError } from '../../common/problem.js';
import { sentences } from '../../common/sentences.js';
import type { Entry } from './library.js';
import { dateText } from './present.js';

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
    ...unmatched.map((each) => l10n.t`Unmatched: ${each}.`),
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
    ...sharedText(found),
    ...wholeText(found),
    '',
  ].join('\n');
}

function modulesText({ modules, factors }: Inspection): string[] {
  if (modules.length === 0) return [];
  const rows = modules.map(({ path, rank, effectiveRank, scale, a, b, trainable, norm }) => [
    path,
    String(rank),
    // JSON has no NaN: what is not finite arrives as null.
    typeof effectiveRank === 'number' ? effectiveRank.toFixed(2) : '?',
    typeof scale === 'number' ? String(Number(scale.toPrecision(4))) : '?',
    typeof norm === 'number' ? formatLoss(norm) : '?',
    shape(a),
    shape(b),
    formatCount(trainable),
  ]);
  return [
    '',
    l10n.t`MODULES`,
    '',
    ...table([
      [l10n.t`MODULE`, l10n.t`RANK`, l10n.t`EFFECTIVE RANK`, l10n.t`SCALE`, '‖ΔW‖', ...factors, l10n.t`TRAINED`],
      ...rows,
    ]),
    '',
    l10n.t`Effective rank: exp of the entropy of the singular values of ΔW (Roy & Vetterli 2007).`,
    l10n.t`Near the rank, every direction is used; near 1, a smaller rank would do.`,
    l10n.t`‖ΔW‖ is the Frobenius norm of the update, its scale included.`,
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

function title(folder: string): string {
  const parts = folder.split(/[\\/]/).filter(Boolean);
  // A run's adapter is named by its run, too.
  return parts.at(-1) === 'adapter' ? parts.slice(-3).join('/') : (parts.at(-1) ?? folder);
}

function shape(sizes: readonly number[]): string {
  return `[${sizes.join(', ')}]`;
}

/** How many columns a text takes where letters are of one width: a Chinese one takes two. */
function columnsOf(text: string): number {
  return [...text].length + (text.match(/[\p{Script=Han}\u3000-\u303f\uff00-\uff60]/gu)?.length ?? 0);
}

/** Columns as wide as their widest cell, two spaces between them. */
function table(rows: readonly (readonly string[])[]): string[] {
  const cells = rows.map((row) => row.map((cell) => cell.replaceAll('\n', ' ')));
  // A file may hold more modules than a call takes arguments.
  const widths: number[] = [];
  for (const row of cells) {
    row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, columnsOf(cell))));
  }
  return cells.map((row) =>
    row
      .map((cell, column) => cell + ' '.repeat(widths[column]! - columnsOf(cell)))
      .join('  ')
      .trimEnd(),
  );
}
