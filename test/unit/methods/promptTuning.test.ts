import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { allLogits } from '../../../src/adapters/merging/logits.js';
import { inspectAdapter } from '../../../src/adapters/inspect.js';
import { readAdapter } from '../../../src/adapters/readAdapter.js';
import { adapterOfTask, taskFolder } from '../../../src/adapters/taskFolders.js';
import { writeAdapter } from '../../../src/adapters/writeAdapter.js';
import type { JsonObject } from '../../../src/common/json.js';
import { makeBatch } from '../../../src/data/batches.js';
import type { BatchPlan } from '../../../src/data/batches.js';
import { withPrefix } from '../../../src/data/virtualTokens.js';
import { createGenerator } from '../../../src/generation/generate.js';
import type { GeneratedRow } from '../../../src/generation/generate.js';
import type { GenerateOptions } from '../../../src/generation/options.js';
import type { Attached, Values } from '../../../src/methods/method.js';
import { PromptTuningOptions, promptTuning } from '../../../src/methods/promptTuning.js';
import { promptConfigFromPeft } from '../../../src/methods/promptTuningConfig.js';
import { trainedFeeds } from '../../../src/methods/trainedFeeds.js';
import { virtualTokenIds } from '../../../src/models/virtualTokens.js';
import { gradients } from '../../../src/tensor/grad.js';
import { createEvaluator } from '../../../src/training/evaluate.js';
import { batchFeeds, lossGraph } from '../../../src/training/lossGraph.js';
import { problem, temporaryFolder, tokenizer } from '../../support/adapters.js';
import { fixture, largestDifference, readInputIds, readJson, readTensors } from '../../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../../support/model.js';
import type { Opened } from '../../support/model.js';
import { startValues } from '../../support/startValues.js';
import { UNEVEN, eventsOf, run } from '../training/jobs.js';

const folder = temporaryFolder();
const TEXT = [7, 90, 33];
const encoder = { ...tokenizer, encode: () => [...TEXT] };

function optionsOf(options: Partial<PromptTuningOptions>): PromptTuningOptions {
  return Value.Parse(PromptTuningOptions, { type: 'prompt_tuning', ...options });
}

function attach(opened: Opened, options: Partial<PromptTuningOptions>): Attached {
  return promptTuning.attach(optionsOf(options), { ...opened.context, tokenizer: encoder });
}

/** Virtual tokens with the embeddings of TEXT. */
async function fromText(opened: Opened): Promise<{ method: Attached; values: Values }> {
  const method = attach(opened, {
    num_virtual_tokens: TEXT.length,
    prompt_tuning_init: 'TEXT',
    prompt_tuning_init_text: 'three tokens',
  });
  return { method, values: await startValues(method.trainables) };
}

const BASES = {
  'tiny-llama': fixture('lora-reference', 'tiny-llama'),
  'tiny-gpt2': fixture('gpt2', 'tiny-gpt2'),
  'tiny-gemma3': fixture('decoders', 'tiny-gemma3'),
};
const llama = await openModel(BASES['tiny-llama']);

for (const [name, base] of Object.entries(BASES)) {
  test(`${name}: P = E(text) gives the logits and the answers of text + x`, async () => {
    const opened = await openModel(base);
    const adapter = await fromText(opened);
    const rows = [
      [5, 6, 70, 12, 9],
      [81, 3, 3, 44, 60],
    ];
    const size = opened.model.vocabSize;
    const whole = await logitsOf(
      opened,
      rows.map((row) => [...TEXT, ...row]),
    );
    const length = TEXT.length + 5;
    const expected = rows.flatMap((_, at) => [
      ...whole.subarray((at * length + TEXT.length) * size, (at + 1) * length * size),
    ]);
    const found = await logitsOf(opened, rows, adapter);
    assert.ok(largestDifference(found, expected) <= 1e-5);
    assert.ok(largestDifference(found, await logitsOf(opened, rows)) > 1e-2, 'the prompt is seen');

    const prompts = [[5], [17, 3, 95, 54, 8, 20, 33], [64, 2, 90]];
    const answers = await generated(opened, prompts, { max_new_tokens: 8 }, adapter);
    const texts = prompts.map((prompt) => [...TEXT, ...prompt]);
    assert.deepEqual(answers, await generated(opened, texts, { max_new_tokens: 8 }));
  });
}

