import * as l10n from '@vscode/l10n';
import { formatLoss } from '../src/common/format.js';
import type { ComparedRun, Curve as Points } from '../src/engines/runComparison.js';
import { createColumn, createSmoothed, follow, push, valuesOf } from './curveColumn.js';
import { smoothedName } from './curvePictures.js';
import type { Curve, Picture } from './curvePictures.js';

/** Of several runs only averages can be told apart: weight of the past in them. */
const MEMORY = 0.9;

/** The pictures of a comparison that have something to show: a curve per run, in its colour. */
export function comparePictures(runs: readonly ComparedRun[]): readonly Picture[] {
  const curvesOf = (of: (run: ComparedRun) => Points, look: Curve['look']): Curve[] =>
    runs.flatMap((run, at) => {
      const { steps: x, values: y } = of(run);
      const color = at === 0 ? 'curve-training' : `run-${at}`;
      return x.length === 0 ? [] : [{ key: run.folder, name: run.label, column: run.label, color, look, x, y }];
    });
  const about = l10n.t`mean cross-entropy per supervised token, in nats`;
  const some = [
    {
      id: 'loss',
      title: l10n.t`Training loss`,
      about: l10n.t`${about} (${smoothedName(MEMORY)})`,
      curves: curvesOf(({ loss }) => ({ steps: loss.steps, values: averaged(loss.values) }), 'line'),
    },
    {
      id: 'evaluation',
      title: l10n.t`Held-out loss`,
      about,
      curves: curvesOf(({ evaluationLoss }) => evaluationLoss, 'dots'),
    },
  ];
  return some
    .filter(({ curves }) => curves.length > 0)
    .map((picture) => ({ ...picture, format: formatLoss, fromZero: false }));
}

function averaged(values: readonly number[]): number[] {
  const column = createColumn();
  for (const value of values) push(column, value);
  const average = createSmoothed(MEMORY);
  follow(average, column);
  return [...valuesOf(average.column)];
}
