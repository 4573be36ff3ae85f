// DoRA (Liu et al. 2024) against PEFT: test/fixtures/dora says how its numbers were made.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readAdapter } from '../../../src/adapters/readAdapter.js';
import { random } from '../../../src/common/random.js';
import { attachMethods } from '../../../src/engines/session.js';
import { lora } from '../../../src/methods/lora.js';
import type { LoraOptions } from '../../../src/methods/lora.js';
import { loraConfigFromPeft } from '../../../src/methods/loraConfig.js';
import type { Attached, Values } from '../../../src/methods/method.js';
import type { MethodConfig } from '../../../src/methods/registry.js';
import { onnxRuntime } from '../../../src/runtime/onnxruntime.js';
import type { Value } from '../../../src/runtime/runtime.js';
import { constant, input } from '../../../src/tensor/tensor.js';
import { problem } from '../../support/adapters.js';
import { fixture, largestDifference, readJson, readTensors } from '../../support/fixtures.js';
import { logitsOf, openModel } from '../../support/model.js';
import type { Opened } from '../../support/model.js';
import { repeatPeftSteps } from '../../support/peftSteps.js';
import { startValues } from '../../support/startValues.js';
import { fakeContext, loraOptions, randomValues, site } from './fakeModel.js';

const CASES = ['linears', 'biases', 'both-random', 'embedding', 'tied', 'conv1d', 'loraplus', 'loraplus-plain'];

interface Reference {
  readonly opened: Opened;
  readonly folder: string;
  readonly ids: number[][];
  readonly options: LoraOptions;
  readonly logits: Float32Array;
  readonly merged: Float32Array;
}

async function reference(name: string): Promise<Reference> {
  const folder = fixture('dora', name);
  const steps = (await readJson(`${folder}/steps.json`)) as unknown as {
    base: string;
    ids: number[][];
    loraplus_lr_ratio?: number;
    loraplus_lr_embedding?: number;
  };
  const { loraplus_lr_ratio, loraplus_lr_embedding } = steps;
  const { options } = loraConfigFromPeft(await readJson(`${folder}/initial/adapter_config.json`), name);
  const tensors = await readTensors(`${folder}/logits.safetensors`);
  return {
    opened: await openModel(fixture(steps.base)),
    folder,
    ids: steps.ids,
    options: {
      ...options,
      ...(loraplus_lr_ratio === undefined ? {} : { loraplus_lr_ratio }),
      ...(loraplus_lr_embedding === undefined ? {} : { loraplus_lr_embedding }),
    },
    logits: tensors.get('logits')!.data,
    merged: tensors.get('merged')!.data,
  };
}

async function load(method: Attached, folder: string): Promise<Values> {
  return method.load(await (await readAdapter(folder)).loadTensors(), folder).values;
}

for (const name of CASES) {
  test(`${name}: six steps are PEFT's`, async () => {
    const { opened, folder, options } = await reference(name);
    const method = lora.attach(options, opened.context);
    const errors = await repeatPeftSteps(opened, folder, { method }, await load(method, `${folder}/initial`));
    assert.ok(errors.loss < 1e-5, `loss ${errors.loss}`);
    assert.ok(errors.gradientNorm < 1e-4, `norm ${errors.gradientNorm}`);
    for (const [key, error] of errors.changes) assert.ok(error < 1e-2, `${key}: ${error}`);
  });

  test(`${name}: PEFT's adapter gives PEFT's logits`, async () => {
    const { opened, folder, options, ids, logits } = await reference(name);
    const method = lora.attach(options, opened.context);
    const values = await load(method, `${folder}/final`);
    const found = await logitsOf(opened, ids, { method, values });
    assert.ok(largestDifference(found, logits) < 5e-5, `${largestDifference(found, logits)} apart`);
    assert.ok(largestDifference(found, await logitsOf(opened, ids)) > 0.5);
  });
}