async function generated(
  opened: Opened,
  prompts: number[][],
  options: GenerateOptions,
  adapter?: { method: Attached; values: Values },
  positionLimit = 24,
): Promise<GeneratedRow[]> {
  const generator = await createGenerator({
    ...opened,
    methods: adapter === undefined ? [] : [adapter.method],
    values: adapter?.values ?? new Map(),
    positionLimit,
  });
  try {
    return await generator.generate(prompts, options);
  } finally {
    await generator.dispose();
  }
}

test('virtual tokens take up positions; prompts hold ids of the vocabulary only', async () => {
  const adapter = await fromText(llama);
  const [row] = await generated(llama, [[5, 6]], { max_new_tokens: 20 }, adapter, 12);
  assert.deepEqual([row!.ids.length, row!.reason], [12 - 3 - 2, 'length']);
  await assert.rejects(
    generated(llama, [[1, 2, 3, 4, 5, 6, 7, 8, 9]], {}, adapter, 12),
    problem('generation.prompt-too-long', 'at most 8 tokens'),
  );
  await assert.rejects(generated(llama, [[128]], {}, adapter), problem('generation.token', '128'));
  await assert.rejects(generated(llama, [[1]], {}, adapter, 4), problem('generation.position-limit', 'from 5'));
});

test('a repetition penalty does not see virtual tokens', async () => {
  const adapter = await fromText(llama);
  const options = { max_new_tokens: 15, repetition_penalty: 1e6 };
  const [row] = await generated(llama, [[5]], options, adapter);
  assert.equal(new Set([5, ...row!.ids]).size, 16);
  assert.ok(row!.ids.every((id) => id < llama.model.vocabSize));
});

test('padded and packed rows with virtual tokens have the loss and the gradient of rows alone', async () => {
  const { method, values } = await fromText(llama);
  const [prompt] = method.trainables.map(({ variable }) => variable);
  const rows = UNEVEN.slice(0, 5);
  const prefixed = withPrefix(rows, () => virtualTokenIds([method.hooks], llama.model.vocabSize));
  const { lossSum } = lossGraph(llama.model, [method.hooks], { training: false, positionLimit: 64 });
  const [gradient] = gradients(lossSum, [prompt!]);
  const program = await llama.runtime.compile({ loss: lossSum, gradient: gradient! }, llama.weights);
  const measure = async (plan: BatchPlan): Promise<{ loss: number; gradient: Float32Array }> => {
    const feeds = { ...batchFeeds(makeBatch(prefixed, plan)), ...trainedFeeds([method], values, program.reads) };
    const results = await program.run(feeds);
    return {
      loss: Number(results['loss']!.data[0]),
      gradient: Float32Array.from(results['gradient']!.data as Float32Array),
    };
  };
  const alone: Awaited<ReturnType<typeof measure>>[] = [];
  for (const row of rows.keys()) alone.push(await measure([[row]]));
  const loss = alone.reduce((sum, each) => sum + each.loss, 0);
  const total = alone[0]!.gradient.map((_, at) => alone.reduce((sum, each) => sum + each.gradient[at]!, 0));
  assert.ok(total.every((value) => value !== 0));
  for (const plan of [
    [[0], [1], [2], [3], [4]],
    [
      [0, 1, 2],
      [3, 4],
    ],
  ]) {
    const together = await measure(plan);
    assert.ok(Math.abs(together.loss - loss) <= 1e-4 * loss);
    assert.ok(largestDifference(together.gradient, total) <= 1e-4 * Math.max(...total.map(Math.abs)));
  }
  await program.dispose();

  // The labels are those of the rows: the loss is that of text + x with the text unsupervised.
  const evaluator = await createEvaluator({ ...llama, methods: [], positionLimit: 64, batchSize: 2 });
  const text = await evaluator.evaluate(
    withPrefix(rows, () => TEXT),
    new Map(),
  );
  await evaluator.dispose();
  assert.ok(Math.abs(text.loss * text.supervisedTokens - loss) <= 1e-4 * loss);
});

test('only P trains, and a run lowers the loss', async () => {
  const method = attach(llama, { num_virtual_tokens: 4 });
  assert.deepEqual(
    method.trainables.map(({ variable }) => [variable.name, variable.shape]),
    [['prompt_embeddings', [4, 32]]],
  );
  assert.equal(method.hooks.parameter, undefined);
  assert.equal(method.hooks.output, undefined);
  assert.equal(method.merge, undefined);
  const { events, reason, values } = await run(llama, {
    method: optionsOf({ num_virtual_tokens: 4, prompt_tuning_init: 'SAMPLE_VOCAB' }),
    validation: UNEVEN,
    options: {
      per_device_train_batch_size: 4,
      learning_rate: 0.1,
      max_steps: 20,
      eval_steps: 20,
    },
  });
  assert.equal(reason, 'completed');
  assert.deepEqual([...values.keys()], ['prompt_embeddings']);
  const losses = eventsOf(events, 'evaluation').map(({ loss }) => loss);
  assert.ok(losses.at(-1)! < losses[0]!, losses.join());
});

