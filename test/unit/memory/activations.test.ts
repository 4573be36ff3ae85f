import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { JsonObject } from '../../../src/common/json.js';
import { activations } from '../../../src/memory/activations.js';
import { readModelShape } from '../../../src/memory/readShape.js';
import type { MemoryRun } from '../../../src/memory/run.js';
import { memoryRun, shapeOf } from './support.js';

interface Measured {
  readonly sizes: { readonly batch: number; readonly length: number; readonly targetLength: number };
  readonly cases: readonly {
    readonly config: JsonObject;
    readonly dtype: 'fp32' | 'bf16';
    readonly attention: 'eager' | 'sdpa';
    readonly targets: readonly string[];
    readonly rank: number;
    readonly bytes: number;
  }[];
}
const { sizes, cases } = JSON.parse(readFileSync('test/unit/memory/savedTensors.json', 'utf8')) as Measured;

/** Small tensors that are not counted: inverse deviations, router weights. */
const EAGER_TOLERANCE = 0.025;
/** On CPU sdpa copies some outputs and does not repeat keys and values without a mask. */
const SDPA_TOLERANCE = 0.1;

test('what a layer keeps is what PyTorch saved for it (savedTensors.py)', () => {
  assert.ok(cases.length > 50);
  for (const measured of cases) {
    const { config, dtype, attention, targets, rank, bytes } = measured;
    const run = memoryRun({
      ...sizes,
      weights: { dtype },
      compute: dtype,
      attention,
      methods: targets.length === 0 ? [{ kind: 'full' }] : [{ kind: 'low-rank', targets, rank }],
    });
    const kept = (layers: number): number =>
      activations(readModelShape(withLayers(config, layers), 'c'), run).kept;
    const error = (kept(2) - kept(1)) / bytes - 1;
    const tolerance = attention === 'eager' ? EAGER_TOLERANCE : SDPA_TOLERANCE;
    const what = `${String(config['model_type'])} ${dtype} ${attention} ${targets.join(',') || 'full'}`;
    assert.ok(Math.abs(error) <= tolerance, `${what}: ${kept(2) - kept(1)} against ${bytes}`);
  }
});

function withLayers(config: JsonObject, layers: number): JsonObject {
  const keys = ['num_hidden_layers', 'n_layer', 'num_layers'].filter((key) => key in config);
  return { ...config, ...Object.fromEntries(keys.map((key) => [key, layers])) };
}

const kept = (model: Parameters<typeof shapeOf>[0], rest: Partial<MemoryRun>): number =>
  activations(shapeOf(model), memoryRun(rest)).kept;

test('Llama in bfloat16 with LoRA on q, by hand, per token and layer', () => {
  const run = { batch: 1, length: 1, methods: [{ kind: 'low-rank', targets: ['q_proj'], rank: 8 } as const] };
  // two norms' float32 inputs; q, k, v, output and a float32 per head; gate, its activation, up; q's float32 input, 8
  const layer = 2 * 4 * 4096 + (4 * 2 * 4096 + 4 * 32) + 3 * 2 * 11008 + 4 * (4096 + 8);
  assert.equal(kept('llama2', run), 32 * layer);
});

test("checkpointing keeps every layer's input, and one layer", () => {
  const layer = kept('llama2', { length: 64 }) / 32;
  assert.equal(kept('llama2', { length: 64, checkpointing: true }), 32 * 2 * 64 * 4096 * 2 + layer);
});

test('eager scores grow with the square of the length, fused attention with the length', () => {
  const growth = (attention: MemoryRun['attention']): number => {
    const at = (length: number): number => kept('llama2', { length, attention, batch: 1 });
    return at(1024) - 2 * at(512);
  };
  assert.equal(growth('flash'), 0);
  // twice 512² more scores of 6 bytes, in 32 heads and layers
  assert.equal(growth('eager'), 32 * 32 * 6 * 2 * 512 * 512);
});

test('flash does not repeat keys and values for grouped queries', () => {
  const repeated = kept('llama32', { attention: 'sdpa', batch: 1, length: 1 });
  assert.equal(
    repeated - kept('llama32', { attention: 'flash', batch: 1, length: 1 }),
    28 * 2 * 2 * 128 * (24 - 8),
  );
});

test('an encoder-decoder counts its sides by their own lengths', () => {
  const run = { methods: [{ kind: 'biases' } as const], batch: 1 };
  const base = kept('t03b', { ...run, length: 10, targetLength: 1 });
  assert.ok(kept('t03b', { ...run, length: 20, targetLength: 1 }) - base > 0);
  // More of the target costs only decoder layers: 3 norms, less than what an encoder's and a decoder's memory cost.
  const target = kept('t03b', { ...run, length: 10, targetLength: 2 }) - base;
  assert.ok(target > 24 * 3 * 4 * 2048);
});
