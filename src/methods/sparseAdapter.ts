import { Type } from '@sinclair/typebox';
import type { Static, TObject } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import { fixedSize } from '../tensor/dims.js';
import type { Variable } from '../tensor/tensor.js';
import type { BottleneckForm } from './adapterOptions.js';
import type { AdapterSet } from './adapterSet.js';
import { maskOf, packedBits } from './bitMask.js';
import type { Mask } from './bitMask.js';
import { changedOptions } from './changedOptions.js';
import { markLargest } from './largest.js';
import type { AttachContext, Attached, PrepareContext, Prepared, Trainable } from './method.js';
import type { OptionProblem } from './targets.js';

/** SparseAdapter's options (He S. et al. 2022). */
export const SparseOptions = {
  sparsity: Type.Number({
    minimum: 0,
    exclusiveMaximum: 1,
    default: 0,
    description:
      "Share of the weights of all adapters' projections that is cut before the first step and stays zero " +
      '(SparseAdapter); biases stay. 0: nothing is cut.',
  }),
  pruning: Type.Union(
    [Type.Literal('snip'), Type.Literal('magnitude'), Type.Literal('random'), Type.Literal('erdos_renyi')],
    {
      default: 'snip',
      description:
        'Which weights `sparsity` leaves: `snip`: those whose absence would change the loss most, |w·∂L/∂w| on the ' +
        'training data; `magnitude`: the largest; `random`; `erdos_renyi`: random ones, of small matrices a larger share.',
    },
  ),
  pruning_batch_size: Type.Integer({
    minimum: 1,
    default: 8,
    description: 'Rows per gradient that `snip` looks at.',
  }),
  pruning_batches: Type.Optional(
    Type.Integer({
      minimum: 1,
      description: 'How many batches `snip` sums gradients over; without it, each row once.',
    }),
  ),
  large_sparse: Type.Boolean({
    default: false,
    description:
      'Makes the bottleneck larger by 1 / (1 − sparsity), so that as many weights train as without `sparsity` ' +
      '(Large-Sparse).',
  }),
};

export type SparseChoice = Static<TObject<typeof SparseOptions>>;

/** Options that have no part in what is cut. */
export function idleSparse(options: SparseChoice): readonly OptionProblem[] {
  const { pruning, sparsity } = options;
  const { pruning_batch_size: size, pruning_batches: batches, pruning: how, large_sparse: large } = SparseOptions;
  const ofSnip = { pruning_batch_size: size, pruning_batches: batches };
  const idle = (names: readonly string[], message: (name: string) => string, mend: string): OptionProblem[] =>
    names.map((name) => ({
      code: 'sparse.idle-option',
      severity: 'warning',
      message: message(name),
      mend,
      option: [name],
    }));
  if (sparsity === 0) {
    const changed = changedOptions(options, { pruning: how, large_sparse: large, ...ofSnip });
    return idle(
      changed,
      (name) => l10n.t`${name} is not used: sparsity is 0`,
      l10n.t`Set sparsity to the share that is to be cut, or remove it.`,
    );
  }
  if (pruning === 'snip') return [];
  return idle(
    changedOptions(options, ofSnip),
    (name) => l10n.t`${name} is not used: pruning is ${pruning}`,
    l10n.t`Set pruning: snip, or remove it.`,
  );
}

/** The bottlenecks of Large-Sparse: m / (1 − sparsity) instead of m. */
export function enlarged(
  form: BottleneckForm,
  { sparsity, large_sparse: large }: Pick<SparseChoice, 'sparsity' | 'large_sparse'>,
): BottleneckForm {
  if (!large) return form;
  const { reduction_factor: factor } = form;
  const smaller = (each: number): number => each * (1 - sparsity);
  return {
    ...form,
    reduction_factor:
      typeof factor === 'number'
        ? smaller(factor)
        : Object.fromEntries(Object.entries(factor).map(([layer, each]) => [layer, smaller(each)])),
  };
}

/** The matrices that are pruned: W_down and W_up of every place. */
export function prunedMatrices(sets: readonly AdapterSet[]): readonly Variable[] {
  return sets.flatMap(({ at }) => [...at.values()].flatMap(({ down, up }) => [down, up]));
}

/**
 * How many of N weights are left: N − ⌈sparsity·N⌉, over all matrices together.
 * @throws ProblemError `sparse.nothing`
 */
export function keptCount(matrices: readonly Variable[], sparsity: number): number {
  const total = matrices.reduce((sum, { shape }) => sum + fixedSize(shape), 0);
  // A share such as 0.3 is a little more or less in binary, and must not cut one more for it.
  const kept = total - Math.ceil(sparsity * total - 1e-6);
  if (kept > 0) return kept;
  const problem: OptionProblem = {
    code: 'sparse.nothing',
    message: l10n.t`sparsity ${sparsity} leaves none of the ${total} weights`,
    expected: l10n.t`a sparsity of at most ${Math.floor(1e4 * (1 - 1 / total)) / 1e4}`,
    option: ['sparsity'],
  };
  return fail(problem);
}

/**
 * Weights that start at zero have no magnitude, and no gradient reaches past them: every score would be zero.
 * @throws ProblemError `sparse.zero-start`
 */
