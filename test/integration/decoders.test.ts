import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { mergeAdapter } from '../../src/adapters/merging/merge.js';
import type { JsonObject } from '../../src/common/json.js';
import { makeBatch } from '../../src/data/batches.js';
import { createGenerator } from '../../src/generation/generate.js';
import { trainedFeeds } from '../../src/methods/trainedFeeds.js';
import { loadTokenizer } from '../../src/models/loadTokenizer.js';
import { openCheckpoint } from '../../src/models/openCheckpoint.js';
import { readModel } from '../../src/models/readModel.js';
import { createScope } from '../../src/models/scope.js';
import type { Hooks } from '../../src/models/site.js';
import { parameterShape } from '../../src/models/site.js';
import type { Value } from '../../src/runtime/runtime.js';
import { dim, fixedShape, multiplyDims } from '../../src/tensor/dims.js';
import { gradients } from '../../src/tensor/grad.js';
import { mul } from '../../src/tensor/ops/elementwise.js';
import { reshape } from '../../src/tensor/ops/shape.js';
import type { Input } from '../../src/tensor/tensor.js';
import { input } from '../../src/tensor/tensor.js';
import { batchFeeds, lossGraph } from '../../src/training/lossGraph.js';
import { temporaryFolder } from '../support/adapters.js';
import { fixture, largestDifference, readInputIds, readTensors, relativeDistance } from '../support/fixtures.js';
import type { Opened } from '../support/model.js';
import { attachAdapter, logitsOf, openModel } from '../support/model.js';

const folder = temporaryFolder();

const FAMILIES = ['tiny-qwen2', 'tiny-qwen3', 'tiny-gemma', 'tiny-gemma2', 'tiny-gemma3'];

interface Variant {
  /** Other words for what the folder's own config says. */
  readonly same?: true;
  readonly drop: readonly string[];
  readonly set: JsonObject;
}

for (const name of [...FAMILIES, 'tiny-qwen3-biased']) {
  test(`${name}: Transformers' logits at every position, under every config it may have`, async () => {
    const opened = await openModel(fixture('decoders', name));
    const file = fixture('decoders', name, 'logits.safetensors');
    const rows = await readInputIds(file);
    const expected = await readTensors(file);
    const plain = await logitsOf(opened, rows);
    const difference = largestDifference(plain, expected.get('logits')!.data);
    assert.ok(difference <= 1e-4, String(difference));
    const variants = JSON.parse(await readFile(fixture('decoders', name, 'variants.json'), 'utf8')) as Record<
      string,
      Variant
    >;
    assert.equal(expected.size, 1 + Object.values(variants).filter(({ same }) => same !== true).length);
    for (const [variant, { same, drop, set }] of Object.entries(variants)) {
      const kept = Object.entries(opened.checkpoint.config).filter(([key]) => !drop.includes(key));
      const model = readModel({ ...opened.checkpoint, config: { ...Object.fromEntries(kept), ...set } });
      const found = await logitsOf({ ...opened, model }, rows);
      const from = largestDifference(found, expected.get(same === true ? 'logits' : variant)!.data);
      assert.ok(from <= 1e-4, `${variant}: ${from}`);
    }
  });

  test(`${name}: padding and several texts in a row change no logit`, async () => {
    const opened = await openModel(fixture('decoders', name));
    const size = opened.model.vocabSize;
    const [a, b] = [
      [17, 3, 90, 54, 8, 20, 33],
      [5, 30, 12, 12, 77, 41, 9, 64, 88, 71],
    ] as const;
    const count = (length: number): number[] => Array.from({ length }, (_, at) => at);
    const ofEach = (value: number, length: number): number[] => new Array<number>(length).fill(value);
    const found = await logitsWith(opened, [
      {
        ids: [...a, ...b, 0],
        positions: [...count(7), ...count(10), 0],
        segments: [...ofEach(1, 7), ...ofEach(2, 10), 0],
      },
      {
        ids: [...b, ...ofEach(7, 8)],
        positions: [...count(10), ...ofEach(0, 8)],
        segments: [...ofEach(1, 10), ...ofEach(0, 8)],
      },
    ]);
    const [alone, other] = [await logitsOf(opened, [a]), await logitsOf(opened, [b])];
    assert.ok(largestDifference(found.subarray(0, 7 * size), alone) <= 1e-4);
    assert.ok(largestDifference(found.subarray(7 * size, 17 * size), other) <= 1e-4);
    assert.ok(largestDifference(found.subarray(18 * size, 28 * size), other) <= 1e-4);
  });
}

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

