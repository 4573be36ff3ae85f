// A language's and a task's differences, trained and added up as a user does it.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import type { CombinedModule } from '../../src/adapters/combining/combination.js';
import { allLogits } from '../../src/adapters/merging/logits.js';
import { attachAdapters, openAdapters } from '../../src/engines/openAdapters.js';
import { openModel } from '../../src/engines/session.js';
import { onnxRuntime } from '../../src/runtime/onnxruntime.js';
import { writeSafetensors } from '../../src/models/writeSafetensors.js';
import { names, temporaryFolder } from '../support/adapters.js';
import { largestDifference, readTensors } from '../support/fixtures.js';
import { document, run as cli } from '../unit/cli/support.js';
import { emitted, makeModel, makeRun } from './engineModel.js';

const folder = temporaryFolder();
const model = await makeModel(path.join(folder, 'base'));
const other = await makeModel(path.join(folder, 'other'));
const TRAINING = { max_steps: 6, per_device_train_batch_size: 4, learning_rate: 1e-2 };
const ROWS = [[5, 6, 70, 12, 9, 44, 3]];

async function trained(name: string, method: object, base = model): Promise<string> {
  const run = await makeRun(path.join(folder, name), base, { method: [method], training: TRAINING });
  const { error } = await emitted(run);
  assert.equal(error, undefined);
  const [only] = await names(path.join(run.folder, 'runs/small'));
  return path.join(run.folder, 'runs/small', only!, 'adapter');
}

/** Logits with adapters applied one after the other. */
async function logits(...folders: string[]): Promise<Float32Array> {
  const opened = await openModel(model, 0);
  const adapters = await Promise.all(folders.map(async (each) => (await openAdapters(each)).adapters[0]));
  const [first, ...rest] = adapters;
  const attached =
    first === undefined
      ? { methods: [], values: new Map() }
      : await attachAdapters({ adapters: [first, ...rest], warnings: [] }, opened.context);
  return allLogits({
    ...opened,
    ...attached,
    weights: await opened.checkpoint.mapped(),
    runtime: await onnxRuntime({ threads: 1 }),
    rows: ROWS,
  });
}

const language = await trained('language', { type: 'lt_sft', ft_params_proportion: 0.05 });
const task = await trained('task', { type: 'fish_mask', keep_ratio: 0.05, num_samples: 8 });

test('combine: the sum is applied and merged as one adapter', async () => {
  const out = path.join(folder, 'both');
  const ran = await cli(['combine', language, task, '--out', out, '--json']);
  assert.equal(ran.code, 0, ran.err);
  const told = document(ran);
  assert.deepEqual(told['from'], [
    { folder: language, peft_type: 'LT_SFT', weight: 1 },
    { folder: task, peft_type: 'FISH_MASK', weight: 1 },
  ]);
  assert.ok(Number(told['overlap']) > 0 && Number(told['numbers']) > Number(told['overlap']));
  const both = await logits(out);
  assert.ok(largestDifference(both, await logits(language, task)) < 1e-5);
  assert.ok(largestDifference(both, await logits(language)) > 1e-3);
  const merged = await cli(['merge', out, '--out', path.join(folder, 'merged'), '--json']);
  assert.equal(merged.code, 0, merged.err);
  const inspected = document(await cli(['inspect', out, '--json']));
  assert.deepEqual([inspected['method'], inspected['problems']], ['lt_sft', []]);
  const text = await cli(['combine', language, task, '--weights', '1,0.5', '--out', path.join(folder, 'half')]);
  assert.match(text.out, /0\.5 × .*\(FISH_MASK\)/);
  assert.match(text.out, /Overlap +\d+ of them are changed by more than one adapter/);
});

