import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { findAdapter } from '../../../src/adapters/findAdapters.js';
import { inspectAdapter } from '../../../src/adapters/inspect.js';
import { readAdapter } from '../../../src/adapters/readAdapter.js';
import type { JsonObject } from '../../../src/common/json.js';
import { plainProducts } from '../../../src/linalg/products.js';
import { singularTriplets } from '../../../src/linalg/svd.js';
import { lora } from '../../../src/methods/lora.js';
import { MoraOptions, mora } from '../../../src/methods/mora.js';
import type { Attached, NamedTensor, Values } from '../../../src/methods/method.js';
import { squareSize } from '../../../src/methods/squareMatrix.js';
import type { Site } from '../../../src/models/site.js';
import type { Value as Numbers } from '../../../src/runtime/runtime.js';
import { zeros } from '../../../src/tensor/ops/shape.js';
import { input } from '../../../src/tensor/tensor.js';
import { problem, temporaryFolder, writeParts } from '../../support/adapters.js';
import { fixture, readInputIds } from '../../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../../support/model.js';
import { startValues } from '../../support/startValues.js';
import { UNEVEN, eventsOf, run } from '../training/jobs.js';
import { fakeContext, loraOptions, randomValues, site } from './fakeModel.js';

const folder = temporaryFolder();
const llama = await openModel(fixture('lora-reference', 'tiny-llama'));
const ADAPTER = fixture('module-updates', 'mora-6-llama');

function optionsOf(options: Partial<MoraOptions> = {}): MoraOptions {
  return Value.Parse(MoraOptions, { type: 'mora', ...options });
}

function attach(options: Partial<MoraOptions>, context = llama.context): Attached {
  return mora.attach(optionsOf(options), context);
}

test('an inspection shows the one matrix that a module has', async () => {
  const { factors, modules } = await inspectAdapter(ADAPTER);
  assert.deepEqual(factors, ['M [size, size]']);
  assert.ok(modules.length > 0 && modules.every(({ a, b }) => a[0] === a[1] && b === undefined));
});

test('r̂ is that of the authors, and the numbers are those of a LoRA up to rounding', () => {
  // Llama-2-7B's q_proj at r 8 and 256, k_proj of a smaller model: made even for rotation alone.
  assert.equal(squareSize([4096, 4096], 8, 6), 256);
  assert.equal(squareSize([4096, 4096], 256, 1), 1448);
  assert.equal(squareSize([192, 576], 8, 1), 78);
  assert.equal(squareSize([11008, 4096], 8, 1), 348);
  assert.equal(squareSize([32, 32], 2, 1), 11);
  assert.equal(squareSize([32, 32], 2, 6), 10);
  for (const type of [1, 6] as const) {
    const method = attach({ r: 2, mora_type: type });
    const pairs = lora.attach(loraOptions({ r: 2 }), llama.context);
    for (const [at, { trainable, path }] of method.coverage.modules.entries()) {
      const wanted = pairs.coverage.modules[at]!.trainable;
      const size = Math.sqrt(wanted);
      assert.ok(
        Math.abs(trainable - wanted) <= (type === 1 ? 1 : 2) * 2 * size,
        `${path}: ${trainable}, ${wanted}`,
      );
    }
  }
});

for (const type of [1, 6] as const) {
  test(`type ${type} starts as the base, exactly`, async () => {
    const method = attach({ r: 2, mora_type: type });
    const values = await startValues(method.trainables);
    assert.ok([...values.values()].every((each) => each.every((value) => value === 0)));
    const rows = await readInputIds(`${ADAPTER}/logits.safetensors`);
    assert.deepEqual(await logitsOf(llama, rows, { method, values }), await logitsOf(llama, rows));
  });

  test(`type ${type}: after steps ΔW has a rank far above r: up to r̂ by sharing, that of W by rotation`, async () => {
    const { values: trained, reason } = await run(llama, {
      method: optionsOf({ r: 2, mora_type: type }),
      options: { per_device_train_batch_size: 4, learning_rate: 0.01, max_steps: 12 },
    });
    assert.equal(reason, 'completed');
    const method = attach({ r: 2, mora_type: type });
    const own = llama.model.sites.find(({ path }) => path.endsWith('layers.1.self_attn.q_proj'))!;
    const delta = method.merge!(own, 'weight', new Float32Array(32 * 32), trained)!;
    const { s } = await singularTriplets(plainProducts(Float64Array.from(delta), 32, 32), 32, 'largest');
    const rank = s.filter((value) => value > 1e-5 * s[0]!).length;
    assert.ok(type === 1 ? rank === 11 : rank > 20, String(rank));
  });
}

test('a run lowers the loss, and tells r̂ and the norm of each module', async () => {
  const { events } = await run(llama, {
    method: optionsOf({ r: 2, lora_dropout: 0.1 }),
    validation: UNEVEN,
    options: { per_device_train_batch_size: 4, learning_rate: 0.01, max_steps: 20, eval_steps: 20 },
  });
  const told = eventsOf(events, 'ranks').at(-1)!.sites;
  assert.ok(told.length === 14 && told.every(({ norm }) => norm! > 0));
  assert.deepEqual(new Set(told.map(({ rank }) => rank)), new Set([10, 12]));
  const losses = eventsOf(events, 'evaluation').map(({ loss }) => loss);
  assert.ok(losses.at(-1)! < 0.95 * losses[0]!, losses.join());
});