for (const name of FAMILIES) {
  test(`${name}: decoding with a cache, prompts of unequal length together, is the plain forward pass`, async () => {
    const opened = await openModel(fixture('decoders', name));
    const size = opened.model.vocabSize;
    const { method, values } = await attachAdapter(opened, fixture('decoders', name, 'adapter'));
    for (const adapter of [undefined, { method, values }]) {
      const generator = await createGenerator({
        ...opened,
        methods: adapter === undefined ? [] : [adapter.method],
        values: adapter?.values ?? new Map(),
        positionLimit: opened.model.maxPositions,
      });
      const prompts = [[5], [17, 3, 90, 54, 8, 20, 33, 41, 6], [64, 2, 90]];
      const answers = await generator.generate(prompts, { max_new_tokens: 20 });
      await generator.dispose();
      for (const [row, prompt] of prompts.entries()) {
        const answer = answers[row]!.ids;
        // Longer than a window.
        assert.ok(answer.length > 5);
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

  test(`${name}: the gradients of a padded batch are PEFT's and PyTorch's`, async () => {
    const opened = await openModel(fixture('decoders', name));
    const { method, values } = await attachAdapter(opened, fixture('decoders', name, 'adapter'));
    const expected = await readTensors(fixture('decoders', name, 'adapter/gradients.safetensors'));

    // Every norm and bias of the base trains, beside LoRA.
    const variables = new Map<string, Input>();
    const base: Hooks = {
      parameter(site, kind, tensor) {
        if (kind === 'weight' && site.kind !== 'norm') return tensor;
        const parameter = kind === 'weight' ? site.weight! : site.bias!;
        const variable = variables.get(parameter) ?? input(parameter, 'float32', parameterShape(site, kind));
        variables.set(parameter, variable);
        return variable;
      },
    };
    const graph = lossGraph(opened.model, [base, method.hooks], { training: false, positionLimit: 16 });
    const batch = makeBatch(
      ROWS.map(({ ids, supervised }) => ({ ids, supervised, file: 'make.py', line: 1 })),
      ROWS.map((_, at) => [at]),
    );
    const loss = mul(graph.lossSum, 1 / batch.targets.length);
    const wrt = [...variables.values(), ...method.trainables.map(({ variable }) => variable)];
    const found = gradients(loss, wrt);
    const program = await opened.runtime.compile(
      { loss, ...Object.fromEntries(wrt.map((variable, at) => [`gradient ${variable.name}`, found[at]!])) },
      opened.weights,
    );
    const feeds: Record<string, Value> = {
      ...batchFeeds(batch),
      ...trainedFeeds([method], values, program.reads),
    };
    for (const [parameter, { shape }] of variables) {
      const data = await opened.checkpoint.read(parameter);
      feeds[parameter] = { dtype: 'float32', shape: fixedShape(shape), data };
    }
    const results = await program.run(feeds);
    await program.dispose();

    const [wanted] = expected.get('loss')!.data;
    assert.ok(Math.abs(Number(results['loss']!.data[0]) - wanted!) <= 1e-4);
    const gradientOf = (key: string): Float32Array => results[`gradient ${key}`]!.data as Float32Array;
    const saved = method.save(
      new Map(method.trainables.map(({ variable: { name: key } }) => [key, gradientOf(key)])),
    );
    assert.ok(saved.kind === 'adapter');
    const own = new Map(saved.tensors.map(({ name: key, data }) => [key, data]));
    for (const parameter of variables.keys()) own.set(parameter, gradientOf(parameter));
    assert.deepEqual([...own.keys(), 'loss'].sort(), [...expected.keys()].sort());
    for (const [key, gradient] of own) {
      const distance = relativeDistance(gradient, expected.get(key)!.data);
      assert.ok(distance <= 1e-4, `${key}: ${distance}`);
    }
  });

  test(`${name}: an adapter that PEFT wrote gives PEFT's logits, applied and merged`, async () => {
    const opened = await openModel(fixture('decoders', name));
    const file = fixture('decoders', name, 'adapter');
    const rows = await readInputIds(`${file}/logits.safetensors`);
    const adapter = await attachAdapter(opened, file);
    const expected = (await readTensors(`${file}/logits.safetensors`)).get('logits')!.data;
    assert.ok(largestDifference(await logitsOf(opened, rows, adapter), expected) <= 1e-4);
    assert.ok(largestDifference(await logitsOf(opened, rows), expected) > 0.1, 'the adapter changes something');
    const tokenizer = await loadTokenizer(fixture('decoders/qwen-tokenizer'));
    const out = path.join(folder, name);
    await mergeAdapter({ ...opened, ...adapter, tokenizer, out, dtype: 'F32' });
    assert.ok(largestDifference(await logitsOf(await openModel(out), rows), expected) <= 1e-4);
  });
}

/** What a GGUF file cannot say of a model; the rest of the config comes from its metadata. */
const UNSAID: Readonly<Record<string, JsonObject>> = {
  'tiny-qwen2': { use_sliding_window: true, sliding_window: 5, max_window_layers: 1 },
  'tiny-qwen3': {},
  'tiny-gemma': {},
  'tiny-gemma2': { query_pre_attn_scalar: 20 },
  'tiny-gemma3': { query_pre_attn_scalar: 20 },
};

for (const name of FAMILIES) {
  test(`${name} as a GGUF file: the weights of the folder, and its logits`, async () => {
    const original = await openCheckpoint(fixture('decoders', name));
    const opened = await openModel(fixture('decoders', `${name}.gguf`));
    assert.deepEqual([...opened.checkpoint.tensors.keys()].sort(), [...original.tensors.keys()].sort());
    for (const tensor of original.tensors.keys()) {
      const difference = largestDifference(await opened.checkpoint.read(tensor), await original.read(tensor));
      assert.ok(difference <= (tensor.endsWith('norm.weight') ? 1e-6 : 0), `${tensor}: ${difference}`);
    }
    const model = readModel({
      ...opened.checkpoint,
      config: { ...opened.checkpoint.config, ...UNSAID[name] },
    });
    const file = fixture('decoders', name, 'logits.safetensors');
    const expected = (await readTensors(file)).get('logits')!.data;
    const found = await logitsOf({ ...opened, model }, await readInputIds(file));
    assert.ok(largestDifference(found, expected) <= 1e-4);
  });
}

const ROWS: readonly { readonly ids: number[]; readonly supervised: (0 | 1)[] }[] = [
  { ids: [5, 17, 80, 3, 44, 61, 9, 9, 30, 71, 12, 2], supervised: [0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1] },
  { ids: [90, 4, 33, 2], supervised: [0, 0, 1, 1] },
  { ids: [8, 21, 7, 66, 67, 68, 2], supervised: [0, 1, 1, 0, 1, 1, 1] },
];

for (const name of ['qwen-tokenizer', 'gemma-tokenizer']) {
  test(`${name}: ids and texts are those of Transformers`, async () => {
    const tokenizer = await loadTokenizer(fixture('decoders', name));
    const rows = JSON.parse(await readFile(fixture('decoders', name, 'token-ids.json'), 'utf8')) as {
      text: string;
      ids: number[];
      decoded: string;
      skipped: string;
    }[];
    assert.equal(rows.length, 20);
    for (const { text, ids, decoded, skipped } of rows) {
      assert.deepEqual(tokenizer.encode(text), ids, JSON.stringify(text));
      assert.equal(tokenizer.decode(ids), decoded);
      assert.equal(tokenizer.decode(ids, { skipSpecialTokens: true }), skipped);
    }
  });
}

test('the SentencePiece vocabulary of a GGUF file: ids are those of Transformers', async () => {
  const tokenizer = await loadTokenizer(fixture('decoders/gemma-tokenizer.gguf'));
  const file = fixture('decoders/gemma-tokenizer.gguf.json');
  const rows = JSON.parse(await readFile(file, 'utf8')) as { text: string; ids: number[] }[];
  assert.equal(rows.length, 20);
  for (const { text, ids } of rows) {
    assert.deepEqual(tokenizer.encode(text, { addSpecialTokens: false }), ids, JSON.stringify(text));
    assert.deepEqual(tokenizer.encode(text), [2, ...ids]);
    if (!text.includes('▁')) assert.equal(tokenizer.decode(ids), text);
  }
  assert.deepEqual([tokenizer.bosTokenId, tokenizer.eosTokenId, tokenizer.padTokenId], [2, 1, 0]);
});
