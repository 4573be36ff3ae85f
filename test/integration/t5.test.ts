import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { allLogits } from '../../src/adapters/merging/logits.js';
import { mergeAdapter } from '../../src/adapters/merging/merge.js';
import { makeBatch } from '../../src/data/batches.js';
import type { Example } from '../../src/data/example.js';
import { logProbability } from '../../src/generation/scoring.js';
import type { Hooks } from '../../src/models/site.js';
import { constant } from '../../src/tensor/tensor.js';
import type { Tensor } from '../../src/tensor/tensor.js';
import { batchFeeds, lossGraph } from '../../src/training/lossGraph.js';
import { attachMethod } from '../../src/methods/registry.js';
import { LoraOptions } from '../../src/methods/lora.js';
import { Value } from '@sinclair/typebox/value';
import { problem, temporaryFolder, tokenizer } from '../support/adapters.js';
import { fixture, largestDifference, readTensors } from '../support/fixtures.js';
import { attachAdapter, openModel } from '../support/model.js';
import type { Opened } from '../support/model.js';

interface Row {
  readonly source: number[];
  readonly answer: number[];
}

const folder = temporaryFolder();
const NAMES = ['tiny-t5', 'tiny-t5-gated', 'tiny-mt5'] as const;

async function readJson<T>(...parts: string[]): Promise<T> {
  return JSON.parse(await readFile(fixture('t5', ...parts), 'utf8')) as T;
}

/** Logits of each token of the answer: the decoder reads the start token and all before it. */
function logitsOf(opened: Opened, { source, answer }: Row, adapter?: Awaited<ReturnType<typeof attachAdapter>>) {
  const start = opened.model.encoder!.startTokenId;
  return allLogits({
    ...opened,
    methods: adapter === undefined ? [] : [adapter.method],
    values: adapter?.values ?? new Map<string, Float32Array>(),
    sources: [source],
    rows: [[start, ...answer.slice(0, -1)]],
  });
}

for (const name of NAMES) {
  test(`logits of ${name} are those of Transformers`, async () => {
    const opened = await openModel(fixture('t5', name));
    const expected = await readTensors(fixture('t5', name, 'logits.safetensors'));
    for (const [at, row] of (await readJson<Row[]>(name, 'rows.json')).entries()) {
      const difference = largestDifference(await logitsOf(opened, row), expected.get(`logits.${at}`)!.data);
      assert.ok(difference <= 1e-4, `row ${at}: ${difference}`);
    }
  });
}

test("an adapter that PEFT saved gives PEFT's logits", async () => {
  const opened = await openModel(fixture('t5/tiny-t5'));
  const adapter = await attachAdapter(opened, fixture('t5/peft-adapter'));
  const expected = await readTensors(fixture('t5/peft-adapter/logits.safetensors'));
  for (const [at, row] of (await readJson<Row[]>('peft-adapter', 'rows.json')).entries()) {
    const difference = largestDifference(await logitsOf(opened, row, adapter), expected.get(`logits.${at}`)!.data);
    assert.ok(difference <= 1e-4, `row ${at}: ${difference}`);
  }
});

test('keys in front of the decoder are as far away as those of a cache', async () => {
  const opened = await openModel(fixture('t5/tiny-mt5'));
  const expected = await readTensors(fixture('t5/prefix/tensors.safetensors'));
  const tensor = (name: string): Tensor => constant(expected.get(name)!.data, expected.get(name)!.shape);
  const layerOf = (path: string): string => /block\.(\d+)/.exec(path)![1]!;
  const hooks: Hooks = {
    keysInFront: {
      length: 5,
      at: ({ path }) => ({ keys: tensor(`keys.${layerOf(path)}`), values: tensor(`values.${layerOf(path)}`) }),
    },
  };
  assert.deepEqual(
    opened.model.attentions.map(({ path }) => path),
    [0, 1].map((block) => `decoder.block.${block}.layer.0.SelfAttention`),
  );
  const examples = (await readJson<Row[]>('prefix', 'rows.json')).map(({ source, answer }): Example => {
    const ids = [opened.model.encoder!.startTokenId, ...answer];
    return { ids, supervised: ids.map((_, at) => (at === 0 ? 0 : 1)), source, file: '', line: 1 };
  });
  const { lossSum } = lossGraph(opened.model, [hooks], { training: false, positionLimit: 64 });
  const program = await opened.runtime.compile({ lossSum }, opened.weights);
  // In rows of their own, and packed into one.
  for (const plan of [[[0], [1]], [[1, 0]]]) {
    const { lossSum: found } = await program.run(batchFeeds(makeBatch(examples, plan)));
    let wanted = 0;
    for (const [at, { ids }] of examples.entries()) {
      const logits = expected.get(`logits.${at}`)!.data;
      const size = opened.model.vocabSize;
      ids.slice(1).forEach((id, t) => (wanted -= logProbability(logits.subarray(t * size, (t + 1) * size), id)));
    }
    assert.ok(Math.abs(Number(found!.data[0]) - wanted) / wanted < 1e-5, `${Number(found!.data[0])}, ${wanted}`);
  }
  await program.dispose();
});

test('a matrix that the embedding and the head share is not merged into one of them', async () => {
  const opened = await openModel(fixture('t5/tiny-t5'));
  const options = Value.Parse(LoraOptions, { type: 'lora', target_modules: ['shared'], init_lora_weights: true });
  const method = attachMethod(options, opened.context);
  const values = new Map(
    method.trainables.map(({ variable: { name, shape } }) => [
      name,
      new Float32Array(shape.reduce<number>((product, length) => product * Number(length), 1)).fill(0.1),
    ]),
  );
  const out = `${folder}/merged`;
  await assert.rejects(
    mergeAdapter({ ...opened, methods: [method], values, tokenizer, out }),
    problem('merge.untied-scale'),
  );
});
