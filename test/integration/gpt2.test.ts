import assert from 'node:assert/strict';
import { copyFile, mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { mergeAdapter } from '../../src/adapters/merging/merge.js';
import type { JsonObject } from '../../src/common/json.js';
import { createGenerator } from '../../src/generation/generate.js';
import { FullOptions } from '../../src/methods/full.js';
import { LoraOptions } from '../../src/methods/lora.js';
import type { Attached, Values } from '../../src/methods/method.js';
import { attachMethod } from '../../src/methods/registry.js';
import { loadTokenizer } from '../../src/models/loadTokenizer.js';
import { readModel } from '../../src/models/readModel.js';
import { createScope } from '../../src/models/scope.js';
import { dim, multiplyDims } from '../../src/tensor/dims.js';
import { reshape } from '../../src/tensor/ops/shape.js';
import { input } from '../../src/tensor/tensor.js';
import { problem, temporaryFolder } from '../support/adapters.js';
import { fixture, largestDifference, readInputIds, readTensors } from '../support/fixtures.js';
import type { Opened } from '../support/model.js';
import { attachAdapter, logitsOf, openModel } from '../support/model.js';
import { randomValues } from '../unit/methods/fakeModel.js';

const folder = temporaryFolder();
const gpt2 = (...parts: string[]): string => fixture('gpt2', ...parts);
const PREFIXED = 'tiny-gpt2';
const BARE = 'tiny-gpt2-bare';
const ROWS = [
  [17, 3, 99, 254, 8, 120, 33, 41, 6, 319],
  [5, 300, 12, 12, 77, 1, 0, 210, 318, 64],
];

async function expectedLogits(file: string, name = 'logits'): Promise<Float32Array> {
  return (await readTensors(file)).get(name)!.data;
}

for (const name of [PREFIXED, 'tiny-gpt2-untied']) {
  test(`logits of ${name} are those of Transformers at every position`, async () => {
    const file = gpt2(name, 'logits.safetensors');
    const found = await logitsOf(await openModel(gpt2(name)), await readInputIds(file));
    const difference = largestDifference(found, await expectedLogits(file));
    assert.ok(difference <= 1e-4, String(difference));
  });
}

test("a checkpoint without the prefix gives Transformers' logits under every config it supports", async () => {
  const opened = await openModel(gpt2(BARE));
  const file = gpt2(BARE, 'logits.safetensors');
  const rows = await readInputIds(file);
  const variants = JSON.parse(await readFile(gpt2(BARE, 'variants.json'), 'utf8')) as Record<string, JsonObject>;
  assert.equal(Object.keys(variants).length, 12);
  for (const [name, change] of Object.entries(variants)) {
    const model = readModel({ ...opened.checkpoint, config: { ...opened.checkpoint.config, ...change } });
    const difference = largestDifference(
      await logitsOf({ ...opened, model }, rows),
      await expectedLogits(file, name),
    );
    assert.ok(difference <= 1e-4, `${name}: ${difference}`);
  }
});

/** Logits of rows whose positions and segments are given; 0 is padding. */
async function logitsWith(
  { model, weights, runtime }: Opened,
  rows: { readonly ids: number[]; readonly positions: number[]; readonly segments: number[] }[],
): Promise<Float32Array> {
  const tokens = [dim('batch'), dim('sequence')];
  const scope = createScope(model.sites, [], { dropoutSeed: undefined });
  const { hidden } = model.decode(scope, {
    inputIds: input('ids', 'int32', tokens),
    positions: input('positions', 'int32', tokens),
    segments: input('segments', 'int32', tokens),
    positionLimit: model.maxPositions,
  });
  const flat = reshape(hidden, [multiplyDims(tokens[0]!, tokens[1]!), model.hiddenSize]);
  const program = await runtime.compile({ logits: model.head(scope, flat) }, weights);
  const feed = (name: 'ids' | 'positions' | 'segments') => ({
    dtype: 'int32' as const,
    shape: [rows.length, rows[0]!.ids.length],
    data: Int32Array.from(rows.flatMap((row) => row[name])),
  });
  const { logits } = await program.run({
    ids: feed('ids'),
    positions: feed('positions'),
    segments: feed('segments'),
  });
  await program.dispose();
  return logits!.data as Float32Array;
}

test('padding and several texts in a row change no logit', async () => {
  const opened = await openModel(gpt2(PREFIXED));
  const size = opened.model.vocabSize;
  const [a, b] = [ROWS[0]!.slice(0, 4), ROWS[1]!.slice(0, 5)];
  const count = (length: number): number[] => Array.from({ length }, (_, at) => at);
  const found = await logitsWith(opened, [
    { ids: [...a, ...b, 0], positions: [...count(4), ...count(5), 0], segments: [1, 1, 1, 1, 2, 2, 2, 2, 2, 0] },
    {
      ids: [...b, 7, 7, 7, 7, 7],
      positions: [...count(5), 0, 0, 0, 0, 0],
      segments: [1, 1, 1, 1, 1, 0, 0, 0, 0, 0],
    },
  ]);
  const [alone, other] = [await logitsOf(opened, [a]), await logitsOf(opened, [b])];
  assert.ok(largestDifference(found.subarray(0, 4 * size), alone) <= 1e-4);
  assert.ok(largestDifference(found.subarray(4 * size, 9 * size), other) <= 1e-4);
  assert.ok(largestDifference(found.subarray(10 * size, 15 * size), other) <= 1e-4);
  const moved = await logitsWith(opened, [{ ids: a, positions: [1, 2, 3, 4], segments: [1, 1, 1, 1] }]);
  assert.ok(largestDifference(moved, alone) > 0.1, 'positions count');
});

test('decoding with a cache, in a batch of unequal prompts, takes the tokens of the plain forward pass', async () => {
  const opened = await openModel(gpt2(PREFIXED));
  const { method, values } = await attachAdapter(opened, gpt2('lora-steps/c-attn/final'));
  const size = opened.model.vocabSize;
  for (const adapter of [undefined, { method, values }]) {
    const generator = await createGenerator({
      ...opened,
      methods: adapter === undefined ? [] : [adapter.method],
      values: adapter?.values ?? new Map(),
      positionLimit: opened.model.maxPositions,
    });
    const prompts = [[5], ROWS[0]!, [64, 2, 90]];
    const answers = await generator.generate(prompts, { max_new_tokens: 30 });
    await generator.dispose();
    for (const [row, prompt] of prompts.entries()) {
      const answer = answers[row]!.ids;
      assert.ok(answer.length > 5, 'long enough to tell');
      const logits = await logitsOf(opened, [[...prompt, ...answer]], adapter);
      const plain = answer.map((_, at) => {
        const start = (prompt.length - 1 + at) * size;
        const own = logits.subarray(start, start + size);
        return own.indexOf(Math.max(...own));
      });
      assert.deepEqual(answer, plain, `row ${row}`);
    }
  }
});

test('more positions than the model has learned are refused, as many as it has are not', async () => {
  const opened = await openModel(gpt2(PREFIXED));
  const row = (length: number): number[][] => [Array.from({ length }, (_, at) => at)];
  await logitsOf(opened, row(48));
  await assert.rejects(
    logitsOf(opened, row(49)),
    problem('model.positions', 'rows of 49 tokens', 'at most 48', 'data.max_length'),
  );
  await assert.rejects(
    createGenerator({ ...opened, methods: [], values: new Map(), positionLimit: 49 }),
    problem('generation.position-limit', '48'),
  );
});

test('token ids are those of Transformers, and decode to the text', async () => {
  const tokenizer = await loadTokenizer(gpt2(PREFIXED));
  const rows = JSON.parse(await readFile(gpt2(PREFIXED, 'token-ids.json'), 'utf8')) as {
    text: string;
    ids: number[];
  }[];
  assert.equal(rows.length, 10);
  for (const { text, ids } of rows) {
    assert.deepEqual(tokenizer.encode(text), ids, JSON.stringify(text));
    assert.equal(tokenizer.decode(ids), text);
  }
  // The files name no special token: the ids come from config.json.
  assert.deepEqual([tokenizer.bosTokenId, tokenizer.eosTokenId, tokenizer.vocabSize], [319, 319, 320]);
});

test('a folder that has vocab.json and merges.txt only is refused with the way to convert it', async () => {
  const old = path.join(folder, 'old-tokenizer');
  await mkdir(old);
  for (const name of ['vocab.json', 'merges.txt']) await copyFile(gpt2(PREFIXED, name), path.join(old, name));
  await assert.rejects(
    loadTokenizer(old),
    problem('tokenizer.not-found', 'tokenizer.json', 'AutoTokenizer.from_pretrained(…).save_pretrained(…)'),
  );
});

const ADAPTERS: [adapter: string, base: string][] = [
  ['lora-steps/c-attn/final', PREFIXED],
  ['lora-steps/all/final', BARE],
  ['lora-steps/whole/final', PREFIXED],
  ['peft-adapter-embeddings', PREFIXED],
];

for (const [name, base] of ADAPTERS) {
  test(`the adapter that PEFT wrote (${name}) gives PEFT's logits, applied and merged`, async () => {
    const opened = await openModel(gpt2(base));
    const adapter = await attachAdapter(opened, gpt2(name));
    const file = gpt2(name, 'logits.safetensors');
    const rows = await readInputIds(file);
    const expected = await expectedLogits(file);
    const applied = largestDifference(await logitsOf(opened, rows, adapter), expected);
    assert.ok(applied <= 1e-4, `applied: ${applied}`);
    const out = path.join(folder, name.replaceAll('/', '-'));
    const tokenizer = await loadTokenizer(gpt2(PREFIXED));
    const report = await mergeAdapter({ ...opened, ...adapter, tokenizer, out });
    assert.deepEqual(report.warnings, []);
    const merged = await openModel(out);
    const difference = largestDifference(await logitsOf(merged, rows), expected);
    assert.ok(difference <= 1e-4, `merged: ${difference}`);
    // Under Transformers' own names, and without the masks.
    const names = [...merged.checkpoint.tensors.keys()].filter((each) => each !== 'lm_head.weight');
    assert.ok(names.every((each) => each.startsWith('transformer.') && !each.endsWith('.attn.bias')));
    assert.equal(merged.checkpoint.tensors.has('lm_head.weight'), report.tied === 'untied');
  });
}

function attach(opened: Opened, options: Partial<LoraOptions>): { method: Attached; values: Values } {
  const method = attachMethod(Value.Parse(LoraOptions, { type: 'lora', ...options }), opened.context);
  return { method, values: randomValues(method) };
}

test('all-linear takes every Conv1D and leaves the output layer', async () => {
  const opened = await openModel(gpt2(BARE));
  const saved = attach(opened, { r: 2 }).method.save(attach(opened, { r: 2 }).values);
  assert.ok(saved.kind === 'adapter');
  assert.deepEqual(saved.config['target_modules'], ['c_attn', 'c_fc', 'c_proj']);
  assert.equal(saved.config['fan_in_fan_out'], true);
  const shapes = new Map(saved.tensors.map(({ name, shape }) => [name, shape]));
  assert.equal(shapes.size, 16);
  const prefix = 'base_model.model.transformer.h.1';
  assert.deepEqual(shapes.get(`${prefix}.attn.c_attn.lora_A.weight`), [2, 24]);
  assert.deepEqual(shapes.get(`${prefix}.attn.c_attn.lora_B.weight`), [72, 2]);
  assert.deepEqual(shapes.get(`${prefix}.mlp.c_proj.lora_A.weight`), [2, 40]);
});

test('learned positions are adapted without a word about the tied matrix', async () => {
  const opened = await openModel(gpt2(PREFIXED));
  const codes = (options: Partial<LoraOptions>): string[] =>
    attach(opened, options).method.coverage.warnings.map(({ code }) => code);
  assert.deepEqual(codes({ target_modules: ['wpe'] }), []);
  assert.deepEqual(codes({ target_modules: ['wte'] }), ['lora.tied']);
});

test('full fine-tuning trains and writes every parameter in the layout of the checkpoint', async () => {
  const opened = await openModel(gpt2(BARE));
  const method = attachMethod(Value.Parse(FullOptions, { type: 'full' }), opened.context);
  const values = new Map<string, Float32Array>();
  for (const { variable, start } of method.trainables) values.set(variable.name, await start());
  assert.equal(
    largestDifference(await logitsOf(opened, ROWS, { method, values }), await logitsOf(opened, ROWS)),
    0,
  );
  const saved = method.save(values);
  assert.ok(saved.kind === 'model');
  const parameters = [...opened.checkpoint.tensors].filter(([name]) => !/\.attn\.(masked_)?bias$/.test(name));
  assert.equal(saved.weights.length, parameters.length);
  for (const { name, shape } of saved.weights) {
    assert.deepEqual(shape, opened.checkpoint.tensors.get(name)!.shape, name);
  }
});