test('where P starts', async () => {
  const table = await llama.context.read('model.embed_tokens.weight');
  const row = (id: number): number[] => [...table.subarray(32 * id, 32 * (id + 1))];
  const start = async (options: Partial<PromptTuningOptions>): Promise<number[][]> => {
    const [values] = (await startValues(attach(llama, options).trainables)).values();
    return Array.from({ length: values!.length / 32 }, (_, at) => [...values!.subarray(32 * at, 32 * (at + 1))]);
  };
  const text = { prompt_tuning_init: 'TEXT', prompt_tuning_init_text: 'three tokens' } as const;
  assert.deepEqual(await start({ ...text, num_virtual_tokens: 2 }), [7, 90].map(row));
  assert.deepEqual(await start({ ...text, num_virtual_tokens: 7 }), [7, 90, 33, 7, 90, 33, 7].map(row));

  const vocabulary = new Set(Array.from({ length: 128 }, (_, id) => row(id).join()));
  const sampled = await start({ num_virtual_tokens: 20, prompt_tuning_init: 'SAMPLE_VOCAB' });
  assert.ok(sampled.every((each) => vocabulary.has(each.join())));
  assert.ok(new Set(sampled.map(String)).size > 10, 'they differ');

  const normal = (await start({ num_virtual_tokens: 60 })).flat();
  const mean = normal.reduce((sum, value) => sum + value, 0) / normal.length;
  const variance = normal.reduce((sum, value) => sum + (value - mean) ** 2, 0) / normal.length;
  assert.ok(Math.abs(mean) < 0.1 && Math.abs(variance - 1) < 0.15, `${mean}, ${variance}`);
});

test('class labels give a row each, the mean of their tokens; the others are drawn', async () => {
  const table = await llama.context.read('model.embed_tokens.weight');
  const row = (id: number): number[] => [...table.subarray(32 * id, 32 * (id + 1))];
  const encode = (text: string): number[] => [...text].map((letter) => letter.charCodeAt(0));
  const context = { ...llama.context, tokenizer: { ...tokenizer, encode } };
  const start = async (options: Partial<PromptTuningOptions>, tasks?: string[]): Promise<number[][]> => {
    const method = promptTuning.attach(optionsOf(options), { ...context, ...(tasks && { tasks }) });
    const [values] = (await startValues(method.trainables)).values();
    return Array.from({ length: values!.length / 32 }, (_, at) => [...values!.subarray(32 * at, 32 * (at + 1))]);
  };
  const labels = { prompt_tuning_init: 'CLASS_LABELS', class_labels: ['a', 'bc'] } as const;
  const mean = row(98).map((value, at) => Math.fround((value + row(99)[at]!) / 2));
  const found = await start({ ...labels, class_labels: ['a', 'bc'], num_virtual_tokens: 6 });
  assert.deepEqual(found.slice(0, 2), [row(97), mean]);
  const vocabulary = new Set(Array.from({ length: 128 }, (_, id) => row(id).join()));
  assert.ok(found.slice(2).every((each) => vocabulary.has(each.join())));
  assert.ok(new Set(found.slice(2).map(String)).size > 1);

  const fewer = { ...labels, class_labels: ['a', 'bc'], num_virtual_tokens: 1 };
  assert.deepEqual(await start(fewer), [row(97)]);
  const [warning] = promptTuning.attach(optionsOf(fewer), context).coverage.warnings;
  assert.equal(warning!.code, 'prompt-tuning.more-labels');
  assert.match(warning!.message, /"bc"/);
  // Each task has the labels, and draws of its own.
  const tasks = await start({ ...labels, class_labels: ['a', 'bc'], num_virtual_tokens: 6 }, ['x', 'y']);
  assert.deepEqual([tasks[6], tasks[7]], [row(97), mean]);
  assert.notDeepEqual(tasks.slice(2, 6), tasks.slice(8, 12));

  const saved = promptTuning
    .attach(optionsOf(fewer), context)
    .save(new Map([['prompt_embeddings', new Float32Array(32)]]));
  assert.ok(saved.kind === 'adapter');
  assert.equal(saved.config['prompt_tuning_init'], 'RANDOM');
});

