import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import { makeBatch, planBatches } from '../data/batches.js';
import { withPrefix } from '../data/virtualTokens.js';
import type { GradientPasses, GradientRequest, Values } from '../methods/method.js';
import type { LanguageModel } from '../models/architecture.js';
import type { Hooks } from '../models/site.js';
import { virtualTokenCount, virtualTokenIds } from '../models/virtualTokens.js';
import type { Outputs, Value } from '../runtime/runtime.js';
import { gradients } from '../tensor/grad.js';
import { add, mul } from '../tensor/ops/elementwise.js';
import { input, variable } from '../tensor/tensor.js';
import type { Tensor, Variable, Weight } from '../tensor/tensor.js';
import { clipFactor, normOf } from './gradientNorm.js';
import { breathe, longest } from './job.js';
import { batchFeeds, floatFeed, lossGraph } from './lossGraph.js';
import { frozenWeights, presentFeeds, zeros } from './passSetup.js';
import type { PassSetup } from './passSetup.js';
import { rowLosses } from './rowLosses.js';
import { rowPasses } from './rowPasses.js';
import { stepMasks } from './steps.js';

/** What is summed: gradients as they are, or their squares. */
type Power = 1 | 2;

/**
 * Passes over the training data for methods that prepare: Σ g or Σ g² of each number, g the gradient of a batch's mean
 * loss per supervised token with dropout off. The sums are the only thing kept beside one batch's gradients: one buffer
 * each, which is read and written by its own addition.
 *
 * @param setup.methods attached before the one that asks, or all of them in the course of a run
 * @param setup.stopped thrown when the run is asked to end
 */
export function gradientPasses(setup: PassSetup): GradientPasses {
  const pass = sumsOver(setup);
  return {
    async squaredGradients(request) {
      const { sums, batches } = await pass(request, 2);
      return { squares: sums, batches };
    },
    summedGradients: async (request) => (await pass(request, 1)).sums,
    ...rowPasses(setup),
    rowLosses: () => rowLosses(setup),
  };
}

function sumsOver(
  setup: PassSetup,
): (request: GradientRequest, power: Power) => Promise<{ readonly sums: Values; readonly batches: number }> {
  return async (request, power) => {
    const methods = [...setup.methods, ...(request.own === undefined ? [] : [request.own])];
    const hooks = methods.map((method) => method.hooks);
    const examples = withPrefix(setup.train, (task) => virtualTokenIds(hooks, setup.model.vocabSize, task));
    const { asked, sums, outputs } = sumsGraph(setup.model, hooks, request, longest(examples), power);
    const program = await setup.runtime.compile(outputs, setup.weights);
    const buffers = new Map(sums.map((sum): [string, Value] => [sum.name, zeros(sum)]));
    let batches = 0;
    try {
      const known = await presentFeeds(methods, program.reads, setup.values);
      const into = Object.fromEntries([...buffers].map(([name, value]) => [`new ${name}`, value]));
      const plan = planBatches(examples, {
        ...setup,
        maxLength: setup.maxLength + virtualTokenCount(hooks),
        batchSize: request.batchSize,
        seed: setup.options.seed,
        epoch: 0,
      });
      batches = Math.min(request.batches ?? plan.length, plan.length);
      for (const [done, rows] of plan.slice(0, batches).entries()) {
        if (setup.stopRequested()) fail(setup.stopped);
        setup.emit({ type: 'progress', activity: l10n.t`Measuring gradients`, done, total: batches });
        const batch = makeBatch(examples, rows, stepMasks(setup, 0, done));
        await program.run(
          {
            ...known,
            ...Object.fromEntries(buffers),
            ...batchFeeds(batch),
            per_token: floatFeed(1 / Math.max(1, batch.targets.length)),
          },
          into,
        );
        await breathe();
      }
    } finally {
      await program.dispose();
    }
    const summed = asked.map(
      (each, at) => [each.name, buffers.get(sums[at]!.name)!.data as Float32Array] as const,
    );
    return { sums: new Map(summed), batches };
  };
}

/**
 * The graph of one batch, which adds its gradients, or their squares, to sums.
 * @param positionLimit no example is longer than this
 */
export function sumsGraph(
  model: LanguageModel,
  methods: readonly Hooks[],
  request: GradientRequest,
  positionLimit: number,
  power: Power = 2,
): {
  /** What is differentiated by. */
  readonly asked: readonly (Variable | Weight)[];
  /** One for each of them. */
  readonly sums: readonly Variable[];
  readonly outputs: Outputs;
} {
  const frozen = frozenWeights(request.weights ?? []);
  const { lossSum } = lossGraph(model, [frozen.hooks, ...methods], { training: false, positionLimit });
  const mean = mul(lossSum, input('per_token', 'float32', []));
  const asked = [...(request.variables ?? []), ...frozen.found()];
  const clipped = clip(gradients(mean, asked), request.maxGradNorm ?? 0);
  const sums = asked.map((each) => variable(`${each.name}/sum`, each.shape));
  const outputs = Object.fromEntries(
    sums.map((sum, at) => {
      const gradient = clipped[at]!;
      return [`new ${sum.name}`, add(sum, power === 1 ? gradient : mul(gradient, gradient))];
    }),
  );
  return { asked, sums, outputs };
}

function clip(tensors: readonly Tensor[], limit: number): readonly Tensor[] {
  const factor = clipFactor(normOf(tensors), limit);
  return factor === undefined ? tensors : tensors.map((each) => mul(each, factor));
}
