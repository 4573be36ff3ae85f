import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planMemory } from '../../../src/memory/planMemory.js';
import type { MemoryPlan, MomentName, PartName } from '../../../src/memory/plan.js';
import type { MemoryRun } from '../../../src/memory/run.js';
import type { ShardingPlan } from '../../../src/memory/sharding.js';
import type { WeightStorage } from '../../../src/memory/storage.js';
import type { Trained } from '../../../src/memory/trained.js';
import { randomSource } from './random.js';
import { MODEL_NAMES, memoryRun, problemCode, shapeOf } from './support.js';
import type { ModelName } from './support.js';

const bytes = (plan: MemoryPlan, name: PartName, at: MomentName = plan.peak): number =>
  plan.moments.find((moment) => moment.name === at)!.parts.find((part) => part.name === name)!.bytes;
const FULL: readonly Trained[] = [{ kind: 'full' }];

// Runs of all kinds on every family, the same every time.
const pick = randomSource(7);
const CASES_PER_MODEL = 7;
const cases: readonly { readonly model: ModelName; readonly run: MemoryRun }[] = MODEL_NAMES.flatMap((model) =>
  Array.from({ length: CASES_PER_MODEL }, () => ({
    model,
    run: memoryRun({
      methods: pick<readonly Trained[]>([
        [{ kind: 'low-rank', targets: 'all-linear', rank: pick([1, 8, 64]), dropout: pick([true, false]) }],
        [{ kind: 'biases' }, { kind: 'virtual-tokens', count: 20 }],
        [{ kind: 'prefix', count: 30 }],
        [{ kind: 'adapters', size: 16, perLayer: 2 }],
        [{ kind: 'low-rank', targets: 'all-linear', rank: 4, magnitude: true, singular: true }, { kind: 'mask' }],
      ]),
      batch: pick([1, 3, 8]),
      length: pick([1, 17, 128, 1024]),
      accumulation: pick([1, 4]),
      checkpointing: pick([true, false]),
      attention: pick(['eager', 'sdpa', 'flash'] as const),
      optimizer: pick<MemoryRun['optimizer']>([
        { kind: 'adamw', implementation: 'foreach' },
        { kind: 'adamw', masterWeights: true },
        { kind: 'adamw-8bit' },
        { kind: 'adafactor' },
        { kind: 'sgd', momentum: true },
        { kind: 'sgd' },
      ]),
      runtimeBytes: pick([0, 1000]),
    }),
  })),
);

/** Totals of one case, changed in several ways, least to most. */
function assertOrdered(what: string, changes: readonly ((run: MemoryRun) => MemoryRun)[]): void {
  for (const { model, run } of cases) {
    const totals = changes.map((change) => planMemory(shapeOf(model), change(run)).total);
    for (let at = 1; at < totals.length; at += 1) {
      const message = `${what}: ${model}, ${JSON.stringify(run)}: ${totals.join(' > ')}`;
      assert.ok(totals[at - 1]! <= totals[at]!, message);
    }
  }
}

test('parts add up to the total, none is negative, none is a fraction, each says how it comes about', () => {
  for (const { model, run } of cases) {
    const plan = planMemory(shapeOf(model), run);
    for (const { parts, bytes: total } of plan.moments) {
      assert.equal(
        parts.reduce((sum, part) => sum + part.bytes, 0),
        total,
      );
      assert.ok(parts.every((part) => Number.isSafeInteger(part.bytes) && part.bytes >= 0));
      assert.ok(parts.every((part) => part.formula.length > 5 && !/NaN|undefined|Infinity/.test(part.formula)));
      assert.equal(new Set(parts.map(({ name }) => name)).size, 11);
    }
    assert.equal(plan.total, Math.max(...plan.moments.map((moment) => moment.bytes)));
    assert.deepEqual(plan.parts, plan.moments.find(({ name }) => name === plan.peak)!.parts);
  }
});

