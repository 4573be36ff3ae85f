// LISA against PyTorch over several draws: test/fixtures/lisa/make.py.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { random } from '../../src/common/random.js';
import { TrainingOptions } from '../../src/config/schema.js';
import { makeBatch } from '../../src/data/batches.js';
import type { Batch, Example } from '../../src/data/example.js';
import { attachMethods } from '../../src/engines/session.js';
import { LisaOptions } from '../../src/methods/lisa.js';
import type { Attached } from '../../src/methods/method.js';
import { startSnapshot } from '../../src/training/snapshot.js';
import type { Snapshot } from '../../src/training/snapshot.js';
import { createStepper } from '../../src/training/stepper.js';
import { fixture, readTensors, relativeDistance } from '../support/fixtures.js';
import { openModel } from '../support/model.js';
import type { Opened } from '../support/model.js';
import { startValues } from '../support/startValues.js';

interface Reference {
  readonly base: string;
  readonly rows: string;
  readonly interval: number;
  readonly draws: readonly (readonly number[])[];
  readonly learning_rate: number;
  readonly weight_decay: number;
  readonly steps: readonly { readonly loss: number; readonly gradient_norm: number }[];
}

/** Of a decoder; or of an encoder-decoder, whose answers begin behind its start token. */
type Row =
  | { readonly input_ids: number[]; readonly supervised: (0 | 1)[] }
  | { readonly source: number[]; readonly answer: number[] };

const SEED = 11;
/** T5's start of an answer. */
const START = 0;

function batchOf(rows: readonly Row[]): Batch {
  const place = { file: 'batches.json', line: 1 };
  const examples = rows.map((row): Example =>
    'answer' in row
      ? {
          ids: [START, ...row.answer],
          supervised: [0, ...row.answer.map(() => 1 as const)],
          source: row.source,
          ...place,
        }
      : { ids: row.input_ids, supervised: row.supervised, ...place },
  );
  return makeBatch(
    examples,
    examples.map((_, at) => [at]),
  );
}

function drawnLayers({ model }: Opened, method: Attached): number[] {
  const active = new Set([...method.active!()].map(({ name }) => name));
  const layers = model.sites.flatMap(({ weight, layer }) =>
    layer !== undefined && weight !== undefined && active.has(weight) ? [layer] : [],
  );
  return [...new Set(layers)];
}

const copied = (numbers: ReadonlyMap<string, Float32Array>): Map<string, Float32Array> =>
  new Map([...numbers].map(([name, data]) => [name, data.slice()]));

/** A key's bias has no gradient where no positions turn keys: AdamW makes steps of rounding errors. */
function withoutKeys(name: string, numbers: Float32Array): Float32Array {
  const third = numbers.length / 3;
  return name.endsWith('c_attn.bias') ? numbers.filter((_, at) => at < third || at >= 2 * third) : numbers;
}

for (const name of ['llama', 'gpt2', 't5']) {
  test(`${name}: fifteen steps over five draws are PyTorch's, losses and every weight`, async (t) => {
    const reference = JSON.parse(await readFile(fixture('lisa', `${name}.json`), 'utf8')) as Reference;
    const opened = await openModel(fixture(reference.base));
    const options = Value.Parse(LisaOptions, {
      type: 'lisa',
      lisa_activated_layers: reference.draws[0]!.length,
      lisa_interval_steps: reference.interval,
    });
    const context = { ...opened.context, random: (...stream: (string | number)[]) => random(SEED, ...stream) };
    const [method] = attachMethods([options], context);
    const base = await startValues(method!.trainables);
    const every = JSON.parse(await readFile(fixture(reference.rows), 'utf8')) as Row[][];
    const open = (start: Snapshot) =>
      createStepper({
        ...opened,
        methods: [method!],
        start,
        options: Value.Parse(TrainingOptions, { weight_decay: reference.weight_decay, max_grad_norm: 0 }),
        positionLimit: 40,
      });
    let stepper = await open(startSnapshot());
    for (const [at, step] of reference.steps.entries()) {
      const place = { step: at + 1, totalSteps: reference.steps.length };
      if (method!.beforeStep!(place) === 'rebuild') {
        const { values, slots, state } = stepper.snapshot();
        const start = { values: copied(values), slots: copied(slots), state: copied(state) };
        await stepper.dispose();
        stepper = await open(start);
      }
      assert.deepEqual(drawnLayers(opened, method!), reference.draws[Math.floor(at / reference.interval)]);
      const batch = batchOf(every[at % every.length]!);
      const result = await stepper.step([batch], place, reference.learning_rate, 0);
      assert.ok(
        Math.abs(result.loss - step.loss) <= 1e-4 * step.loss,
        `loss ${at + 1}: ${result.loss}, ${step.loss}`,
      );
      assert.ok(Math.abs(result.gradientNorm / step.gradient_norm - 1) <= 1e-3, `norm ${at + 1}`);
    }
    let worst = 0;
    const values = stepper.values();
    for (const [key, { data }] of await readTensors(fixture('lisa', `${name}.safetensors`))) {
      // A layer that was never drawn has none of its own.
      const [own, before] = [values.get(key) ?? base.get(key)!, base.get(key)!];
      const change = (numbers: Float32Array): Float32Array =>
        withoutKeys(
          key,
          numbers.map((value, place) => value - before[place]!),
        );
      if (change(data).every((value) => value === 0)) {
        assert.ok(
          change(own).every((value) => value === 0),
          `${key} rests`,
        );
        continue;
      }
      const distance = relativeDistance(change(own), change(data));
      worst = Math.max(worst, distance);
      assert.ok(distance <= 1e-2, `${key}: ${distance}`);
    }
    t.diagnostic(`largest relative distance of a tensor's change: ${worst}`);
    await stepper.dispose();
  });
}
