import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import type { Example } from '../../../src/data/example.js';
import { BitfitOptions } from '../../../src/methods/bitfit.js';
import { LastLayersOptions } from '../../../src/methods/lastLayers.js';
import { LoraOptions } from '../../../src/methods/lora.js';
import { attachMethod } from '../../../src/methods/registry.js';
import { checkpointFolder, readCheckpoint } from '../../../src/training/checkpoint.js';
import { openFrozenOutputs, stillFrozen } from '../../../src/training/frozenOutputs.js';
import { storeInFile, storeInMemory } from '../../../src/training/frozenStore.js';
import type { TrainingResult } from '../../../src/training/job.js';
import type { RunEvent } from '../../../src/training/events.js';
import { names, temporaryFolder } from '../../support/adapters.js';
import { fixture, largestDifference } from '../../support/fixtures.js';
import { openModel } from '../../support/model.js';
import { UNEVEN, eventsOf, jobOn, run } from './jobs.js';
import type { JobParts } from './jobs.js';

const folder = temporaryFolder();
const llama = await openModel(fixture('lora-reference/tiny-llama'));
const gpt2 = await openModel(fixture('gpt2/tiny-gpt2'));
const bert = await openModel(fixture('encoders/tiny-bert-classes'));
const last = Value.Parse(LastLayersOptions, { type: 'last_layers', num_layers: 1 });
const OPTIONS = {
  per_device_train_batch_size: 3,
  per_device_eval_batch_size: 2,
  learning_rate: 1e-2,
  num_train_epochs: 4,
  cache_frozen_layers: true,
};
const SPLIT = { train: UNEVEN.slice(0, 6), validation: UNEVEN.slice(6) };
let count = 0;

type Run = TrainingResult & { events: RunEvent[] };

async function newFolder(): Promise<string> {
  const made = path.join(folder, `run-${++count}`);
  await mkdir(made);
  return made;
}

function logs({ events }: { readonly events: readonly RunEvent[] }): string {
  return eventsOf(events, 'log')
    .map(({ message }) => message)
    .join('\n');
}

/** The same to rounding, in steps, evaluations and what was learned. */
function alike(found: Run, expected: Run): void {
  for (const type of ['step', 'evaluation'] as const) {
    const losses = (of: Run): number[] => eventsOf(of.events, type).map(({ loss }) => loss);
    assert.equal(losses(found).length, losses(expected).length);
    assert.ok(losses(expected).length > 1);
    assert.ok(largestDifference(losses(found), losses(expected)) <= 1e-6, type);
  }
  for (const [name, values] of expected.values) {
    assert.ok(largestDifference(found.values.get(name)!, values) <= 1e-4, name);
  }
}

/** A row within BERT's small vocabulary, with nothing supervised but what its class or masks are. */
function ofBert(row: Example): Example {
  return { ...row, ids: row.ids.map((id) => id % 90), supervised: row.ids.map(() => 0) };
}

const CASES: Readonly<Record<string, { opened: typeof llama; parts: JobParts }>> = {
  llama: { opened: llama, parts: SPLIT },
  'llama, packed': { opened: llama, parts: { ...SPLIT, packing: true, maxLength: 40 } },
  'llama, accumulated': { opened: llama, parts: { ...SPLIT, options: { gradient_accumulation_steps: 2 } } },
  'llama, sharpness-aware': { opened: llama, parts: { ...SPLIT, options: { sam_rho: 0.05 } } },
  'llama, LoRA with dropout in the last layer': {
    opened: llama,
    parts: {
      ...SPLIT,
      method: Value.Parse(LoraOptions, {
        type: 'lora',
        target_modules: ['q_proj', 'v_proj'],
        layers_to_transform: [1],
        lora_dropout: 0.2,
      }),
    },
  },
  gpt2: { opened: gpt2, parts: SPLIT },
  bert: {
    opened: bert,
    parts: {
      train: SPLIT.train.map((row, at) => ({ ...ofBert(row), label: at % 3 })),
      validation: SPLIT.validation.map((row) => ({ ...ofBert(row), label: 1 })),
    },
  },
};

