import type { MethodComparison, MethodRun } from './comparison.js';

const RUN_COLUMNS = [
  'learning_rate',
  'seed',
  'start',
  'loss',
  'trainable',
  'steps',
  'seconds',
  'step_seconds',
  'peak_memory',
  'bytes',
  'folder',
] as const satisfies readonly (keyof MethodRun)[];

/**
 * A comparison as CSV: a line for each run, `counted` where its learning rate was kept, and one for each method without
 * runs. Losses in nats, memory and sizes in bytes, times in seconds.
 */
export function comparisonCsv({ methods, parameters }: MethodComparison): string {
  const metrics = [...new Set(methods.flatMap(({ runs }) => runs.flatMap((run) => Object.keys(run.metrics))))];
  const head = ['method', 'family', 'state', 'problem', 'note', 'counted', 'share', ...RUN_COLUMNS, ...metrics];
  const lines = methods.flatMap(({ method, family, state, problem, note, learning_rate: best, share, runs }) => {
    const about = [method, family, state, problem?.message, note];
    if (runs.length === 0) return [[...about, undefined, share, ...RUN_COLUMNS.map(() => undefined)]];
    return runs.map((run) => [
      ...about,
      Number(run.learning_rate === best),
      run.trainable / parameters,
      ...RUN_COLUMNS.map((name) => run[name]),
      ...metrics.map((name) => run.metrics[name]),
    ]);
  });
  return [head, ...lines].map((cells) => `${head.map((_, at) => csvCell(cells[at])).join(',')}\n`).join('');
}

function csvCell(value: string | number | null | undefined): string {
  const text = String(value ?? '');
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
