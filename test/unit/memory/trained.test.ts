import assert from 'node:assert/strict';
import { test } from 'node:test';
import { adapterCount, countTrained } from '../../../src/memory/trained.js';
import type { Trained } from '../../../src/memory/trained.js';
import { parameterCount, placedModules, weightCount } from '../../../src/memory/modelShape.js';
import { MODEL_NAMES, problemCode, shapeOf } from './support.js';
import type { ModelName } from './support.js';

const total = (model: ModelName, ...methods: readonly Trained[]): number => {
  const { base, copied, added } = countTrained(shapeOf(model), methods);
  return base + copied + added;
};
const lora = (rank: number, ...targets: readonly string[]): Trained => ({ kind: 'low-rank', rank, targets });

test("the textbook: LLaMA2-7B's FFN matrix has 45,088,768 values, its LoRA r 4 60,416", () => {
  const [up] = placedModules(shapeOf('llama2')).filter(({ path }) => path.endsWith('mlp.up_proj'));
  assert.equal(weightCount(up!.module), 45_088_768);
  assert.equal(total('llama2', lora(4, 'mlp.up_proj')) / 32, 60_416);
});

test('the textbook: a prompt of 5 for T5-XXL is 20,480 values', () => {
  assert.equal(total('t5Xxl', { kind: 'virtual-tokens', count: 5 }), 20_480);
});

test('the textbook: an adapter is 2dr + d + r', () => {
  assert.equal(adapterCount(768, 64), 2 * 768 * 64 + 768 + 64);
  assert.equal(total('bertBase', { kind: 'adapters', size: 64, perLayer: 2 }), 12 * 2 * 99_136);
});

test('the textbook: the biases of BERT-base are 102,912, 0.094 %, of BERT-large 0.08 %', () => {
  const base = total('bertBase', { kind: 'biases' });
  assert.equal(base, 102_912);
  assert.equal((base / 109_482_240).toFixed(5), '0.00094');
  const large = total('bertLarge', { kind: 'biases' });
  assert.equal(((100 * large) / parameterCount(shapeOf('bertLarge'))).toFixed(2), '0.08');
});

test("counts that PEFT published: T0_3B, mt0-xxl, Qwen2.5-3B, Llama-3.2-3B's method comparison", () => {
  assert.equal(total('t03b', lora(8, 'q', 'v')), 4_718_592);
  assert.equal(total('mt0', lora(16, 'q', 'v')), 18_874_368);
  assert.equal(total('qwen25', lora(16, 'q_proj', 'v_proj')), 3_686_400);
  assert.equal(total('llama32', lora(32, 'q_proj', 'v_proj')), 9_175_040);
  assert.equal(total('llama32', { kind: 'prefix', count: 50 }), 2_867_200);
  assert.equal(total('llama32', { kind: 'virtual-tokens', count: 200 }), 614_400);
  const norms: Trained = { kind: 'whole', targets: ['input_layernorm', 'post_attention_layernorm', 'model.norm'] };
  assert.equal(total('llama32', norms), 175_104);
  const scales: readonly Trained[] = [
    { kind: 'scales', targets: ['k_proj', 'v_proj'], side: 'out' },
    { kind: 'scales', targets: ['down_proj'], side: 'in' },
  ];
  assert.equal(total('llama32', ...scales), 286_720);
  const dora: Trained = { kind: 'low-rank', rank: 32, targets: ['q_proj', 'v_proj'], magnitude: true };
  assert.equal(total('llama32', dora), 9_175_040 + 28 * (3072 + 1024));
});

test('full trains everything once, whatever is listed beside it', () => {
  for (const name of MODEL_NAMES) {
    assert.equal(total(name, { kind: 'full' }), parameterCount(shapeOf(name)));
    assert.equal(total(name, { kind: 'full' }, { kind: 'biases' }), parameterCount(shapeOf(name)));
  }
});

test('a tied output layer can have a pair or a copy, and counts none of the base', () => {
  assert.equal(total('smollm2', lora(4, 'lm_head')), 4 * (576 + 49152));
  assert.equal(total('smollm2', { kind: 'whole', targets: ['lm_head'], copied: true }), 576 * 49152);
});

test('biases of targets only; a copied module counts its bias once', () => {
  assert.equal(total('bertBase', { kind: 'biases', targets: ['attention.self.query'] }), 12 * 768);
  const pooler: Trained = { kind: 'whole', targets: ['pooler.dense'], copied: true };
  assert.equal(total('bertBase', pooler, { kind: 'biases' }), 102_912 + 768 * 768);
});

test('every expert gets its pair', () => {
  assert.equal(total('mixtral', lora(4, 'experts.w1')), 32 * 8 * 4 * (4096 + 14336));
});

test('targets end at a dot, all-linear leaves out the output layer', () => {
  assert.equal(
    problemCode(() => total('llama2', lora(4, 'proj'))),
    'memory.targets',
  );
  assert.equal(
    problemCode(() => total('llama2', { kind: 'whole', targets: ['c_attn'] })),
    'memory.targets',
  );
  const all = total('llama2', { kind: 'low-rank', rank: 1, targets: 'all-linear' });
  assert.equal(all, 32 * (4 * 8192 + 3 * (4096 + 11008)));
});

test('a quantized matrix is not trained whole, its bias may be', () => {
  const nf4 = { kind: 'nf4', doubleQuantization: true } as const;
  const shape = shapeOf('bertBase');
  assert.equal(
    problemCode(() => countTrained(shape, [{ kind: 'full' }], nf4)),
    'memory.quantized',
  );
  assert.equal(countTrained(shape, [{ kind: 'biases' }], nf4).base, 102_912);
});
