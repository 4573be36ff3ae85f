import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { problemOf } from '../../../src/common/problem.js';
import { checkTasks } from '../../../src/engines/taskNames.js';
import { AdapterFusionOptions } from '../../../src/methods/adapterFusion.js';
import { adapterNames } from '../../../src/methods/adapterSet.js';
import { AdapterOptions } from '../../../src/methods/bottleneckAdapter.js';
import { CiatOptions } from '../../../src/methods/ciat.js';
import { PromptTuningOptions } from '../../../src/methods/promptTuning.js';
import type { MethodConfig } from '../../../src/methods/registry.js';
import { loraOptions } from '../methods/fakeModel.js';

const prompt = Value.Parse(PromptTuningOptions, { type: 'prompt_tuning', num_virtual_tokens: 4 });
const bottleneck = Value.Parse(AdapterOptions, { type: 'adapter' });
const pairs = Value.Parse(CiatOptions, { type: 'ciat' });
const fusion = Value.Parse(AdapterFusionOptions, { type: 'adapter_fusion' });
const ofTrained = Value.Parse(AdapterFusionOptions, { type: 'adapter_fusion', adapters: ['a', 'b'] });

/** The code of what is refused. */
function refused(method: MethodConfig, tasks: readonly string[], steps = 2): string | undefined {
  try {
    checkTasks([method], tasks, steps, '/x.peft.yaml');
    return undefined;
  } catch (error) {
    const problem = problemOf(error);
    assert.equal(problem.where?.file, '/x.peft.yaml');
    return problem.code;
  }
}

test('names of tasks that are no folders of their own are refused before the run begins', () => {
  const long = 'x'.repeat(65);
  for (const method of [prompt, fusion, bottleneck, pairs]) {
    assert.equal(refused(method, ['rte', 'mrpc']), undefined);
    assert.equal(refused(method, ['rte', long]), 'data.task-name');
    assert.equal(refused(method, ['Rte', 'rte']), 'data.task-case');
  }
  // A method that does not tell tasks apart writes no folder of theirs.
  assert.equal(refused(loraOptions(), ['rte', long, 'RTE']), undefined);
  assert.equal(refused(ofTrained, ['rte', long, 'RTE']), undefined);
});

test("a fusion's folder is called by all its adapters, which have a limit together", () => {
  const many = Array.from({ length: 20 }, (_, at) => `a task of the name ${at}`);
  assert.equal(refused(prompt, many), undefined);
  assert.equal(refused(fusion, many), 'fusion.names');
});

test('adapters that the run trains need a step before that of their fusion', () => {
  assert.equal(refused(fusion, ['a', 'b'], 1), 'fusion.steps');
  assert.equal(refused(ofTrained, ['a', 'b'], 1), undefined);
});

test("adapters' names are different folders on every system", () => {
  assert.deepEqual(adapterNames(['A', 'a', 'a.b', 'a b', 'con', 'x:y', '../z']), [
    'A',
    'a_2',
    'a_b',
    'a_b_2',
    'con_',
    'x_y',
    '_z',
  ]);
});
