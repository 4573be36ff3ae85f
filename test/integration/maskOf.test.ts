// The masks that the panel draws, against the adapter that the run wrote: read here by other means, number for number.
import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { maskOf } from '../../src/engines/maskOf.js';
import type { Finished, Masks } from '../../src/training/events.js';
import { names, problem, temporaryFolder } from '../support/adapters.js';
import { ROOT } from '../support/fixtures.js';
import { eventsOf } from '../unit/training/jobs.js';
import { emitted, makeRun } from './engineModel.js';

const folder = temporaryFolder();
const bundled = path.join(ROOT, 'examples/base-model/peft-studio-tiny');
const TRAINING = { max_steps: 3, per_device_train_batch_size: 4, learning_rate: 1e-2, save_steps: 2 };

/** The tensors of a safetensors file, by nothing but the format's description. */
async function rawTensors(file: string): Promise<Map<string, { shape: number[]; bytes: Buffer }>> {
  const whole = await readFile(file);
  const headerLength = Number(whole.readBigUInt64LE(0));
  const header = JSON.parse(whole.toString('utf8', 8, 8 + headerLength)) as Record<
    string,
    { shape: number[]; data_offsets: [number, number] }
  >;
  return new Map(
    Object.entries(header)
      .filter(([name]) => name !== '__metadata__')
      .map(
        ([
          name,
          {
            shape,
            data_offsets: [from, to],
          },
        ]) => [name, { shape, bytes: whole.subarray(8 + headerLength + from, 8 + headerLength + to) }],
      ),
  );
}

const int32s = (bytes: Buffer): number[] =>
  Array.from({ length: bytes.length / 4 }, (_, at) => bytes.readInt32LE(4 * at));
const float32s = (bytes: Buffer): number[] =>
  Array.from({ length: bytes.length / 4 }, (_, at) => bytes.readFloatLE(4 * at));

async function trained(name: string, method: unknown): Promise<{ masks: Masks; finished: Finished; run: string }> {
  const run = await makeRun(path.join(folder, name), bundled, { method, training: TRAINING });
  const { events, error } = await emitted(run);
  assert.equal(error, undefined);
  const finished = eventsOf(events, 'finished')[0]!;
  return { masks: eventsOf(events, 'masks').at(-1)!, finished, run: eventsOf(events, 'started')[0]!.folder };
}

test('the mask of a FISH run is its adapter’s, weight for weight, in every matrix', async () => {
  const { masks, finished, run } = await trained('fish', {
    type: 'fish_mask',
    keep_ratio: 0.01,
    num_samples: 8,
    target_modules: 'all-linear',
  });
  const adapter = await rawTensors(path.join(finished.adapter, 'adapter_model.safetensors'));
  const base = await rawTensors(path.join(bundled, 'model.safetensors'));
  assert.equal(masks.sites.length, 35);
  assert.equal(2 * masks.sites.filter(({ density }) => density > 0).length, adapter.size);
  let kept = 0;
  let all = 0;
  for (const { path: site, shape, density } of masks.sites) {
    const mask = await maskOf(run, site, shape!);
    assert.deepEqual([mask.rows, mask.columns], base.get(`${site}.weight`)!.shape, site);
    const places = adapter.get(`${site}.weight.indices`);
    assert.deepEqual([...mask.indices], places === undefined ? [] : int32s(places.bytes), site);
    assert.equal(places === undefined, density === 0, site);
    if (places !== undefined) {
      assert.deepEqual([...mask.values!], float32s(adapter.get(`${site}.weight.values`)!.bytes), site);
      assert.equal(mask.valuesOf, 'adapter');
    }
    assert.equal(mask.indices.length / (mask.rows * mask.columns), density, site);
    kept += mask.indices.length;
    all += mask.rows * mask.columns;
  }
  assert.ok(kept > 5000 && kept / all > 0.009, `${kept} of ${all}`);

  // A shape that the places do not fit.
  const widest = masks.sites.find(({ density }) => density > 0.01)!;
  await assert.rejects(maskOf(run, widest.path, [2, 2]), problem('mask.indices'));
  await assert.rejects(maskOf(run, widest.path, [2 ** 20, 2 ** 20]), problem('mask.too-large'));
});

test('while the run goes on, differences come from its newest checkpoint', async () => {
  const { masks, finished, run } = await trained('fish-checkpoint', { type: 'fish_mask', num_samples: 4 });
  const { path: site, shape } = masks.sites.find(({ density }) => density > 0)!;
  const expected = await maskOf(run, site, shape!);
  // Only the end of the run writes it.
  await rm(finished.adapter, { recursive: true });
  const mask = await maskOf(run, site, shape!);
  assert.equal(mask.valuesOf, 3);
  assert.deepEqual(mask.values, expected.values);
});

