// Runs of several methods at once, from training to what reads their adapters.
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { adapterTask } from '../../src/adapters/adapterTask.js';
import { allLogits } from '../../src/adapters/merging/logits.js';
import { attachAdapters, openAdapters } from '../../src/engines/openAdapters.js';
import { openModel } from '../../src/engines/session.js';
import { onnxRuntime } from '../../src/runtime/onnxruntime.js';
import { names, temporaryFolder } from '../support/adapters.js';
import { largestDifference } from '../support/fixtures.js';
import { document, run as cli } from '../unit/cli/support.js';
import { eventsOf } from '../unit/training/jobs.js';
import { emitted, makeModel, makeRun } from './engineModel.js';

const folder = temporaryFolder();
const model = await makeModel(path.join(folder, 'base'));
const TRAINING = { max_steps: 6, per_device_train_batch_size: 4, learning_rate: 1e-2, save_steps: 3 };
const ROWS = [[5, 6, 70, 12, 9, 44, 3]];
let count = 0;

/** Trains; the folder of the run, and its last loss on held-out rows. */
async function trained(method: readonly object[]): Promise<{ file: string; folder: string; loss: number }> {
  const run = await makeRun(path.join(folder, `run-${++count}`), model, { method, training: TRAINING });
  const { events, error } = await emitted(run);
  assert.equal(error, undefined);
  const losses = eventsOf(events, 'evaluation').map(({ loss }) => loss);
  assert.ok(losses.at(-1)! < losses[0]!, losses.join());
  const [only] = await names(path.join(run.folder, 'runs/small'));
  return { file: run.file, folder: path.join(run.folder, 'runs/small', only!), loss: losses.at(-1)! };
}

/** Logits of a model with the adapters that a folder stands for. */
async function logits(named: string | undefined, base = model): Promise<Float32Array> {
  const onDisk = named === undefined ? undefined : await openAdapters(named);
  const opened = await openModel(base, 0, {}, onDisk && adapterTask(onDisk.adapters[0]));
  const attached =
    onDisk === undefined ? { methods: [], values: new Map() } : await attachAdapters(onDisk, opened.context);
  return allLogits({
    ...opened,
    ...attached,
    weights: await opened.checkpoint.mapped(),
    runtime: await onnxRuntime({ threads: 1 }),
    rows: ROWS,
  });
}

const MIXES: Readonly<Record<string, readonly object[]>> = {
  // MAM adapters (He et al. 2022): a prefix in attention, parallel adapters beside the feed-forward part.
  'prefix + parallel adapters': [
    { type: 'prefix_tuning', num_virtual_tokens: 4, prefix_projection: true },
    { type: 'adapter', placement: 'parallel', bottleneck_size: 8 },
  ],
  'LoRA + prompt': [
    { type: 'lora', r: 2 },
    { type: 'prompt_tuning', num_virtual_tokens: 3, prompt_tuning_init: 'SAMPLE_VOCAB' },
  ],
  'SoRA + DyLoRA': [
    { type: 'sora', r: 2 },
    { type: 'dylora', r: 4, eval_ranks: [1] },
  ],
  'learned masks + LoRA': [{ type: 'learned_mask' }, { type: 'lora', r: 2 }],
  'subspace + LoRA': [
    { type: 'intrinsic', intrinsic_dim: 60 },
    { type: 'lora', r: 2 },
  ],
  'last layers + single numbers below': [
    { type: 'last_layers', num_layers: 1 },
    { type: 'pafi', keep_ratio: 0.2, target_modules: ['q_proj', 'up_proj'], layers_to_transform: [0] },
  ],
  'LoKr + LoTR + prompt': [
    { type: 'lokr', r: 2, init_weights: 'lycoris' },
    { type: 'lotr', r: 2 },
    { type: 'prompt_tuning', num_virtual_tokens: 2 },
  ],
  'ReLoRA + prompt': [
    { type: 'relora', r: 2, lora_alpha: 2, relora: 2, target_modules: ['q_proj', 'v_proj'] },
    { type: 'prompt_tuning', num_virtual_tokens: 3, prompt_tuning_init: 'SAMPLE_VOCAB' },
  ],
  'MELoRA + MoRA + SLTrain': [
    { type: 'melora', l_num: 4, r: 1 },
    { type: 'mora', r: 2 },
    { type: 'sltrain', r: 1, sp_ratio: 0.02 },
  ],
  'SLTrain + single numbers of the same weights': [
    { type: 'sltrain', r: 1, sp_ratio: 0.02 },
    { type: 'pafi', keep_ratio: 0.02 },
  ],
  'LoRA + COLA on the same modules': [
    { type: 'lora', r: 2 },
    { type: 'cola', r: 2, chain_length: 2 },
  ],
  'LoRA + (IA)³ + prefix': [
    { type: 'lora', r: 2 },
    { type: 'ia3' },
    { type: 'prefix_tuning', num_virtual_tokens: 2 },
  ],
};