test('4-bit ≤ 8-bit ≤ 16-bit ≤ 32-bit', () => {
  const with16 = (quantization?: WeightStorage['quantization']) => (run: MemoryRun) => ({
    ...run,
    weights: quantization === undefined ? ({ dtype: 'bf16' } as const) : { dtype: 'bf16' as const, quantization },
  });
  assertOrdered('bits', [
    with16({ kind: 'nf4', doubleQuantization: true }),
    with16({ kind: 'nf4', doubleQuantization: false }),
    with16({ kind: 'int8' }),
    with16(),
  ]);
  // Not with eager attention: in bfloat16 its scores take 6 bytes (softmax in float32 and a copy), in float32 4.
  assertOrdered('16 and 32 bits', [
    (run) => ({ ...run, attention: 'sdpa' }),
    (run) => ({ ...run, attention: 'sdpa', weights: { dtype: 'fp32' }, compute: 'fp32' }),
  ]);
  assertOrdered('GGUF', [
    with16({ kind: 'gguf', type: 'Q2_K' }),
    with16({ kind: 'gguf', type: 'Q3_K' }),
    with16({ kind: 'gguf', type: 'Q4_K' }),
    with16({ kind: 'gguf', type: 'Q5_K' }),
    with16({ kind: 'gguf', type: 'Q6_K' }),
    with16({ kind: 'gguf', type: 'Q8_0' }),
    with16(),
  ]);
});

test('LoRA ≤ full with AdamW, where pairs have the type that layers compute in', () => {
  // A pair in float32 on bfloat16 keeps a float32 copy of its input per module, which can be more than full keeps.
  const lora = (run: MemoryRun, rank: number): MemoryRun => ({
    ...run,
    adapterDtype: 'bf16',
    methods: [{ kind: 'low-rank', targets: 'all-linear', rank }],
    optimizer: { kind: 'adamw' },
  });
  assertOrdered('LoRA', [
    (run) => lora(run, 1),
    (run) => lora(run, 8),
    (run) => lora(run, 16),
    (run) => ({ ...lora(run, 1), methods: FULL }),
  ]);
});

test('more rows, tokens, rank or accumulation are never less', () => {
  for (const key of ['batch', 'length', 'accumulation'] as const) {
    assertOrdered(key, [
      (run) => run,
      (run) => ({ ...run, [key]: run[key] + 1 }),
      (run) => ({ ...run, [key]: run[key] * 3 }),
    ]);
  }
  assertOrdered(
    'rank',
    [1, 2, 16, 256].map((rank) => (run: MemoryRun) => ({
      ...run,
      methods: [{ kind: 'low-rank', targets: 'all-linear', rank } as const],
    })),
  );
});

test('checkpointing, fused attention, and smaller optimizer state are never more', () => {
  assertOrdered('attention', [
    (run) => ({ ...run, attention: 'flash' }),
    (run) => ({ ...run, attention: 'sdpa' }),
  ]);
  assertOrdered('optimizer', [
    (run) => ({ ...run, optimizer: { kind: 'sgd' } }),
    (run) => ({ ...run, optimizer: { kind: 'sgd', momentum: true } }),
    (run) => ({ ...run, optimizer: { kind: 'adamw' } }),
    (run) => ({ ...run, optimizer: { kind: 'adamw', implementation: 'foreach' } }),
  ]);
});

test('more devices are never more per device, and higher stages never more than lower', () => {
  const on = (kind: ShardingPlan['kind'], devices: number) => (run: MemoryRun) => ({
    ...run,
    sharding: { kind, devices },
  });
  for (const kind of ['data-parallel', 'zero-1', 'zero-2', 'zero-3', 'fsdp'] as const) {
    assertOrdered(
      kind,
      [64, 8, 3, 2, 1].map((devices) => on(kind, devices)),
    );
  }
  assertOrdered('stages', [on('zero-2', 4), on('zero-1', 4), (run) => run]);
});

