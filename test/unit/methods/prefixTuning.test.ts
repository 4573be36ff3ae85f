import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { attachAdapter as attachOnDisk } from '../../../src/adapters/attachAdapter.js';
import { inspectAdapter } from '../../../src/adapters/inspect.js';
import { allLogits } from '../../../src/adapters/merging/logits.js';
import { mergeAdapter } from '../../../src/adapters/merging/merge.js';
import { readAdapter } from '../../../src/adapters/readAdapter.js';
import { writeAdapter } from '../../../src/adapters/writeAdapter.js';
import type { JsonObject } from '../../../src/common/json.js';
import { makeBatch } from '../../../src/data/batches.js';
import type { BatchPlan } from '../../../src/data/batches.js';
import { createCache } from '../../../src/generation/cache.js';
import { decodeGraph } from '../../../src/generation/decodeGraph.js';
import { createGenerator } from '../../../src/generation/generate.js';
import { tokenFeeds, rowTokens } from '../../../src/generation/tokens.js';
import type { AttachContext, Attached, Values } from '../../../src/methods/method.js';
import { PrefixTuningOptions, prefixTuning } from '../../../src/methods/prefixTuning.js';
import { prefixConfigFromPeft } from '../../../src/methods/prefixTuningConfig.js';
import { trainedFeeds } from '../../../src/methods/trainedFeeds.js';
import { gradients } from '../../../src/tensor/grad.js';
import { batchFeeds, lossGraph } from '../../../src/training/lossGraph.js';
import { problem, temporaryFolder, tokenizer } from '../../support/adapters.js';
import { fixture, largestDifference, readInputIds, readJson, readTensors } from '../../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../../support/model.js';
import type { Opened } from '../../support/model.js';
import { repeatPeftSteps } from '../../support/peftSteps.js';
import { startValues } from '../../support/startValues.js';
import { UNEVEN, eventsOf, example, run } from '../training/jobs.js';

const folder = temporaryFolder();
const llama = await openModel(fixture('lora-reference', 'tiny-llama'));
const BASES = {
  llama: fixture('lora-reference', 'tiny-llama'),
  'llama-projected': fixture('lora-reference', 'tiny-llama'),
  mistral: fixture('lora-reference', 'tiny-mistral'),
  gpt2: fixture('gpt2', 'tiny-gpt2'),
  'gpt2-projected': fixture('gpt2', 'tiny-gpt2'),
  gemma3: fixture('decoders', 'tiny-gemma3'),
};

function optionsOf(options: Partial<PrefixTuningOptions> = {}): PrefixTuningOptions {
  return Value.Parse(PrefixTuningOptions, { type: 'prefix_tuning', ...options });
}

function attach(options: Partial<PrefixTuningOptions>, context: AttachContext = llama.context): Attached {
  return prefixTuning.attach(optionsOf(options), context);
}