for (const [name, method] of Object.entries(MIXES)) {
  test(`${name}: trains, is saved as an adapter each, and the run's folder stands for all of them`, async () => {
    const run = await trained(method);
    const types = method.map((each) => (each as { type: string }).type);
    const folders = (await names(run.folder)).filter((each) => each.startsWith('adapter'));
    assert.deepEqual(folders, ['adapter', ...types.slice(1).map((type) => `adapter-${type}`)].sort());
    const onDisk = await openAdapters(run.folder);
    assert.deepEqual(
      onDisk.adapters.map(({ folder: own }) => path.basename(own)),
      ['adapter', ...types.slice(1).map((type) => `adapter-${type}`)],
    );
    assert.deepEqual(onDisk.warnings, []);
    const together = await logits(run.folder);
    const base = await logits(undefined);
    const alone = await logits(path.join(run.folder, 'adapter'));
    assert.ok(largestDifference(together, base) > 1e-3 && largestDifference(together, alone) > 1e-3);

    // The evaluation is that of the run's end.
    const evaluated = document(await cli(['evaluate', run.file, '--adapter', run.folder, '--json']));
    assert.ok(
      Math.abs(Number(evaluated['loss']) - run.loss) <= 1e-4 * run.loss,
      `${evaluated['loss']}, ${run.loss}`,
    );
    const one = await cli(['evaluate', run.file, '--adapter', path.join(run.folder, 'adapter')]);
    assert.match(one.err, /the run trained it together with adapter-/);
    const generated = await cli([
      'generate',
      run.file,
      '--adapter',
      run.folder,
      '--prompt',
      'Say red: ',
      '--max-new-tokens',
      '4',
      '--json',
    ]);
    assert.equal(generated.code, 0, generated.err);
  });
}

test('methods that merge are merged one after the other; one that does not is named', async () => {
  const run = await trained([
    { type: 'ia3', target_modules: 'all-linear', feedforward_modules: ['down_proj', 'o_proj'] },
    { type: 'lora', r: 2, target_modules: 'all-linear' },
  ]);
  const out = path.join(folder, 'merged');
  const merged = await cli(['merge', run.folder, '--out', out, '--dtype', 'F32']);
  assert.equal(merged.code, 0, merged.err);
  const [found, expected] = [await logits(undefined, out), await logits(run.folder)];
  assert.ok(largestDifference(found, expected) <= 1e-3 * Math.max(1, ...expected.map(Math.abs)));
  assert.ok(largestDifference(found, await logits(path.join(run.folder, 'adapter'))) > 1e-3);

  const both = await trained(MIXES['last layers + single numbers below']!);
  const whole = path.join(folder, 'merged-both');
  const second = await cli(['merge', both.folder, '--out', whole, '--dtype', 'F32']);
  assert.equal(second.code, 0, second.err);
  const wanted = await logits(both.folder);
  assert.ok(
    largestDifference(await logits(undefined, whole), wanted) <= 1e-3 * Math.max(1, ...wanted.map(Math.abs)),
  );

  const mixed = await trained([
    { type: 'lora', r: 2 },
    { type: 'prompt_tuning', num_virtual_tokens: 3 },
  ]);
  const refused = await cli(['merge', mixed.folder, '--out', path.join(folder, 'refused')]);
  assert.equal(refused.code, 2);
  assert.match(refused.err, /type 'prompt_tuning' cannot be merged/);
});

