import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { inspectAdapter } from '../../../src/adapters/inspect.js';
import { readAdapter } from '../../../src/adapters/readAdapter.js';
import { writeAdapter } from '../../../src/adapters/writeAdapter.js';
import { random } from '../../../src/common/random.js';
import { parseRunFile } from '../../../src/config/parseRunFile.js';
import { estimateRun } from '../../../src/engines/estimate.js';
import { attachMethods, parameterCount } from '../../../src/engines/session.js';
import { maskedNumbers } from '../../../src/language/trainable.js';
import type { Attached } from '../../../src/methods/method.js';
import type { MethodConfig } from '../../../src/methods/registry.js';
import { SltrainOptions, drawnPlaces } from '../../../src/methods/sltrain.js';
import { startSnapshot } from '../../../src/training/snapshot.js';
import { createStepper } from '../../../src/training/stepper.js';
import { makeBatch } from '../../../src/data/batches.js';
import { problem, temporaryFolder, tokenizer } from '../../support/adapters.js';
import { fixture, readInputIds, relativeDistance } from '../../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../../support/model.js';
import { passesOver, prepare, referenceBatches } from '../../support/sparse.js';
import { startValues } from '../../support/startValues.js';
import { UNEVEN, eventsOf, run, trainingOptions } from '../training/jobs.js';

const folder = temporaryFolder();
const llama = await openModel(fixture('lora-reference', 'tiny-llama'));

function optionsOf(options: Partial<SltrainOptions> = {}): MethodConfig {
  return Value.Parse(SltrainOptions, { type: 'sltrain', ...options });
}

async function attached(config: MethodConfig): Promise<Attached> {
  return attachMethods([config], llama.context, await prepare([config], llama, []))[0]!;
}

test('places are so many, rising, each at most once, and each as likely as another', () => {
  const counts = new Float64Array(50);
  for (let draw = 0; draw < 4000; draw++) {
    const places = drawnPlaces(10, 50, random(draw, 'places'));
    assert.equal(places.length, 10);
    assert.ok(places.every((place, at) => place < 50 && (at === 0 || place > places[at - 1]!)));
    for (const place of places) counts[place]!++;
  }
  // 800 expected, with a deviation of √(4000 · 0.2 · 0.8) = 25.
  assert.ok(
    counts.every((count) => Math.abs(count - 800) < 5 * 25.3),
    counts.join(),
  );
  assert.deepEqual([...drawnPlaces(7, 7, random(1))], [0, 1, 2, 3, 4, 5, 6]);
});

test('it draws int(sp_ratio · in · out) places in each weight, by the seed, and starts as the base', async () => {
  const config = optionsOf({ r: 2, sp_ratio: 0.03 });
  const [first, again] = [await prepare([config], llama, []), await prepare([config], llama, UNEVEN)];
  assert.deepEqual(first, again);
  const places = (name: string): Int32Array => first[0]!.get(`${name}.weight.indices`) as Int32Array;
  const [q, k] = ['q_proj', 'k_proj'].map((name) => places(`model.layers.0.self_attn.${name}`));
  assert.deepEqual([q!.length, k!.length], [Math.floor(0.03 * 1024), Math.floor(0.03 * 512)]);
  assert.notDeepEqual(q, places('model.layers.1.self_attn.q_proj'));
  const method = await attached(config);
  const values = await startValues(method.trainables);
  const rows = await readInputIds(fixture('module-updates/sltrain-llama/logits.safetensors'));
  assert.deepEqual(await logitsOf(llama, rows, { method, values }), await logitsOf(llama, rows));
  const trainable = method.coverage.modules.reduce((sum, each) => sum + each.trainable, 0);
  // r(in + out) of four [32, 32], four [16, 32] and six [48, 32], and the places of each.
  const pairs = 2 * (4 * 64 + 4 * 48 + 6 * 80);
  assert.equal(trainable, pairs + 4 * 30 + 4 * 15 + 6 * 46);
  assert.equal(trainable, maskedNumbers(config, llama.model));
  const numbers = method.trainables.reduce((sum, { variable }) => sum + values.get(variable.name)!.length, 0);
  assert.equal(numbers, trainable);
});

test("the sparse part's gradient is that of the whole weight at its places", async () => {
  const config = optionsOf({ r: 2, sp_ratio: 0.05, target_modules: ['q_proj', 'down_proj'] });
  const [method] = attachMethods([config], llama.context, await prepare([config], llama, []));
  const [rows] = await referenceBatches();
  const options = trainingOptions({ optim: 'sgd', max_grad_norm: 0, weight_decay: 0, momentum: 0 });
  const start = await startValues(method!.trainables);
  const stepper = await createStepper({
    ...llama,
    methods: [method!],
    start: startSnapshot(start),
    options,
    positionLimit: 64,
  });
  const batch = makeBatch(
    rows!,
    rows!.map((_, at) => [at]),
  );
  await stepper.step([batch], { step: 1, totalSteps: 1 }, 1, 0);
  const values = new Map([...stepper.values()].map(([name, data]) => [name, data.slice()]));
  await stepper.dispose();

  const targets = llama.model.sites.filter(({ path }) => /q_proj$|down_proj$/.test(path));
  const whole = await passesOver(llama, rows!).summedGradients({
    weights: targets.map(({ weight }) => weight!),
    batchSize: rows!.length,
    batches: 1,
  });
  const saved = method!.save(values);
  assert.ok(saved.kind === 'adapter' && targets.length === 4);
  for (const { weight } of targets) {
    const indices = saved.indices!.find(({ name }) => name === `${weight}.indices`)!.data;
    const expected = Float32Array.from(indices, (place) => -whole.get(weight!)![place]!);
    assert.ok(relativeDistance(values.get(`${weight}.values`)!, expected) <= 1e-4, weight);
  }
});