test('a population is drawn from without repetition', async () => {
  const table = await llama.context.read('model.embed_tokens.weight');
  const first = (ids: number): string[] =>
    Array.from({ length: ids }, (_, id) => table.subarray(32 * id, 32 * (id + 1)).join());
  const options = { prompt_tuning_init: 'SAMPLE_VOCAB', population_size: 10, num_virtual_tokens: 10 } as const;
  const [values] = (await startValues(attach(llama, options).trainables)).values();
  const rows = Array.from({ length: 10 }, (_, at) => values!.subarray(32 * at, 32 * (at + 1)).join());
  assert.deepEqual([...rows].sort(), first(10).sort());
  assert.notDeepEqual(rows, first(10));
  assert.throws(
    () => attach(llama, { ...options, num_virtual_tokens: 11 }),
    problem('prompt-tuning.population', 'at least 11'),
  );
  // The paper's 5000 is more than this vocabulary has.
  assert.equal(attach(llama, { ...options, population_size: 5000 }).coverage.warnings.length, 0);
});

test('options that cannot be', () => {
  const text = { prompt_tuning_init: 'TEXT' } as const;
  const attachWith = (options: Partial<PromptTuningOptions>, more: object): (() => Attached) => {
    return () => promptTuning.attach(optionsOf(options), { ...llama.context, ...more });
  };
  const given = { ...text, prompt_tuning_init_text: 'x' };
  assert.throws(attachWith(given, {}), problem('prompt-tuning.tokenizer', 'without a tokenizer'));
  assert.throws(
    attachWith(text, { tokenizer: encoder }),
    problem('prompt-tuning.text', 'no prompt_tuning_init_text'),
  );
  assert.throws(attachWith(given, { tokenizer }), problem('prompt-tuning.text', 'holds no token'));
  const other = { ...encoder, encode: () => [128] };
  assert.throws(attachWith(given, { tokenizer: other }), problem('prompt-tuning.text', '128'));
  const labels = { prompt_tuning_init: 'CLASS_LABELS' } as const;
  assert.throws(attachWith(labels, { tokenizer: encoder }), problem('prompt-tuning.labels', 'no class_labels'));
  assert.throws(
    attachWith({ ...labels, class_labels: ['x'] }, {}),
    problem('prompt-tuning.tokenizer', 'class_labels'),
  );
  const unused = attach(llama, { class_labels: ['x'], population_size: 7 }).coverage.warnings;
  assert.deepEqual(
    unused.map(({ code }) => code),
    ['prompt-tuning.labels-unused', 'prompt-tuning.population-unused'],
  );
  const most = llama.model.maxPositions - 2;
  assert.equal(attach(llama, { num_virtual_tokens: most }).hooks.virtualTokens, most);
  assert.throws(
    attachWith({ num_virtual_tokens: most + 1 }, {}),
    problem('prompt-tuning.positions', `at most ${most}`),
  );
  const [warning] = attach(llama, { prompt_tuning_init_text: 'x' }).coverage.warnings;
  assert.equal(warning!.code, 'prompt-tuning.text-unused');
});

for (const [name, base] of [
  ['llama', BASES['tiny-llama']],
  ['gemma3', BASES['tiny-gemma3']],
] as const) {
  test(`PEFT's adapter on ${name} gives PEFT's logits, and is written back as it was`, async () => {
    const source = fixture('prompt-tuning', name);
    const file = `${source}/logits.safetensors`;
    const opened = await openModel(base);
    const { method, values, warnings } = await attachAdapter(opened, source);
    assert.deepEqual(warnings, []);
    const found = await logitsOf(opened, await readInputIds(file), { method, values });
    const expected = (await readTensors(file)).get('logits')!.data;
    assert.ok(largestDifference(found, expected) <= 1e-4, String(largestDifference(found, expected)));

    const saved = method.save(values);
    assert.ok(saved.kind === 'adapter');
    const config = await readJson(`${source}/adapter_config.json`);
    assert.deepEqual(
      {
        ...saved.config,
        num_attention_heads: config['num_attention_heads'],
        peft_version: config['peft_version'],
      },
      // How it started is not kept.
      { ...config, prompt_tuning_init: 'RANDOM' },
    );
    const out = `${folder}/${name}`;
    await writeAdapter(out, saved, { tokenizer, card: '' });
    const again = await readAdapter(out);
    assert.deepEqual(await again.loadTensors(), await (await readAdapter(source)).loadTensors());
  });
}