for (const [name, base] of Object.entries(BASES)) {
  const source = fixture('prefix-tuning', name);

  test(`PEFT's adapter (${name}) gives PEFT's logits, and is written back as it was`, async () => {
    const file = `${source}/logits.safetensors`;
    const opened = await openModel(base);
    const adapter = await attachAdapter(opened, source);
    assert.deepEqual(adapter.warnings, []);
    const rows = await readInputIds(file);
    const found = await logitsOf(opened, rows, adapter);
    const expected = (await readTensors(file)).get('logits')!.data;
    assert.ok(largestDifference(found, expected) <= 1e-4, String(largestDifference(found, expected)));
    assert.ok(largestDifference(found, await logitsOf(opened, rows)) > 0.1, 'the prefix is seen');

    const saved = adapter.method.save(adapter.values);
    assert.ok(saved.kind === 'adapter');
    const config = await readJson(`${source}/adapter_config.json`);
    const { prefix_projection, encoder_hidden_size, peft_version } = config;
    // What made the keys and values is not kept.
    assert.deepEqual({ ...saved.config, prefix_projection, encoder_hidden_size, peft_version }, config);
    const out = `${folder}/${name}`;
    await writeAdapter(out, saved, { tokenizer, card: '' });
    assert.deepEqual(
      await (await readAdapter(out)).loadTensors(),
      await (await readAdapter(source)).loadTensors(),
    );
  });

  if (name === 'gemma3') continue;

  test(`steps from PEFT's start (${name}) are PEFT's`, async () => {
    const opened = await openModel(base);
    const { prefix_projection: projects, encoder_hidden_size: inner } = await readJson(
      `${source}/adapter_config.json`,
    );
    const method = prefixTuning.attach(
      optionsOf({
        num_virtual_tokens: 3,
        ...(projects === true ? { prefix_projection: true, encoder_hidden_size: Number(inner) } : {}),
      }),
      opened.context,
    );
    const initial = await readTensors(`${source}/initial.safetensors`);
    const values: Values = new Map(
      method.trainables.map(({ variable }) => {
        const key = projects === true ? variable.name : 'embedding.weight';
        const tensor = initial.get(key)!;
        assert.deepEqual(tensor.shape, variable.shape);
        return [variable.name, tensor.data];
      }),
    );
    // The network's output is what PEFT saved of it.
    const saved = method.save(values);
    assert.ok(saved.kind === 'adapter');
    const peft = (await readTensors(`${source}/adapter_model.safetensors`)).get('prompt_embeddings')!;
    assert.ok(largestDifference(saved.tensors[0]!.data, peft.data) <= 1e-6);

    const errors = await repeatPeftSteps(opened, source, { method }, values);
    assert.ok(errors.loss <= 1e-4 && errors.gradientNorm <= 1e-3, `${errors.loss}, ${errors.gradientNorm}`);
    for (const [key, distance] of errors.changes) assert.ok(distance <= 1e-2, `${key}: ${distance}`);
  });
}

for (const name of ['t5', 'mt5']) {
  test(`an encoder-decoder: PEFT's adapter (${name}) gives PEFT's logits, as it is and written by us`, async () => {
    const source = fixture('prefix-tuning', name);
    const opened = await openModel(fixture('t5', `tiny-${name}`));
    const { sources, rows } = JSON.parse(await readFile(`${source}/rows.json`, 'utf8')) as Record<
      string,
      number[][]
    >;
    const expected = (await readTensors(`${source}/logits.safetensors`)).get('logits')!.data;
    const out = `${folder}/${name}`;
    for (const from of [source, out]) {
      const { method, values, warnings } = await attachAdapter(opened, from);
      assert.deepEqual(warnings, []);
      const found = await allLogits({ ...opened, methods: [method], values, rows: rows!, sources: sources! });
      assert.ok(largestDifference(found, expected) <= 1e-4, String(largestDifference(found, expected)));
      const saved = method.save(values);
      assert.ok(saved.kind === 'adapter');
      const config = await readJson(`${source}/adapter_config.json`);
      const { peft_version } = config;
      assert.deepEqual(
        { ...saved.config, peft_version },
        // PEFT's default gives two layers one prefix, and a second one to nobody.
        { ...config, num_layers: 2 * opened.model.attentions.length },
      );
      if (from === source) await writeAdapter(out, saved, { tokenizer, card: '' });
    }
    assert.deepEqual((await inspectAdapter(out)).problems, []);
  });
}

test("greedy answers of an encoder-decoder with PEFT's prefix are PEFT's", async () => {
  const source = fixture('prefix-tuning', 'mt5');
  const opened = await openModel(fixture('t5', 'tiny-mt5'));
  const adapter = await attachAdapter(opened, source);
  const { sources } = (await readJson(`${source}/rows.json`)) as unknown as { sources: number[][] };
  const answers = JSON.parse(await readFile(`${source}/generated.json`, 'utf8')) as number[][];
  const generator = await createGenerator({ ...opened, ...adapter, positionLimit: 24 });
  const found = await generator.generate(sources, { max_new_tokens: 10 });
  await generator.dispose();
  assert.deepEqual(
    found.map(({ ids }) => ids),
    answers,
  );
});