/** Logits of a model whose weights are what merging makes of them. */
async function mergedLogits(
  opened: Opened,
  method: Attached,
  values: Values,
  ids: number[][],
): Promise<Float32Array> {
  const weights = new Map<string, Float32Array>();
  for (const each of opened.model.sites) {
    for (const kind of ['weight', 'bias'] as const) {
      const name = each[kind];
      if (name === undefined) continue;
      const merged = method.merge!(each, kind, await opened.context.read(name), values);
      if (merged !== undefined) weights.set(`${each.path}.${kind}`, merged);
    }
  }
  const hooks: Attached['hooks'] = {
    parameter: (each, kind, base) => {
      const found = weights.get(`${each.path}.${kind}`);
      return found === undefined ? base : constant(found, base.shape as readonly number[], 'float32');
    },
  };
  return logitsOf(opened, ids, { method: { ...method, hooks, trainables: [] }, values: new Map() });
}

test("merged it gives what it gives applied, and PEFT's own merge where the head is not tied", async () => {
  for (const name of CASES) {
    const { opened, folder, options, ids, logits, merged } = await reference(name);
    const method = lora.attach(options, opened.context);
    const found = await mergedLogits(opened, method, await load(method, `${folder}/final`), ids);
    assert.ok(largestDifference(found, logits) < 5e-5, `${name}: ${largestDifference(found, logits)} apart`);
    // PEFT merges an adapted embedding into the head that shares its matrix.
    if (['linears', 'biases', 'both-random', 'embedding'].includes(name)) {
      assert.ok(largestDifference(found, merged) < 5e-5, name);
    }
  }
});

describe('the start', () => {
  test("magnitudes are ‖W + s·B·A‖, PEFT's; an embedding's runs over the vocabulary", async () => {
    const { opened, folder, options } = await reference('both-random');
    const initial = await readTensors(`${folder}/initial/adapter_model.safetensors`);
    const loaded = lora.attach(options, opened.context);
    const values = await load(loaded, `${folder}/initial`);
    // The lengths of what PEFT drew, from numbers that the adapter alone has.
    const [a, b] = ['A', 'B'].map((half) => values.get(`model.layers.0.self_attn.v_proj.lora_${half}`)!);
    const w = await opened.context.read('model.layers.0.self_attn.v_proj.weight');
    const expected = Float32Array.from({ length: 16 }, (_, i) =>
      Math.hypot(
        ...Array.from({ length: 32 }, (_unused, j) => {
          let sum = w[i * 32 + j]!;
          for (let k = 0; k < 4; k++) sum += 2 * b![i * 4 + k]! * a![k * 32 + j]!;
          return sum;
        }),
      ),
    );
    const theirs = initial.get('base_model.model.model.layers.0.self_attn.v_proj.lora_magnitude_vector')!.data;
    assert.ok(largestDifference(theirs, expected) < 1e-5);

    const own = lora.attach(
      loraOptions({ use_dora: true, target_modules: ['v_proj', 'embed_tokens'], r: 2 }),
      opened.context,
    );
    const started = await startValues(own.trainables);
    const length = (data: Float32Array, at: (k: number) => number, count: number): number =>
      Math.hypot(...Array.from({ length: count }, (_, k) => data[at(k)]!));
    const rows = Float32Array.from({ length: 16 }, (_, i) => length(w, (j) => i * 32 + j, 32));
    assert.ok(
      largestDifference(started.get('model.layers.0.self_attn.v_proj.lora_magnitude_vector')!, rows) < 1e-5,
    );
    const table = await opened.context.read('model.embed_tokens.weight');
    const columns = Float32Array.from({ length: 32 }, (_, j) => length(table, (i) => i * 32 + j, 128));
    assert.ok(largestDifference(started.get('model.embed_tokens.lora_magnitude_vector')!, columns) < 1e-4);
  });

  test('the logits are those of the base; magnitudes are counted, decay, and learn at the rate of B', async () => {
    for (const base of ['lora-reference/tiny-llama', 'gpt2/tiny-gpt2']) {
      const opened = await openModel(fixture(base));
      const options = loraOptions({ use_dora: true, lora_dropout: 0.1, loraplus_lr_ratio: 4 });
      const method = lora.attach(options, opened.context);
      const values = await startValues(method.trainables);
      const ids = [[5, 9, 77, 31, 8, 64, 3]];
      const [found, plain] = [await logitsOf(opened, ids, { method, values }), await logitsOf(opened, ids)];
      assert.ok(largestDifference(found, plain) < 1e-5 * Math.max(...plain.map(Math.abs)));
      const counted = method.coverage.modules.reduce((sum, { trainable }) => sum + trainable, 0);
      assert.equal(
        counted,
        [...values.values()].reduce((sum, { length }) => sum + length, 0),
      );
      const magnitudes = method.trainables.filter(({ variable: { name } }) => name.endsWith('magnitude_vector'));
      assert.equal(magnitudes.length, method.coverage.modules.length);
      for (const { rate, decays } of magnitudes) assert.deepEqual([rate, decays], [{ times: 4 }, true]);
    }
  });
});

