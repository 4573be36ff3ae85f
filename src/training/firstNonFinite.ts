import * as l10n from '@vscode/l10n';
import type { Batch } from '../data/example.js';
import type { Attached, StepPlace, Values } from '../methods/method.js';
import { trainedFeeds } from '../methods/trainedFeeds.js';
import type { LanguageModel } from '../models/architecture.js';
import type { Runtime, WeightFiles } from '../runtime/runtime.js';
import { gradients } from '../tensor/grad.js';
import { mul } from '../tensor/ops/elementwise.js';
import { reduceSum } from '../tensor/ops/reduce.js';
import type { Tensor } from '../tensor/tensor.js';
import { batchFeeds, intFeed, lossGraph } from './lossGraph.js';

/**
 * The first tensor that is not finite on these batches: a module's result in the order of the forward pass, the
 * loss, or a trainable's gradient. Compiles a graph of its own, so it is for the moment after a failed step.
 */
export async function firstNonFinite(setup: {
  readonly model: LanguageModel;
  readonly methods: readonly Attached[];
  readonly weights: WeightFiles;
  readonly runtime: Runtime;
  readonly positionLimit: number;
  readonly batches: readonly Batch[];
  readonly values: Values;
  readonly dropoutSeed: number;
  /** The step that failed, or the last one before an evaluation that did. */
  readonly at: StepPlace;
}): Promise<string> {
  for (const [name, numbers] of setup.values)
    if (!numbers.every(Number.isFinite)) return l10n.t`the trainable ${name}`;
  const trainables = setup.methods.flatMap((method) => {
    const active = method.active?.();
    return method.trainables.filter(({ variable }) => active?.has(variable) ?? true);
  });
  const { lossSum, scope } = lossGraph(
    setup.model,
    setup.methods.map((method) => method.hooks),
    { training: true, positionLimit: setup.positionLimit },
  );
  const perTrainable = gradients(
    lossSum,
    trainables.map((each) => each.variable),
  );
  const suspects: [string, Tensor][] = [
    ...scope.results.map(({ path, result }): [string, Tensor] => [l10n.t`the result of ${path}`, result]),
    [l10n.t`the loss`, lossSum],
    ...trainables.map(({ variable }, at): [string, Tensor] => [
      l10n.t`the gradient of ${variable.name}`,
      perTrainable[at]!,
    ]),
  ];
  const outputs = Object.fromEntries(suspects.map(([name, tensor]) => [name, mark(tensor)]));
  const program = await setup.runtime.compile(outputs, setup.weights);
  const ofStep = Object.assign({}, ...setup.methods.map((method) => method.stepInputs?.(setup.at)));
  try {
    for (const [at, batch] of setup.batches.entries()) {
      const results = await program.run({
        ...batchFeeds(batch),
        ...ofStep,
        dropout_seed: intFeed((setup.dropoutSeed + at) | 0),
        ...trainedFeeds(setup.methods, setup.values, program.reads),
      });
      for (const [name] of suspects) if (!Number.isFinite(Number(results[name]!.data[0]))) return name;
    }
  } finally {
    await program.dispose();
  }
  return l10n.t`the sum of the gradients over the accumulated batches`;
}

/** 0 where every element is finite, else NaN; a maximum might pass over NaN. */
function mark(x: Tensor): Tensor {
  return reduceSum(
    mul(x, 0),
    x.shape.map((_, axis) => axis),
  );
}
