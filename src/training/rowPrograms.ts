import { hashText } from '../common/random.js';
import type { RowRequest } from '../methods/method.js';
import type { LanguageModel } from '../models/architecture.js';
import type { Hooks } from '../models/site.js';
import type { Outputs } from '../runtime/runtime.js';
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
import { lossGraph } from './lossGraph.js';
import { frozenWeights } from './passSetup.js';
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
 * The graphs of a pass over single rows: one, or a second one for weights whose gradients cannot be told apart by row.
 *
 * They read `row_weights`, what each supervised token counts, and where answers are drawn `uniform`, where vectors are
 * drawn `probe_seed`.
 * @param limits.most rows of a training batch
 */
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
