// GaLore against its authors' package: test/fixtures/galore/make.py.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { TrainingOptions } from '../../src/config/schema.js';
import { makeBatch } from '../../src/data/batches.js';
import type { Batch, Example } from '../../src/data/example.js';
import { attachMethods } from '../../src/engines/session.js';
import { GaloreOptions } from '../../src/methods/galore.js';
import type { Attached } from '../../src/methods/method.js';
import { createStepper } from '../../src/training/stepper.js';
import { startSnapshot } from '../../src/training/snapshot.js';
import { withWeightWork } from '../../src/training/weightWork.js';
import { fixture, readTensors, relativeDistance } from '../support/fixtures.js';
import { openModel } from '../support/model.js';
import { startValues } from '../support/startValues.js';

interface Reference {
  readonly base: string;
  readonly rows: string;
  /** In a step. */
  readonly batches: number;
  readonly galore: Readonly<Record<string, unknown>>;
  readonly targets: readonly string[];
  readonly training: Partial<TrainingOptions>;
  readonly learning_rate: number;
  readonly steps: readonly { readonly loss: number; readonly gradient_norm: number }[];
}

interface Row {
  readonly input_ids: number[];
  readonly supervised?: (0 | 1)[];
  readonly label?: number;
}

const CASES = ['llama', 'llama-two-batches', 'llama-sgd', 'llama-adafactor', 'gpt2-full', 'bert-reverse'];

function batchOf(rows: readonly Row[]): Batch {
  const examples = rows.map(({ input_ids: ids, supervised, label }): Example => ({
    ids,
    supervised: supervised ?? ids.map(() => 0),
    ...(label === undefined ? {} : { label }),
    file: 'batches.json',
    line: 1,
  }));
  return makeBatch(
    examples,
    examples.map((_, at) => [at]),
  );
}

/** Where no positions turn keys, their bias has no gradient, and AdamW makes steps of rounding errors. */
function withoutKeys(name: string, numbers: Float32Array): Float32Array {
  if (name.endsWith('.key.bias')) return numbers.slice(0, 0);
  const third = numbers.length / 3;
  return name.endsWith('c_attn.bias') ? numbers.filter((_, at) => at < third || at >= 2 * third) : numbers;
}

/** Shapes of the slots by the matrix that they are of. */
function slotSizes(slots: ReadonlyMap<string, Float32Array>, { trainables }: Attached): void {
  for (const { variable, slots: rule } of trainables) {
    if (rule === undefined) continue;
    const own = [...slots].filter(([name]) => name.startsWith(`${variable.name}/`));
    const [rows, columns] = rule.shape as readonly [number, number];
    for (const [name, { length }] of own) {
      const isFactored = name.endsWith('_row') || name.endsWith('_col');
      assert.equal(length, isFactored ? (name.endsWith('_row') ? rows : columns) : rows * columns, name);
    }
  }
}

for (const name of CASES) {
  test(`${name}: twelve steps over two changes of the subspaces are the authors' package's`, async (t) => {
    const reference = JSON.parse(await readFile(fixture('galore', `${name}.json`), 'utf8')) as Reference;
    const opened = await openModel(fixture(reference.base));
    const options = Value.Parse(GaloreOptions, {
      type: 'galore',
      ...reference.galore,
      target_modules: reference.targets,
    });
    const [method] = attachMethods([options], opened.context);
    const start = await startValues(method!.trainables);
    const stepper = await createStepper({
      ...opened,
      methods: [method!],
      start: startSnapshot(start),
      options: Value.Parse(TrainingOptions, {
        momentum: reference.training.optim === 'sgd' ? 0.9 : 0,
        gradient_accumulation_steps: reference.batches,
        ...reference.training,
      }),
      positionLimit: 40,
    });
    const every = JSON.parse(await readFile(fixture(reference.rows), 'utf8')) as Row[][];
    const says: string[] = [];
    for (const [at, step] of reference.steps.entries()) {
      const place = { step: at + 1, totalSteps: reference.steps.length };
      const batches = Array.from({ length: reference.batches }, (_, part) =>
        batchOf(every[(at * reference.batches + part) % every.length]!),
      );
      const said = await withWeightWork(
        opened.runtime,
        () => undefined,
        () => undefined,
        (work) => stepper.refresh(batches, place, 0, work),
      );
      assert.equal(said.length, at % 4 === 0 ? 1 : 0);
      says.push(...said);
      const result = await stepper.step(batches, place, reference.learning_rate, 0);
      assert.ok(
        Math.abs(result.loss - step.loss) <= 1e-4 * step.loss,
        `loss ${at + 1}: ${result.loss}, ${step.loss}`,
      );
      const norm = Math.abs(result.gradientNorm / step.gradient_norm - 1);
      assert.ok(norm <= 1e-3, `norm ${at + 1}: ${result.gradientNorm}, ${step.gradient_norm}`);
    }
    assert.match(says[1]!, /on average [1-9]\d? %/);
    const { slots } = stepper.snapshot();
    slotSizes(slots, method!);

    let worst = 0;
    const values = stepper.values();
    for (const [key, { data }] of await readTensors(fixture('galore', `${name}.safetensors`))) {
      const [own, before] = [values.get(key), start.get(key)];
      assert.ok(own !== undefined && before !== undefined, key);
      const change = (numbers: Float32Array): Float32Array =>
        withoutKeys(
          key,
          numbers.map((value, place) => value - before[place]!),
        );
      if (change(own).length === 0) continue;
      const distance = relativeDistance(change(own), change(data));
      worst = Math.max(worst, distance);
      assert.ok(distance <= 1e-3, `${key}: ${distance}`);
    }
    t.diagnostic(`largest relative distance of a tensor's change: ${worst}`);
    await stepper.dispose();
  });
}