test('steps on an encoder-decoder are those of PEFT that gives each layer a prefix of its own', async () => {
  const source = fixture('prefix-tuning', 't5');
  const opened = await openModel(fixture('t5', 'tiny-t5'));
  const { method, values } = await attachAdapter(opened, source);
  const errors = await repeatPeftSteps(opened, source, { method }, values);
  assert.ok(errors.loss <= 1e-4 && errors.gradientNorm <= 1e-3, `${errors.loss}, ${errors.gradientNorm}`);
  for (const [key, distance] of errors.changes) assert.ok(distance <= 1e-2, `${key}: ${distance}`);
});

test('an encoder-decoder: three layers of two heads of keys and values train, and twice as much is written', async () => {
  const { context } = await openModel(fixture('t5', 'tiny-t5'));
  for (const projects of [false, true]) {
    const method = attach({ num_virtual_tokens: 5, prefix_projection: projects }, context);
    if (!projects) assert.deepEqual(method.trainables[0]!.variable.shape, [5, 2 * 3 * 18]);
    const saved = method.save(await startValues(method.trainables));
    assert.ok(saved.kind === 'adapter');
    assert.deepEqual(saved.tensors[0]!.shape, [5, 2 * 6 * 18]);
    const idle = saved.tensors[0]!.data.filter((_, at) => Math.floor(at / 36) % 2 === 1);
    assert.ok(idle.length === 5 * 3 * 36 && idle.every((value) => value === 0));
  }
  const other = { name: 'prompt_embeddings', shape: [5, 2 * 2 * 18], data: new Float32Array(5 * 72) };
  // PEFT gives the third layer nothing of these, and fails.
  assert.throws(
    () => attach({ num_virtual_tokens: 5 }, context).load(new Map([[other.name, other]]), 'x'),
    problem('adapter.shape', '108'),
  );
});

test('the network drops out: the logits of what is saved are those of the projected model', async () => {
  const method = attach({ num_virtual_tokens: 4, prefix_projection: true, encoder_hidden_size: 6 });
  const values = await startValues(method.trainables);
  const saved = method.save(values);
  assert.ok(saved.kind === 'adapter');
  const out = `${folder}/projected`;
  await writeAdapter(out, saved, { tokenizer, card: '' });
  const rows = [[5, 6, 70, 12, 9]];
  const flat = await attachAdapter(llama, out);
  const expected = await logitsOf(llama, rows, { method, values });
  assert.ok(largestDifference(await logitsOf(llama, rows, flat), expected) <= 1e-5);
  const loaded = await readAdapter(out);
  const tensors = await loaded.loadTensors();
  assert.throws(() => method.load(tensors, out), problem('prefix-tuning.projection', 'prefix_projection: false'));
});

/** Keys and values that the model makes of a text, as the prefix of a method. */
async function prefixOfText(
  opened: Opened,
  text: readonly number[],
): Promise<{ method: Attached; values: Values }> {
  const { model } = opened;
  const program = await opened.runtime.compile(decodeGraph(model, [], 40), opened.weights);
  const cache = createCache(model, 1);
  const results = await program.run({ ...tokenFeeds(rowTokens(text, 0), [0], 1), ...cache.feeds() });
  const { cacheHeads: heads, headSize } = model;
  const width = heads * headSize;
  const prefix = new Float32Array(text.length * 2 * model.layers * width);
  for (let layer = 0; layer < model.layers; layer++) {
    for (const [kind, name] of ['keys', 'values'].entries()) {
      const of = results[`${name}.${layer}`]!.data as Float32Array;
      for (let head = 0; head < heads; head++) {
        for (let token = 0; token < text.length; token++) {
          const from = (head * text.length + token) * headSize;
          const to = token * 2 * model.layers * width + (2 * layer + kind) * width + head * headSize;
          prefix.set(of.subarray(from, from + headSize), to);
        }
      }
    }
  }
  await program.dispose();
  const method = prefixTuning.attach(optionsOf({ num_virtual_tokens: text.length }), opened.context);
  return { method, values: new Map([['prompt_embeddings', prefix]]) };
}

