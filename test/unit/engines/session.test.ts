import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { ProblemError } from '../../../src/common/problem.js';
import type { Place } from '../../../src/common/problem.js';
import { parseRunFile } from '../../../src/config/parseRunFile.js';
import {
  attachMethods,
  openModel,
  parameterCount,
  checkHeldOut,
  checkMethods,
  checkSchedules,
  positionWarnings,
  vocabularyWarnings,
} from '../../../src/engines/session.js';
import type { Example } from '../../../src/data/example.js';
import type { Site } from '../../../src/models/site.js';
import { makeModel } from '../../integration/engineModel.js';
import { temporaryFolder } from '../../support/adapters.js';
import { fakeContext, loraOptions, smallSites, starts } from '../methods/fakeModel.js';

const folder = temporaryFolder();
const source = await makeModel(path.join(folder, 'base'));

test('a model is opened with its tokenizer; a tied matrix counts once', async () => {
  const opened = await openModel(source, 3);
  assert.equal(opened.context.modelName, source);
  assert.equal(opened.tokenizer.decode(opened.tokenizer.encode('red')), 'red');
  const matrices = 2 * (3 * 32 * 48 + 2 * 32 * 32 + 2 * 16 * 32);
  assert.equal(parameterCount(opened.model), opened.model.vocabSize * 32 + matrices + 5 * 32);
  assert.deepEqual(vocabularyWarnings(opened.model, opened.tokenizer), []);
  const norm = await opened.context.read('model.norm.weight');
  assert.deepEqual(norm, new Float32Array(32).fill(1));
});

test('the seed is that of the run', async () => {
  const numbers = await Promise.all(
    [3, 3, 4].map(async (seed) => (await openModel(source, seed)).context.random('x').uniform()),
  );
  assert.equal(numbers[0], numbers[1]);
  assert.notEqual(numbers[0], numbers[2]);
});

test('a tokenizer with more tokens than the model embeds is said', async () => {
  const small = await makeModel(path.join(folder, 'small'), { vocabulary: 100 });
  const { model, tokenizer } = await openModel(small, 1);
  const [warning, ...others] = vocabularyWarnings(model, tokenizer);
  assert.equal(others.length, 0);
  assert.equal(warning!.code, 'tokenizer.vocabulary');
  assert.match(warning!.message, new RegExp(`${tokenizer.vocabSize} tokens, the model embeds 100`));
});

test('methods are attached in order, with random numbers of their own', async () => {
  const context = fakeContext(smallSites() as Site[]);
  const prompt = { type: 'prompt_tuning', num_virtual_tokens: 2, prompt_tuning_init: 'RANDOM' } as const;
  const methods = attachMethods([loraOptions(), prompt, loraOptions()], context);
  assert.deepEqual(
    methods.map(({ type }) => type),
    ['lora', 'prompt_tuning', 'lora'],
  );
  const name = 'model.layers.0.q_proj.lora_A';
  const first = (await starts(methods[0]!)).get(name);
  const second = (await starts(methods[2]!)).get(`2:${name}`);
  assert.equal(second?.length, first?.length);
  assert.notDeepEqual(second, first);
  const names = methods.flatMap(({ trainables }) => trainables.map(({ variable }) => variable.name));
  assert.equal(new Set(names).size, names.length, 'no two variables of a run share a name');
  assert.deepEqual((await starts(attachMethods([loraOptions()], context)[0]!)).get(name), first);
});

test('what a method refuses stands at its option in the run file, with its line', () => {
  const text = [
    'model: base',
    'data: { train: rows.jsonl }',
    'method:',
    '  - type: lora',
    '    target_modules: [q_proj]',
    '  - type: adalora',
    '    target_r: 2',
    '    init_r: 3',
    '    tinit: 5',
    '    target_modules:',
    '      - x_porj',
  ].join('\n');
  const { config, placeOf } = parseRunFile(text, 'a.peft.yaml');
  const context = fakeContext(smallSites() as Site[]);
  const placeIn = (work: () => void): Place | undefined => {
    try {
      work();
    } catch (error) {
      assert.ok(error instanceof ProblemError);
      return error.problem.where;
    }
    return undefined;
  };
  const target = placeIn(() => checkMethods(config!.method, context, placeOf));
  assert.deepEqual([target?.file, target?.line, target?.column], ['a.peft.yaml', 11, 9]);
  const schedule = placeIn(() => checkSchedules(config!.method, 3, { file: 'a.peft.yaml', placeOf }));
  assert.equal(schedule?.line, 6);
  // Options of a run's record have no lines.
  assert.equal(
    placeIn(() => checkMethods(config!.method, context)),
    undefined,
  );
  assert.deepEqual(
    placeIn(() => checkSchedules(config!.method, 3, { file: 'a.peft.yaml' })),
    { file: 'a.peft.yaml' },
  );
});

test("rows beyond the model's positions are said, with the first one's line", async () => {
  const { model } = await openModel(source, 1);
  const row = (length: number, line: number): Example => ({
    ids: new Array<number>(length).fill(1),
    supervised: new Array<0 | 1>(length).fill(1),
    file: 'rows.jsonl',
    line,
  });
  assert.deepEqual(positionWarnings([row(model.maxPositions, 1)], model), []);
  const [warning] = positionWarnings(
    [row(3, 1), row(model.maxPositions + 1, 2), row(model.maxPositions + 9, 3)],
    model,
  );
  assert.match(warning!.message, /^2 rows/);
  assert.deepEqual([warning!.code, warning!.where], ['data.long-rows', { file: 'rows.jsonl', line: 2 }]);
  const [prompted] = positionWarnings([row(model.maxPositions - 3, 4)], model, [{ hooks: { virtualTokens: 4 } }]);
  assert.match(prompted!.message, /with 4 virtual tokens before each/);
  assert.deepEqual(
    positionWarnings([row(model.maxPositions - 4, 4)], model, [{ hooks: { virtualTokens: 4 } }]),
    [],
  );
});

test('what goes by evaluations needs rows to evaluate on', () => {
  const patient = { early_stopping_patience: 2, load_best_model_at_end: false };
  assert.throws(
    () => checkHeldOut(patient, 0, 'a.peft.yaml'),
    (error) => error instanceof ProblemError && error.problem.code === 'data.no-held-out',
  );
  checkHeldOut(patient, 1, 'a.peft.yaml');
  checkHeldOut({ load_best_model_at_end: false }, 0, 'a.peft.yaml');
});
