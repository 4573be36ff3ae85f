import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { inspectAdapter } from '../../../src/adapters/inspect.js';
import { allLogits } from '../../../src/adapters/merging/logits.js';
import { readAdapter } from '../../../src/adapters/readAdapter.js';
import { writeAdapter } from '../../../src/adapters/writeAdapter.js';
import type { JsonObject } from '../../../src/common/json.js';
import { CiatOptions, ciat } from '../../../src/methods/ciat.js';
import { ciatConfigFromPeft } from '../../../src/methods/ciatConfig.js';
import type { AttachContext, Attached } from '../../../src/methods/method.js';
import { problem, temporaryFolder, tokenizer } from '../../support/adapters.js';
import { fixture, largestDifference, readInputIds, readTensors } from '../../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../../support/model.js';
import { startValues } from '../../support/startValues.js';
import { UNEVEN, eventsOf, run } from '../training/jobs.js';
import { randomValues } from './fakeModel.js';

const folder = temporaryFolder();
const opened = {
  llama: await openModel(fixture('lora-reference', 'tiny-llama')),
  t5: await openModel(fixture('t5', 'tiny-t5')),
  bert: await openModel(fixture('encoders', 'tiny-bert'), { type: 'MASKED_LM' }),
};
const ROWS = [
  [5, 6, 70, 12, 9],
  [81, 3, 3, 44, 60],
];

function optionsOf(options: Partial<CiatOptions> = {}): CiatOptions {
  return Value.Parse(CiatOptions, { type: 'ciat', ...options });
}

function attach(options: Partial<CiatOptions>, context: AttachContext = opened.llama.context): Attached {
  return ciat.attach(optionsOf(options), context);
}

function trainable({ coverage }: Attached): number {
  return coverage.modules.reduce((sum, module) => sum + module.trainable, 0);
}

for (const base of ['llama', 't5'] as const) {
  test(`${base}: the logits are those of the formulas in torch, and the adapter is written back as it was`, async () => {
    const source = fixture('ciat', base);
    const file = `${source}/logits.safetensors`;
    const { method, values, warnings } = await attachAdapter(opened[base], source);
    assert.deepEqual(warnings, []);
    const rows = await readInputIds(file);
    const expected = (await readTensors(file)).get('logits')!.data;
    const largest = expected.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
    const difference = largestDifference(await logitsOf(opened[base], rows, { method, values }), expected);
    assert.ok(difference <= 3e-5 * largest, `${difference} of ${largest}`);
    assert.ok(largestDifference(await logitsOf(opened[base], rows), expected) > 1e-2, 'it changes something');

    const saved = method.save(values);
    assert.ok(saved.kind === 'adapter');
    await writeAdapter(`${folder}/${base}`, saved, { tokenizer, card: '' });
    const again = await readAdapter(`${folder}/${base}`);
    assert.deepEqual(await again.loadTensors(), await (await readAdapter(source)).loadTensors());
    const inspected = await inspectAdapter(`${folder}/${base}`);
    assert.deepEqual([inspected.problems, inspected.trainable], [[], trainable(method)]);
  });
}

test('what trains: layer adapters 2dm + m + d, embedding adapters a norm more; not after cross-attention', () => {
  const each = (d: number, m: number): number => 2 * d * m + m + d;
  assert.equal(trainable(attach({})), 4 * each(32, 16) + each(32, 16) + 2 * 32);
  assert.equal(trainable(attach({ embedding_adapters: false, bottleneck_size: 3 })), 4 * each(32, 3));
  assert.equal(trainable(attach({ layer_adapters: false, bottleneck_size: 3 })), each(32, 3) + 2 * 32);
  // Two stacks, 2 + 3 layers.
  assert.equal(trainable(attach({}, opened.t5.context)), 10 * each(24, 12) + 2 * (each(24, 12) + 2 * 24));
  assert.equal(trainable(attach({}, opened.bert.context)), 4 * each(32, 16) + each(32, 16) + 2 * 32);
  assert.throws(() => attach({ embedding_adapters: false, layer_adapters: false }), problem('ciat.nothing'));
});

