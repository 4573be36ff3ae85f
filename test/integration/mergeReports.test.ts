// What people reported of merging and combining adapters with other tools (numbers of the collected reports), as they would
// meet it at the command line.
import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { inspectAdapter } from '../../src/adapters/inspect.js';
import { readAdapter } from '../../src/adapters/readAdapter.js';
import { random } from '../../src/common/random.js';
import type { NamedTensor } from '../../src/methods/method.js';
import { openModel as openBase } from '../../src/engines/session.js';
import { loadTokenizer } from '../../src/models/loadTokenizer.js';
import type { Site } from '../../src/models/site.js';
import { temporaryFolder, writeParts } from '../support/adapters.js';
import { fixture, largestDifference, readJson } from '../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../support/model.js';
import { document, run as cli } from '../unit/cli/support.js';
import { makeModel } from './engineModel.js';

const folder = temporaryFolder();
const base = await makeModel(path.join(folder, 'base'));
const { model } = await openBase(base, 0);
const drawn = random(1, 'reports');
const QUERY = model.sites.filter(({ path: module }) => module.endsWith('q_proj'));

function numbers(...shape: number[]): Float32Array {
  return Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => drawn.normal() / 4);
}

function tensor(name: string, ...shape: number[]): NamedTensor {
  return { name: `base_model.model.${name}`, shape, data: numbers(...shape) };
}

/** A LoRA on q_proj with random numbers. */
function lora(name: string, r: number, options: object, more: readonly NamedTensor[] = []): Promise<string> {
  const pairs = QUERY.flatMap(({ path: module, shape: [outputs, inputs] }) => [
    tensor(`${module}.lora_A.weight`, r, inputs!),
    tensor(`${module}.lora_B.weight`, outputs!, r),
  ]);
  const config = {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: base,
    r,
    lora_alpha: r,
    target_modules: ['q_proj'],
    ...options,
  };
  return writeParts(path.join(folder, name), { config, tensors: [...pairs, ...more] });
}

/** ΔW of a module, [out, in], by the definition. */
async function delta(of: string, { path: module, shape }: Site): Promise<Float32Array> {
  const adapter = await readAdapter(of);
  const [outputs, inputs] = shape as [number, number];
  const { scale, rank } = (await inspectAdapter(of)).modules.find((each) => each.path === module)!;
  const key = `base_model.model.${module}`;
  const [a, b] = [await adapter.read(`${key}.lora_A.weight`), await adapter.read(`${key}.lora_B.weight`)];
  return Float32Array.from({ length: outputs * inputs }, (_, at) => {
    const [row, column] = [Math.floor(at / inputs), at % inputs];
    let sum = 0;
    for (let k = 0; k < rank; k++) sum += b[row * rank + k]! * a[k * inputs + column]!;
    return scale! * sum;
  });
}

async function combined(out: string, ...args: string[]): Promise<string> {
  const place = path.join(folder, out);
  const ran = await cli(['combine', ...args, '--out', place]);
  assert.equal(ran.code, 0, ran.err);
  return place;
}

test('★22 weights 1 and −1: the second adapter is taken away, with no terms of one’s A with the other’s B', async () => {
  const [one, two] = [await lora('one', 2, {}), await lora('two', 2, { lora_alpha: 6 })];
  const [minus, plus] = [
    await combined('minus', one, two, '--weights', '1,-1'),
    await combined('plus', one, two, '--weights', '1,1'),
  ];
  for (const site of QUERY) {
    const [a, b] = [await delta(one, site), await delta(two, site)];
    assert.ok(
      largestDifference(
        await delta(minus, site),
        a.map((value, at) => value - b[at]!),
      ) < 1e-5,
    );
    assert.ok(
      largestDifference(
        await delta(plus, site),
        a.map((value, at) => value + b[at]!),
      ) < 1e-5,
    );
    assert.ok(largestDifference(await delta(minus, site), await delta(plus, site)) > 0.1);
  }
});

