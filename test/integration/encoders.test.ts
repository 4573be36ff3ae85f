import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import type { JsonObject } from '../../src/common/json.js';
import { createDecoder } from '../../src/generation/decoder.js';
import type { TaskType } from '../../src/models/task.js';
import { readModel } from '../../src/models/readModel.js';
import { createScope } from '../../src/models/scope.js';
import { dim, multiplyDims } from '../../src/tensor/dims.js';
import { reshape } from '../../src/tensor/ops/shape.js';
import { input } from '../../src/tensor/tensor.js';
import { problem } from '../support/adapters.js';
import { fixture, largestDifference, readInputIds, readTensors } from '../support/fixtures.js';
import type { Opened } from '../support/model.js';
import { logitsOf, openModel } from '../support/model.js';

const encoders = (...parts: string[]): string => fixture('encoders', ...parts);

async function expectedLogits(name: string, key = 'logits'): Promise<Float32Array> {
  return (await readTensors(encoders(name, 'logits.safetensors'))).get(key)!.data;
}

const BASES: [name: string, task: TaskType][] = [
  ['tiny-bert', 'MASKED_LM'],
  ['tiny-bert-classes', 'SEQ_CLS'],
  ['tiny-roberta', 'MASKED_LM'],
  ['tiny-roberta-classes', 'SEQ_CLS'],
];

for (const [name, task] of BASES) {
  test(`${name}: Transformers' logits (${task})`, async () => {
    const opened = await openModel(encoders(name), { type: task });
    const rows = await readInputIds(encoders(name, 'logits.safetensors'));
    const difference = largestDifference(await logitsOf(opened, rows), await expectedLogits(name));
    assert.ok(difference <= 1e-4, String(difference));
  });
}

test("Transformers' logits under every config that a BERT may have", async () => {
  const opened = await openModel(encoders('tiny-bert'), { type: 'MASKED_LM' });
  const rows = await readInputIds(encoders('tiny-bert', 'logits.safetensors'));
  const variants = JSON.parse(await readFile(encoders('tiny-bert', 'variants.json'), 'utf8')) as Record<
    string,
    JsonObject
  >;
  assert.equal(Object.keys(variants).length, 4);
  for (const [name, change] of Object.entries(variants)) {
    const config = { ...opened.checkpoint.config, ...change };
    const model = readModel({ ...opened.checkpoint, config }, { type: 'MASKED_LM' });
    const difference = largestDifference(
      await logitsOf({ ...opened, model }, rows),
      await expectedLogits('tiny-bert', name),
    );
    assert.ok(difference <= 1e-4, `${name}: ${difference}`);
  }
});

test('an XLM-RoBERTa is a RoBERTa', async () => {
  const opened = await openModel(encoders('tiny-roberta'), { type: 'MASKED_LM' });
  const config = { ...opened.checkpoint.config, model_type: 'xlm-roberta' };
  const model = readModel({ ...opened.checkpoint, config }, { type: 'MASKED_LM' });
  const rows = await readInputIds(encoders('tiny-roberta', 'logits.safetensors'));
  const difference = largestDifference(
    await logitsOf({ ...opened, model }, rows),
    await expectedLogits('tiny-roberta'),
  );
  assert.ok(difference <= 1e-4, String(difference));
});

interface Row {
  readonly ids: readonly number[];
  readonly positions: readonly number[];
  readonly segments: readonly number[];
  readonly types?: readonly number[];
}

/** Logits at every position of rows whose positions, segments and token types are given; 0 is padding. */
async function logitsWith({ model, weights, runtime }: Opened, rows: readonly Row[]): Promise<Float32Array> {
  const tokens = [dim('batch'), dim('sequence')];
  const scope = createScope(model.sites, [], { dropoutSeed: undefined });
  const hasTypes = rows.every(({ types }) => types !== undefined);
  const { hidden } = model.decode(scope, {
    inputIds: input('ids', 'int32', tokens),
    positions: input('positions', 'int32', tokens),
    segments: input('segments', 'int32', tokens),
    ...(hasTypes ? { tokenTypes: input('types', 'int32', tokens) } : {}),
    positionLimit: model.maxPositions,
  });
  const flat = reshape(hidden, [multiplyDims(tokens[0]!, tokens[1]!), model.hiddenSize]);
  const program = await runtime.compile({ logits: model.head(scope, flat) }, weights);
  const feed = (name: keyof Row) => ({
    dtype: 'int32' as const,
    shape: [rows.length, rows[0]!.ids.length],
    data: Int32Array.from(rows.flatMap((row) => row[name] ?? [])),
  });
  const { logits } = await program.run({
    ids: feed('ids'),
    positions: feed('positions'),
    segments: feed('segments'),
    types: feed('types'),
  });
  await program.dispose();
  return logits!.data as Float32Array;
}