test('where it starts: with W₂ = 0 as the base itself, else not', async () => {
  for (const base of ['llama', 't5', 'bert'] as const) {
    const plain = await logitsOf(opened[base], ROWS);
    const start = async (init_weights: CiatOptions['init_weights']): Promise<number> => {
      const method = attach({ init_weights }, opened[base].context);
      const found = await logitsOf(opened[base], ROWS, { method, values: await startValues(method.trainables) });
      return largestDifference(found, plain);
    };
    assert.equal(await start('zero'), 0);
    assert.ok((await start('glorot')) > 1e-2);
  }
  const values = await startValues(attach({ bottleneck_size: 64 }).trainables);
  const down = values.get('model.layers.1.mlp.ciat.down.weight')!;
  const bound = Math.sqrt(6 / (64 + 32));
  assert.ok(down.every((value) => Math.abs(value) <= bound));
  const deviation = Math.sqrt(down.reduce((sum, value) => sum + value ** 2, 0) / down.length);
  assert.ok(Math.abs(deviation - bound / Math.sqrt(3)) < 0.05 * deviation);
});

for (const base of ['llama', 't5'] as const) {
  test(`${base}: rows of several language pairs in one batch, each with its pair's adapters, as alone`, async () => {
    const tasks = ['de-en', 'fr-en', 'ro-en'];
    const method = attach({ bottleneck_size: 5 }, { ...opened[base].context, tasks });
    const values = new Map(
      [...randomValues(method)].map(([name, data]) => [name, data.map((each) => 0.4 * each)]),
    );
    const rows = [ROWS[0]!, ROWS[1]!, ROWS[0]!];
    const rowTasks = [2, 0, 1];
    const mixed = await allLogits({ ...opened[base], methods: [method], values, rows, tasks: rowTasks });
    const saved = method.save(values);
    assert.ok(saved.kind === 'adapters');
    const each = mixed.length / rows.length;
    for (const [at, task] of rowTasks.entries()) {
      const out = `${folder}/${base}-${task}`;
      await writeAdapter(out, saved.byTask.get(tasks[task]!)!, { tokenizer, card: '' });
      const alone = await logitsOf(opened[base], [rows[at]!], await attachAdapter(opened[base], out));
      const difference = largestDifference(mixed.subarray(at * each, (at + 1) * each), alone);
      assert.ok(difference <= 5e-5, `row ${at}: ${difference}`);
    }
    assert.ok(largestDifference(mixed.subarray(0, each), mixed.subarray(2 * each)) > 1e-2, 'they differ');
  });
}

test('a run lowers the loss; the adapters of a pair without rows stay where they were', async () => {
  const method = attach({ dropout: 0.1 }, { ...opened.llama.context, tasks: ['a', 'b', 'c'] });
  const start = await startValues(method.trainables);
  const { events, reason, values } = await run(opened.llama, {
    methods: [method],
    train: UNEVEN.map((example, at) => ({ ...example, task: at % 2 === 0 ? 0 : 2 })),
    validation: UNEVEN.map((example, at) => ({ ...example, task: at % 2 === 0 ? 0 : 2 })),
    options: {
      per_device_train_batch_size: 4,
      weight_decay: 0,
      max_steps: 15,
      eval_steps: 15,
      learning_rate: 1e-2,
    },
  });
  assert.equal(reason, 'completed');
  const losses = eventsOf(events, 'evaluation').map(({ loss }) => loss);
  assert.ok(losses.at(-1)! < 0.9 * losses[0]!, losses.join());
  for (const [name, data] of values) {
    const moved = data.some((value, at) => value !== start.get(name)![at]);
    assert.equal(moved, !name.startsWith('1/'), name);
  }
  assert.equal(eventsOf(events, 'ranks').at(-1)!.sites.length, 3 * 5);
});

test('configs that say what is not known are refused', () => {
  const config = { peft_type: 'CIAT', bottleneck_size: 3 };
  assert.deepEqual(ciatConfigFromPeft(config, 'x').options, optionsOf({ bottleneck_size: 3 }));
  const refused: JsonObject[] = [{ bottleneck_size: 0 }, { init_weights: 'other' }, { something_new: true }];
  for (const more of refused) {
    assert.throws(() => ciatConfigFromPeft({ ...config, ...more }, 'x'), problem('adapter.config'));
  }
});