for (const [name, { opened, parts }] of Object.entries(CASES)) {
  test(`${name}: with outputs that are kept, in memory or in a file, a run is what it is without`, async () => {
    const runOf = async (more: JobParts['options'], runFolder?: string): Promise<Run> =>
      run(opened, {
        method: last,
        ...parts,
        options: { ...OPTIONS, ...parts.options, ...more },
        ...(runFolder === undefined ? {} : { checkpoints: { runFolder } }),
      });
    const plain = await runOf({ cache_frozen_layers: false });
    assert.equal(logs(plain), '');
    const kept = await runOf({});
    assert.match(logs(kept), /^The outputs of the first 1 layers are kept in memory: \d+ tokens/);
    alike(kept, plain);
    const at = await newFolder();
    const filed = await runOf({ cache_memory_mib: 0 }, at);
    assert.match(logs(filed), /are kept in frozen-outputs.f32 of the run’s folder/);
    alike(filed, plain);
    assert.deepEqual(
      (await names(at)).filter((each) => !each.startsWith('checkpoint-')),
      [],
    );
  });
}

test('where nothing can be kept, that is said, and the run is as it would be', async () => {
  const said = async (parts: JobParts): Promise<string> => {
    const done = await run(llama, { method: last, ...SPLIT, ...parts, options: { ...OPTIONS, ...parts.options } });
    assert.equal(done.reason, 'completed');
    return logs(done);
  };
  assert.match(await said({ options: { num_train_epochs: 1 } }), /does nothing: no row comes twice/);
  assert.match(await said({ options: { max_steps: 2 } }), /no row comes twice/);
  assert.match(await said({ method: { type: 'full' } }), /something trains, or is drawn anew, in the first layer/);
  assert.match(await said({ options: { cache_memory_mib: 0 } }), /there is no folder for a file/);
  const at = await newFolder();
  await mkdir(path.join(at, 'frozen-outputs.f32'));
  const blocked = await said({ options: { cache_memory_mib: 0 }, checkpoints: { runFolder: at } });
  assert.match(blocked, /does nothing: frozen-outputs.f32 of the run’s folder could not be written/);
  const words = await openModel(fixture('encoders/tiny-bert'), { type: 'MASKED_LM' });
  const masked = await run(words, {
    method: Value.Parse(BitfitOptions, { type: 'bitfit', bias_terms: ['head'] }),
    train: SPLIT.train.map(ofBert),
    masking: { maskTokenId: 4, vocabSize: 90 },
    options: OPTIONS,
  });
  assert.match(logs(masked), /masked anew/);
});

test('methods that are attached anew and reach below: what was kept is no longer read', async () => {
  const job = jobOn(llama, { method: last, ...SPLIT, options: OPTIONS });
  const frozen = await openFrozenOutputs(job);
  assert.equal(frozen!.layer, 1);
  assert.equal(stillFrozen(frozen, job), frozen);
  const below = [attachMethod({ type: 'full' }, llama.context)];
  assert.equal(stillFrozen(frozen, { ...job, methods: below }), undefined);
  assert.equal(stillFrozen(frozen, { ...job, methods: [] }), frozen);
  await frozen!.close();
});

test('stopped and resumed with outputs that are kept: bit for bit the run left alone', async () => {
  const job = { method: last, ...SPLIT, options: { ...OPTIONS, gradient_accumulation_steps: 2 } };
  const alone = await run(llama, job);
  const runFolder = await newFolder();
  let stop = false;
  await run(llama, {
    ...job,
    checkpoints: { runFolder },
    emit: (event) => (stop ||= event.type === 'step' && event.step === 2),
    stopRequested: () => stop,
  });
  const from = await readCheckpoint(checkpointFolder(runFolder, 2));
  const resumed = await run(llama, { ...job, checkpoints: { runFolder, from } });
  assert.match(logs(resumed), /are kept in memory/);
  assert.ok(resumed.steps > 2);
  assert.deepEqual(resumed.values, alone.values);
});

test('a stop while they are computed', async () => {
  const events: RunEvent[] = [];
  const job = jobOn(llama, {
    method: last,
    ...SPLIT,
    options: OPTIONS,
    emit: (event) => void events.push(event),
    stopRequested: () => eventsOf(events, 'progress').length > 2,
  });
  assert.equal(await openFrozenOutputs(job), undefined);
  assert.equal(eventsOf(events, 'log').length, 0);
});

test('numbers come back from either store', async () => {
  const file = path.join(await newFolder(), 'numbers');
  for (const store of [storeInMemory(10), storeInFile(file)]) {
    store.write(4, Float32Array.of(4, 5, 6));
    store.write(0, Float32Array.of(0, 1, 2, 3));
    const found = new Float32Array(5);
    store.read(2, found.subarray(1, 4));
    assert.deepEqual([...found], [0, 2, 3, 4, 0]);
    await store.close();
  }
  assert.deepEqual(await names(path.dirname(file)), []);
});
