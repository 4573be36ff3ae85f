import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Example } from '../../../src/data/example.js';
import type { Evaluator, Metrics } from '../../../src/training/evaluate.js';
import { createEvaluator } from '../../../src/training/evaluate.js';
import { startValues } from '../../support/startValues.js';
import { fixture } from '../../support/fixtures.js';
import { logitsOf, openModel } from '../../support/model.js';
import { jobOn, loraMethod, UNEVEN } from './jobs.js';

const opened = await openModel(fixture('lora-reference/tiny-llama'));
const IDS = UNEVEN[1]!.ids;
const VOCABULARY = opened.model.vocabSize;
const logits = await logitsOf(opened, [IDS]);
const row = (at: number): Float32Array => logits.subarray(at * VOCABULARY, (at + 1) * VOCABULARY);
const best = (at: number): number => row(at).indexOf(Math.max(...row(at)));

/** −log softmax, in double precision. */
function loss(at: number, target: number): number {
  const sum = row(at).reduce((total, value) => total + Math.exp(value), 0);
  return Math.log(sum) - row(at)[target]!;
}

/** The first `length` tokens of IDS and then one more, which is the model's own prediction or is not. */
function rowWith(length: number, right: boolean, more: { supervisePrompt?: boolean } = {}): Example {
  const last = right ? best(length - 1) : (best(length - 1) + 1) % VOCABULARY;
  const supervised = Array.from({ length: length + 1 }, (_, at): 0 | 1 =>
    at === length || (more.supervisePrompt === true && at > 0) ? 1 : 0,
  );
  return { ids: [...IDS.slice(0, length), last], supervised, file: 'f', line: 1 };
}

async function evaluator(batchSize: number, methods = jobOn(opened).methods): Promise<Evaluator> {
  return createEvaluator({ ...opened, methods, positionLimit: 40, batchSize });
}

async function evaluated(examples: readonly Example[], batchSize: number): Promise<Metrics> {
  const found = await evaluator(batchSize, []);
  const metrics = await found.evaluate(examples, new Map());
  await found.dispose();
  return metrics;
}

test('loss and accuracies of rows whose predictions are known', async () => {
  const examples = [rowWith(5, true), rowWith(9, false), rowWith(14, true), rowWith(7, true)];
  const expected = [5, 9, 14, 7].map((length, at) => loss(length - 1, examples[at]!.ids[length]!));
  const mean = expected.reduce((a, b) => a + b) / 4;
  for (const size of [1, 2, 3, 8]) {
    const found = await evaluated(examples, size);
    assert.deepEqual([found.tokenAccuracy, found.rowAccuracy], [0.75, 0.75]);
    assert.deepEqual([found.rows, found.supervisedTokens], [4, 4]);
    assert.ok(Math.abs(found.loss - mean) <= 1e-5, `${found.loss} for ${mean}, batches of ${size}`);
  }
});

test('a row counts as right only with all its tokens', async () => {
  const length = 12;
  const long = rowWith(length, true, { supervisePrompt: true });
  const hits = Array.from({ length }, (_, at) => Number(long.ids[at + 1] === best(at)));
  const right = hits.reduce((a, b) => a + b);
  assert.ok(right < length, 'random tokens are not all guessed');
  const found = await evaluated([long, rowWith(3, true)], 2);
  assert.equal(found.tokenAccuracy, (right + 1) / (length + 1));
  assert.equal(found.rowAccuracy, 0.5);
  assert.equal(found.supervisedTokens, length + 1);
});

test('no dropout, no effect of B = 0, and the same numbers again', async () => {
  const { methods } = jobOn(opened, { method: loraMethod({ lora_dropout: 0.5 }) });
  const values = await startValues(methods.flatMap(({ trainables }) => trainables));
  const adapted = await evaluator(3, [...methods]);
  const [first, second] = [await adapted.evaluate(UNEVEN, values), await adapted.evaluate(UNEVEN, values)];
  await adapted.dispose();
  assert.deepEqual(first, second);
  assert.ok(Math.abs(first.loss - (await evaluated(UNEVEN, 8)).loss) <= 1e-6);
});

test('dropout stays out of an evaluation also when B is not 0', async () => {
  const values = async (dropout: number): Promise<number> => {
    const { methods } = jobOn(opened, { method: loraMethod({ lora_dropout: dropout, init_lora_weights: false }) });
    const start = await startValues(methods.flatMap(({ trainables }) => trainables));
    const adapted = await evaluator(8, [...methods]);
    const { loss: found } = await adapted.evaluate(UNEVEN, start);
    await adapted.dispose();
    return found;
  };
  const without = await values(0);
  assert.equal(await values(0.5), without);
  assert.ok(Math.abs(without - (await evaluated(UNEVEN, 8)).loss) > 1e-3, 'the adapter does something');
});

test('an evaluation that is broken off says how far it came', async () => {
  const found = await evaluator(2, []);
  const calls: number[][] = [];
  const metrics = await found.evaluate(UNEVEN, new Map(), (done, total) => {
    calls.push([done, total]);
    return Promise.resolve(done < 2);
  });
  await found.dispose();
  assert.deepEqual(calls, [
    [1, 4],
    [2, 4],
  ]);
  assert.equal(metrics.rows, 4);
});