test('rows of several tasks: a prompt each, named in the coverage and saved apart; generation takes the task', async () => {
  const at = path.join(folder, 'tasks');
  const row = (word: string, task: string): string =>
    `${JSON.stringify({ prompt: `Say ${word}: `, completion: word, task })}\n`;
  const lines = ['red', 'green', 'blue'].flatMap((word) => [row(word, 'plain'), row(word, 'a/b')]);
  await mkdir(at);
  await writeFile(path.join(at, 'tasks.jsonl'), lines.join(''));
  const run = await makeRun(at, model, {
    data: { train: 'tasks.jsonl', task_column: 'task' },
    method: { type: 'prompt_tuning', num_virtual_tokens: 3, prompt_tuning_init: 'SAMPLE_VOCAB' },
    training: TRAINING,
  });
  const { events, error } = await emitted(run);
  assert.equal(error, undefined);
  const [coverage] = eventsOf(events, 'coverage');
  assert.deepEqual(
    coverage!.targets.map(({ entry }) => entry),
    ['virtual tokens of the task plain', 'virtual tokens of the task a/b'],
  );
  assert.equal(coverage!.trainable, 2 * 3 * 32);
  const { adapter } = eventsOf(events, 'finished')[0]!;
  assert.deepEqual(await names(adapter), ['a%2fb', 'plain']);
  const command = (...more: string[]) =>
    cli(['generate', run.file, '--prompt', 'Say red: ', '--max-new-tokens', '3', '--json', '--adapter', ...more]);
  const texts = [];
  for (const named of [
    [adapter, '--task', 'plain'],
    [path.join(adapter, 'plain')],
    [path.dirname(adapter), '--task', 'a/b'],
  ]) {
    const found = await command(...named);
    assert.equal(found.code, 0, found.err);
    texts.push(document(found)['text']);
  }
  assert.equal(texts[0], texts[1]);
  const evaluated = async (...more: string[]) =>
    cli(['evaluate', run.file, '--data', path.join(at, 'tasks.jsonl'), '--json', '--adapter', ...more]);
  const own = document(await evaluated(adapter, '--task', 'a/b'));
  assert.equal(own['rows'], 3);
  const plain = document(await evaluated(path.join(adapter, 'plain'), '--task', 'plain'));
  assert.ok(plain['rows'] === 3 && plain['loss'] !== own['loss']);

  const several = await command(adapter);
  assert.match(several.err, /holds several adapters: a%2fb, plain/);
  assert.match((await command(adapter, '--task', 'other')).err, /several adapters/);
  assert.match(
    (await command(path.join(adapter, 'plain'), '--task', 'other')).err,
    /no adapter of the task "other"/,
  );
});

test('tasks that no method tells apart are warned of', async () => {
  const at = path.join(folder, 'unused');
  await mkdir(at);
  await writeFile(path.join(at, 'tasks.jsonl'), '{"prompt":"a","completion":"b","task":"x"}\n');
  const run = await makeRun(at, model, {
    data: { train: 'tasks.jsonl', task_column: 'task' },
    training: { ...TRAINING, max_steps: 1 },
  });
  const { events } = await emitted(run);
  const codes = eventsOf(events, 'coverage')[0]!.warnings.map(({ code }) => code);
  assert.ok(codes.includes('data.tasks-unused'), codes.join());
});