const count = (length: number): number[] => Array.from({ length }, (_, at) => at);
const ofEach = (value: number, length: number): number[] => new Array<number>(length).fill(value);

test("a pair of texts has Transformers' logits: each token is of the type of its text", async () => {
  const opened = await openModel(encoders('tiny-bert'), { type: 'MASKED_LM' });
  const rows = await readInputIds(encoders('tiny-bert', 'logits.safetensors'));
  const types = [
    [...ofEach(0, 7), ...ofEach(1, 5)],
    [...ofEach(0, 3), ...ofEach(1, 9)],
  ];
  const found = await logitsWith(
    opened,
    rows.map((ids, at) => ({ ids, positions: count(12), segments: ofEach(1, 12), types: types[at]! })),
  );
  const difference = largestDifference(found, await expectedLogits('tiny-bert', 'pairs'));
  assert.ok(difference <= 1e-4, String(difference));
});

for (const name of ['tiny-bert', 'tiny-roberta']) {
  test(`${name}: padding and several texts in a row change no logit, and a token sees what follows`, async () => {
    const opened = await openModel(encoders(name), { type: 'MASKED_LM' });
    const size = opened.model.vocabSize;
    const [a, b] = [
      [17, 33, 90, 54, 8, 20, 33],
      [5, 30, 12, 12, 77, 41, 9, 64, 88, 71],
    ] as const;
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
    const changed = await logitsOf(opened, [[...a.slice(0, 6), 99]]);
    assert.ok(largestDifference(changed.subarray(0, size), alone.subarray(0, size)) > 1e-2);
  });
}

test('as many positions as the model has are used, more are refused', async () => {
  for (const name of ['tiny-bert', 'tiny-roberta']) {
    const opened = await openModel(encoders(name), { type: 'MASKED_LM' });
    const row = (length: number): number[][] => [Array.from({ length }, (_, at) => 5 + at)];
    assert.equal(opened.model.maxPositions, 40);
    await logitsOf(opened, row(40));
    await assert.rejects(
      logitsOf(opened, row(41)),
      problem('model.positions', 'rows of 41 tokens', 'at most 40', 'data.max_length'),
    );
  }
});

test('a model is read for a task that its type has; others are refused with both names', async () => {
  const { checkpoint, model } = await openModel(encoders('tiny-bert'));
  assert.equal(model.task, 'SEQ_CLS');
  assert.throws(
    () => readModel(checkpoint, { type: 'CAUSAL_LM' }),
    problem('model.task-type', 'CAUSAL_LM', 'bert', 'SEQ_CLS, MASKED_LM'),
  );
  const llama = await openModel(fixture('lora-reference', 'tiny-llama'));
  assert.throws(
    () => readModel(llama.checkpoint, { type: 'SEQ_CLS' }),
    problem('model.task-type', 'SEQ_CLS', 'llama', 'task_type: CAUSAL_LM'),
  );
});

test('a bare backbone has no head for masked tokens', async () => {
  const { checkpoint, model } = await openModel(encoders('tiny-bert-bare'));
  assert.deepEqual(model.classes?.labels, ['LABEL_0', 'LABEL_1']);
  assert.throws(
    () => readModel(checkpoint, { type: 'MASKED_LM' }),
    problem('model.no-head', 'masked tokens', 'BertForMaskedLM', 'SEQ_CLS'),
  );
});

test('an encoder is not asked to continue a text', async () => {
  const opened = await openModel(encoders('tiny-bert'), { type: 'MASKED_LM' });
  await assert.rejects(
    createDecoder({ ...opened, methods: [], values: new Map(), positionLimit: 20 }),
    problem('generation.encoder', 'bert', 'encoder', 'evaluate'),
  );
});