test("an encoder-decoder: PEFT's prompt before the encoder's text gives PEFT's logits", async () => {
  const source = fixture('prompt-tuning', 't5');
  const opened = await openModel(fixture('t5', 'tiny-t5'));
  const { method, values, warnings } = await attachAdapter(opened, source);
  assert.deepEqual(warnings, []);
  const { sources, rows } = JSON.parse(await readFile(`${source}/rows.json`, 'utf8')) as Record<
    string,
    number[][]
  >;
  const found = await allLogits({ ...opened, methods: [method], values, rows: rows!, sources: sources! });
  const expected = (await readTensors(`${source}/logits.safetensors`)).get('logits')!.data;
  assert.ok(largestDifference(found, expected) <= 1e-4, String(largestDifference(found, expected)));
  const saved = method.save(values);
  assert.ok(saved.kind === 'adapter');
  const config = await readJson(`${source}/adapter_config.json`);
  const { num_attention_heads, num_layers, peft_version } = config;
  assert.deepEqual(
    { ...saved.config, num_attention_heads, num_layers, peft_version },
    { ...config, prompt_tuning_init: 'RANDOM' },
  );
});

test('inspecting', async () => {
  const found = await inspectAdapter(fixture('prompt-tuning', 'llama'));
  assert.deepEqual(found.problems, []);
  assert.deepEqual([found.method, found.trainable, found.modules], ['prompt_tuning', 3 * 32, []]);
  assert.deepEqual(found.whole, [{ key: 'prompt_embeddings', shape: [3, 32], trainable: 96 }]);
  const adapter = await readAdapter(fixture('prompt-tuning', 'llama'));
  const codes = async (config: object, tensors = adapter.tensors): Promise<string[]> => {
    const inspected = await promptTuning.peft!.inspect({
      ...adapter,
      tensors,
      config: { ...adapter.config, ...config },
    });
    return inspected.problems.map(({ code }) => code);
  };
  assert.deepEqual(await codes({ num_virtual_tokens: 4 }), ['adapter.shape']);
  assert.deepEqual(await codes({ token_dim: 31 }), ['adapter.shape']);
  assert.deepEqual(await codes({}, new Map()), ['adapter.shape']);
  assert.deepEqual(await codes({ modules_to_save: ['lm_head'] }), ['adapter.config']);
});

test("configs that change PEFT's arithmetic, or say too little, are refused", () => {
  const config = { peft_type: 'PROMPT_TUNING', num_virtual_tokens: 3, prompt_tuning_init: 'TEXT' };
  assert.deepEqual(promptConfigFromPeft(config, 'x').options, optionsOf({ num_virtual_tokens: 3 }));
  const refused: JsonObject[] = [
    { num_transformer_submodules: 2 },
    { modules_to_save: ['lm_head'] },
    { num_virtual_tokens: 0 },
    { num_virtual_tokens: null },
    { num_virtual_tokens: 1.5 },
    { something_new: true },
  ];
  for (const more of refused) {
    assert.throws(() => promptConfigFromPeft({ ...config, ...more }, 'x'), problem('adapter.config'));
  }
});

