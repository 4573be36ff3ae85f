import type { Evaluation, Step } from '../src/training/events.js';
import { blocksOf, createColumn, createSmoothed, cut, follow, push, valuesOf } from './curveColumn.js';
import type { Column, Smoothed } from './curveColumn.js';
import { firstAbove } from './decimate.js';
import type { Line } from './decimate.js';

/** What the curves run over. */
export type XAxis = 'step' | 'time' | 'tokens';

/** What the curves of a picture run over, which need not be of a run. */
export type PlotAxis = XAxis | 'trial';

/** What is known of a run's curves: its steps and evaluations, as a run model holds them. */
export interface CurveSource {
  readonly steps: readonly Step[];
  readonly evaluations: readonly Evaluation[];
}

/** A run's steps as columns of numbers, which grow as events come; all have the same length. */
export interface RunColumns {
  /** The steps that are taken in, to see where a run that went back differs. */
  readonly taken: Step[];
  /** `step`, `time` (seconds of training), `tokens` (so far), the measures, and `term:NAME` per further term. */
  readonly columns: Map<string, Column>;
  readonly averages: Map<string, Smoothed>;
  evaluations: readonly Evaluation[];
}

/** The measures of a step, beside its terms. */
export type Measure = 'loss' | 'total' | 'learningRate' | 'gradientNorm' | 'speed';

const AXES = ['step', 'time', 'tokens'] as const;
const MEASURES = ['loss', 'total', 'learningRate', 'gradientNorm', 'speed'] as const;
const TERM = 'term:';

/** Columns of a run that has said nothing yet. */
export function createColumns(): RunColumns {
  const names = [...AXES, ...MEASURES];
  return {
    taken: [],
    columns: new Map(names.map((name) => [name, createColumn()])),
    averages: new Map(),
    evaluations: [],
  };
}

/** Brings columns up to a run's steps. A resumed run repeats steps: what it said of them before is forgotten. */
export function followRun(run: RunColumns, { steps, evaluations }: CurveSource): void {
  const { taken, columns } = run;
  run.evaluations = evaluations;
  let same = Math.min(taken.length, steps.length);
  while (same > 0 && taken[same - 1] !== steps[same - 1]) same -= 1;
  if (same < taken.length) {
    taken.length = same;
    for (const column of columns.values()) cut(column, same);
    run.averages.clear();
  }
  const last = (name: XAxis): number => lastOf(columns.get(name));
  for (let at = same; at < steps.length; at += 1) {
    const step = steps[at];
    if (step === undefined) break;
    const values = valuesOfStep(step, last('time'), last('tokens'));
    for (const name of values.keys()) {
      if (!columns.has(name)) columns.set(name, filled(at));
    }
    for (const [name, column] of columns) push(column, values.get(name) ?? NaN);
    taken.push(step);
  }
}

function valuesOfStep(step: Step, time: number, tokens: number): Map<string, number> {
  const terms = Object.entries(step.terms ?? {});
  const values = new Map<string, number>([
    ['step', step.step],
    ['time', time + step.seconds],
    ['tokens', tokens + step.tokens],
    ['loss', step.loss],
    ['total', terms.reduce((sum, [, value]) => sum + value, step.loss)],
    ['learningRate', step.learningRate],
    ['gradientNorm', step.gradientNorm],
    ['speed', step.seconds > 0 ? step.tokens / step.seconds : NaN],
  ]);
  for (const [name, value] of terms) values.set(`${TERM}${name}`, value);
  return values;
}

function filled(length: number): Column {
  const column = createColumn();
  for (let at = 0; at < length; at += 1) push(column, NaN);
  return column;
}

function lastOf(column: Column | undefined): number {
  return column === undefined || column.length === 0 ? 0 : (column.room[column.length - 1] ?? 0);
}

/** The names of the further terms of the run's loss. */
export function termsOf({ columns }: RunColumns): string[] {
  return [...columns.keys()].filter((name) => name.startsWith(TERM)).map((name) => name.slice(TERM.length));
}

/** A measure or `term:NAME` over an axis; with `memory` above 0 its moving average. Empty where there is none. */
export function lineOf(run: RunColumns, name: Measure | `term:${string}`, axis: XAxis, memory = 0): Line {
  const x = run.columns.get(axis);
  const y = run.columns.get(name);
  if (x === undefined || y === undefined) return { x: [], y: [] };
  if (memory <= 0) return { x: valuesOf(x), y: valuesOf(y), blocks: blocksOf(y) };
  let average = run.averages.get(name);
  if (average?.memory !== memory) {
    average = createSmoothed(memory);
    run.averages.set(name, average);
  }
  follow(average, y);
  return { x: valuesOf(x), y: valuesOf(average.column), blocks: blocksOf(average.column) };
}

/** A number of the evaluations on one split over an axis. Empty where there are none. */
export function evaluationLine(
  run: RunColumns,
  split: Evaluation['split'],
  of: 'loss' | 'tokenAccuracy' | 'rowAccuracy' | 'macroF1',
  axis: XAxis,
): Line {
  const found = run.evaluations.filter((evaluation) => evaluation.split === split);
  return {
    x: found.map(({ step }) => placeOf(run, step, axis)),
    y: found.map((evaluation) => evaluation[of] ?? NaN),
  };
}

/** Where a step lies on an axis; what was before the first step lies at 0. */
function placeOf({ columns }: RunColumns, step: number, axis: XAxis): number {
  const steps = columns.get('step');
  const along = columns.get(axis);
  if (axis === 'step' || steps === undefined || along === undefined) return step;
  return along.room[firstAbove(valuesOf(steps), step) - 1] ?? 0;
}

/** Where the steps lie on an axis, for what follows a pointer from step to step. */
export function axisOf({ columns }: RunColumns, axis: XAxis): Float64Array {
  const column = columns.get(axis);
  return column === undefined ? new Float64Array() : valuesOf(column);
}

/** How the step at an index of {@link axisOf} is told: step, time and tokens. */
export function stepAt({ columns }: RunColumns, index: number): Readonly<Record<XAxis, number>> {
  const at = (name: XAxis): number => columns.get(name)?.room[index] ?? NaN;
  return { step: at('step'), time: at('time'), tokens: at('tokens') };
}
