import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import { planBatches, rowLength } from '../data/batches.js';
import type { Batch } from '../data/example.js';
import { withPrefix } from '../data/virtualTokens.js';
import type { RowLosses } from '../methods/method.js';
import { virtualTokenCount, virtualTokenIds } from '../models/virtualTokens.js';
import { breathe, longest } from './job.js';
import { batchFeeds, lossGraph } from './lossGraph.js';
import { presentFeeds } from './passSetup.js';
import type { PassSetup } from './passSetup.js';
import { maskedBatch } from './rowPasses.js';

/**
 * The loss of each training row under the present model, dropout off: the mean over its supervised tokens. Rows of one
 * length go through the model together, as many as a training batch has.
 */
export async function rowLosses(setup: PassSetup): Promise<RowLosses> {
  const hooks = setup.methods.map((method) => method.hooks);
  const examples = withPrefix(setup.train, (task) => virtualTokenIds(hooks, setup.model.vocabSize, task));
  const batchSize = setup.options.per_device_train_batch_size;
  const graph = lossGraph(setup.model, hooks, { training: false, positionLimit: longest(examples) });
  const program = await setup.runtime.compile({ losses: graph.losses }, setup.weights);
  const losses = new Float32Array(examples.length);
  try {
    const known = await presentFeeds(setup.methods, program.reads, setup.values);
    // The longest first, so that what does not fit is known at once.
    const order = [...examples.keys()].sort((a, b) => rowLength(examples[b]!) - rowLength(examples[a]!));
    for (let at = 0; at < order.length; at += batchSize) {
      if (setup.stopRequested()) fail(setup.stopped);
      setup.emit({ type: 'progress', activity: l10n.t`Measuring losses`, done: at, total: order.length });
      const rows = order.slice(at, at + batchSize);
      const batch = maskedBatch(setup, examples, rows);
      const found = await program.run({ ...known, ...batchFeeds(batch) });
      meansByRow(batch, found['losses']!.data as Float32Array).forEach((loss, row) => (losses[rows[row]!] = loss));
      await breathe();
    }
  } finally {
    await program.dispose();
  }
  const plan = planBatches(examples, {
    ...setup,
    maxLength: setup.maxLength + virtualTokenCount(hooks),
    batchSize,
    seed: setup.options.seed,
    epoch: 0,
  });
  return { losses, batches: plan.length };
}

/** Means over each row's supervised tokens. */
function meansByRow({ rows, length, predictors }: Batch, losses: Float32Array): Float64Array {
  const [sums, counts] = [new Float64Array(rows), new Float64Array(rows)];
  predictors.forEach((predictor, at) => {
    const row = Math.floor(predictor / length);
    sums[row]! += losses[at]!;
    counts[row]!++;
  });
  return sums.map((sum, row) => sum / Math.max(1, counts[row]!));
}
