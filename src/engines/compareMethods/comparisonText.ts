import * as l10n from '@vscode/l10n';
import { formatBytes, formatCount, formatDuration, formatLoss, formatPercent } from '../../common/format.js';
import { sortedMethods } from './comparison.js';
import type { ComparedMethod, MethodComparison, Spread } from './comparison.js';

/** What a method has nothing of. */
const NONE = '–';

/** A column of the table of methods. */
export type MethodColumn =
  | 'method'
  | 'trainable'
  | 'share'
  | 'start'
  | 'loss'
  | 'metric'
  | 'rate'
  | 'memory'
  | 'time'
  | 'step'
  | 'size'
  | 'n';

export const METHOD_COLUMNS: readonly MethodColumn[] = [
  'method',
  'loss',
  'metric',
  'share',
  'trainable',
  'rate',
  'memory',
  'time',
  'step',
  'size',
  'start',
  'n',
];

/** What a method has in each column. */
export function methodCells(
  each: ComparedMethod,
  { metric }: Pick<MethodComparison, 'metric'>,
): Readonly<Record<MethodColumn, string>> {
  const { results, trainable, share, learning_rate: rate } = each;
  const text = (value: Spread | null | undefined, format: (value: number) => string): string =>
    value === null || value === undefined ? NONE : spreadText(value, format);
  return {
    method: each.method,
    trainable: trainable === null ? NONE : formatCount(trainable),
    share: share === null ? NONE : formatPercent(share),
    start: text(results?.start, formatLoss),
    loss: text(results?.loss, formatLoss),
    metric: text(metric === null ? null : results?.metrics[metric], formatShare),
    rate: rate === null ? NONE : String(rate),
    memory: text(results?.peak_memory, formatBytes),
    time: text(results?.seconds, formatDuration),
    step: text(results?.step_seconds, formatStep),
    size: text(results?.bytes, formatBytes),
    n: results === undefined ? NONE : String(results.loss.n),
  };
}

/** `1.234 ± 0.012`; the deviation of a single value is unknown, and of equal ones not worth a word. */
export function spreadText({ mean, deviation }: Spread, format: (value: number) => string): string {
  return deviation === null || deviation === 0
    ? format(mean)
    : `${format(mean)} ± ${deviationText(deviation, format)}`;
}

/** A deviation of a loss to two digits; others as their values. */
function deviationText(deviation: number, format: (value: number) => string): string {
  return format === formatLoss ? String(Number(deviation.toPrecision(2))) : format(deviation);
}

function formatShare(value: number): string {
  return `${(100 * value).toFixed(1)} %`;
}

/** `120 ms` */
function formatStep(seconds: number): string {
  return seconds < 1 ? `${String(Number((1000 * seconds).toPrecision(3)))} ms` : formatDuration(seconds);
}

/** Titles of the columns. */
export function columnTitles({
  metric,
}: Pick<MethodComparison, 'metric'>): Readonly<Record<MethodColumn, string>> {
  return {
    method: l10n.t`method`,
    trainable: l10n.t`trainable`,
    share: l10n.t`share`,
    start: l10n.t`loss before`,
    loss: l10n.t`loss`,
    metric: metricTitle(metric),
    rate: l10n.t`rate`,
    memory: l10n.t`peak memory`,
    time: l10n.t`time`,
    step: l10n.t`per step`,
    size: l10n.t`size on disk`,
    n: 'n',
  };
}

function metricTitle(metric: string | null): string {
  switch (metric) {
    case 'eval_accuracy':
      return l10n.t`accuracy`;
    case 'eval_row_accuracy':
      return l10n.t`rows right`;
    case 'eval_token_accuracy':
      return l10n.t`tokens right`;
    default:
      return metric ?? l10n.t`metric`;
  }
}

/** What is to be said of methods beside their numbers: why one has none, what was made of its size, which rates failed. */
export function methodRemarks({ methods }: Pick<MethodComparison, 'methods'>): readonly string[] {
  return methods.flatMap((each) => {
    const { method, state, note, rates } = each;
    const failed = rates.filter(({ loss }) => loss === null).map(({ learning_rate: rate }) => rate);
    return [
      ...reasonOf(each),
      ...(note === undefined ? [] : [`${method}: ${note}`]),
      ...(state !== 'failed' && failed.length > 0
        ? [l10n.t`${method}: not counted is the learning rate ${failed.join(', ')}, with which the run failed`]
        : []),
    ];
  });
}

/** Why a method was not run, or failed. */
function reasonOf({ method, state, problem }: ComparedMethod): readonly string[] {
  if (problem === undefined) return [];
  const { message } = problem;
  switch (state) {
    case 'refused':
      return [l10n.t`${method} was not run: ${message}`];
    case 'left-out':
      return [l10n.t`${method} was left out: ${message}`];
    case 'failed':
      return [l10n.t`${method} failed: ${message}`];
    default:
      return [l10n.t`${method}: a run failed, and does not count: ${message}`];
  }
}

/** What a comparison is of, and how; sentences. */
export function comparisonNotes(comparison: MethodComparison): readonly string[] {
  const { seeds, matched, methods, parameters } = comparison;
  const several = methods.some(({ rates }) => rates.length > 1);
  return [
    matched === undefined
      ? l10n.t`Each method at its defaults.`
      : l10n.t`Matched to ${formatCount(matched.trainable)} trainable numbers (${formatPercent(matched.trainable / parameters)} of the model): ${matched.to}.`,
    seeds.length === 1
      ? l10n.t`One seed: ${seeds[0]!}.`
      : l10n.t`Means ± standard deviations over ${seeds.length} seeds: ${seeds.join(', ')}.`,
    several
      ? l10n.t`The learning rate is the best of those tried, by the held-out loss with the first seed.`
      : l10n.t`Each method has one learning rate.`,
  ];
}

/** How far it is, where it is not at its end. */
export function unfinishedNote({ done, of }: Pick<MethodComparison, 'done' | 'of'>): readonly string[] {
  return done < of ? [l10n.t`${done} of ${of} runs have ended.`] : [];
}

/** A comparison as Markdown: its table, the best loss first, and what is to be said of single methods. */
export function comparisonMarkdown(
  comparison: MethodComparison,
  columns: readonly MethodColumn[] = METHOD_COLUMNS,
): string {
  const titles = columnTitles(comparison);
  const rows = sortedMethods(comparison, 'loss').map((each) => {
    const cells = methodCells(each, comparison);
    return columns.map((column) => (column === 'method' ? `\`${cells.method}\`` : cells[column]));
  });
  const lines = [
    columns.map((column) => titles[column]),
    columns.map((column) => (column === 'method' ? ':--' : '--:')),
    ...rows,
  ];
  const remarks = methodRemarks(comparison);
  return [
    lines.map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`).join('\n'),
    [...comparisonNotes(comparison), ...unfinishedNote(comparison)].join(' '),
    ...(remarks.length === 0 ? [] : [remarks.map((remark) => `- ${remark}`).join('\n')]),
  ]
    .map((part) => `${part}\n`)
    .join('\n');
}
