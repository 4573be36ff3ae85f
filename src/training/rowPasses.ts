import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import { hashText, random } from '../common/random.js';
import { makeBatch, planBatches, rowLength } from '../data/batches.js';
import type { Batch, Example } from '../data/example.js';
import { withPrefix } from '../data/virtualTokens.js';
import type { GradientPasses, RowRequest, Values } from '../methods/method.js';
import type { LanguageModel } from '../models/architecture.js';
import type { Hooks } from '../models/site.js';
import { virtualTokenIds } from '../models/virtualTokens.js';
import type { Outputs, Value } from '../runtime/runtime.js';
import { fixedSize, sizeOf } from '../tensor/dims.js';
import type { Dim } from '../tensor/dims.js';
import { gradients, gradientsAlong } from '../tensor/grad.js';
import { after } from '../tensor/ops/after.js';
import { add, cast, exp, less, mul, stopGradient } from '../tensor/ops/elementwise.js';
import { matmul } from '../tensor/ops/matmul.js';
import { randomSigns } from '../tensor/ops/random.js';
import { cumulativeSum, reduceSum, softmax } from '../tensor/ops/reduce.js';
import { expand, reshape, slice } from '../tensor/ops/shape.js';
import { input, scalar, variable } from '../tensor/tensor.js';
import type { Tensor, Variable, Weight } from '../tensor/tensor.js';
import { breathe, longest } from './job.js';
import { batchFeeds, intFeed, lossGraph } from './lossGraph.js';
import { frozenWeights, presentFeeds, zeros } from './passSetup.js';
import type { PassSetup } from './passSetup.js';
import { hasRowGradients, rowGradients } from './rowGradients.js';

/** What is summed over rows. */
export type RowSum = 'gradients' | 'empirical' | 'expected' | 'hessian';

/** One graph of a pass, and how many rows it takes at once. */
export interface RowProgram {
  readonly weights: readonly Weight[];
  /** One for each of the weights. */
  readonly sums: readonly Variable[];
  readonly outputs: Outputs;
  readonly rows: number;
}

/** Bytes of the gradients of single rows by one weight that a pass holds at once. */
const MOST_ROW_BYTES = 64 * 2 ** 20;

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

/** The graphs of a pass: one, or a second one for weights whose gradients cannot be told apart by row. */
export function rowPrograms(
  model: LanguageModel,
  hooks: readonly Hooks[],
  request: Pick<RowRequest, 'weights'>,
  what: RowSum,
  limits: { readonly positionLimit: number; readonly most: number },
): RowProgram[] {
  const frozen = frozenWeights(request.weights);
  const { losses } = lossGraph(model, [frozen.hooks, ...hooks], {
    training: false,
    positionLimit: limits.positionLimit,
    ...(what === 'expected' && model.classes === undefined ? { targets: drawnTargets } : {}),
  });
  const counted = what === 'expected' && model.classes !== undefined ? scaledByRoot(losses) : losses;
  const loss = reduceSum(mul(counted, input('row_weights', 'float32', losses.shape)), [0]);
  const weights = frozen.found();
  const program = (of: readonly Weight[], added: readonly Tensor[], rows: number): RowProgram => {
    const sums = of.map((each) => variable(`${each.name}/sum`, each.shape));
    const outputs = sums.map((sum, at) => [`new ${sum.name}`, add(sum, added[at]!)] as const);
    return { weights: of, sums, outputs: Object.fromEntries(outputs), rows };
  };
  switch (what) {
    case 'gradients':
      return [program(weights, gradients(loss, weights), limits.most)];
    case 'hessian':
      return [program(weights, probed(loss, weights), 1)];
    case 'empirical':
    case 'expected': {
      const apart = weights.filter((each) => hasRowGradients(loss, each));
      const rows = rowsAtOnce(apart, limits.most);
      const single = rows === 1 ? weights : weights.filter((each) => !apart.includes(each));
      const many = rows === 1 ? [] : apart;
      return [
        ...(many.length === 0 ? [] : [program(many, rowGradients(loss, many).map(sumOfSquares), rows)]),
        ...(single.length === 0
          ? []
          : [
              program(
                single,
                gradients(loss, single).map((each) => mul(each, each)),
                1,
              ),
            ]),
      ];
    }
  }
}

/** Σ g² over rows: g [rows, out, in]. A product with ones, which is several times as fast as ONNX Runtime's sum. */
function sumOfSquares(g: Tensor): Tensor {
  const [rows, ...shape] = g.shape as [Dim, ...Dim[]];
  const squares = reshape(mul(g, g), [rows, sizeOf(shape)]);
  return reshape(matmul(expand(scalar(1), [1, rows]), squares), shape);
}

function rowsAtOnce(weights: readonly Weight[], most: number): number {
  const largest = Math.max(1, ...weights.map(({ shape }) => 4 * fixedSize(shape)));
  return Math.max(1, Math.min(most, Math.floor(MOST_ROW_BYTES / largest)));
}

/** −√p · log p of p = exp(−loss), where √p has no gradient: the square of this one's is p times that of the loss's. */
export function scaledByRoot(losses: Tensor): Tensor {
  return mul(stopGradient(exp(mul(losses, -0.5))), losses);
}

/** Answers drawn from the model's own distribution: the first whose cumulated probability reaches a uniform number. */
function drawnTargets(logits: Tensor): Tensor {
  const [n, choices] = logits.shape as [Tensor['shape'][number], number];
  const cumulated = cumulativeSum(softmax(logits));
  const total = slice(cumulated, 1, choices - 1, choices);
  const reached = mul(reshape(input('uniform', 'float32', [n]), [n, 1]), total);
  return reduceSum(cast(less(cumulated, reached), 'int32'), [1]);
}

/**
 * v ⊙ Hv for each weight, H the Hessian of the loss over all weights together and v a vector of ±1 drawn for the seed
 * (Hutchinson 1990; Bekas, Kokiopoulou & Saad 2007, section 2): its mean over draws is the diagonal of H. With a draw of its
 * own for each row, what is off averages out over rows as it does over probes.
 */
function probed(loss: Tensor, weights: readonly Weight[]): Tensor[] {
  const seed = input('probe_seed', 'int32', []);
  const signs = ({ name, shape }: Weight, drawn: Tensor): Tensor => randomSigns(shape, drawn, hashText(name));
  const vectors = weights.map((each) => signs(each, seed));
  // Drawn again rather than kept until here: they are as large as the weights.
  return hessianProducts(loss, weights, vectors).map((product, at) =>
    mul(product, signs(weights[at]!, after(seed, product))),
  );
}

/** Hv by weight, the gradient of ⟨∇loss, v⟩ (Pearlmutter 1994): gradients are made of ops and have gradients too. */
export function hessianProducts(loss: Tensor, weights: readonly Weight[], vectors: readonly Tensor[]): Tensor[] {
  return gradientsAlong(gradients(loss, weights), vectors, weights);
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
