import {
  formatBytes,
  formatCount,
  formatDuration,
  formatLoss,
  formatPercent,
  formatRate,
} from '../common/format.js';
import { moduleCount } from '../methods/coverage.js';
import { describeEvent } from '../training/describeEvent.js';
import type { Coverage, Finished, RunEvent, Sample, Step } from '../training/events.js';
import type { Io } from './io.js';
import type { Styles } from './styles.js';
import { printable } from './styles.js';

/** Where no bar is drawn, about so many lines tell of the steps of a run. */
const STEP_LINES = 40;
/** Weight of the newest step in the speed that is shown. */
const NEWEST = 0.2;

/** Shows a run's events to a person: lines on standard output, the steps as a progress bar on a terminal. */
export function createTrainView(io: Io): (event: RunEvent) => void {
  const pace = createPace();
  let totalSteps = 0;
  let predicted: number | undefined;

  const line = (text: string): void => io.line(printable(text));
  const warn = (text: string): void => io.note(`warning ${printable(text)}`);

  return (event) => {
    switch (event.type) {
      case 'started':
        totalSteps = event.totalSteps;
        break;
      case 'plan':
        predicted = event.plan.total;
        break;
      case 'coverage':
        for (const text of coverageLines(event)) line(text);
        for (const problem of event.warnings) io.problem(problem);
        return;
      case 'sample':
        io.line(sampleText(event, io.styles));
        return;
      case 'step': {
        pace.take(event, totalSteps);
        const detail = `loss ${formatLoss(event.loss)}  lr ${formatRate(event.learningRate)}  ${pace.text()}`;
        if (io.progress.live) {
          io.progress.update({ activity: 'Training', done: event.step, total: totalSteps, detail });
        } else if (isShown(event.step, totalSteps)) line(`step ${event.step}/${totalSteps}  ${detail}`);
        return;
      }
      case 'progress':
        io.progress.update(event);
        return;
      case 'log':
        if (event.level === 'warning' || event.level === 'error') warn(event.message);
        else if (event.level === 'info') line(event.message);
        return;
      case 'finished':
        io.progress.end();
        for (const text of finishedLines(event, predicted)) line(text);
        return;
    }
    for (const { level, text } of describeEvent(event)) {
      if (level === 'warning' || level === 'error') warn(text);
      else if (level === 'info') line(text);
    }
  };
}

function isShown(step: number, total: number): boolean {
  return step === 1 || step === total || step % Math.ceil(total / STEP_LINES) === 0;
}

/** What each entry of the target modules matched, and how much of the model is trained. */
function coverageLines(event: Coverage): string[] {
  const { targets, shared = [], layersCovered, layers, trainable, total, saves } = event;
  return [
    ...targets.map(({ entry, matched }) => `Target ${entry}: ${formatCount(matched)} modules`),
    ...shared.map(({ name, paths }) => `Shared by ${formatCount(paths.length)} modules: ${name}`),
    `Modules: ${moduleCount(event)}, in ${layersCovered} of ${layers} layers`,
    `Trainable: ${formatCount(trainable)} of ${formatCount(total)} parameters (${formatPercent(trainable / total)})`,
    `Saved at the end: ${saves}`,
  ];
}

/** How a run ended, what it changed on held-out rows, and where its adapter lies. */
function finishedLines(
  { reason, steps, seconds, peakMemory, metrics, adapter }: Finished,
  predicted: number | undefined,
): string[] {
  const foreseen = predicted === undefined ? '' : ` (predicted: ${formatBytes(predicted)})`;
  const changed = (name: string, format: (value: number) => string): string =>
    [metrics[`initial_eval_${name}`], metrics[`eval_${name}`]]
      .filter((value) => value !== undefined)
      .map(format)
      .join(' → ');
  return [
    `${reason === 'stopped' ? 'Stopped' : reason === 'completed' ? 'Finished' : 'Finished early, the metric no longer improved,'} after ${steps} steps and ${formatDuration(seconds)}; peak memory ${formatBytes(peakMemory)}${foreseen}`,
    ...(metrics['initial_eval_loss'] === undefined
      ? []
      : [
          metrics['initial_eval_macro_f1'] === undefined
            ? `Held-out rows: loss ${changed('loss', formatLoss)}, tokens right ${changed('token_accuracy', formatPercent)}, ` +
              `rows right ${changed('row_accuracy', formatPercent)}`
            : `Held-out rows: loss ${changed('loss', formatLoss)}, accuracy ${changed('accuracy', formatPercent)}, ` +
              `macro F1 ${changed('macro_f1', formatPercent)}`,
        ]),
    `Written: ${adapter}`,
  ];
}

/** A decoded row; what the loss counts is in bold green, and between ⟦ and ⟧ where there are no colours. */
function sampleText({ split, line, spans }: Sample, styles: Styles): string {
  const text = spans
    .map((span) => {
      const shown = printable(span.text);
      if (!span.supervised) return styles.colours ? styles.dim(shown) : shown;
      return styles.colours ? styles.bold(styles.green(shown)) : `⟦${shown}⟧`;
    })
    .join('')
    .replace(/\n/g, '\n  ');
  return `Sample (${split}, line ${line}; ${styles.colours ? 'green' : '⟦marked⟧'} = counted in the loss):\n  ${text}`;
}

/** Rows per second and time left, evened out over the last steps. */
function createPace(): { take: (event: Step, total: number) => void; text: () => string } {
  let seconds: number | undefined;
  let rows = 0;
  let left = 0;
  const even = (old: number, fresh: number): number => old + NEWEST * (fresh - old);
  return {
    take(event, total) {
      rows = seconds === undefined ? event.rows : even(rows, event.rows);
      seconds = seconds === undefined ? event.seconds : even(seconds, event.seconds);
      left = total - event.step;
    },
    text: () =>
      seconds === undefined || seconds === 0
        ? ''
        : `${(rows / seconds).toFixed(1)} rows/s  ${formatDuration(left * seconds)} left`,
  };
}
