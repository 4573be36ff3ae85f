// `peft-studio masks` on what real runs wrote, counted here by sets of places.
import assert from 'node:assert/strict';
import { cp, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { before, test } from 'node:test';
import { readAdapter } from '../../src/adapters/readAdapter.js';
import { writeSafetensors } from '../../src/models/writeSafetensors.js';
import type { IntegersToWrite, TensorToWrite } from '../../src/models/writeSafetensors.js';
import { temporaryFolder } from '../support/adapters.js';
import { ROOT } from '../support/fixtures.js';
import { run as cli, document } from '../unit/cli/support.js';
import { eventsOf } from '../unit/training/jobs.js';
import { emitted, makeRun } from './engineModel.js';

const folder = temporaryFolder();
const bundled = path.join(ROOT, 'examples/base-model/peft-studio-tiny');
const TRAINING = { max_steps: 2, per_device_train_batch_size: 4, learning_rate: 1e-2 };
const NUMBERS = 1_246_592;
const LAYER = 196_864;

interface Trained {
  readonly run: string;
  readonly adapter: string;
}

async function trained(name: string, method: unknown): Promise<Trained> {
  const run = await makeRun(path.join(folder, name), bundled, { method, training: TRAINING });
  const { events, error } = await emitted(run);
  assert.equal(error, undefined);
  return { run: eventsOf(events, 'started')[0]!.folder, adapter: eventsOf(events, 'finished')[0]!.adapter };
}

let fish: Trained;
let pafi: Trained;
before(async () => {
  fish = await trained('fish', {
    type: 'fish_mask',
    keep_ratio: 0.01,
    num_samples: 4,
    target_modules: 'all-linear',
  });
  pafi = await trained('pafi', { type: 'pafi', keep_ratio: 0.02, target_modules: 'all-linear' });
});

/** `TENSOR/PLACE` of every number that an adapter changes. */
async function placesOf({ adapter }: Trained): Promise<Set<string>> {
  const found = new Set<string>();
  const read = await readAdapter(adapter);
  for (const name of [...read.tensors.keys()].filter((each) => each.endsWith('.indices'))) {
    for (const place of await read.readIndices(name)) found.add(`${name}/${place}`);
  }
  return found;
}

interface Told {
  readonly masks: readonly {
    readonly marked: number;
    readonly size: number;
    readonly layers: readonly { readonly name: string; readonly marked: number; readonly size: number }[];
    readonly kinds: readonly { readonly name: string; readonly marked: number; readonly size: number }[];
  }[];
  readonly pairs: readonly {
    readonly total: { readonly shared: number; readonly jaccard: number; readonly expectedJaccard: number };
    readonly layers: readonly Group[];
    readonly kinds: readonly Group[];
  }[];
}

/** What two masks share in a layer, or in modules of a kind. */
interface Group {
  readonly name: string;
  readonly one: number;
  readonly other: number;
  readonly shared: number;
  readonly jaccard: number | null;
}

async function told(...args: readonly string[]): Promise<Told> {
  const ran = await cli(['masks', ...args, '--json']);
  assert.equal(ran.code, 0, ran.err);
  return document(ran) as unknown as Told;
}

test('two adapters: shares and overlap are those of the sets of their places', async () => {
  const [a, b] = [await placesOf(fish), await placesOf(pafi)];
  const both = new Set([...a].filter((place) => b.has(place)));
  const union = new Set([...a, ...b]);
  const { masks, pairs } = await told(fish.adapter, pafi.adapter);
  assert.deepEqual(
    masks.map(({ marked, size }) => [marked, size]),
    [
      [a.size, NUMBERS],
      [b.size, NUMBERS],
    ],
  );
  const [pair] = pairs;
  assert.equal(pair!.total.shared, both.size);
  assert.equal(pair!.total.jaccard, both.size / union.size);
  assert.ok(pair!.total.expectedJaccard > 0 && pair!.total.expectedJaccard < 0.05);
  for (const { name, shared, jaccard } of pair!.layers) {
    const within = (places: Set<string>): number =>
      [...places].filter((place) => (name === '' ? !place.includes('.layers.') : place.startsWith(`${name}.`)))
        .length;
    assert.equal(shared, within(both), name);
    assert.equal(jaccard, within(union) === 0 ? null : within(both) / within(union), name);
  }
  const layers = masks[0]!.layers.slice(0, -1);
  assert.deepEqual(
    layers.map(({ name, size }) => [name, size]),
    [0, 1, 2, 3, 4].map((layer) => [`model.layers.${layer}`, LAYER]),
  );
  assert.equal(masks[0]!.layers.at(-1)!.name, '');
  for (const groups of [masks[1]!.layers, masks[1]!.kinds]) {
    assert.equal(
      groups.reduce((sum, { marked }) => sum + marked, 0),
      b.size,
    );
    assert.equal(
      groups.reduce((sum, { size }) => sum + size, 0),
      NUMBERS,
    );
  }
  assert.deepEqual(
    masks[0]!.kinds.map(({ name }) => name),
    ['embed_tokens', 'norm', 'q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
  );
});

test('a run’s folder is as good as its adapter’s; a mask and itself are the same', async () => {
  const { masks, pairs } = await told(fish.run, fish.adapter);
  assert.equal(masks[0]!.marked, masks[1]!.marked);
  assert.equal(pairs[0]!.total.jaccard, 1);
  const text = await cli(['masks', fish.run, pafi.run]);
  assert.equal(text.code, 0, text.err);
  assert.match(text.out, /^A {5}fish_mask/m);
  assert.match(text.out, /JACCARD +A +B/);
  // Layers and kinds in which neither changes anything have no row, which is told.
  const { layers, kinds } = (await told(fish.run, pafi.run)).pairs[0]!;
  const idle = [layers, kinds].map((groups) => groups.filter(({ one, other }) => one + other === 0).length);
  const left = [...text.out.matchAll(/^Left out, for neither changes anything there: (\d+)$/gm)];
  assert.ok(idle.some((count) => count > 0));
  assert.deepEqual(
    left.map(([, count]) => Number(count)),
    idle.filter((count) => count > 0),
  );
  const alone = await cli(['masks', pafi.adapter]);
  assert.match(alone.out, /^v_proj +[\d,]+ +40,960 +/m);
  assert.doesNotMatch(alone.out, /JACCARD/);
});

test('whole layers, learned masks and Child-Tuning’s', async () => {
  const last = await trained('last', { type: 'last_layers' });
  const { masks } = await told(last.run);
  // The last of five layers, and the norm behind it; the output layer is the embeddings'.
  assert.deepEqual(
    masks[0]!.layers.map(({ marked }) => marked),
    [0, 0, 0, 0, LAYER, 128],
  );
  const learned = await trained('learned', { type: 'learned_mask', target_modules: ['q_proj', 'v_proj'] });
  const { masks: on, pairs } = await told(learned.adapter, learned.run, fish.adapter);
  const share = on[0]!.kinds.find(({ name }) => name === 'q_proj')!;
  assert.ok(share.marked / share.size > 0.9 && share.marked < share.size);
  assert.equal(pairs[0]!.total.jaccard, 1);
  assert.ok(pairs[1]!.total.shared > 0);

  const child = await trained('child', [
    { type: 'lora', r: 2, target_modules: ['q_proj'] },
    { type: 'child_tuning', p: 0.25, batches: 1 },
  ]);
  const { masks: guided } = await told(child.run);
  const size = 5 * 2 * (128 + 128);
  assert.deepEqual([guided[0]!.marked, guided[0]!.size], [size / 4, size]);
  assert.deepEqual(guided[0]!.kinds.map(({ name }) => name).sort(), ['q_proj.lora_A', 'q_proj.lora_B']);
  const apart = await cli(['masks', child.run, fish.run]);
  assert.equal(apart.code, 2);
  assert.match(apart.err, /no tensor in common/);
  const drawn = await trained('drawn', [{ type: 'full' }, { type: 'child_tuning', mode: 'F' }]);
  const refused = await cli(['masks', drawn.run]);
  assert.equal(refused.code, 2);
  assert.match(refused.err, /drawn anew at each step/);
});

test('what has no mask, another base, a damaged file, and a base that is not there are named, with what to do', async () => {
  const refusal = async (...args: readonly string[]): Promise<string> => {
    const ran = await cli(['masks', ...args]);
    assert.equal(ran.code, 2, ran.err);
    return ran.err;
  };
  const lora = await trained('lora', { type: 'lora', r: 2 });
  assert.match(await refusal(lora.adapter), /adapter_model\.safetensors: an adapter of LORA has no mask/);
  assert.match(await refusal(path.join(folder, 'nowhere')), /folder not found/);
  const mini = path.join(ROOT, 'examples/base-model/peft-studio-mini');
  assert.match(await refusal(fish.adapter, '--model', mini), /trained on .*peft-studio-tiny/);
  assert.match(await refusal(fish.adapter, '--model', path.join(folder, 'none')), /is not on this machine/);
  const other = path.join(folder, 'elsewhere');
  await cp(pafi.adapter, other, { recursive: true });
  const config = path.join(other, 'adapter_config.json');
  const text = await readFile(config, 'utf8');
  await writeFile(
    config,
    text.replace(/"base_model_name_or_path": "[^"]*"/, `"base_model_name_or_path": "${mini}"`),
  );
  assert.match(await refusal(fish.adapter, other), /masks\.(other-base|places|shapes)/);
  const layers = await trained('two-layers', { type: 'last_layers', num_layers: 1 });
  // Places without numbers, numbers without places, and another type: the mask would be another one.
  const { tensors, readIndices, read } = await readAdapter(pafi.adapter);
  const kept = [...tensors.keys()].filter((name) => name.includes('layers.0.self_attn'));
  const damaged = async (label: string, leave: (key: string) => boolean): Promise<string> => {
    const out = path.join(folder, label);
    await cp(pafi.adapter, out, { recursive: true });
    const left = kept.filter((key) => !leave(key));
    const parts = await Promise.all(
      left.map(async (name): Promise<IntegersToWrite | TensorToWrite> => {
        const { shape } = tensors.get(name)!;
        return name.endsWith('indices')
          ? { name, dtype: 'I32', shape, data: await readIndices(name) }
          : { name, dtype: 'F32', shape, data: await read(name) };
      }),
    );
    await writeSafetensors(path.join(out, 'adapter_model.safetensors'), parts);
    return out;
  };
  const first = 'model.layers.0.self_attn.q_proj.weight';
  const noPlaces = await damaged('no-places', (key) => key === `${first}.indices`);
  assert.match(await refusal(noPlaces), /q_proj\.weight\.indices is missing/);
  const noNumbers = await damaged('no-numbers', (key) => key === `${first}.values`);
  assert.match(await refusal(noNumbers), /belong to nothing that the config names: .*q_proj\.weight\.indices/);
  // Whole tensors of another size, or of no module.
  const whole = path.join(folder, 'whole');
  await cp(layers.adapter, whole, { recursive: true });
  const weights = path.join(whole, 'adapter_model.safetensors');
  const norm = { name: 'model.norm.weight', dtype: 'F32', shape: [3], data: new Float32Array(3) } as const;
  await writeSafetensors(weights, [norm]);
  assert.match(await refusal(whole), /model\.norm\.weight is \[3\], and the base model's tensor has 128 numbers/);
  // Another name of one base is a warning.
  const copy = path.join(folder, 'tiny-again');
  await cp(bundled, copy, { recursive: true });
  await writeFile(
    config,
    text.replace(/"base_model_name_or_path": "[^"]*"/, `"base_model_name_or_path": "${copy}"`),
  );
  const warned = await cli(['masks', fish.adapter, other]);
  assert.equal(warned.code, 0, warned.err);
  assert.match(warned.err, /different base models/);
});