test('GPT-2, everything trained in float32: 16 bytes per parameter', () => {
  const plan = planMemory(
    shapeOf('gpt2'),
    memoryRun({ weights: { dtype: 'fp32' }, compute: 'fp32', methods: FULL, batch: 1, length: 1 }),
  );
  const n = 124_439_808;
  assert.equal(plan.peak, 'backward ends');
  assert.equal(bytes(plan, 'weights'), 4 * n);
  assert.equal(bytes(plan, 'gradients'), 4 * n);
  assert.equal(bytes(plan, 'optimizer'), 8 * n);
  assert.equal(bytes(plan, 'gradients', 'backward begins'), 0);
  assert.equal(plan.trainable, n);
  assert.equal(plan.adapterFileBytes, 4 * n);
  const summed = planMemory(shapeOf('gpt2'), memoryRun({ methods: FULL, accumulation: 2 }));
  assert.equal(bytes(summed, 'gradients', 'backward begins'), 2 * n);
});

test('logits: positions × vocabulary × (type + 12), by chunks', () => {
  const logits = (rest: Partial<MemoryRun>): number =>
    bytes(planMemory(shapeOf('llama2'), memoryRun(rest)), 'logits', 'backward begins');
  assert.equal(logits({}), 256 * 32000 * 14);
  assert.equal(logits({ lossChunks: 4 }), 256 * 32000 * 5);
  assert.equal(logits({ methods: [{ kind: 'virtual-tokens', count: 10 }] }), 2 * 138 * 32000 * 14);
  assert.equal(bytes(planMemory(shapeOf('bertBase'), memoryRun()), 'logits', 'backward begins'), 0);
});

test("an adapter's file: values × 4, as PEFT writes it", () => {
  const lora: Trained = { kind: 'low-rank', targets: ['q', 'v'], rank: 8 };
  const plan = planMemory(shapeOf('t03b'), memoryRun({ methods: [lora] }));
  // PEFT's README: 19 MB
  assert.equal(plan.adapterFileBytes, 18_874_368);
});

test('ZeRO splits the optimizer, then gradients, then weights', () => {
  const of = (kind: ShardingPlan['kind']): readonly number[] => {
    const plan = planMemory(shapeOf('llama2'), memoryRun({ methods: FULL, sharding: { kind, devices: 4 } }));
    return (['optimizer', 'gradients', 'weights'] as const).map((name) => bytes(plan, name, 'optimizer steps'));
  };
  const n = 6_738_415_616;
  assert.deepEqual(of('data-parallel'), [4 * n, 2 * n, 2 * n]);
  assert.deepEqual(of('zero-1'), [n, 2 * n, 2 * n]);
  assert.deepEqual(of('zero-2'), [n, n / 2, 2 * n]);
  assert.deepEqual(of('zero-3'), [n, n / 2, n / 2]);
});

test('optimizers: moments in the type of what is trained, 8-bit, factored, float32 copies', () => {
  const state = (optimizer: MemoryRun['optimizer'], methods = FULL): number =>
    bytes(planMemory(shapeOf('gpt2'), memoryRun({ methods, optimizer })), 'optimizer');
  const n = 124_439_808;
  assert.equal(state({ kind: 'adamw' }), 4 * n);
  assert.equal(state({ kind: 'adamw', masterWeights: true }), 8 * n);
  assert.equal(state({ kind: 'adamw-8bit' }), 2 * (n + 4 * Math.ceil(n / 256)));
  assert.equal(state({ kind: 'sgd' }), 0);
  // Adafactor, by hand, on one matrix a layer: 2 × rank more than rows and columns.
  const lora: Trained = { kind: 'low-rank', targets: ['c_fc'], rank: 8 };
  assert.equal(state({ kind: 'adafactor' }, [lora]), 4 * 12 * (768 + 3072 + 16));
  assert.equal(state({ kind: 'adamw' }, [lora]), 8 * 12 * 8 * (768 + 3072));
});

test('the step within the backward pass holds one gradient, and does not go with accumulation', () => {
  const optimizer = { kind: 'adamw', inBackward: true } as const;
  const plan = planMemory(shapeOf('gpt2'), memoryRun({ methods: FULL, optimizer }));
  assert.equal(bytes(plan, 'gradients', 'optimizer steps'), 2 * 50257 * 768);
  const both = memoryRun({ methods: FULL, optimizer, accumulation: 2 });
  assert.equal(
    problemCode(() => planMemory(shapeOf('gpt2'), both)),
    'memory.run',
  );
});