export function checkStart({ pruning }: SparseChoice, { init_weights: init }: BottleneckForm): void {
  if (init !== 'mam_adapter' || (pruning !== 'snip' && pruning !== 'magnitude')) return;
  const problem: OptionProblem = {
    code: 'sparse.zero-start',
    message: l10n.t`pruning: ${pruning} cannot choose among weights that start at zero (init_weights: mam_adapter)`,
    expected: l10n.t`a start at random numbers`,
    mend: l10n.t`Set init_weights: bert, or pruning: random.`,
    option: ['pruning'],
  };
  fail(problem);
}

/**
 * Chooses what stays, once, from the starting values (He S. et al. 2022, section 3.2). SNIP (Lee, Ajanthan & Torr 2019,
 * eq. 6): |∂L/∂m| at a mask m of ones, that is |w·Σ ∂L/∂w|. Erdős–Rényi (Mocanu et al. 2018, eq. 3): a matrix keeps
 * ε·(in + out) of its weights. Ties go to the first.
 *
 * @param dense the method without masks
 * @returns a mask for each matrix, as packed bits by its name
 */
export async function prune(
  choice: SparseChoice,
  matrices: readonly Variable[],
  dense: Attached,
  context: PrepareContext,
): Promise<Prepared> {
  const count = keptCount(matrices, choice.sparsity);
  const starts = new Map(dense.trainables.map(({ variable, start }) => [variable, start]));
  const startOf = async (of: Variable): Promise<Float32Array> => starts.get(of)!();
  const draw = (size: number, name: string): Float32Array => {
    const random = context.random('pruning', name);
    return Float32Array.from({ length: size }, () => random.uniform());
  };
  const scores = async (): Promise<Float32Array[]> => {
    switch (choice.pruning) {
      case 'random':
      case 'erdos_renyi':
        return matrices.map(({ name, shape }) => draw(fixedSize(shape), name));
      case 'magnitude':
        return Promise.all(matrices.map(async (each) => (await startOf(each)).map(Math.abs)));
      case 'snip': {
        const sums = await context.summedGradients({
          own: dense,
          variables: matrices,
          batchSize: choice.pruning_batch_size,
          ...(choice.pruning_batches === undefined ? {} : { batches: choice.pruning_batches }),
        });
        return Promise.all(
          matrices.map(async (each) => {
            const gradient = sums.get(each.name)!;
            return (await startOf(each)).map((value, at) => Math.abs(value * gradient[at]!));
          }),
        );
      }
    }
  };
  const parts = await scores();
  checkScores(parts);
  const marks =
    choice.pruning === 'erdos_renyi'
      ? erdosRenyiCounts(matrices, count).map((own, at) => markLargest([parts[at]!], own)[0]!)
      : markLargest(parts, count);
  return new Map(matrices.map(({ name }, at) => [name, packedBits(marks[at]!)]));
}

function checkScores(parts: readonly Float32Array[]): void {
  if (parts.every((part) => part.every(Number.isFinite))) return;
  fail({
    code: 'sparse.non-finite',
    message: l10n.t`scores of the adapter's weights are not finite numbers`,
    mend: l10n.t`The base model's loss on these rows overflows: look at the rows, or set pruning: random.`,
  });
}

/** ε·(in + out) of each matrix, at most all of it, with the ε that makes them `count` together. */
function erdosRenyiCounts(matrices: readonly Variable[], count: number): number[] {
  const sizes = matrices.map(({ shape }) => fixedSize(shape));
  const edges = matrices.map(({ shape }) => shape.reduce<number>((sum, length) => sum + Number(length), 0));
  const wanted = (epsilon: number): number[] => sizes.map((size, at) => Math.min(size, epsilon * edges[at]!));
  let [low, high] = [0, Math.max(...sizes)];
  for (let halving = 0; halving < 100; halving++) {
    const middle = (low + high) / 2;
    if (wanted(middle).reduce((sum, each) => sum + each, 0) < count) low = middle;
    else high = middle;
  }
  // Rounded so that the sum is exact: each cut of the running total falls on a whole number.
  let [total, given] = [0, 0];
  return wanted(high).map((each, at) => {
    total += each;
    const own = at === sizes.length - 1 ? count - given : Math.min(sizes[at]!, Math.round(total) - given);
    given += own;
    return own;
  });
}

/** The masks that `prepare` found. @throws ProblemError `method.not-prepared` */
export function readMasks(
  matrices: readonly Variable[],
  { prepared, instance = '' }: AttachContext,
): ReadonlyMap<Variable, Mask> {
  return new Map(
    matrices.map((each) => {
      const own = each.name.slice(instance.length);
      const mask = maskOf(each, prepared?.get(each.name), `${instance}pruned/${own}`);
      return [each, mask ?? notPrepared(each.name)];
    }),
  );
}

function notPrepared(name: string): never {
  return fail({
    code: 'method.not-prepared',
    message: l10n.t`SparseAdapter has no mask for ${name}`,
    mend: l10n.t`Start the run anew: what it found out about the training data is not that of these methods.`,
  });
}

/** A trainable that starts at zero where it is cut. */
export function maskedStart(trainable: Trainable, mask: Mask | undefined): Trainable {
  if (mask === undefined) return trainable;
  const { start } = trainable;
  return { ...trainable, start: async () => (await start()).map((value, at) => value * mask.data[at]!) };
}
