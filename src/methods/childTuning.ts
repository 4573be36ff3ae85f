import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { fixedShape, fixedSize } from '../tensor/dims.js';
import { where } from '../tensor/ops/elementwise.js';
import { dropWithoutScale, dropout } from '../tensor/ops/random.js';
import { scalar } from '../tensor/tensor.js';
import type { Variable } from '../tensor/tensor.js';
import { densityOf, maskFeeds, maskOf, packedBits } from './bitMask.js';
import { checkedFisher } from './fisher.js';
import { idleOptions } from './idleOptions.js';
import { markLargest } from './largest.js';
import type { AttachContext, Attached, Method, Prepared, Values } from './method.js';
import type { OptionProblem } from './targets.js';

/** Child-Tuning's options; `p` is the share of the child network, as in the paper. */
export const ChildTuningOptions = Type.Object(
  {
    type: Type.Literal('child_tuning'),
    mode: Type.Union(
      [
        Type.Literal('D', { description: 'Chosen once, by Fisher information on the training data.' }),
        Type.Literal('F', { description: 'Drawn anew at each step, whatever the data.' }),
      ],
      {
        default: 'D',
        description:
          'How the child network is chosen: `D` once, by Fisher information on the training data; `F` at random, ' +
          'anew at each step.',
      },
    ),
    p: Type.Number({
      exclusiveMinimum: 0,
      maximum: 1,
      default: 0.3,
      description: 'Share of the numbers of the methods listed before that trains; mode F: at each step.',
    }),
    rescale: Type.Boolean({
      default: true,
      description:
        'Mode F: whether gradients that stay are divided by p, so that their mean over the draws is the gradient.',
    }),
    batch_size: Type.Integer({
      minimum: 1,
      default: 8,
      description: 'Mode D: rows per gradient that the Fisher information is taken from.',
    }),
    batches: Type.Optional(
      Type.Integer({
        minimum: 1,
        description: 'Mode D: how many batches the Fisher information is taken from; without it, each row once.',
      }),
    ),
    max_grad_norm: Type.Number({
      minimum: 0,
      default: 1,
      description: 'Mode D: gradients are clipped to this norm before they are squared; 0: they are not.',
    }),
  },
  { additionalProperties: false },
);
export type ChildTuningOptions = Static<typeof ChildTuningOptions>;

/** How many Fisher values were exactly zero, beside the masks by the trainables' names. */
const ZEROS = '#zeros';

/** From this share of Fisher values that are exactly zero on, it is said. */
const MANY_ZEROS = 0.1;

/**
 * Child-Tuning (Xu et al. 2021): at each step only a share `p` of the numbers of the methods listed before trains.
 *
 * D, the task-driven variant: of the numbers that the methods listed before train, only the
 * share `p` with the largest Fisher information (mean squared gradient of a batch's loss on the training data) does so; the
 * mask is fixed, ties go to the first. Where the mask is 0 neither a gradient nor weight decay moves a number. (In the authors' code decay moves them.)
 *
 * Over LoRA the mask is taken at its start, where B = 0 leaves A without any gradient: A's Fisher values are exactly zero,
 * so that A trains only as far as `p` exceeds the share of B.
 *
 * F, the task-free variant: each step g ← g ⊙ m / p with m ~ Bernoulli(p) drawn anew for each number, so that E[g ⊙ m / p]
 * = g. As in the authors' code it comes after clipping and before Adam's moments, once for the gradient of the whole step,
 * however many batches it was summed over, and weight decay acts on all numbers. The paper's rule and a textbook have
 * no 1/p; its theory and the authors' code do: `rescale` says which. The head of a task trains whole, in both variants.
 */
export const childTuning: Method<typeof ChildTuningOptions> = {
  info: {
    type: 'child_tuning',
    family: 'selective',
    place: 'learned, over another method',
    title: 'Child-Tuning',
    summary:
      'Lets only a share of the numbers of the methods before it train: those that matter most to the data, or others at each step.',
    paper: {
      authors: 'Xu, Luo, Zhang, Tan, Chang, Huang & Huang',
      year: 2021,
      title: 'Raise a Child in Large Language Model: Towards Effective and Generalizable Fine-tuning',
      arxiv: '2109.05687',
    },
    engines: ['embedded'],
    mergeable: false,
    guides: true,
    options: ChildTuningOptions,
  },
  prepares: ({ mode }) => mode === 'D',
  async prepare(options, context) {
    if (options.mode === 'F') return undefined;
    const variables = parents(context);
    const { squares } = await context.squaredGradients({
      variables,
      batchSize: options.batch_size,
      ...(options.batches === undefined ? {} : { batches: options.batches }),
      maxGradNorm: options.max_grad_norm,
    });
    // The mean over the batches would have the same order as their sum.
    return chosen(options.p, variables, squares);
  },
  check: (_options, context) => void parents(context),
  attach(options, context) {
    const variables = parents(context);
    const guide = options.mode === 'D' ? fixedGuide(variables, context) : drawnGuide(options, variables, context);
    const { warnings, ...acts } = guide;
    const total = variables.reduce((sum, { shape }) => sum + fixedSize(shape), 0);
    return {
      type: 'child_tuning',
      hooks: {},
      trainables: [],
      ...acts,
      coverage: {
        targets: [{ entry: l10n.t`p ${options.p} of ${total} numbers`, matched: variables.length }],
        modules: [],
        layersCovered: 0,
        saves: l10n.t`nothing of Child-Tuning itself`,
        warnings: [...warnings, ...ofOtherMode(options)],
      },
      save: () => ({ kind: 'nothing' }),
      load: () => ({ values: new Map(), warnings: [] }),
    };
  },
};