test('★23 alpha twice the rank, one adapter at weight 1, by svd: the scale counts once', async () => {
  const one = await lora('doubled', 4, { lora_alpha: 8 });
  const same = await combined('doubled-svd', one, '--how', 'svd', '--rank', '4');
  for (const site of QUERY) {
    assert.ok(largestDifference(await delta(same, site), await delta(one, site)) < 1e-5);
  }
});

test('★26 a rank-stabilized adapter at weight 1 is as strong as before', async () => {
  const one = await lora('stabilized', 4, { use_rslora: true });
  for (const how of ['linear', 'cat', 'svd']) {
    const same = await combined(`stabilized-${how}`, one, '--how', how);
    for (const site of QUERY) {
      assert.ok(largestDifference(await delta(same, site), await delta(one, site)) < 1e-5, how);
    }
  }
});

test('★30 DoRA on GPT-2’s Conv1D: merged it is the adapter applied, and unmerged the base again', async () => {
  const gpt2 = fixture('gpt2/tiny-gpt2');
  const adapter = fixture('dora/conv1d/final');
  const [merged, back] = [path.join(folder, 'conv1d'), path.join(folder, 'conv1d-back')];
  const ran = await cli(['merge', adapter, '--model', gpt2, '--keep-original', '--out', merged]);
  assert.equal(ran.code, 0, ran.err);
  const [before, after] = [await openModel(gpt2), await openModel(merged)];
  const ids = [[5, 6, 7, 12, 9, 3]];
  const applied = await logitsOf(before, ids, await attachAdapter(before, adapter));
  assert.ok(largestDifference(await logitsOf(after, ids), applied) < 1e-4);
  assert.ok(largestDifference(await logitsOf(before, ids), applied) > 1e-3);
  const undone = await cli(['unmerge', merged, '--out', back]);
  assert.equal(undone.code, 0, undone.err);
  const { checkpoint } = await openModel(back);
  for (const name of before.checkpoint.tensors.keys()) {
    if (!checkpoint.tensors.has(name)) continue;
    assert.deepEqual(await checkpoint.read(name), await before.checkpoint.read(name), name);
  }
});

test('★38 ★39 tokens added before training: the merged model has the adapter’s vocabulary and its tokenizer', async () => {
  const { tokenizer } = await openBase(base, 0);
  const rows = model.vocabSize + 3;
  const whole = [
    tensor('model.embed_tokens.weight', rows, model.hiddenSize),
    tensor('lm_head.weight', rows, model.hiddenSize),
  ];
  const own = await lora('more-tokens', 2, { modules_to_save: ['embed_tokens', 'lm_head'] }, whole);
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
    cpSync(path.join(base, name), path.join(own, name));
  }
  const file = path.join(own, 'tokenizer.json');
  const known = JSON.parse(readFileSync(file, 'utf8')) as { added_tokens: object[] };
  const added = { id: model.vocabSize, content: '<sql>', single_word: false, lstrip: false, rstrip: false };
  known.added_tokens.push({ ...added, normalized: false, special: true });
  writeFileSync(file, JSON.stringify(known));

  const out = path.join(folder, 'more-tokens-merged');
  const ran = await cli(['merge', own, '--out', out]);
  assert.equal(ran.code, 0, ran.err);
  assert.equal((await readJson(path.join(out, 'config.json')))['vocab_size'], rows);
  const merged = await openModel(out);
  const [embedding, head] = whole;
  assert.deepEqual(await merged.checkpoint.read('model.embed_tokens.weight'), embedding!.data);
  assert.deepEqual(await merged.checkpoint.read('lm_head.weight'), head!.data);
  assert.deepEqual((await loadTokenizer(out)).encode('<sql>', { addSpecialTokens: false }), [model.vocabSize]);
  assert.ok(tokenizer.encode('<sql>', { addSpecialTokens: false }).length > 1);
  // The new token is read with its own row, applied as merged.
  const answers: unknown[] = [];
  for (const named of [[base, '--adapter', own], [out]]) {
    const args = ['--prompt', '<sql> a', '--max-new-tokens', '4', '--temperature', '0', '--json'];
    const answer = await cli(['generate', ...named, ...args]);
    assert.equal(answer.code, 0, answer.err);
    answers.push(document(answer)['text']);
  }
  assert.equal(typeof answers[0], 'string');
  assert.equal(answers[0], answers[1]);
  const { problems } = await inspectAdapter(own);
  assert.deepEqual(problems, []);
});

