import type {
  ComparedMethod,
  MethodComparison,
  MethodRun,
} from '../../../../src/engines/compareMethods/comparison.js';
import { spreadOf } from '../../../../src/engines/compareMethods/comparison.js';

/** A method whose runs ended at these losses, a seed each. */
export function comparedMethod(
  method: string,
  share: number,
  losses: readonly number[],
  changes: Partial<ComparedMethod> = {},
): ComparedMethod {
  const runs = losses.map((loss, at): MethodRun => ({
    learning_rate: 0.001,
    seed: at + 1,
    folder: `/out/runs/${method}-seed-${at + 1}`,
    start: 2,
    loss,
    metrics: { eval_row_accuracy: 1 - loss / 2, eval_token_accuracy: 1 - loss / 4 },
    trainable: Math.round(share * 1_000_000),
    steps: 10,
    seconds: 3 * loss,
    step_seconds: 0.25,
    peak_memory: 2 ** 28,
    bytes: 4 * share * 1_000_000,
  }));
  const spread = (of: (run: MethodRun) => number) => spreadOf(runs.map(of));
  return {
    method,
    family: 'low-rank',
    options: [{ type: method }],
    state: runs.length === 0 ? 'waiting' : 'done',
    trainable: Math.round(share * 1_000_000),
    share,
    planned: 2 ** 28,
    learning_rate: runs.length === 0 ? null : 0.001,
    rates: runs.slice(0, 1).map(({ loss }) => ({ learning_rate: 0.001, loss })),
    ...(runs.length === 0
      ? {}
      : {
          results: {
            start: spread(({ start }) => start ?? NaN),
            loss: spread(({ loss }) => loss),
            metrics: {
              eval_row_accuracy: spread(({ metrics }) => metrics['eval_row_accuracy'] ?? NaN),
              eval_token_accuracy: spread(({ metrics }) => metrics['eval_token_accuracy'] ?? NaN),
            },
            peak_memory: spread((run) => run.peak_memory),
            seconds: spread(({ seconds }) => seconds),
            step_seconds: spread((run) => run.step_seconds),
            bytes: spread(({ bytes }) => bytes),
          },
        }),
    runs,
    ...changes,
  };
}

/** A method that was not run. */
export function refusedMethod(method: string, message: string): ComparedMethod {
  return {
    ...comparedMethod(method, 0, []),
    state: 'refused',
    problem: { code: 'x.y', message },
    trainable: null,
    share: null,
    planned: null,
  };
}

export function comparisonOf(
  methods: readonly ComparedMethod[],
  changes: Partial<MethodComparison> = {},
): MethodComparison {
  return {
    version: 1,
    file: '/work/sql.peft.yaml',
    folder: '/out',
    args: ['--seeds=2'],
    model: '/models/tiny',
    parameters: 1_000_000,
    seeds: [1, 2],
    metric: 'eval_row_accuracy',
    done: 4,
    of: 4,
    methods,
    ...changes,
  };
}