test('combine: what cannot be added is refused, and nothing is written', async () => {
  const lora = await trained('lora', { type: 'lora', r: 2 });
  const prompt = await trained('prompt', { type: 'prompt_tuning', num_virtual_tokens: 2 });
  const foreign = await trained('foreign', { type: 'pafi', keep_ratio: 0.05 }, other);
  const out = path.join(folder, 'none');
  for (const [args, message] of [
    [[language, prompt], /PROMPT_TUNING does not keep differences/],
    [[language, lora], /LT_SFT\) changes in .* is a matrix of any rank/],
    [[language, task, '--how', 'ties', '--density', '0.5'], /of type LT_SFT are added as they are/],
    [[lora, lora, '--how', 'ties'], /--how ties needs --density/],
    [[lora, lora, '--how', 'tie'], /--how is "tie"/],
    [[lora, lora, '--density', '0.5'], /--density says nothing with --how linear/],
    [[lora, lora, '--how', 'ties', '--density', '0.5', '--seed', '1'], /--seed says nothing with --how ties/],
    [[lora, lora, '--how', 'ties', '--density', '1.5'], /--density is "1.5"/],
    [[lora, lora, '--rank', '2', '--energy', '0.9'], /both say how much/],
    [[lora, lora, '--rank', '0'], /--rank is "0"/],
    [[lora, lora, '--as-peft', '--rank', '2'], /their rank stays/],
    [[language, foreign], /is of the base model .*base.* of .*other/],
    [[language], /one adapter alone/],
    [[language, task, '--weights', '1'], /--weights is "1"/],
    [[language, task, '--weights', '1,x'], /expected: 2 numbers/i],
    [[language, task, '--weights', '1,0'], /expected: 2 numbers other than 0/i],
    [[language, task, '--layer-weights', '0=1'], /--layer-weights is "0=1"[^]*2 numbers/],
    [[language, task, '--layer-weights', '=1,0'], /--layer-weights is "=1,0"/],
    [[language, task, '--layer-weights', '0=1,0', '--layer-weights', '0=1,1'], /names 0 twice/],
    [[language, task, '--layer-weights', '0-1=1,0', '--layer-weights', '1=1,1'], /layer 1 has two weights/],
    [[language, task, '--layer-weights', '0-9=1,0'], /the model has no layer 9, which 0-9 names/],
    [[language, task, '--layer-weights', '1-0=1,0'], /the first number is larger/],
    [[language, task, '--layer-weights', 'q_porj=1,0'], /'q_porj' of layer_weights matches no .*[^]*q_proj/],
    [[lora, lora, '--weights', '0,0', '--layer-weights', 'lm_head=1,1'], /nothing is left of the adapters/],
    [[language, path.join(folder, 'nowhere')], /folder not found/],
  ] as const) {
    const ran = await cli(['combine', ...args, '--out', out]);
    assert.equal(ran.code, 2, ran.err);
    assert.match(ran.err, message);
  }
  assert.ok(!(await names(folder)).includes('none'));
  const inside = await cli(['combine', language, task, '--out', path.join(task, 'sum')]);
  assert.equal(inside.code, 2, inside.err);
  assert.match(inside.err, /cli\.out-inside/);
  assert.ok(!(await names(task)).includes('sum'));
  const named = await cli(['combine', language, foreign, '--model', model, '--out', out, '--json']);
  assert.equal(named.code, 0, named.err);
  assert.match(named.err, /is of the base model/);
  const doubled = await cli(['combine', task, task, '--out', path.join(folder, 'doubled'), '--json']);
  assert.equal(doubled.code, 0, doubled.err);
  assert.match(doubled.err, /named more than once/);
});

test('an adapter of a larger vocabulary is no difference from the base: not to be added, nor to be converted', async () => {
  const own = await trained('vocabulary', { type: 'lora', r: 2, modules_to_save: ['embed_tokens', 'lm_head'] });
  // Of its own size it is: what trained whole is named, and stays whole beside what is adapted.
  const beside = await trained('head', { type: 'lora', r: 2, target_modules: ['q_proj', 'lm_head'] });
  const ran = await cli(['combine', own, beside, '--preview']);
  assert.equal(ran.code, 0, ran.err);
  assert.match(ran.out, /\nWhole +embed_tokens, lm_head\n/);
  const file = path.join(own, 'adapter_model.safetensors');
  const tensors = [...(await readTensors(file)).values()].map(({ name, shape, data }) => {
    const [rows, columns] = shape as [number, number];
    if (!/(?:embed_tokens|lm_head)\.weight$/.test(name)) return { name, shape, data, dtype: 'F32' as const };
    const grown = Float32Array.from({ length: data.length + 2 * columns }, (_, at) => data[at] ?? 0);
    return { name, shape: [rows + 2, columns], data: grown, dtype: 'F32' as const };
  });
  await writeSafetensors(file, tensors);
  const out = path.join(folder, 'no-vocabulary');
  for (const args of [
    ['combine', own, '--weights', '2', '--out', out],
    ['convert', own, '--to', 'lora', '--rank', '1', '--out', out],
    ['convert', own, '--to', 'delta', '--out', `${out}.safetensors`],
  ]) {
    const ran = await cli(args);
    assert.equal(ran.code, 2, ran.err);
    assert.match(ran.err, /embed_tokens\.weight is \[\d+, \d+\], the base model needs [^]*resize the base model/);
  }
});