for (const name of ['llama', 'gpt2', 'mistral', 'gemma3'] as const) {
  test(`${name}: keys and values of a text as the prefix give the logits of text + x, and its answers`, async () => {
    const opened = await openModel(BASES[name]);
    const text = [7, 90, 33];
    const adapter = await prefixOfText(opened, text);
    const rows = [
      [5, 6, 70, 12, 9, 31, 2],
      [81, 3, 3, 44, 60, 4, 4],
    ];
    const size = opened.model.vocabSize;
    const whole = await logitsOf(
      opened,
      rows.map((row) => [...text, ...row]),
    );
    const length = text.length + 7;
    const expected = rows.flatMap((_, at) => [
      ...whole.subarray((at * length + text.length) * size, (at + 1) * length * size),
    ]);
    assert.ok(largestDifference(await logitsOf(opened, rows, adapter), expected) <= 2e-5);

    const generate = async (prompts: number[][], methods: readonly Attached[], values: Values) => {
      const generator = await createGenerator({ ...opened, methods, values, positionLimit: 24 });
      const found = await generator.generate(prompts, { max_new_tokens: 8 });
      await generator.dispose();
      return found;
    };
    const prompts = [[5], [17, 3, 95, 54, 8, 20, 33], [64, 2, 90]];
    assert.deepEqual(
      await generate(prompts, [adapter.method], adapter.values),
      await generate(
        prompts.map((prompt) => [...text, ...prompt]),
        [],
        new Map(),
      ),
    );
  });
}

test('a zero prefix is not the base: its keys take their share of the attention', async () => {
  const method = attach({ num_virtual_tokens: 3, init_weights: 'zero' });
  const values = await startValues(method.trainables);
  assert.ok([...values.values()].every((each) => each.every((value) => value === 0)));
  const rows = [[5, 6, 70, 12, 9]];
  assert.ok(largestDifference(await logitsOf(llama, rows, { method, values }), await logitsOf(llama, rows)) > 0.1);
  const projected = attach({ num_virtual_tokens: 3, init_weights: 'zero', prefix_projection: true });
  const saved = projected.save(await startValues(projected.trainables));
  assert.ok(saved.kind === 'adapter' && saved.tensors[0]!.data.every((value) => value === 0));
});

async function lossAndGradients(
  method: Attached,
  values: Values,
  rows: typeof UNEVEN,
  plan: BatchPlan,
  positionLimit: number,
): Promise<{ loss: number; gradients: Float32Array }> {
  const { lossSum } = lossGraph(llama.model, [method.hooks], { training: false, positionLimit });
  const variables = method.trainables.map(({ variable }) => variable);
  const outputs = Object.fromEntries(gradients(lossSum, variables).map((each, at) => [`g${at}`, each]));
  const program = await llama.runtime.compile({ loss: lossSum, ...outputs }, llama.weights);
  const feeds = { ...batchFeeds(makeBatch(rows, plan)), ...trainedFeeds([method], values, program.reads) };
  const results = await program.run(feeds);
  const found = {
    loss: Number(results['loss']!.data[0]),
    gradients: Float32Array.from(variables.flatMap((_, at) => [...(results[`g${at}`]!.data as Float32Array)])),
  };
  await program.dispose();
  return found;
}