test('a start that is taken off the base: six steps are those of PEFT on the base that it changed', async () => {
  const { opened, folder, ids, logits } = await reference('pissa');
  const initial = await readTensors(`${folder}/initial/adapter_model.safetensors`);
  const prepared = new Map(
    [...initial].flatMap(([key, { data }]) =>
      key.includes('.lora_magnitude')
        ? []
        : [[`${key.replace('base_model.model.', '').replace('.weight', '')}.initial`, data] as const],
    ),
  );
  const options = loraOptions({
    r: 4,
    lora_alpha: 8,
    init_lora_weights: 'pissa',
    use_dora: true,
    target_modules: ['q_proj', 'down_proj'],
  });
  const method = lora.attach(options, { ...opened.context, prepared });
  const start = await startValues(method.trainables);
  for (const [key, { data }] of initial) {
    if (!key.endsWith('.lora_magnitude_vector')) continue;
    assert.ok(largestDifference(start.get(key.replace('base_model.model.', ''))!, data) < 1e-5, key);
  }
  const errors = await repeatPeftSteps(opened, folder, { method }, start);
  assert.ok(errors.loss < 1e-5, `loss ${errors.loss}`);
  assert.ok(errors.gradientNorm < 1e-4, `norm ${errors.gradientNorm}`);
  for (const [key, error] of errors.changes) assert.ok(error < 1e-2, `${key}: ${error}`);
  const values = await load(method, `${folder}/final`);
  assert.ok(largestDifference(await logitsOf(opened, ids, { method, values }), logits) < 5e-5);
  const plain = lora.attach(
    loraConfigFromPeft(await readJson(`${folder}/final/adapter_config.json`), '').options,
    opened.context,
  );
  const stored = await load(plain, `${folder}/final`);
  assert.ok(largestDifference(await logitsOf(opened, ids, { method: plain, values: stored }), logits) < 5e-5);
  const found = await mergedLogits(opened, method, values, ids);
  assert.ok(largestDifference(found, logits) < 5e-5);
});

// One module by hand.
const [OUT, IN, TOKENS, R] = [6, 5, 40, 2];
const runtime = await onnxRuntime({ threads: 1 });

