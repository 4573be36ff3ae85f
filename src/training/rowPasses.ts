import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import { hashText, random } from '../common/random.js';
import { makeBatch, planBatches, rowLength } from '../data/batches.js';
import type { Batch, Example } from '../data/example.js';
import { withPrefix } from '../data/virtualTokens.js';
import type { GradientPasses, RowRequest, Values } from '../methods/method.js';
import { virtualTokenIds } from '../models/virtualTokens.js';
import type { Value } from '../runtime/runtime.js';
import { breathe, longest } from './job.js';
import { batchFeeds, intFeed } from './lossGraph.js';
import { presentFeeds, zeros } from './passSetup.js';
import type { PassSetup } from './passSetup.js';
import { rowPrograms } from './rowPrograms.js';
import type { RowSum } from './rowPrograms.js';

/**
 * Passes over single rows of the training data, for methods that prepare: each row counts alike, by its mean loss per
 * supervised token, and a run's packing has no part in it. Several rows go through the model at once; what is squared is
 * squared row by row, before it is summed.
 */
export function rowPasses(setup: PassSetup): Pick<GradientPasses, 'fisher' | 'rowGradients' | 'hessianDiagonal'> {
  const { classes } = setup.model;
  return {
    async fisher({ fisher, draws = 1, ...request }) {
      // Of classes all are taken, each weighted by its probability: there is nothing to draw.
      const repeats = fisher === 'empirical' ? 1 : (classes?.labels.length ?? draws);
      const drawn = classes === undefined ? repeats : 1;
      const { sums, rows } = await sumRows(setup, request, fisher, repeats, (batch, order, repeat) => ({
        ...rowWeights(batch, 1 / Math.sqrt(drawn)),
        ...(fisher === 'empirical'
          ? {}
          : classes === undefined
            ? { uniform: uniforms(setup.options.seed, batch, order, repeat) }
            : { targets: { ...batchFeeds(batch)['targets']!, data: batch.targets.map(() => repeat) } }),
      }));
      return { squares: sums, rows };
    },
    rowGradients: (request) => sumRows(setup, request, 'gradients', 1, (batch) => rowWeights(batch, 1)),
    hessianDiagonal: ({ probes, ...request }) =>
      sumRows(setup, request, 'hessian', probes, (batch, _rows, probe) => ({
        ...rowWeights(batch, 1 / probes),
        probe_seed: intFeed(random(setup.options.seed, 'probe', probe, contentOf(batch)).integer(2 ** 31)),
      })),
  };
}

async function sumRows(
  setup: PassSetup,
  request: RowRequest,
  what: RowSum,
  repeats: number,
  feedsOf: (batch: Batch, rows: readonly number[], repeat: number) => Record<string, Value>,
): Promise<{ readonly sums: Values; readonly rows: number }> {
  const hooks = setup.methods.map((method) => method.hooks);
  const examples = withPrefix(setup.train, (task) => virtualTokenIds(hooks, setup.model.vocabSize, task));
  const order =
    typeof request.rows === 'object'
      ? [...request.rows]
      : planBatches(examples, { ...setup, packing: false, batchSize: 1, seed: setup.options.seed, epoch: 0 })
          .flat(2)
          .slice(0, request.rows);
  // Rows of one length go together; the longest first, so that what does not fit is known at once.
  order.sort((a, b) => rowLength(examples[b]!) - rowLength(examples[a]!));
  const programs = rowPrograms(setup.model, hooks, request, what, {
    positionLimit: longest(examples),
    most: setup.options.per_device_train_batch_size,
  });
  const sums = new Map<string, Float32Array>();
  let done = 0;
  for (const { weights, sums: variables, outputs, rows: atOnce } of programs) {
    const program = await setup.runtime.compile(outputs, setup.weights);
    const buffers = new Map(variables.map((sum): [string, Value] => [sum.name, zeros(sum)]));
    const into = Object.fromEntries([...buffers].map(([name, value]) => [`new ${name}`, value]));
    try {
      const known = {
        ...(await presentFeeds(setup.methods, program.reads, setup.values)),
        ...Object.fromEntries(buffers),
      };
      for (let at = 0; at < order.length; at += atOnce) {
        const rows = order.slice(at, at + atOnce);
        const batch = maskedBatch(setup, examples, rows);
        for (let repeat = 0; repeat < repeats; repeat++) {
          if (setup.stopRequested()) fail(setup.stopped);
          setup.emit({
            type: 'progress',
            activity: l10n.t`Measuring gradients`,
            done,
            total: programs.length * repeats * order.length,
          });
          await program.run({ ...known, ...batchFeeds(batch), ...feedsOf(batch, rows, repeat) }, into);
          done += rows.length;
          await breathe();
        }
      }
    } finally {
      await program.dispose();
    }
    weights.forEach(({ name }, at) => sums.set(name, buffers.get(variables[at]!.name)!.data as Float32Array));
  }
  return { sums, rows: order.length };
}

/** What each supervised token of a batch counts: one over those of its row, times a factor. */
function rowWeights(batch: Batch, factor: number): Record<string, Value> {
  const rowOf = (predictor: number): number => Math.floor(predictor / batch.length);
  const counts = new Float64Array(batch.rows);
  for (const predictor of batch.predictors) counts[rowOf(predictor)]!++;
  const data = Float32Array.from(batch.predictors, (predictor) => factor / counts[rowOf(predictor)]!);
  return { row_weights: { dtype: 'float32', shape: [data.length], data } };
}

/** What a batch reads, as a number: of a row it is the same wherever it stands in the data. */
function contentOf({ inputIds, source }: Batch): number {
  return hashText([...inputIds, ...(source?.ids ?? [])].join());
}

/** A number in (0, 1) for each supervised token, by the seed, the row and the draw: whatever rows it is with. */
function uniforms(seed: number, batch: Batch, rows: readonly number[], draw: number): Value {
  const draws = rows.map((row) => random(seed, 'fisher', row, draw));
  const data = Float32Array.from(batch.predictors, (predictor) => {
    const drawn = draws[Math.floor(predictor / batch.length)]!;
    return (drawn.integer(GRID) + 0.5) / GRID;
  });
  return { dtype: 'float32', shape: [data.length], data };
}

/** Half steps of it are float32 numbers below 1. */
const GRID = 2 ** 23;

/** Masked tokens are drawn by row, so that they are the same whatever rows a pass holds. */
export function maskedBatch(
  { masking, options }: PassSetup,
  examples: readonly Example[],
  rows: readonly number[],
): Batch {
  const masked = masking && ((row: number) => ({ masking, random: random(options.seed, 'masks', 'row', row) }));
  return makeBatch(
    examples,
    rows.map((row) => [row]),
    masked,
  );
}