for (const projects of [false, true]) {
  test(`padded and packed rows have the loss and the gradients of rows alone (projection: ${projects})`, async () => {
    const method = attach({ num_virtual_tokens: 4, prefix_projection: projects });
    const values = await startValues(method.trainables);
    const rows = UNEVEN.slice(0, 5);
    const alone: { loss: number; gradients: Float32Array }[] = [];
    for (const at of rows.keys()) alone.push(await lossAndGradients(method, values, rows, [[at]], 64));
    const loss = alone.reduce((sum, each) => sum + each.loss, 0);
    const total = alone[0]!.gradients.map((_, at) => alone.reduce((sum, each) => sum + each.gradients[at]!, 0));
    for (const plan of [
      [[0], [1], [2], [3], [4]],
      [
        [0, 1, 2],
        [3, 4],
      ],
    ]) {
      const together = await lossAndGradients(method, values, rows, plan, 64);
      assert.ok(Math.abs(together.loss - loss) <= 1e-4 * loss);
      assert.ok(largestDifference(together.gradients, total) <= 1e-4 * Math.max(...total.map(Math.abs)));
    }
  });
}

test('attention that is computed again in the backward pass, of long rows, has the same gradients', async () => {
  const method = attach({ num_virtual_tokens: 4 });
  const values = await startValues(method.trainables);
  const rows = [example(60, 40), example(33, 9)];
  const kept = await lossAndGradients(method, values, rows, [[0], [1]], 100);
  const again = await lossAndGradients(method, values, rows, [[0], [1]], 200);
  assert.ok(Math.abs(kept.loss - again.loss) <= 1e-5 * kept.loss);
  assert.ok(
    largestDifference(kept.gradients, again.gradients) <= 1e-5 * Math.max(...kept.gradients.map(Math.abs)),
  );
});

test('what trains: 2·L·n·kv numbers, or the network and its embedding; a report per layer', async () => {
  const count = (method: Attached): number =>
    method.coverage.modules.reduce((sum, { trainable }) => sum + trainable, 0);
  const flat = attach({ num_virtual_tokens: 5 });
  assert.equal(count(flat), 2 * 2 * 5 * 16);
  // n·t + (t·m + m) + (m·2Lt + 2Lt)
  const inner = 10;
  const projected = attach({ num_virtual_tokens: 5, prefix_projection: true, encoder_hidden_size: inner });
  assert.equal(count(projected), 5 * 16 + (16 * inner + inner) + (inner * 64 + 64));
  assert.equal(
    count(attach({ num_virtual_tokens: 5, prefix_projection: true })),
    5 * 16 + (16 * 16 + 16) + (16 * 64 + 64),
  );
  assert.deepEqual([flat.hooks.parameter, flat.hooks.output, flat.merge], [undefined, undefined, undefined]);

  const numbers = new Float32Array(2 * 2 * 5 * 16);
  // The second layer's values of the first token: parts are keys and values of layer 0, then of layer 1.
  numbers[3 * 16] = 3;
  numbers[64 + 2 * 16] = 4;
  assert.deepEqual(flat.report!(new Map([['prompt_embeddings', numbers]])), [
    { path: 'model.layers.0.self_attn', rank: 5, norm: 0 },
    { path: 'model.layers.1.self_attn', rank: 5, norm: 5 },
  ]);
  const values = await startValues(projected.trainables);
  const saved = projected.save(values);
  assert.ok(saved.kind === 'adapter');
  assert.deepEqual(
    projected.report!(values),
    attach({ num_virtual_tokens: 5 }).report!(new Map([['prompt_embeddings', saved.tensors[0]!.data]])),
  );
  assert.ok(projected.report!(values, true).every(({ norm }) => norm === undefined));
});

test('a run lowers the loss, packed rows of more than one text too', async () => {
  for (const more of [{}, { prefix_projection: true }]) {
    const { events, reason } = await run(llama, {
      method: optionsOf({ num_virtual_tokens: 4, ...more }),
      packing: true,
      validation: UNEVEN,
      options: { per_device_train_batch_size: 4, learning_rate: 0.02, max_steps: 20, eval_steps: 20 },
    });
    assert.equal(reason, 'completed');
    const losses = eventsOf(events, 'evaluation').map(({ loss }) => loss);
    assert.ok(losses.at(-1)! < losses[0]!, losses.join());
  }
});

