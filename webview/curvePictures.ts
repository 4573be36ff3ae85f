import { formatCount, formatLoss, formatPercent, formatRate } from '../src/common/format.js';
import { evaluationLine, lineOf, termsOf } from './curveColumns.js';
import type { Measure, RunColumns, XAxis } from './curveColumns.js';
import type { Line } from './decimate.js';

/** A curve of a picture. */
export interface Curve extends Line {
  /** Unique within all pictures of the runs. */
  readonly key: string;
  readonly name: string;
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
  return `smoothed, ${memory} EMA debiased`;
}

const TITLES = {
  learningRate: ['Learning rate', 'learning rate of the step'],
  gradientNorm: ['Gradient norm', 'global L2 norm before clipping'],
  speed: ['Tokens per second', 'tokens of the step by its seconds'],
} as const;

function lossPicture(runs: readonly ShownRun[], { axis, memory }: PictureChoice): Picture {
  const curves = runs.flatMap((run, at) => {
    const hasTerms = termsOf(run.columns).length > 0;
    return [
      ...stepCurves(run, at, 'loss', hasTerms ? 'training, task alone' : 'training', 'curve-training', {
        axis,
        memory,
      }),
      ...(hasTerms
        ? [
            curve(run, at, {
              key: 'total',
              name: `training, with regularizers${memory > 0 ? ' (smoothed)' : ''}`,
              color: 'curve-total',
              look: 'line',
              line: lineOf(run.columns, 'total', axis, memory),
            }),
          ]
        : []),
      ...(['validation', 'train'] as const).map((split) =>
        curve(run, at, {
          key: `evaluation-${split}`,
          name: split === 'validation' ? 'validation' : 'evaluation on training rows',
          color: split === 'validation' ? 'curve-validation' : 'curve-second',
          look: 'dots',
          line: evaluationLine(run.columns, split, 'loss', axis),
        }),
      ),
    ];
  });
  return {
    id: 'loss',
    title: 'Loss',
    about: 'mean cross-entropy per supervised token, in nats',
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
      return stepCurves(run, at, `term:${term}`, term, color, choice);
    }),
  );
  return {
    id: 'terms',
    title: 'Regularizers',
    about: 'further terms of the loss, weighted',
    curves: curves.filter(hasPoints),
    format: formatLoss,
    fromZero: false,
  };
}

function measurePicture(runs: readonly ShownRun[], of: keyof typeof TITLES, choice: PictureChoice): Picture {
  const [title, about] = TITLES[of];
  const curves = runs.flatMap((run, at) => stepCurves(run, at, of, title.toLowerCase(), 'curve-training', choice));
  return { id: of, title, about, curves: curves.filter(hasPoints), format: formatLoss, fromZero: false };
}

function accuracyPicture(runs: readonly ShownRun[], { axis }: PictureChoice): Picture {
  const kinds = [
    ['validation', 'tokenAccuracy', 'tokens, validation', 'curve-validation', 'dots'],
    ['validation', 'rowAccuracy', 'whole rows, validation', 'curve-total', 'dots'],
    ['train', 'tokenAccuracy', 'tokens, training rows', 'curve-training', 'dots'],
    ['train', 'rowAccuracy', 'whole rows, training rows', 'curve-second', 'dots'],
  ] as const;
  const curves = runs.flatMap((run, at) =>
    kinds.map(([split, of, name, color, look]) =>
      curve(run, at, {
        key: `${split}-${of}`,
        name,
        color,
        look,
        line: evaluationLine(run.columns, split, of, axis),
      }),
    ),
  );
  return {
    id: 'accuracy',
    title: 'Accuracy',
    about: 'share predicted right at evaluations',
    curves: curves.filter(hasPoints),
    format: formatPercent,
    fromZero: false,
  };
}

/** Each step faintly and its average over it; of a run laid over only one of them, for there is little room. */
function stepCurves(
  run: ShownRun,
  at: number,
  of: Measure | `term:${string}`,
  name: string,
  color: string,
  { axis, memory }: PictureChoice,
): Curve[] {
  const raw = { key: of, name, color, line: lineOf(run.columns, of, axis) };
  if (memory <= 0) return [curve(run, at, { ...raw, look: 'line' })];
  const smooth = {
    key: `${of}-smoothed`,
    // The panel's own curve says how.
    name: at === 0 ? `${name} (${smoothedName(memory)})` : `${name} (smoothed)`,
    color,
    look: 'line' as const,
    line: lineOf(run.columns, of, axis, memory),
  };
  return at === 0 ? [curve(run, at, { ...raw, look: 'faint' }), curve(run, at, smooth)] : [curve(run, at, smooth)];
}

function curve(
  run: ShownRun,
  at: number,
  { key, name, color, look, line }: Omit<Curve, 'x' | 'y' | 'laidOver'> & { readonly line: Line },
): Curve {
  if (at === 0) return { key, name, color, look, ...line };
  return {
    key: `${run.id}/${key}`,
    name: `${run.name}: ${name}`,
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
