import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { ProblemError } from '../../../src/common/problem.js';
import { evaluateDecoder } from '../../../src/engines/evaluateDecoder.js';
import { attachMethods } from '../../../src/engines/session.js';
import { createDecoder } from '../../../src/generation/decoder.js';
import { proxyDecoder } from '../../../src/generation/proxyTuning.js';
import { PromptTuningOptions } from '../../../src/methods/promptTuning.js';
import { createEvaluator } from '../../../src/training/evaluate.js';
import { withVirtualTokens } from '../../../src/training/job.js';
import type { Example } from '../../../src/data/example.js';
import { fixture } from '../../support/fixtures.js';
import { openModel } from '../../support/model.js';
import { startValues } from '../../support/startValues.js';

const EXAMPLES: readonly Example[] = [
  { ids: [5, 17, 3, 99, 54], supervised: [0, 0, 1, 1, 1], file: 'a', line: 1 },
  { ids: [8, 2, 7], supervised: [1, 0, 1], file: 'a', line: 2 },
  { ids: [64, 2, 90, 12], supervised: [0, 1, 0, 1], file: 'a', line: 3 },
];

test('row by row through a decoder comes to what the evaluation of a whole graph finds', async () => {
  const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
  const setup = { ...opened, methods: [], values: new Map<string, Float32Array>(), positionLimit: 16 };
  const evaluator = await createEvaluator({ ...setup, batchSize: 2 });
  const wanted = await evaluator.evaluate(EXAMPLES, setup.values);
  const decoder = await createDecoder(setup);
  const places: (readonly number[])[] = [];
  const found = await evaluateDecoder(decoder, EXAMPLES, (...place) => {
    places.push(place);
    return Promise.resolve(true);
  });
  assert.ok(Math.abs(found.loss - wanted.loss) < 1e-5, `${found.loss}, ${wanted.loss}`);
  assert.deepEqual({ ...found, loss: 0 }, { ...wanted, loss: 0 });
  assert.deepEqual(places, [
    [1, 3],
    [2, 3],
    [3, 3],
  ]);
  const stopped = await evaluateDecoder(decoder, EXAMPLES, () => Promise.resolve(false));
  assert.equal(stopped.rows, 1);
  await Promise.all([evaluator.dispose(), decoder.dispose()]);
});

test('rows of several tasks: each is steered by the numbers of its own', async () => {
  const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
  const config = Value.Parse(PromptTuningOptions, { type: 'prompt_tuning', num_virtual_tokens: 3 });
  const methods = attachMethods([config], { ...opened.context, tasks: ['rain', 'sun'] });
  const values = await startValues(methods.flatMap(({ trainables }) => trainables));
  // The first token of a text is never supervised, though virtual tokens stand before it.
  const rows = EXAMPLES.map((example, at): Example => {
    return { ...example, supervised: example.supervised.with(0, 0), task: at % 2 };
  });
  const evaluator = await createEvaluator({ ...opened, methods, positionLimit: 16, batchSize: 2 });
  const { validation } = withVirtualTokens({ ...opened, methods, train: [], validation: rows, maxLength: 16 });
  const wanted = await evaluator.evaluate(validation, values);

  const setup = { ...opened, methods, values, positionLimit: 16 };
  const bare = { ...setup, methods: [], values: new Map<string, Float32Array>() };
  const expert = await createDecoder(setup);
  const steered = proxyDecoder({
    base: await createDecoder(bare),
    expert,
    antiExpert: await createDecoder(bare),
    alpha: 1,
  });
  for (const decoder of [expert, steered]) {
    const found = await evaluateDecoder(decoder, rows, () => Promise.resolve(true));
    assert.ok(Math.abs(found.loss - wanted.loss) < 1e-4, `${found.loss}, ${wanted.loss}`);
  }
  await Promise.all([evaluator.dispose(), steered.dispose()]);
});

test('a row that is too long or has a token of another vocabulary is named before anything is read', async () => {
  const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
  const decoder = await createDecoder({ ...opened, methods: [], values: new Map(), positionLimit: 4 });
  const refused = (example: Example, code: string, message: RegExp): Promise<void> =>
    assert.rejects(
      evaluateDecoder(decoder, [EXAMPLES[1]!, example], () => Promise.resolve(true)),
      (error) =>
        error instanceof ProblemError &&
        error.problem.code === code &&
        message.test(error.problem.message) &&
        error.problem.where?.line === example.line,
    );
  const long = { ids: [1, 2, 3, 4, 5, 6], supervised: [0, 0, 0, 0, 0, 1] as const, file: 'a', line: 7 };
  await refused(long, 'data.long-row', /5 positions.* have 4$/);
  await refused({ ...EXAMPLES[1]!, ids: [8, 2, 4096], line: 8 }, 'data.token-id', /token 4096.*128 tokens/);
  await decoder.dispose();
});