test('options that cannot be; merging is refused', async () => {
  const most = llama.model.maxPositions - 2;
  assert.equal(attach({ num_virtual_tokens: most }).hooks.keysInFront!.length, most);
  assert.throws(
    () => attach({ num_virtual_tokens: most + 1 }),
    problem('prefix-tuning.positions', `at most ${most}`),
  );
  const [warning] = attach({ encoder_hidden_size: 4 }).coverage.warnings;
  assert.equal(warning!.code, 'prefix-tuning.width-unused');
  const adapter = await attachAdapter(llama, fixture('prefix-tuning', 'llama'));
  await assert.rejects(
    mergeAdapter({ ...llama, ...adapter, tokenizer, out: `${folder}/merged` }),
    problem('merge.not-mergeable', "type 'prefix_tuning'", 'Keep it as an adapter'),
  );
});

test('sizes in the config that are not those of base and tensor are refused when it is attached', async () => {
  for (const [name, base, config, text] of [
    ['llama', BASES.llama, { token_dim: 32, num_layers: 1 }, /token_dim is 32 .*\nExpected: 16/],
    ['llama', BASES.llama, { num_layers: 3 }, 'num_layers is 3'],
    ['llama', BASES.llama, { token_dim: '16' }, 'token_dim is "16"'],
    ['t5', fixture('t5', 'tiny-t5'), { num_layers: 2 }, 'num_layers is 2'],
  ] as const) {
    const adapter = await readAdapter(fixture('prefix-tuning', name));
    const { context } = await openModel(base);
    const changed = { ...adapter, config: { ...adapter.config, ...config } };
    await assert.rejects(attachOnDisk(changed, context), problem('adapter.other-base', text));
    const silent = { ...adapter, config: { ...adapter.config, token_dim: null, num_layers: null } };
    await attachOnDisk(silent, context);
  }
});

test('inspecting', async () => {
  const found = await inspectAdapter(fixture('prefix-tuning', 'llama-projected'));
  assert.deepEqual(found.problems, []);
  assert.deepEqual([found.method, found.trainable, found.modules], ['prefix_tuning', 3 * 64, []]);
  const adapter = await readAdapter(fixture('prefix-tuning', 'llama'));
  const codes = async (config: JsonObject, tensors = adapter.tensors): Promise<string[]> => {
    const { problems } = await prefixTuning.peft!.inspect({
      ...adapter,
      tensors,
      config: { ...adapter.config, ...config },
    });
    return problems.map(({ code }) => code);
  };
  assert.deepEqual(await codes({ num_virtual_tokens: 4 }), ['adapter.shape']);
  assert.deepEqual(await codes({ token_dim: 32 }), ['adapter.shape']);
  assert.deepEqual(await codes({}, new Map()), ['adapter.shape']);
  assert.deepEqual(await codes({ modules_to_save: ['lm_head'] }), ['adapter.config']);
});

test("configs that change PEFT's arithmetic, or say too little, are refused", () => {
  const config = {
    peft_type: 'PREFIX_TUNING',
    num_virtual_tokens: 3,
    prefix_projection: true,
    init_weights: 'zero',
  };
  assert.deepEqual(prefixConfigFromPeft(config, 'x').options, optionsOf({ num_virtual_tokens: 3 }));
  const refused: JsonObject[] = [
    { num_transformer_submodules: 2 },
    { task_type: 'SEQ_2_SEQ_LM', num_transformer_submodules: 1 },
    { modules_to_save: ['lm_head'] },
    { num_virtual_tokens: 0 },
    { num_virtual_tokens: null },
    { something_new: true },
  ];
  for (const more of refused) {
    assert.throws(() => prefixConfigFromPeft({ ...config, ...more }, 'x'), problem('adapter.config'));
  }
});