test('combine: low-rank updates become one adapter of any rank, which is applied and merged', async () => {
  const one = await trained('one', { type: 'lora', r: 2, target_modules: ['q_proj', 'up_proj'] });
  const two = await trained('two', { type: 'lora', r: 3, lora_alpha: 5, target_modules: 'all-linear' });
  const out = path.join(folder, 'lora-sum');
  const shown = await cli(['combine', one, two, '--preview', '--json']);
  assert.equal(shown.code, 0, shown.err);
  assert.equal(document(shown)['out'], null);
  const ran = await cli(['combine', one, two, '--out', out, '--json']);
  assert.equal(ran.code, 0, ran.err);
  const modules = document(ran)['modules'] as { path: string; rank: number; norms: number[] }[];
  assert.deepEqual(modules, document(shown)['modules']);
  assert.deepEqual([...new Set(modules.map(({ rank }) => rank))].sort(), [3, 5]);
  assert.ok(largestDifference(await logits(out), await logits(one, two)) < 1e-4);
  const merged = await cli(['merge', out, '--out', path.join(folder, 'lora-merged'), '--json']);
  assert.equal(merged.code, 0, merged.err);

  // Layer 0 of the first, layer 1 of the second.
  const parts = ['combine', one, two, '--weights', '0,1', '--layer-weights', '0=1,0', '--json'];
  const split = await cli([...parts, '--out', path.join(folder, 'lora-split')]);
  assert.equal(split.code, 0, split.err);
  const told = document(split);
  assert.deepEqual(
    (told['from'] as { layer_weights: object }[]).map((each) => each.layer_weights),
    [{ 0: 1 }, { 0: 0 }],
  );
  const card = await readFile(path.join(folder, 'lora-split/README.md'), 'utf8');
  assert.match(card, /- 0 \(1 in 0\) × `.*` \(LORA\)\n- 1 \(0 in 0\) × /);
  for (const { layer, weights, norms, pairs } of told['modules'] as CombinedModule[]) {
    assert.deepEqual(weights, layer === 0 ? [1, 0] : [0, 1]);
    assert.deepEqual(
      norms.map((norm) => norm > 0),
      layer === 0 ? [true, false] : [false, true],
    );
    assert.deepEqual(pairs, []);
  }

  // One sum under three names; PEFT's names for a way at the rank of `svd`.
  for (const how of ['task_arithmetic', 'cat']) {
    const same = document(await cli(['combine', one, two, '--how', how, '--preview', '--json']));
    assert.deepEqual(same['modules'], modules, how);
  }
  for (const [options, how] of [
    [['--how', 'svd'], { sum: { kind: 'linear' }, kept: 'largest', seed: 0 }],
    [
      ['--how', 'magnitude_prune_svd', '--density', '0.5', '--as-peft'],
      { sum: { kind: 'magnitude_prune', density: 0.5 }, kept: 'largest', asPeft: true, seed: 0 },
    ],
    [
      ['--how', 'dare_ties_svd', '--density', '0.5', '--rank', '2', '--seed', '4'],
      { sum: { kind: 'dare_ties', density: 0.5, majority_sign_method: 'total' }, kept: { rank: 2 }, seed: 4 },
    ],
  ] as const) {
    const kept = await cli(['combine', one, two, ...options, '--preview', '--json']);
    assert.equal(kept.code, 0, kept.err);
    assert.deepEqual(document(kept)['how'], how);
    const ranks = (document(kept)['modules'] as CombinedModule[]).map(({ rank }) => rank);
    assert.deepEqual([...new Set(ranks)], [how.kept === 'largest' ? 3 : 2]);
  }

  const ties = await cli([
    ...['combine', one, two, '--weights', '1,0.5', '--how', 'ties', '--density', '0.4', '--rank', '4'],
    ...['--out', path.join(folder, 'lora-ties')],
  ]);
  assert.equal(ties.code, 0, ties.err);
  assert.match(ties.out, /How +as an average .*\(ties\), density 0\.4, majority sign total, of rank 4/);
  assert.match(ties.out, /q_proj +4 /);
  assert.deepEqual(document(await cli(['inspect', path.join(folder, 'lora-ties'), '--json']))['problems'], []);
});
