import type { TrainingOptions } from '../config/schema.js';
import type { Batch } from '../data/example.js';
import type { Attached, Trainable, Values } from '../methods/method.js';
import type { LanguageModel } from '../models/architecture.js';
import type { Program, Runtime, Value, WeightFiles } from '../runtime/runtime.js';
import { gradients } from '../tensor/grad.js';
import { add, div, less, mul, sqrt, where } from '../tensor/ops/elementwise.js';
import { reduceSum } from '../tensor/ops/reduce.js';
import { substitute } from '../tensor/substitute.js';
import type { Tensor } from '../tensor/tensor.js';
import { input, scalar, variable } from '../tensor/tensor.js';
import { adamW } from './adamw.js';
import { batchFeeds, floatFeed, intFeed, lossGraph } from './lossGraph.js';
import { packTrainables, packedGradient, packedValues } from './packs.js';
import type { Pack } from './packs.js';
import { createState } from './state.js';

export interface StepResult {
  /** Mean cross-entropy per supervised token over all batches of the step. */
  readonly loss: number;
  readonly gradientNorm: number;
}

/** Takes optimizer steps. */
export interface Stepper {
  /** One optimizer step over one or more batches, whose gradients are accumulated. */
  step(batches: readonly Batch[], step: number, learningRate: number, dropoutSeed: number): Promise<StepResult>;
  /** Present numbers of the trainables. */
  values(): Values;
  /** Bytes by part: trainables and optimizer slots (both buffers of each), and the weights that the graph maps. */
  readonly parts: Readonly<Record<string, number>>;
  dispose(): Promise<void>;
}

export interface StepperSetup {
  readonly model: LanguageModel;
  readonly methods: readonly Attached[];
  readonly start: Values;
  readonly weights: WeightFiles;
  readonly runtime: Runtime;
  readonly options: TrainingOptions;
  readonly positionLimit: number;
}

/** PyTorch's `clip_grad_norm_` adds this to the norm before it divides. */
const CLIP_EPSILON = 1e-6;

/**
 * Compiles loss, gradients and update. A step of one batch is one graph; with accumulation there are two: one
 * that adds a batch's gradients to sums, one that updates from the sums. The loss of a step is summed over its
 * supervised tokens and divided by their number over all its batches, which is known before it starts.
 */