/** What becomes of the gradients of the methods before. */
type Guide = Pick<Attached, 'gradient' | 'update' | 'stepInputs' | 'report'> & {
  readonly warnings: readonly Problem[];
};

/** D: the mask that was prepared. */
function fixedGuide(variables: readonly Variable[], { prepared, instance = '' }: AttachContext): Guide {
  const masks = new Map(
    variables.map((each) => {
      const mask = maskOf(each, prepared?.get(each.name), `${instance}child_tuning/${each.name}`);
      if (mask === undefined) {
        return fail({
          code: 'method.not-prepared',
          message: l10n.t`Child-Tuning has no mask for ${each.name}`,
          mend: l10n.t`Start the run anew: what it found out about the training data is not that of these methods.`,
        });
      }
      return [each, mask] as const;
    }),
  );
  const total = [...masks.values()].reduce((sum, { data }) => sum + data.length, 0);
  return {
    gradient(trainable, gradient) {
      const mask = masks.get(trainable);
      return mask === undefined ? gradient : where(mask.input, gradient, scalar(0));
    },
    // Weight decay needs no gradient.
    update: (view) =>
      new Map([...masks].map(([each, mask]) => [each, where(mask.input, view.updated(each), each)])),
    stepInputs: () => maskFeeds(masks.values()),
    report: () =>
      [...masks].map(([{ name, shape }, mask]) => ({
        path: name,
        density: densityOf(mask),
        shape: fixedShape(shape),
      })),
    warnings: zeroWarnings(Number(prepared?.get(ZEROS)?.[0] ?? 0), total),
  };
}

/** F: a mask that each step draws from its own seed. It is dropout, of gradients. */
function drawnGuide(
  { p, rescale }: ChildTuningOptions,
  variables: readonly Variable[],
  { random }: AttachContext,
): Guide {
  const streams = new Map(variables.map((each) => [each, random('child_tuning', each.name).integer(2 ** 32)]));
  return {
    gradient(trainable, gradient, { dropoutSeed }) {
      const stream = streams.get(trainable);
      if (stream === undefined || dropoutSeed === undefined) return gradient;
      return (rescale ? dropout : dropWithoutScale)(gradient, 1 - p, dropoutSeed, stream);
    },
    // No shape: there is no mask that stays.
    report: () => variables.map(({ name }) => ({ path: name, density: p })),
    warnings: [],
  };
}

/** The mask that keeps exactly round(p·N) of the N numbers, 32 to an integer. */
function chosen(p: number, variables: readonly Variable[], squares: Values): Prepared {
  const { parts, total, zeros } = checkedFisher(
    variables.map(({ name }) => name),
    squares,
  );
  const prepared = new Map<string, Int32Array>([[ZEROS, Int32Array.of(zeros)]]);
  markLargest(parts, Math.round(p * total)).forEach((marks, at) => {
    prepared.set(variables[at]!.name, packedBits(marks));
  });
  return prepared;
}

/** What the methods before it train. */
function parents({ before = [] }: AttachContext): readonly Variable[] {
  const other = before.find(
    (each) => each.update !== undefined || each.active !== undefined || each.turn !== undefined,
  );
  if (other !== undefined) {
    fail({
      code: 'method.combination',
      message: l10n.t`child_tuning cannot be combined with ${other.type}, which changes for itself what trains`,
      mend: l10n.t`List child_tuning after a method such as lora or full, without ${other.type}.`,
    });
  }
  const variables = before.flatMap((each: Attached) => each.trainables.map(({ variable }) => variable));
  if (variables.length === 0) {
    fail({
      code: 'method.alone',
      message: l10n.t`child_tuning trains nothing of its own: it chooses what of the methods listed before it trains`,
      expected: l10n.t`a method before it under \`method\``,
      mend: l10n.t`List it after another method: \`method: [{ type: lora }, { type: child_tuning }]\`.`,
    });
  }
  return variables;
}

function ofOtherMode(options: ChildTuningOptions): OptionProblem[] {
  const { rescale, batch_size: size, batches, max_grad_norm: norm } = ChildTuningOptions.properties;
  const because = { option: 'mode', value: options.mode };
  return options.mode === 'D'
    ? idleOptions(options, { rescale }, because, 'mode: F')
    : idleOptions(options, { batch_size: size, batches, max_grad_norm: norm }, because, 'mode: D');
}

function zeroWarnings(zeros: number, total: number): Problem[] {
  if (zeros < MANY_ZEROS * total) return [];
  return [
    {
      code: 'method.fisher-zeros',
      severity: 'warning',
      message: l10n.t`${zeros} of ${total} numbers have no gradient at the start of the run, so that Child-Tuning chooses them last`,
      mend: l10n.t`LoRA starts with B = 0, which leaves A without one: expect that B trains and A stays, or use it over \`full\`.`,
    },
  ];
}
