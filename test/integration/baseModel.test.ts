// The bundled base model has learned: quickstart and other tests stand on it.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { loadDataset } from '../../src/data/loadDataset.js';
import { openModel } from '../../src/engines/session.js';
import { onnxRuntime } from '../../src/runtime/onnxruntime.js';
import { createEvaluator } from '../../src/training/evaluate.js';
import { longest } from '../../src/training/job.js';
import { ROOT, readJson } from '../support/fixtures.js';

const FOLDER = path.join(ROOT, 'examples/base-model');

test('its loss on held-out text is far below the unigram entropy', async () => {
  const opened = await openModel(path.join(FOLDER, 'peft-studio-tiny'), 0);
  const data = {
    train: path.join(FOLDER, 'heldout.jsonl'),
    format: 'text' as const,
    max_length: 256,
    max_rows: 150,
  };
  const { train: heldOut } = await loadDataset(data, opened.tokenizer);
  const evaluator = await createEvaluator({
    model: opened.model,
    methods: [],
    weights: await opened.checkpoint.mapped(),
    runtime: await onnxRuntime({ threads: 1 }),
    positionLimit: longest(heldOut),
    batchSize: 8,
  });
  const { loss } = await evaluator.evaluate(heldOut, new Map());
  await evaluator.dispose();
  const unigram = Number((await readJson(path.join(FOLDER, 'unigram.json')))['unigramNatsPerToken']);
  assert.ok(loss < unigram / 3, `${loss} nats a token against ${unigram}`);
});
