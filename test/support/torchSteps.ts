import { readFile } from 'node:fs/promises';
import { Value } from '@sinclair/typebox/value';
import { TrainingOptions } from '../../src/config/schema.js';
import { makeBatch } from '../../src/data/batches.js';
import type { Batch } from '../../src/data/example.js';
import type { Attached, Values } from '../../src/methods/method.js';
import { startSnapshot } from '../../src/training/snapshot.js';
import { createStepper } from '../../src/training/stepper.js';
import { fixture, readJson, readTensors, relativeDistance } from './fixtures.js';
import type { Opened } from './model.js';

/** A fixture made with `test/fixtures/torch_pairs.py`: options of a method, and what steps with it gave. */
export interface TorchSteps<Step> {
  readonly options: object;
  readonly learning_rate: number;
  readonly weight_decay: number;
  readonly max_grad_norm: number;
  readonly steps: readonly (Step & { readonly loss: number; readonly gradient_norm: number })[];
}

export async function readTorchSteps<Step>(...parts: string[]): Promise<TorchSteps<Step>> {
  return (await readJson(fixture(...parts))) as unknown as TorchSteps<Step>;
}

/** Numbers of trainables, by name. */
export async function readValues(...parts: string[]): Promise<Values> {
  return new Map([...(await readTensors(fixture(...parts)))].map(([name, { data }]) => [name, data]));
}

export interface TakenStep {
  readonly loss: number;
  readonly terms: Readonly<Record<string, number>>;
  readonly gradientNorm: number;
  readonly values: Values;
}

/** Takes the steps of a fixture from the same numbers over the same batches. */
export async function takeSteps(
  opened: Opened,
  method: Attached,
  start: Values,
  reference: Omit<TorchSteps<unknown>, 'options'>,
): Promise<TakenStep[]> {
  const { learning_rate, weight_decay, max_grad_norm, steps } = reference;
  const all = await readBatches();
  const batches = steps.map((_, at) => all[at % all.length]!);
  const stepper = await createStepper({
    ...opened,
    methods: [method],
    start: startSnapshot(start),
    options: Value.Parse(TrainingOptions, { learning_rate, weight_decay, max_grad_norm }),
    positionLimit: 64,
  });
  const taken: TakenStep[] = [];
  for (const [at, batch] of batches.entries()) {
    const place = { step: at + 1, totalSteps: batches.length };
    const { loss, terms = {}, gradientNorm } = await stepper.step([batch], place, learning_rate, at + 1);
    const values = new Map([...stepper.values()].map(([name, data]) => [name, data.slice()]));
    taken.push({ loss, terms, gradientNorm, values });
  }
  await stepper.dispose();
  return taken;
}

/** Of each trainable: how far its change over all steps is from the reference's, relative to that. */
export function changeErrors(start: Values, own: Values, theirs: Values): Map<string, number> {
  const change = (now: Float32Array, before: Float32Array): Float32Array =>
    now.map((value, at) => value - before[at]!);
  return new Map(
    [...theirs].map(([name, data]) => {
      const before = start.get(name)!;
      return [name, relativeDistance(change(own.get(name)!, before), change(data, before))];
    }),
  );
}

/** The batches of the LoRA reference. */
async function readBatches(): Promise<Batch[]> {
  const text = await readFile(fixture('lora-reference/lora-steps/batches.json'), 'utf8');
  const rows = JSON.parse(text) as { input_ids: number[]; supervised: (0 | 1)[] }[][];
  return rows.map((each) =>
    makeBatch(
      each.map((row) => ({ ids: row.input_ids, supervised: row.supervised, file: 'batches.json', line: 1 })),
      each.map((_, at) => [at]),
    ),
  );
}
