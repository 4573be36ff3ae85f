import * as l10n from '@vscode/l10n';
import { formatCount, formatPercent } from '../src/common/format.js';
import type { TensorMask } from '../src/engines/tensorMask.js';

/** What a mask says, in words: which numbers train, or (learned masks) which weights are on. */
export interface MaskWords {
  /** Of the share of a tensor, and what it is. */
  readonly share: string;
  readonly about: string;
  /** Tensors of which the mask holds nothing, and all. */
  readonly none: string;
  readonly all: string;
  /** What it holds. */
  readonly numbers: string;
  /** Of a number that it does not hold, and of one that it does. */
  readonly legend: readonly [out: string, within: string];
  readonly keys: string;
  counted(count: number, all: number): string;
  /** One number. */
  at(row: number, column: number, isWithin: boolean): string;
  /** The whole mask. */
  mask(rows: number, columns: number, count: number): string;
  /** What a pixel of so many numbers is. */
  pixel(tall: number, wide: number): string;
  /** The table beside the picture: all that is seen, or the first of them. */
  table(first?: number): string;
}

const training = (): MaskWords => ({
  share: l10n.t`Share that trains`,
  about: l10n.t`Share of the numbers of each tensor that train, in the cells in per cent; the others stay as they are.`,
  none: l10n.t`Wholly at rest`,
  all: l10n.t`Wholly training`,
  numbers: l10n.t`Numbers that train`,
  legend: [l10n.t`rests`, l10n.t`trains`],
  keys: l10n.t`Drag or the arrow keys move, double click or + and − zoom, 0 shows the whole matrix, N and P go through the numbers that train, Escape closes.`,
  counted: (count, all) =>
    l10n.t`${formatCount(count)} of ${formatCount(all)} numbers train (${formatPercent(count / all)})`,
  at: (row, column, isWithin) =>
    isWithin ? l10n.t`Row ${row}, column ${column}: trains` : l10n.t`Row ${row}, column ${column}: rests`,
  mask: (rows, columns, count) =>
    l10n.t`${formatCount(rows)} × ${formatCount(columns)}: ${formatCount(count)} numbers train, ${formatPercent(count / (rows * columns))}`,
  pixel: (tall, wide) =>
    l10n.t`each pixel is ${formatCount(tall)} × ${formatCount(wide)} numbers, coloured by the share that trains`,
  table: (first) =>
    first === undefined
      ? l10n.t`All numbers that train in the part that is seen`
      : l10n.t`The first ${formatCount(first)} numbers that train in the part that is seen`,
});

const learned = (): MaskWords => ({
  share: l10n.t`Share that is on`,
  about: l10n.t`Share of the weights of each matrix that the learned mask leaves on, in the cells in per cent; the others count as zero.`,
  none: l10n.t`Wholly off`,
  all: l10n.t`Wholly on`,
  numbers: l10n.t`Weights that are on`,
  legend: [l10n.t`off`, l10n.t`on`],
  keys: l10n.t`Drag or the arrow keys move, double click or + and − zoom, 0 shows the whole matrix, N and P go through the weights that are on, Escape closes.`,
  counted: (count, all) =>
    l10n.t`${formatCount(count)} of ${formatCount(all)} weights are on (${formatPercent(count / all)})`,
  at: (row, column, isWithin) =>
    isWithin ? l10n.t`Row ${row}, column ${column}: on` : l10n.t`Row ${row}, column ${column}: off`,
  mask: (rows, columns, count) =>
    l10n.t`${formatCount(rows)} × ${formatCount(columns)}: ${formatCount(count)} weights are on, ${formatPercent(count / (rows * columns))}`,
  pixel: (tall, wide) =>
    l10n.t`each pixel is ${formatCount(tall)} × ${formatCount(wide)} weights, coloured by the share that is on`,
  table: (first) =>
    first === undefined
      ? l10n.t`All weights that are on in the part that is seen`
      : l10n.t`The first ${formatCount(first)} weights that are on in the part that is seen`,
});

export function maskWords(isLearned: boolean): MaskWords {
  return isLearned ? learned() : training();
}

/** A sentence above the picture: how much of the matrix the mask holds, and of when its values are, where it may have some. */
export function describeMask({
  rows,
  columns,
  indices,
  learned: isLearned,
  valueless,
  valuesOf,
}: TensorMask): string {
  const whole = maskWords(isLearned === true).mask(rows, columns, indices.length);
  if (isLearned || valueless) return `${whole}.`;
  const source =
    valuesOf === undefined
      ? l10n.t`no values are written yet`
      : valuesOf === 'adapter'
        ? l10n.t`δ is that of the adapter`
        : l10n.t`δ is that of the checkpoint of step ${formatCount(valuesOf)}`;
  return l10n.t`${whole}; ${source}.`;
}