/** y' of a linear module with these numbers. */
async function result(
  options: Partial<LoraOptions>,
  numbers: { x: Float32Array; w: Float32Array; bias: Float32Array; values: Values },
  seed?: number,
): Promise<Float32Array> {
  const at = site('linear', 'one', [OUT, IN]);
  const [method] = attachMethods([loraOptions({ r: R, ...options })], fakeContext([at])) as [Attached];
  const [x, y, weight, bias] = [
    input('x', 'float32', [TOKENS, IN]),
    input('y', 'float32', [TOKENS, OUT]),
    input('w', 'float32', [OUT, IN]),
    input('bias', 'float32', [OUT]),
  ];
  const dropoutSeed = seed === undefined ? undefined : input('seed', 'int32', []);
  const program = await runtime.compile({
    result: method.hooks.output!(at, x, y, { dropoutSeed }, { weight, bias }),
  });
  const value = (shape: readonly number[], data: Float32Array): Value => ({ dtype: 'float32', shape, data });
  const run = await program.run({
    x: value([TOKENS, IN], numbers.x),
    y: value([TOKENS, OUT], applied(numbers.x, numbers.w, numbers.bias)),
    w: value([OUT, IN], numbers.w),
    bias: value([OUT], numbers.bias),
    ...Object.fromEntries(
      method.trainables.map(({ variable: { name, shape } }) => [
        name,
        value(shape as readonly number[], numbers.values.get(name)!),
      ]),
    ),
    ...(seed === undefined ? {} : { seed: { dtype: 'int32' as const, shape: [], data: Int32Array.of(seed) } }),
  });
  await program.dispose();
  return run['result']!.data as Float32Array;
}

/** x·Wᵀ + bias */
function applied(x: Float32Array, w: Float32Array, bias: Float32Array): Float32Array {
  return Float32Array.from({ length: TOKENS * OUT }, (_, at) => {
    const [t, i] = [Math.floor(at / OUT), at % OUT];
    let sum = bias[i]!;
    for (let j = 0; j < IN; j++) sum += x[t * IN + j]! * w[i * IN + j]!;
    return sum;
  });
}

function byHand(seed: number): { x: Float32Array; w: Float32Array; bias: Float32Array; values: Values } {
  const at = site('linear', 'one', [OUT, IN]);
  const [method] = attachMethods([loraOptions({ r: R, use_dora: true })], fakeContext([at])) as [Attached];
  const draws = random(seed, 'by hand');
  const normals = (size: number): Float32Array => Float32Array.from({ length: size }, () => draws.normal());
  return {
    x: normals(TOKENS * IN),
    w: normals(OUT * IN),
    bias: normals(OUT),
    values: randomValues(method, seed),
  };
}

const PATH = ['A', 'B', 'magnitude_vector'].map((part) => `one.lora_${part}`) as [string, string, string];

test('dropout: W·x itself is left, what the lengths change of it and B·A read the same dropped x', async () => {
  const numbers = byHand(3);
  const [a, b, m] = PATH.map((name) => numbers.values.get(name)!) as [Float32Array, Float32Array, Float32Array];
  const options = { lora_alpha: 3, lora_dropout: 0.3 } as const;
  // dropout(x) out of a LoRA whose B·A is the identity; the draws are the module's.
  const identity = Float32Array.from({ length: IN * IN }, (_, at) => Number(at % (IN + 1) === 0));
  const tall = Float32Array.from({ length: OUT * IN }, (_, at) => Number(Math.floor(at / IN) === at % IN));
  const zeros = { ...numbers, w: new Float32Array(OUT * IN), bias: new Float32Array(OUT) };
  const seen = await result(
    { r: IN, lora_alpha: IN, lora_dropout: 0.3 },
    {
      ...zeros,
      values: new Map([
        [PATH[0], identity],
        [PATH[1], tall],
      ]),
    },
    7,
  );
  const dropped = Float32Array.from(
    { length: TOKENS * IN },
    (_, at) => seen[Math.floor(at / IN) * OUT + (at % IN)]!,
  );
  const share = dropped.filter((value) => value === 0).length / dropped.length;
  assert.ok(share > 0.15 && share < 0.45, `${share} dropped`);
  const scale = 3 / R;
  const delta = Float32Array.from({ length: OUT * IN }, (_, at) => {
    const [i, j] = [Math.floor(at / IN), at % IN];
    let sum = 0;
    for (let k = 0; k < R; k++) sum += b[i * R + k]! * a[k * IN + j]!;
    return scale * sum;
  });
  const turned = numbers.w.map((value, at) => value + delta[at]!);
  const factor = m.map((value, i) => value / Math.hypot(...turned.subarray(i * IN, (i + 1) * IN)));
  const none = new Float32Array(OUT);
  const [whole, base, learned] = [
    applied(numbers.x, numbers.w, numbers.bias),
    applied(dropped, numbers.w, none),
    applied(dropped, delta, none),
  ];
  const expected = whole.map((value, at) => {
    const g = factor[at % OUT]!;
    return value + (g - 1) * base[at]! + g * learned[at]!;
  });
  const dora = { ...options, use_dora: true };
  assert.ok(largestDifference(await result(dora, numbers, 7), expected) < 2e-5);
  // Outside of training: m/‖V‖ ⊙ V·x and the bias.
  const evaluated = applied(
    numbers.x,
    turned.map((value, at) => factor[Math.floor(at / IN)]! * value),
    numbers.bias,
  );
  assert.ok(largestDifference(await result(dora, numbers), evaluated) < 2e-5);
});

