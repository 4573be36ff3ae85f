import { makeBatch, planBatches } from '../data/batches.js';
import type { Batch, Example } from '../data/example.js';
import type { Attached, Values } from '../methods/method.js';
import { trainedFeeds } from '../methods/trainedFeeds.js';
import type { LanguageModel } from '../models/architecture.js';
import type { Runtime, WeightFiles } from '../runtime/runtime.js';
import { batchFeeds, lossGraph } from './lossGraph.js';

export interface Metrics {
  /** Mean cross-entropy per supervised token, in nats. */
  readonly loss: number;
  /** Share of supervised tokens whose most likely prediction is right. */
  readonly tokenAccuracy: number;
  /** Share of rows whose supervised tokens are all predicted right. */
  readonly rowAccuracy: number;
  readonly rows: number;
  readonly supervisedTokens: number;
}

export interface Evaluator {
  /** @param onBatch called after each batch; evaluation ends early when it returns false */
  evaluate(
    examples: readonly Example[],
    values: Values,
    onBatch?: (done: number, total: number) => Promise<boolean>,
  ): Promise<Metrics>;
  dispose(): Promise<void>;
}

/** Compiles the loss without gradients, dropout off. */
export async function createEvaluator(setup: {
  readonly model: LanguageModel;
  readonly methods: readonly Attached[];
  readonly weights: WeightFiles;
  readonly runtime: Runtime;
  readonly positionLimit: number;
  readonly batchSize: number;
}): Promise<Evaluator> {
  const { lossSum, correct } = lossGraph(
    setup.model,
    setup.methods.map((method) => method.hooks),
    { training: false, positionLimit: setup.positionLimit },
  );
  const program = await setup.runtime.compile({ loss: lossSum, correct }, setup.weights);
  return {
    async evaluate(examples, values, onBatch) {
      const plan = planBatches(examples, {
        batchSize: setup.batchSize,
        seed: 0,
        epoch: 0,
        packing: false,
        maxLength: setup.positionLimit,
      });
      let [loss, right, tokens, rightRows, rows] = [0, 0, 0, 0, 0];
      for (const [at, indices] of plan.entries()) {
        const batch = makeBatch(examples, indices);
        const results = await program.run({
          ...batchFeeds(batch),
          ...trainedFeeds(setup.methods, values, program.reads),
        });
        const hits = results['correct']!.data as Uint8Array;
        loss += Number(results['loss']!.data[0]);
        tokens += hits.length;
        right += hits.reduce((sum, hit) => sum + hit, 0);
        rightRows += fullyRightRows(batch, hits);
        rows += batch.examples;
        if (onBatch !== undefined && !(await onBatch(at + 1, plan.length))) break;
      }
      return {
        loss: loss / tokens,
        tokenAccuracy: right / tokens,
        rowAccuracy: rightRows / rows,
        rows,
        supervisedTokens: tokens,
      };
    },
    dispose: () => program.dispose(),
  };
}

function fullyRightRows(batch: Batch, hits: Uint8Array): number {
  const wrong = new Set<number>();
  batch.predictors.forEach((predictor, at) => {
    if (hits[at] === 0) wrong.add(Math.floor(predictor / batch.length));
  });
  return batch.rows - wrong.size;
}
