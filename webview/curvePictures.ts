import * as l10n from '@vscode/l10n';
import { formatCount, formatLoss, formatPercent, formatRate } from '../src/common/format.js';
import { evaluationLine, lineOf, termsOf } from './curveColumns.js';
import type { Measure, RunColumns, XAxis } from './curveColumns.js';
import type { Line } from './decimate.js';

/** A curve of a picture. */
export interface Curve extends Line {
  /** Unique within all pictures of the runs. */
  readonly key: string;
  readonly name: string;
  /** The name of its column in a file: the same in every language. */
  readonly column: string;
  /** Of another run than the picture is of: drawn below the run's own. */
  readonly laidOver?: boolean;
  /** The CSS variable of its colour, without the dashes. */
  readonly color: string;
  readonly look: 'faint' | 'line' | 'dashed' | 'dots';
}

/** One picture: what is drawn over the same axes. */
export interface Picture {
  readonly id: string;
  readonly title: string;
  /** What the numbers are, in which unit. */
  readonly about: string;
  readonly curves: readonly Curve[];
  readonly format: (value: number) => string;
  /** Forces 0 onto a linear axis. */
  readonly fromZero: boolean;
}

/** A run whose curves are shown; the first is the panel's own. */
export interface ShownRun {
  readonly id: string;
  readonly name: string;
  readonly columns: RunColumns;
}

export interface PictureChoice {
  readonly axis: XAxis;
  /** Weight of the past in the moving average; 0 draws each step. */
  readonly memory: number;
}

/** Runs that can be laid over the panel's own: as many as there are colours. */
export const MOST_LAID_OVER = 7;

/** The pictures that have something to show, the loss first. Empty before the first step or evaluation. */
export function picturesOf(runs: readonly ShownRun[], choice: PictureChoice): Picture[] {
  const some = [
    lossPicture(runs, choice),
    termsPicture(runs, choice),
    { ...measurePicture(runs, 'learningRate', { ...choice, memory: 0 }), format: formatRate, fromZero: true },
    measurePicture(runs, 'gradientNorm', choice),
    { ...measurePicture(runs, 'speed', choice), format: formatSpeed, fromZero: true },
    accuracyPicture(runs, choice),
  ];
  return some.filter(({ curves }) => curves.length > 0);
}

/** How a smoothed curve is named, so that nobody takes it for what was measured. */
export function smoothedName(memory: number): string {
  return l10n.t`smoothed, ${memory} EMA debiased`;
}

const MEASURES = {
  learningRate: {
    title: () => l10n.t`Learning rate`,
    name: () => l10n.t`learning rate`,
    about: () => l10n.t`learning rate of the step`,
    column: 'learning_rate',
  },
  gradientNorm: {
    title: () => l10n.t`Gradient norm`,
    name: () => l10n.t`gradient norm`,
    about: () => l10n.t`global L2 norm before clipping`,
    column: 'gradient_norm',
  },
  speed: {
    title: () => l10n.t`Tokens per second`,
    name: () => l10n.t`tokens per second`,
    about: () => l10n.t`tokens of the step by its seconds`,
    column: 'tokens_per_second',
  },
};

function lossPicture(runs: readonly ShownRun[], { axis, memory }: PictureChoice): Picture {
  const curves = runs.flatMap((run, at) => {
    const hasTerms = termsOf(run.columns).length > 0;
    return [
      ...stepCurves(
        run,
        at,
        {
          of: 'loss',
          name: hasTerms ? l10n.t`training loss, task alone` : l10n.t`training loss`,
          column: 'loss',
          color: 'curve-training',
        },
        { axis, memory },
      ),
      ...(hasTerms
        ? [
            curve(run, at, {
              key: 'total',
              name:
                memory > 0
                  ? l10n.t`training loss, with regularizers (smoothed)`
                  : l10n.t`training loss, with regularizers`,
              column: `total_loss${memory > 0 ? smoothedColumn(memory) : ''}`,
              color: 'curve-total',
              look: 'line',
              line: lineOf(run.columns, 'total', axis, memory),
            }),
          ]
        : []),
      ...(['validation', 'train'] as const).map((split) =>
        curve(run, at, {
          key: `evaluation-${split}`,
          name: split === 'validation' ? l10n.t`validation loss` : l10n.t`evaluation on training rows`,
          column: `${split}_loss`,
          color: split === 'validation' ? 'curve-validation' : 'curve-second',
          look: 'dots',
          line: evaluationLine(run.columns, split, 'loss', axis),
        }),
      ),
    ];
  });
  return {
    id: 'loss',
    title: l10n.t`Loss`,
    about: l10n.t`mean cross-entropy per supervised token, in nats`,
    curves: curves.filter(hasPoints),
    format: formatLoss,
    fromZero: false,
  };
}

