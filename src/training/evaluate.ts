import { makeBatch, planBatches } from '../data/batches.js';
import type { Batch, Example } from '../data/example.js';
import type { Masking } from '../data/masking.js';
import type { Attached, Values } from '../methods/method.js';
import { trainedFeeds } from '../methods/trainedFeeds.js';
import type { LanguageModel } from '../models/architecture.js';
import type { Runtime, Value, WeightFiles } from '../runtime/runtime.js';
import type { FrozenRows } from './frozenOutputs.js';
import { evaluationMasks } from './job.js';
import { batchFeeds, evaluationOutputs, lossGraph } from './lossGraph.js';
import { macroF1 } from './macroF1.js';
import type { ToldClass } from './macroF1.js';

export interface Metrics {
  /** Mean cross-entropy per supervised token, in nats. */
  readonly loss: number;
  /** Share of supervised tokens whose most likely prediction is right. */
  readonly tokenAccuracy: number;
  /** Share of rows whose supervised tokens are all predicted right. */
  readonly rowAccuracy: number;
  readonly rows: number;
  readonly supervisedTokens: number;
  /** Where classes are told: their F1 scores, in the mean. The accuracies above are that of the rows' classes then. */
  readonly macroF1?: number;
}

export interface Evaluator {
  /** @param onBatch called after each batch; evaluation ends early when it returns false */
  evaluate(
    examples: readonly Example[],
    values: Values,
    onBatch?: (done: number, total: number) => Promise<boolean>,
  ): Promise<Metrics>;
  /** What the methods had measured, summed over the batches of the last evaluation. */
  observed(): Values;
  dispose(): Promise<void>;
}

/** Compiles the loss without gradients, dropout off. */
export async function createEvaluator(setup: {
  readonly model: LanguageModel;
  readonly methods: readonly Pick<Attached, 'hooks' | 'trainables'>[];
  readonly weights: WeightFiles;
  readonly runtime: Runtime;
  readonly positionLimit: number;
  readonly batchSize: number;
  readonly masking?: Masking | undefined;
  /** What frozen layers give for the rows; absent: they are computed. */
  readonly frozen?: FrozenRows | undefined;
}): Promise<Evaluator> {
  const graph = lossGraph(
    setup.model,
    setup.methods.map((method) => method.hooks),
    {
      training: false,
      positionLimit: setup.positionLimit,
      observing: true,
      frozenBelow: setup.frozen?.layer,
    },
  );
  const program = await setup.runtime.compile(
    { ...evaluationOutputs(graph, setup.model), ...Object.fromEntries(graph.observed) },
    setup.weights,
  );
  let seen = new Map<string, Float32Array>();
  return {
    async evaluate(examples, values, onBatch) {
      const plan = planBatches(examples, {
        batchSize: setup.batchSize,
        seed: 0,
        epoch: 0,
        packing: false,
        maxLength: setup.positionLimit,
      });
      const told: ToldClass[] = [];
      seen = new Map();
      let [loss, right, tokens, rightRows, rows] = [0, 0, 0, 0, 0];
      for (const [at, indices] of plan.entries()) {
        const batch = makeBatch(examples, indices, evaluationMasks(setup.masking, at));
        const results = await program.run({
          ...batchFeeds(batch),
          ...setup.frozen?.feeds(batch),
          ...trainedFeeds(setup.methods, values, program.reads),
        });
        const hits = hitsOf(results, batch, told);
        addTo(seen, graph.observed.keys(), results);
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
        ...(setup.model.classes === undefined ? {} : { macroF1: macroF1(told) }),
      };
    },
    observed: () => seen,
    dispose: () => program.dispose(),
  };
}

/** Adds a batch's numbers of these names to sums. */
function addTo(sums: Map<string, Float32Array>, names: Iterable<string>, results: Record<string, Value>): void {
  for (const name of names) {
    const own = results[name]!.data as Float32Array;
    const sum = sums.get(name);
    if (sum === undefined) sums.set(name, Float32Array.from(own));
    else own.forEach((value, at) => (sum[at]! += value));
  }
}

/** For each prediction 1 where it is right; classes are noted in `told`. */
function hitsOf(results: Record<string, Value>, { targets }: Batch, told: ToldClass[]): Uint8Array {
  const predicted = results['predicted']?.data as Int32Array | undefined;
  if (predicted === undefined) return results['correct']!.data as Uint8Array;
  targets.forEach((wanted, at) => told.push({ wanted, told: predicted[at]! }));
  return Uint8Array.from(targets, (wanted, at) => (predicted[at] === wanted ? 1 : 0));
}

function fullyRightRows(batch: Batch, hits: Uint8Array): number {
  const wrong = new Set<number>();
  batch.predictors.forEach((predictor, at) => {
    if (hits[at] === 0) wrong.add(Math.floor(predictor / batch.length));
  });
  return batch.rows - wrong.size;
}