test('each row of a mixed batch gets the prompt of its task', async () => {
  const tasks = ['sql', 'chat', 'poems'];
  const mixed = promptTuning.attach(optionsOf({ num_virtual_tokens: 3 }), { ...llama.context, tasks });
  const values = await startValues(mixed.trainables);
  const all = values.get('prompt_embeddings')!;
  assert.equal(all.length, 3 * 3 * 32);
  assert.deepEqual(mixed.tasks, tasks);
  const alone = attach(llama, { num_virtual_tokens: 3 });
  const ownValues = (task: number): Values =>
    new Map([['prompt_embeddings', all.slice(task * 96, (task + 1) * 96)]]);
  const rows = [
    [5, 6, 70],
    [5, 6, 70],
    [81, 3, 3],
    [9, 44, 2],
  ];
  const of = [2, 0, 0, 1];
  const together = await allLogits({ ...llama, rows, methods: [mixed], values, tasks: of });
  const size = together.length / rows.length;
  for (const [at, row] of rows.entries()) {
    const expected = await logitsOf(llama, [row], { method: alone, values: ownValues(of[at]!) });
    const found = together.subarray(at * size, (at + 1) * size);
    assert.ok(largestDifference(found, expected) <= 1e-4, String(at));
  }
  assert.ok(largestDifference(together.subarray(0, size), together.subarray(size, 2 * size)) > 1e-2);

  // Packed rows: the loss of all is the sum of each with its own prompt.
  const examples = UNEVEN.slice(0, 5).map((each, at) => ({ ...each, task: at % 3 }));
  const lossOf = async (method: Attached, plan: BatchPlan, numbers: Values): Promise<number> => {
    const { lossSum } = lossGraph(llama.model, [method.hooks], { training: false, positionLimit: 90 });
    const program = await llama.runtime.compile({ loss: lossSum }, llama.weights);
    const prefixed = withPrefix(examples, (task) => virtualTokenIds([method.hooks], llama.model.vocabSize, task));
    const feeds = { ...batchFeeds(makeBatch(prefixed, plan)), ...trainedFeeds([method], numbers, program.reads) };
    const loss = Number((await program.run(feeds))['loss']!.data[0]);
    await program.dispose();
    return loss;
  };
  let sum = 0;
  for (const at of examples.keys()) sum += await lossOf(alone, [[at]], ownValues(at % 3));
  const packed = await lossOf(
    mixed,
    [
      [0, 1, 2],
      [3, 4],
    ],
    values,
  );
  assert.ok(Math.abs(packed - sum) <= 1e-4 * sum, `${packed} and ${sum}`);

  // Generation: rows of different tasks in one batch are those of each alone.
  const generate = async (
    method: Attached,
    numbers: Values,
    at: readonly number[],
    taskOf?: readonly number[],
  ) => {
    const generator = await createGenerator({ ...llama, methods: [method], values: numbers, positionLimit: 24 });
    const prompts = at.map((row) => rows[row]!.slice(0, 2 + (row % 2)));
    const found = await generator.generate(prompts, {
      max_new_tokens: 6,
      ...(taskOf === undefined ? {} : { tasks: taskOf }),
    });
    await generator.dispose();
    return found;
  };
  const found = await generate(mixed, values, [0, 1, 2, 3], of);
  for (const at of rows.keys()) assert.deepEqual(found[at], (await generate(alone, ownValues(of[at]!), [at]))[0]);
});

test('prompts of tasks are saved as one adapter each, which is a plain one', async () => {
  const tasks = ['sql', 'a/b'];
  const mixed = promptTuning.attach(optionsOf({ num_virtual_tokens: 2 }), { ...llama.context, tasks });
  const values = await startValues(mixed.trainables);
  const saved = mixed.save(values);
  assert.ok(saved.kind === 'adapters');
  assert.deepEqual([...saved.byTask.keys()], tasks);
  for (const [at, [task, adapter]] of [...saved.byTask].entries()) {
    const own = taskFolder(folder, task);
    await writeAdapter(own, adapter, { tokenizer, card: '' });
    assert.deepEqual(await adapterOfTask(folder, task), { folder: own, isTasks: true });
    const again = await attachAdapter(llama, own);
    assert.equal(again.method.tasks, undefined);
    assert.deepEqual(
      again.values.get('prompt_embeddings'),
      values.get('prompt_embeddings')!.slice(at * 64, (at + 1) * 64),
    );
  }
  assert.deepEqual(await adapterOfTask(folder, 'other'), { folder, isTasks: false });
  assert.deepEqual(await adapterOfTask(folder, undefined), { folder, isTasks: false });
  const names = ['a/b', 'a%2fb', '..', 'x.', 'x', 'x:y', 'x?y'].map((task) => taskFolder('f', task));
  assert.equal(new Set(names).size, names.length);
  assert.ok(names.every((name) => /^f[\\/][^\\/:?*]+$/.test(name) && !/\.\.?$/.test(name)));
});

test('a run on rows of several tasks trains a prompt for each', async () => {
  const method = promptTuning.attach(optionsOf({ num_virtual_tokens: 3, prompt_tuning_init: 'SAMPLE_VOCAB' }), {
    ...llama.context,
    tasks: ['even', 'odd', 'none'],
  });
  const start = await startValues(method.trainables);
  const { values } = await run(llama, {
    methods: [method],
    train: UNEVEN.map((each, at) => ({ ...each, task: at % 2 })),
    packing: true,
    options: { per_device_train_batch_size: 4, learning_rate: 0.1, max_steps: 3 },
  });
  const moved = (task: number): boolean => {
    const part = (all: Values): string =>
      all
        .get('prompt_embeddings')!
        .slice(task * 96, (task + 1) * 96)
        .join();
    return part(values) !== part(start);
  };
  assert.deepEqual([0, 1, 2].map(moved), [true, true, false]);
});