export async function createStepper(setup: StepperSetup): Promise<Stepper> {
  const { model, methods, options, runtime, weights, positionLimit } = setup;
  const packs = packTrainables(methods.flatMap((method) => method.trainables));
  const members = packs.flatMap((pack) => pack.members);
  const optimizer = adamW(options);
  const accumulates = options.gradient_accumulation_steps > 1;
  const sums = packs.map(({ variable: each }) => variable(`${each.name}/gradient_sum`, each.shape));

  const [lossSum] = substitute(
    [
      lossGraph(
        model,
        methods.map((method) => method.hooks),
        { training: true, positionLimit },
      ).lossSum,
    ],
    new Map(members.map(({ trainable, view }) => [trainable.variable, view])),
  ) as [Tensor];
  const perToken = input('loss_scale', 'float32', []);
  const views = gradients(
    mul(lossSum, perToken),
    members.map((member) => member.view),
  );
  const gradientOf = new Map(members.map(({ trainable }, at) => [trainable.variable, views[at]!]));
  const batchGradients = packs.map((pack) => packedGradient(pack, (trainable) => gradientOf.get(trainable)!));

  /** Outputs of the update, each under the name of the variable it replaces. */
  const updates = (full: readonly Tensor[]): Record<string, Tensor> => {
    const norm = sqrt(full.map((each) => sumOfSquares(each)).reduce((a, b) => add(a, b)));
    const factor = clipFactor(norm, options.max_grad_norm);
    const outputs: Record<string, Tensor> = { [GRADIENT_NORM]: norm };
    packs.forEach((pack, index) => {
      const gradient = factor === undefined ? full[index]! : mul(full[index]!, factor);
      const { parameter, slots } = optimizer.update(pack.variable, gradient, pack.decays);
      outputs[`new ${pack.variable.name}`] = parameter;
      optimizer.slots(pack.variable).forEach((slot, at) => (outputs[`new ${slot.name}`] = slots[at]!));
    });
    return outputs;
  };

  const stepVariables = packs.flatMap(({ variable: each }) => [each, ...optimizer.slots(each)]);
  const state = createState([...stepVariables, ...(accumulates ? sums : [])], packedStart(packs, setup.start));
  const stepNames = stepVariables.map((each) => each.name);
  const sumNames = sums.map((each) => each.name);

  const first: Program = accumulates
    ? await runtime.compile(
        {
          [LOSS]: lossSum,
          ...Object.fromEntries(sums.map((sum, at) => [`new ${sum.name}`, add(sum, batchGradients[at]!)])),
        },
        weights,
      )
    : await runtime.compile({ [LOSS]: lossSum, ...updates(batchGradients) }, weights);
  const second: Program | undefined = accumulates ? await runtime.compile(updates(sums)) : undefined;

  const into = (names: readonly string[]): Record<string, Value> => renamed(state.targets(names));
  const readBy = (program: Program, names: readonly string[]): Record<string, Value> =>
    state.feeds(names.filter((name) => program.reads.has(name)));

  return {
    async step(batches, step, learningRate, dropoutSeed) {
      const tokens = batches.reduce((sum, batch) => sum + batch.targets.length, 0);
      const scalars = scalarFeeds(optimizer.scalars(step, learningRate));
      if (accumulates) for (const name of sumNames) state.read(name).fill(0);
      let loss = 0;
      let norm = NaN;
      for (const [at, batch] of batches.entries()) {
        const feeds = {
          ...batchFeeds(batch),
          loss_scale: floatFeed(1 / tokens),
          dropout_seed: intFeed((dropoutSeed + at) | 0),
          ...readBy(first, [...stepNames, ...(accumulates ? sumNames : [])]),
          ...scalars,
        };
        const results = await first.run(feeds, into(accumulates ? sumNames : stepNames));
        if (accumulates) state.swap(sumNames);
        loss += numberOf(results[LOSS]) / tokens;
        if (!accumulates) norm = numberOf(results[GRADIENT_NORM]);
      }
      if (second !== undefined) {
        const feeds = { ...readBy(second, [...stepNames, ...sumNames]), ...scalars };
        norm = numberOf((await second.run(feeds, into(stepNames)))[GRADIENT_NORM]);
      }
      // A step that is not finite is not taken: the values before it stay, to be looked at and saved.
      if (Number.isFinite(loss) && Number.isFinite(norm)) state.swap(stepNames);
      return { loss, gradientNorm: norm };
    },
    values: () =>
      new Map(
        packs.flatMap((pack) => {
          const vector = state.read(pack.variable.name);
          return pack.members.map(({ trainable, offset, size }) => [
            trainable.variable.name,
            vector.subarray(offset, offset + size),
          ]);
        }),
      ),
    parts: { 'trainables and optimizer': state.bytes, 'mapped weights': first.weightBytes },
    dispose: async () => {
      await first.dispose();
      await second?.dispose();
    },
  };
}

/** Apart from the closures above, which would keep the numbers alive for as long as the run. */
function packedStart(packs: readonly Pack[], values: Values): Map<string, Float32Array> {
  return new Map(packs.map((pack) => [pack.variable.name, packedValues(pack, values)]));
}

/** The starting numbers of all trainables. */
export async function startValues(trainables: readonly Trainable[]): Promise<Values> {
  const values = new Map<string, Float32Array>();
  for (const { variable: each, start } of trainables) values.set(each.name, await start());
  return values;
}

const LOSS = 'loss';
const GRADIENT_NORM = 'gradient_norm';

function sumOfSquares(x: Tensor): Tensor {
  return reduceSum(
    mul(x, x),
    x.shape.map((_, axis) => axis),
  );
}

/** min(1, limit / norm); undefined where clipping is off. */
function clipFactor(norm: Tensor, limit: number): Tensor | undefined {
  if (limit === 0) return undefined;
  const ratio = div(scalar(limit), add(norm, CLIP_EPSILON));
  return where(less(ratio, 1), ratio, scalar(1));
}

function scalarFeeds(scalars: Readonly<Record<string, number>>): Record<string, Value> {
  return Object.fromEntries(Object.entries(scalars).map(([name, value]) => [name, floatFeed(value)]));
}

function renamed(values: Record<string, Value>): Record<string, Value> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [`new ${name}`, value]));
}

function numberOf(value: Value | undefined): number {
  return Number(value!.data[0]);
}