const TERM_COLORS = ['curve-training', 'curve-validation', 'curve-second', 'curve-total'] as const;

function termsPicture(runs: readonly ShownRun[], choice: PictureChoice): Picture {
  const curves = runs.flatMap((run, at) =>
    termsOf(run.columns).flatMap((term, index) => {
      const color = TERM_COLORS[index % TERM_COLORS.length] ?? 'curve-training';
      return stepCurves(run, at, { of: `term:${term}`, name: term, column: term, color }, choice);
    }),
  );
  return {
    id: 'terms',
    title: l10n.t`Regularizers`,
    about: l10n.t`further terms of the loss, weighted`,
    curves: curves.filter(hasPoints),
    format: formatLoss,
    fromZero: false,
  };
}

function measurePicture(runs: readonly ShownRun[], of: keyof typeof MEASURES, choice: PictureChoice): Picture {
  const { title, name, about, column } = MEASURES[of];
  const curves = runs.flatMap((run, at) =>
    stepCurves(run, at, { of, name: name(), column, color: 'curve-training' }, choice),
  );
  return {
    id: of,
    title: title(),
    about: about(),
    curves: curves.filter(hasPoints),
    format: formatLoss,
    fromZero: false,
  };
}

function accuracyPicture(runs: readonly ShownRun[], { axis }: PictureChoice): Picture {
  const ofClasses = [
    ['validation', 'rowAccuracy', l10n.t`accuracy, validation`, 'accuracy', 'curve-validation'],
    ['validation', 'macroF1', l10n.t`macro F1, validation`, 'macro_f1', 'curve-total'],
  ] as const;
  const ofTokens = [
    ['validation', 'tokenAccuracy', l10n.t`tokens, validation`, 'token_accuracy', 'curve-validation'],
    ['validation', 'rowAccuracy', l10n.t`whole rows, validation`, 'row_accuracy', 'curve-total'],
    ['train', 'tokenAccuracy', l10n.t`tokens, training rows`, 'token_accuracy', 'curve-training'],
    ['train', 'rowAccuracy', l10n.t`whole rows, training rows`, 'row_accuracy', 'curve-second'],
  ] as const;
  const curves = runs.flatMap((run, at) =>
    (run.columns.evaluations.some(({ macroF1 }) => macroF1 !== undefined) ? ofClasses : ofTokens).map(
      ([split, of, name, column, color]) =>
        curve(run, at, {
          key: `${split}-${of}`,
          name,
          column: `${split}_${column}`,
          color,
          look: 'dots',
          line: evaluationLine(run.columns, split, of, axis),
        }),
    ),
  );
  return {
    id: 'accuracy',
    title: l10n.t`Accuracy`,
    about: l10n.t`share predicted right at evaluations`,
    curves: curves.filter(hasPoints),
    format: formatPercent,
    fromZero: false,
  };
}

/** Each step faintly and its average over it; of a run laid over only one of them, for there is little room. */
function stepCurves(
  run: ShownRun,
  at: number,
  {
    of,
    name,
    column,
    color,
  }: Pick<Curve, 'name' | 'column' | 'color'> & { readonly of: Measure | `term:${string}` },
  { axis, memory }: PictureChoice,
): Curve[] {
  const raw = { key: of, name, column, color, line: lineOf(run.columns, of, axis) };
  if (memory <= 0) return [curve(run, at, { ...raw, look: 'line' })];
  const smooth = {
    key: `${of}-smoothed`,
    // The panel's own curve says how.
    name: at === 0 ? l10n.t`${name} (${smoothedName(memory)})` : l10n.t`${name} (smoothed)`,
    column: `${column}${smoothedColumn(memory)}`,
    color,
    look: 'line' as const,
    line: lineOf(run.columns, of, axis, memory),
  };
  return at === 0 ? [curve(run, at, { ...raw, look: 'faint' }), curve(run, at, smooth)] : [curve(run, at, smooth)];
}

function smoothedColumn(memory: number): string {
  return `_ema_${memory}`;
}

function curve(
  run: ShownRun,
  at: number,
  { key, name, column, color, look, line }: Omit<Curve, 'x' | 'y' | 'laidOver'> & { readonly line: Line },
): Curve {
  if (at === 0) return { key, name, column, color, look, ...line };
  return {
    key: `${run.id}/${key}`,
    name: l10n.t`${run.name}: ${name}`,
    column: `${run.name}: ${column}`,
    laidOver: true,
    color: `run-${at}`,
    look: look === 'line' ? 'dashed' : look,
    ...line,
  };
}

function formatSpeed(tokens: number): string {
  return tokens < 100 ? formatLoss(tokens) : formatCount(tokens);
}

function hasPoints({ x, y }: Curve): boolean {
  for (let at = 0; at < x.length; at += 1) if (Number.isFinite(y[at])) return true;
  return false;
}