test('‖V‖ is right to 1e-5 where B·A is as long as W', async () => {
  const numbers = byHand(4);
  const values = new Map(numbers.values).set(PATH[2], new Float32Array(OUT).fill(1));
  const found = await result({ use_dora: true, lora_alpha: 2 }, { ...numbers, values });
  const [a, b] = [values.get(PATH[0])!, values.get(PATH[1])!];
  const turned = numbers.w.map((value, at) => {
    let sum = value;
    for (let k = 0; k < R; k++) sum += b[Math.floor(at / IN) * R + k]! * a[k * IN + (at % IN)]!;
    return sum;
  });
  const rows = applied(numbers.x, turned, new Float32Array(OUT));
  for (let i = 0; i < OUT; i++) {
    const length = Math.hypot(...turned.subarray(i * IN, (i + 1) * IN));
    for (let t = 0; t < TOKENS; t++) {
      const expected = rows[t * OUT + i]! / length + numbers.bias[i]!;
      assert.ok(Math.abs(found[t * OUT + i]! - expected) < 1e-5 * Math.max(1, Math.abs(expected)));
    }
  }
});

test('an output of zeros has no direction: it stays, and nothing is not a number', async () => {
  const numbers = byHand(5);
  const w = numbers.w.map((value, at) => (at < IN ? 0 : value));
  const b = numbers.values.get(PATH[1])!.map((value, at) => (at < R ? 0 : value));
  const m = numbers.values.get(PATH[2])!.map((value, at) => (at === 0 ? 0 : value));
  const values = new Map(numbers.values).set(PATH[1], b).set(PATH[2], m);
  const found = await result({ use_dora: true }, { ...numbers, w, values });
  assert.ok(found.every((value) => Number.isFinite(value)));
  for (let t = 0; t < TOKENS; t++) assert.equal(found[t * OUT], numbers.bias[0]);
  const [method] = attachMethods(
    [loraOptions({ r: R, use_dora: true })],
    fakeContext([site('linear', 'one', [OUT, IN])]),
  ) as [Attached];
  const merged = method.merge!(site('linear', 'one', [OUT, IN]), 'weight', w, values)!;
  assert.deepEqual([...merged.subarray(0, IN)], Array(IN).fill(0));
});

test('what it measures is the weight: refused behind a method that changes what the module reads or gives', async () => {
  const { context } = await openModel(fixture('lora-reference', 'tiny-llama'));
  const dora = loraOptions({ use_dora: true, target_modules: ['k_proj'] });
  const scales: MethodConfig = {
    type: 'ia3',
    init_ia3_weights: true,
    target_modules: ['k_proj'],
    feedforward_modules: [],
  };
  assert.throws(
    () => attachMethods([scales, dora], context),
    problem('methods.order', 'lora measures the weight of model.layers.0.self_attn.k_proj', 'List lora first'),
  );
  attachMethods([dora, scales], context);
  attachMethods([scales, loraOptions({ target_modules: ['k_proj'] })], context);
  attachMethods([scales, loraOptions({ use_dora: true, target_modules: ['q_proj'] })], context);
});
