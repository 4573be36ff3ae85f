import { readFile } from 'node:fs/promises';
import { Value } from '@sinclair/typebox/value';
import { TrainingOptions } from '../../src/config/schema.js';
import { makeBatch } from '../../src/data/batches.js';
import type { Example } from '../../src/data/example.js';
import { prepareMethods } from '../../src/engines/session.js';
import type { Attached, Prepared, Values } from '../../src/methods/method.js';
import type { MethodConfig } from '../../src/methods/registry.js';
import { gradientPasses } from '../../src/training/gradientPasses.js';
import { startSnapshot } from '../../src/training/snapshot.js';
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
  return prepareMethods(configs, model.context, (before: readonly Attached[]) =>
    gradientPasses({
      ...jobOn(model),
      train,
      methods: before,
      stopRequested: () => false,
      stopped: { code: 'stopped', message: 'stopped' },
    }),
  );
}

/** A step on each of the batches with AdamW, clipped to 1, without decay. */
export async function steps(
  model: Opened,
  method: Attached,
  batches: readonly (readonly Example[])[],
  learningRate: number,
): Promise<{ losses: number[]; values: Values }> {
  const stepper = await createStepper({
    ...model,
    methods: [method],
    start: startSnapshot(await startValues(method.trainables)),
    options: Value.Parse(TrainingOptions, { weight_decay: 0, max_grad_norm: 1 }),
    positionLimit: 64,
  });
  const losses: number[] = [];
  for (const [at, rows] of batches.entries()) {
    const batch = makeBatch(
      rows,
      rows.map((_, row) => [row]),
    );
    const place = { step: at + 1, totalSteps: batches.length };
    losses.push((await stepper.step([batch], place, learningRate, at + 1)).loss);
  }
  return { losses, values: stepper.values() };
}