test('what is merged is what is applied, for widths above and below r̂ and none of its multiples', async () => {
  for (const [out, width] of [
    [5, 12],
    [12, 5],
    [7, 7],
    [3, 40],
    [40, 3],
  ] as const) {
    for (const type of [1, 6] as const) {
      const own = site('linear', 'model.layers.0.q_proj', [out, width]);
      const method = attach({ r: 1, mora_type: type }, fakeContext([own]));
      const values = randomValues(method);
      const delta = method.merge!(own, 'weight', new Float32Array(out * width), values)!;
      const found = await applied(method, own, values);
      for (const [at, value] of delta.entries()) {
        const given = found[(at % width) * out + Math.floor(at / width)]!;
        assert.ok(Math.abs(value - given) <= 1e-5, `[${out}, ${width}] type ${type}`);
      }
    }
  }
});

test('an r whose matrix would be larger than the weight is refused with the largest that is not', () => {
  const first = /r 40 makes a matrix \[50, 50\] for model\.layers\.0\.self_attn\.q_proj \[32, 32\]/;
  assert.throws(() => attach({ r: 40 }), problem('mora.rank', first));
  const most = 17;
  assert.throws(() => attach({ r: 40 }), /an r of at most 17/);
  assert.doesNotThrow(() => attach({ r: most, target_modules: ['q_proj'] }));
  assert.throws(() => attach({ r: most + 1, target_modules: ['q_proj'] }));
});

/** What a method adds to y = 0 for each axis of x: [in, out]. */
async function applied(method: Attached, own: Site, values: Values): Promise<ArrayLike<number>> {
  const [out, width] = own.shape as [number, number];
  const x = input('x', 'float32', [1, width, width]);
  const y = method.hooks.output!(
    own,
    x,
    zeros([1, width, out], x),
    { dropoutSeed: undefined },
    {
      weight: input('w', 'float32', own.shape),
    },
  );
  const program = await llama.runtime.compile({ y });
  const axes = Float32Array.from({ length: width * width }, (_, at) => (at % (width + 1) === 0 ? 1 : 0));
  const numbers = [...method.trainables].map(({ variable: { name, shape } }): [string, Numbers] => [
    name,
    { dtype: 'float32', shape: shape as number[], data: values.get(name)! },
  ]);
  const feeds = {
    x: { dtype: 'float32' as const, shape: [1, width, width], data: axes },
    ...Object.fromEntries(numbers),
  };
  const { y: found } = await program.run(feeds);
  await program.dispose();
  return Float32Array.from(found!.data, Number);
}

/** The fixture's adapter with other tensors or another config. */
async function changed(
  name: string,
  change: { config?: JsonObject; tensors?: (all: Map<string, NamedTensor>) => void },
): Promise<string> {
  const { config, ...adapter } = await readAdapter(ADAPTER);
  const tensors = await adapter.loadTensors();
  change.tensors?.(tensors);
  return writeParts(`${folder}/${name}`, {
    config: { ...config, ...change.config },
    tensors: [...tensors.values()],
  });
}

const KEY = 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight';
const TWIN = KEY.replace('lora_A', 'lora_B');

test("the fork's own files, which hold each matrix twice, are read; halves that differ are not", async () => {
  const twins = await changed('twins', {
    tensors(all) {
      for (const each of [...all.values()]) {
        const name = each.name.replace('lora_A', 'lora_B');
        all.set(name, { ...each, name });
      }
    },
  });
  const [read, own] = [await attachAdapter(llama, twins), await attachAdapter(llama, ADAPTER)];
  assert.deepEqual(read.values, own.values);
  const found = await findAdapter(twins);
  assert.deepEqual([found!.method, found!.rank, found!.irregular], ['mora', 2, []]);
  const apart = await changed('apart', {
    tensors(all) {
      const first = all.get(KEY)!;
      all.set(TWIN, { ...first, name: TWIN, data: first.data.map((value) => value + 1) });
    },
  });
  await assert.rejects(attachAdapter(llama, apart), /lora_B\.weight and its lora_A hold different numbers/);
});

test('adapters that do not fit are refused: other kinds of sharing, a cut matrix, another r', async () => {
  const kind = await changed('kind', { config: { mora_type: 2 } });
  await assert.rejects(attachAdapter(llama, kind), /mora_type: 2 is not a value that MoRA takes/);
  const rank = await changed('r', { config: { r: 3 } });
  await assert.rejects(
    attachAdapter(llama, rank),
    /lora_A\.weight is \[10, 10\], the base model needs \[14, 14\]/,
  );
  const missing = await changed('missing', { tensors: (all) => void all.delete(KEY) });
  await assert.rejects(attachAdapter(llama, missing), /1 missing/);
  // Without use_mora it is a LoRA that has no such option.
  const plain = await changed('plain', { config: { use_mora: false } });
  await assert.rejects(attachAdapter(llama, plain), /the adapter needs 'mora_type': 6/);
});