test('★38 a vocabulary of which the adapter has the head alone: both sizes, and what to do', async () => {
  const rows = model.vocabSize + 3;
  const own = await lora('head-alone', 2, { modules_to_save: ['lm_head'] }, [
    tensor('lm_head.weight', rows, model.hiddenSize),
  ]);
  const merged = await cli(['merge', own, '--out', path.join(folder, 'none')]);
  assert.equal(merged.code, 2);
  assert.match(merged.err, new RegExp(`\\[${rows}, .*\\[${model.vocabSize}, [^]*resize the base model`));
  const told = await cli(['repair', own]);
  assert.match(
    told.out,
    new RegExp(`vocabulary of ${rows}, the base model's is ${model.vocabSize}[^]*resize_token_embeddings`),
  );
});

test('★40 a head that trained and is not in modules_to_save: its loss is told, with the repair that keeps it', async () => {
  const own = await lora('head-unnamed', 2, {}, [tensor('lm_head.weight', model.vocabSize, model.hiddenSize)]);
  const refused = await cli(['merge', own, '--out', path.join(folder, 'none')]);
  assert.equal(refused.code, 2);
  assert.match(refused.err, /lm_head[^]*peft-studio repair/);
  const repaired = path.join(folder, 'head-named');
  assert.equal((await cli(['repair', own, '--out', repaired])).code, 0);
  const merged = path.join(folder, 'head-merged');
  const ran = await cli(['merge', repaired, '--out', merged]);
  assert.equal(ran.code, 0, ran.err);
  const written = await (await openModel(merged)).checkpoint.read('lm_head.weight');
  assert.deepEqual(written, await (await readAdapter(own)).read('base_model.model.lm_head.weight'));
});

test('★44 a PiSSA adapter that was not converted is not put on the original base', async () => {
  const own = await lora('pissa', 2, { init_lora_weights: 'pissa' });
  for (const args of [
    ['merge', own],
    ['convert', own, '--to', 'gguf'],
  ]) {
    const ran = await cli([...args, '--out', path.join(folder, 'none')]);
    assert.equal(ran.code, 2, ran.err);
    assert.match(ran.err, /started from a changed base \(init_lora_weights: pissa\)/);
  }
  const told = await cli(['repair', own]);
  assert.equal(told.code, 2);
  assert.match(told.out, /init_lora_weights: pissa/);
});

test('45 an AdaLoRA adapter of pruned ranks is merged with the ranks that it was left', async () => {
  const tiny = fixture('lora-reference/tiny-llama');
  const own = fixture('adalora/schedule/final');
  const opened = await openModel(tiny);
  const merged = path.join(folder, 'adalora');
  const withTokenizer = path.join(folder, 'tiny-llama');
  cpSync(tiny, withTokenizer, { recursive: true });
  for (const name of ['tokenizer.json', 'tokenizer_config.json'])
    cpSync(path.join(base, name), path.join(withTokenizer, name));
  const ran = await cli(['merge', own, '--model', withTokenizer, '--out', merged]);
  assert.equal(ran.code, 0, ran.err);
  const ids = [[5, 6, 7, 12, 9, 3]];
  const applied = await logitsOf(opened, ids, await attachAdapter(opened, own));
  assert.ok(largestDifference(await logitsOf(await openModel(merged), ids), applied) < 1e-4);
});