test('autocast keeps narrower copies, quantization a matrix to unpack', () => {
  const autocast = planMemory(shapeOf('gpt2'), memoryRun({ weights: { dtype: 'fp32' } }));
  const plain = planMemory(shapeOf('gpt2'), memoryRun());
  const matrices = 12 * 12 * 768 * 768;
  const at = 'backward begins';
  assert.equal(bytes(autocast, 'workspace', at) - bytes(plain, 'workspace', at), 2 * matrices);
  const packed = memoryRun({ weights: { dtype: 'bf16', quantization: { kind: 'int8' } } });
  assert.equal(bytes(planMemory(shapeOf('gpt2'), packed), 'dequantization', at), 2 * 4 * 768 * 768);
});

test('AdaLoRA keeps three averages per value of its triplets, Child-Tuning a byte per trained value', () => {
  const triplets: Trained = { kind: 'low-rank', targets: ['c_fc'], rank: 8, singular: true };
  const values = 12 * 8 * (768 + 3072 + 1);
  const state = (...methods: readonly Trained[]): number =>
    bytes(planMemory(shapeOf('gpt2'), memoryRun({ methods })), 'state');
  assert.equal(state(triplets), 3 * 4 * values);
  assert.equal(state(triplets, { kind: 'mask' }), 3 * 4 * values + values);
  assert.equal(state({ kind: 'full' }, { kind: 'mask' }), 124_439_808);
  assert.equal(state({ kind: 'low-rank', targets: ['c_fc'], rank: 8 }), 0);
});

test('copies of whole modules lie beside the base, in its type', () => {
  const head: Trained = { kind: 'whole', targets: ['lm_head'], copied: true };
  const plan = planMemory(shapeOf('gpt2'), memoryRun({ methods: [head] }));
  const values = 50257 * 768;
  assert.equal(bytes(plan, 'weights'), 2 * 124_439_808);
  assert.equal(bytes(plan, 'adapter'), 2 * values);
  assert.equal(bytes(plan, 'optimizer'), 2 * 2 * values);
  assert.equal(plan.trainable, values);
  assert.equal(plan.adapterFileBytes, 2 * values);
});

test('single values are written with their places, and need the input of their matrix', () => {
  const sparse: Trained = { kind: 'sparse', targets: ['mlp.c_proj'], values: 1000 };
  const run = memoryRun({ methods: [sparse], attention: 'eager' });
  const plan = planMemory(shapeOf('gpt2'), run);
  assert.equal(plan.trainable, 1000);
  assert.equal(plan.adapterFileBytes, 8000);
  const without = planMemory(shapeOf('gpt2'), { ...run, methods: [] });
  const at = 'backward begins';
  assert.equal(bytes(plan, 'activations', at) - bytes(without, 'activations', at), 12 * 256 * 3072 * 2);
});

test('values that rest are counted and saved, and have neither gradients nor slots', () => {
  const layer: Trained = { kind: 'whole', targets: ['ln_f'] };
  const run = memoryRun({ methods: [layer], resting: 5000 });
  const plan = planMemory(shapeOf('gpt2'), run);
  assert.equal(plan.trainable, 2 * 768 + 5000);
  assert.equal(plan.adapterFileBytes, 2 * (2 * 768 + 5000));
  assert.equal(bytes(plan, 'optimizer'), 2 * 2 * 2 * 768);
});

test('numbers that are none are refused', () => {
  for (const rest of [{ batch: 0 }, { length: 1.5 }, { accumulation: NaN }, { lossChunks: 0 }]) {
    assert.equal(
      problemCode(() => planMemory(shapeOf('gpt2'), memoryRun(rest))),
      'memory.number',
    );
  }
  const rank: Trained = { kind: 'low-rank', targets: 'all-linear', rank: -1 };
  assert.equal(
    problemCode(() => planMemory(shapeOf('gpt2'), memoryRun({ methods: [rank] }))),
    'memory.number',
  );
});