test('a mask that was chosen anew is the newest checkpoint’s, and what left it stays in the adapter', async () => {
  const { masks, finished, run } = await trained('dip', {
    type: 'fish_dip',
    num_samples: 4,
    reevaluate_after_steps: 1,
  });
  const adapter = await rawTensors(path.join(finished.adapter, 'adapter_model.safetensors'));
  const first = await rawTensors(path.join(run, 'prepared-0.safetensors'));
  let [kept, saved, differs] = [0, 0, false];
  for (const { path: site, shape, density } of masks.sites) {
    const mask = await maskOf(run, site, shape!);
    assert.equal(mask.indices.length / (mask.rows * mask.columns), density, site);
    kept += mask.indices.length;
    const indices = adapter.get(`${site}.weight.indices`);
    if (indices === undefined) continue;
    const values = float32s(adapter.get(`${site}.weight.values`)!.bytes);
    const all = new Map(int32s(indices.bytes).map((place, at) => [place, values[at]!]));
    saved += all.size;
    mask.indices.forEach((place, at) => assert.equal(all.get(place), mask.values?.[at], `${site} ${place}`));
    const before = first.get(`${site}.weight.indices`);
    differs ||= before === undefined || int32s(before.bytes).join() !== [...mask.indices].join();
  }
  assert.ok(differs && saved > kept, `${saved} saved, ${kept} train`);
});

test('Child-Tuning’s bits are places: only there has LoRA’s B moved from zero', async () => {
  const { masks, finished, run } = await trained('child', [
    { type: 'lora', r: 4, target_modules: 'all-linear' },
    { type: 'child_tuning', p: 0.2, batches: 2 },
  ]);
  const adapter = await rawTensors(path.join(finished.adapter, 'adapter_model.safetensors'));
  let moved = 0;
  for (const { path: site, shape, density } of masks.sites) {
    const mask = await maskOf(run, site, shape!);
    const size = mask.rows * mask.columns;
    assert.ok(Math.abs(mask.indices.length / size - density) < 1e-12, site);
    assert.ok(mask.valueless, site);
    if (!site.endsWith('lora_B')) continue;
    const places = new Set(mask.indices);
    const numbers = float32s(adapter.get(`base_model.model.${site}.weight`)!.bytes);
    assert.equal(numbers.length, size);
    numbers.forEach((value, at) => {
      if (value !== 0) assert.ok(places.has(at), `${site} ${at}`);
      moved += Number(value !== 0);
    });
  }
  assert.ok(moved > 1000, `${moved}`);
  await assert.rejects(maskOf(run, 'model.layers.0.nothing', [4, 4]), problem('mask.not-found'));
  await assert.rejects(maskOf(path.join(folder, 'nowhere'), 'a', [4, 4]), problem('mask.not-found'));
});

test('a learned mask is the adapter’s bits; while the run goes on, what the newest checkpoint’s scores say', async () => {
  const { masks, finished, run } = await trained('learned', {
    type: 'learned_mask',
    initial_sparsity: 0.3,
    target_modules: ['q_proj', 'down_proj'],
    layers_to_transform: [0, 1],
  });
  const adapter = await rawTensors(path.join(finished.adapter, 'adapter_model.safetensors'));
  assert.equal(masks.sites.length, adapter.size);
  const read = (): Promise<Uint32Array[]> =>
    Promise.all(masks.sites.map(async ({ path: site, shape }) => (await maskOf(run, site, shape!)).indices));
  const found = await read();
  masks.sites.forEach(({ path: site, shape, density }, at) => {
    const words = int32s(adapter.get(`${site}.weight.mask`)!.bytes);
    const numbers = shape![0]! * shape![1]!;
    const expected = Array.from({ length: numbers }, (_, place) => place).filter(
      (place) => ((words[place >> 5]! >>> (place & 31)) & 1) === 1,
    );
    assert.deepEqual([...found[at]!], expected, site);
    assert.equal(expected.length / numbers, density, site);
    assert.ok(density > 0.6 && density < 0.8, `${site} ${density}`);
  });
  await rm(finished.adapter, { recursive: true });
  assert.deepEqual(await read(), found);
  const steps = (await names(run)).filter((name) => name.startsWith('checkpoint-'));
  assert.ok(steps.length > 0);
  await Promise.all(steps.map((name) => rm(path.join(run, name), { recursive: true })));
  await assert.rejects(read(), problem('mask.not-yet', /neither a checkpoint nor the adapter/));
});