test('a run lowers the loss, and tells rank, density and norm of each module', async () => {
  const config = optionsOf({ r: 2, sp_ratio: 0.05, lora_dropout: 0.1 });
  const methods = attachMethods([config], llama.context, await prepare([config], llama, UNEVEN));
  const { events, values } = await run(llama, {
    methods,
    validation: UNEVEN,
    options: { per_device_train_batch_size: 4, learning_rate: 0.02, max_steps: 20, eval_steps: 20 },
  });
  const told = eventsOf(events, 'ranks').at(-1)!.sites;
  const densities = eventsOf(events, 'masks').at(-1)!.sites;
  assert.deepEqual(
    told.map(({ rank, scale }) => [rank, scale]),
    told.map(() => [2, 4]),
  );
  const far = densities.filter(({ density }) => Math.abs(density - 0.05) > 0.002);
  assert.deepEqual([told.length, densities.length, far], [14, 14, []]);
  const losses = eventsOf(events, 'evaluation').map(({ loss }) => loss);
  assert.ok(losses.at(-1)! < 0.95 * losses[0]!, losses.join());

  // Saved, looked at without the base, and loaded.
  const out = `${folder}/trained`;
  const saved = methods[0]!.save(values);
  assert.ok(saved.kind === 'adapter');
  await writeAdapter(out, saved, { tokenizer, card: '' });
  const { modules, problems, trainable } = await inspectAdapter(out);
  assert.deepEqual(problems, []);
  assert.equal(trainable, maskedNumbers(config, llama.model));
  for (const { path, norm, rank } of modules) {
    const expected = told.find((each) => each.path === path)!;
    assert.ok(rank === 2 && Math.abs(norm! - expected.norm!) <= 1e-4 * norm!, path);
  }
  const rows = [[5, 6, 70, 12, 9, 44, 3]];
  const loaded = await attachAdapter(llama, out);
  assert.deepEqual(loaded.warnings, []);
  assert.deepEqual(
    await logitsOf(llama, rows, loaded),
    await logitsOf(llama, rows, { method: methods[0]!, values }),
  );
  assert.equal((await readAdapter(out)).config['stored_numbers'], trainable);
});

test('a plan counts what trains, and the file with a place for each number of the sparse part', async () => {
  const BUNDLED = 'examples/base-model/peft-studio-tiny';
  const { checkpoint, model } = await openModel(BUNDLED);
  const text = 'model: m\ndata: { train: a.jsonl }\nmethod: { type: sltrain, r: 4, sp_ratio: 0.02 }\n';
  const { config } = parseRunFile(text, 'a.peft.yaml');
  const [method] = config!.method;
  const methods = [{ config: method!, attached: undefined }];
  const batch = { rows: 8, length: 100, supervised: 80 };
  const header = { checkpoint, model, parameters: parameterCount(model) };
  const { plan, results } = estimateRun(header, methods, config!, { batch });
  // Rows and columns of all linears but the head's, and ⌊0.02 · N⌋ of each.
  const linears = model.sites.filter(({ kind, isOutput }) => kind === 'linear' && !isOutput);
  const places = linears.reduce((sum, { shape }) => sum + Math.floor(0.02 * shape[0]! * shape[1]!), 0);
  const pairs = 4 * linears.reduce((sum, { shape }) => sum + shape[0]! + shape[1]!, 0);
  assert.equal(plan.trainable, pairs + places);
  assert.deepEqual(results, [{ method: 'sltrain', what: 'adapter', bytes: 4 * (pairs + 2 * places) }]);
});

test('a share that is no number, modules without a matrix and a run without places are refused', async () => {
  const { context } = llama;
  const small = optionsOf({ sp_ratio: 0.0005, target_modules: ['q_proj'] });
  await assert.rejects(
    prepare([small], llama, []),
    problem('sltrain.nothing', 'sp_ratio 0.0005 of the 1024 numbers', 'at least 9.8e-4'),
  );
  // 1/1536 is 6.51e-4: rounded down it would be no number.
  const wide = optionsOf({ sp_ratio: 1e-4, target_modules: ['gate_proj'] });
  await assert.rejects(
    prepare([wide], llama, []),
    problem('sltrain.nothing', 'the 1536 numbers', 'at least 6.6e-4'),
  );
  const embedding = optionsOf({ target_modules: ['embed_tokens'] });
  await assert.rejects(prepare([embedding], llama, []), problem('targets.no-match', 'embedding'));
  assert.throws(() => attachMethods([optionsOf()], context), problem('method.not-prepared', 'SLTrain'));
});
