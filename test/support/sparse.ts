import { readFile } from 'node:fs/promises';
import { Value } from '@sinclair/typebox/value';
import { TrainingOptions } from '../../src/config/schema.js';
import { makeBatch } from '../../src/data/batches.js';
import type { Example } from '../../src/data/example.js';
import { prepareMethods } from '../../src/engines/session.js';
import type { Attached, GradientPasses, Prepared, Values } from '../../src/methods/method.js';
import type { MethodConfig } from '../../src/methods/registry.js';
import { gradientPasses } from '../../src/training/gradientPasses.js';
import { startSnapshot } from '../../src/training/snapshot.js';
import type { Snapshot } from '../../src/training/snapshot.js';
import { createStepper } from '../../src/training/stepper.js';
import { jobOn } from '../unit/training/jobs.js';
import { fixture } from './fixtures.js';
import type { Opened } from './model.js';
import { startValues } from './startValues.js';

/** The twelve batches that the references of methods with masks train on. */
export async function referenceBatches(): Promise<Example[][]> {
  const text = await readFile(fixture('lora-reference/lora-steps/batches.json'), 'utf8');
  const rows = JSON.parse(text) as { input_ids: number[]; supervised: (0 | 1)[] }[][];
  return rows
    .slice(0, 12)
    .map((each) =>
      each.map(({ input_ids: ids, supervised }) => ({ ids, supervised, file: 'batches.json', line: 1 })),
    );
}

/** What methods find out before a run over these rows. */
export function prepare(
  configs: readonly MethodConfig[],
  model: Opened,
  train: readonly Example[],
): Promise<(Prepared | undefined)[]> {
  return prepareMethods(configs, model.context, (before) => passesOver(model, train, before));
}

/** Passes over these rows. */
export function passesOver(
  model: Opened,
  train: readonly Example[],
  methods: readonly Attached[] = [],
  values: Values = new Map(),
): GradientPasses {
  return gradientPasses({
    ...jobOn(model),
    train,
    methods,
    values,
    stopRequested: () => false,
    stopped: { code: 'stopped', message: 'stopped' },
  });
}

/**
 * A step on each of the batches with AdamW, clipped to 1, without decay.
 * @param from where they go on from, after so many steps; default: the start
 */
export async function steps(
  model: Opened,
  method: Attached,
  batches: readonly (readonly Example[])[],
  learningRate: number,
  from?: { readonly snapshot: Snapshot; readonly step: number },
): Promise<{ losses: number[]; values: Values; snapshot: Snapshot }> {
  const stepper = await createStepper({
    ...model,
    methods: [method],
    start: from?.snapshot ?? startSnapshot(await startValues(method.trainables)),
    options: Value.Parse(TrainingOptions, { weight_decay: 0, max_grad_norm: 1 }),
    positionLimit: 64,
  });
  const losses: number[] = [];
  for (const [at, rows] of batches.entries()) {
    const batch = makeBatch(
      rows,
      rows.map((_, row) => [row]),
    );
    const step = (from?.step ?? 0) + at + 1;
    losses.push((await stepper.step([batch], { step, totalSteps: 12 }, learningRate, step)).loss);
  }
  return { losses, values: stepper.values(), snapshot: stepper.snapshot() };
}
