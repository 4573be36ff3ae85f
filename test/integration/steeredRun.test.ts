// A run whose small model is to steer a larger one: `proxy_tuning`, on the two sizes of the bundled family.
import assert from 'node:assert/strict';
import { cp, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { attachAdapter } from '../../src/adapters/attachAdapter.js';
import { readAdapter } from '../../src/adapters/readAdapter.js';
import { ProblemError } from '../../src/common/problem.js';
import { loadRunFile } from '../../src/config/loadRunFile.js';
import type { LoadedRun } from '../../src/config/loadRunFile.js';
import { loadDataset } from '../../src/data/loadDataset.js';
import { evaluateDecoder } from '../../src/engines/evaluateDecoder.js';
import { openModel } from '../../src/engines/session.js';
import { createDecoder } from '../../src/generation/decoder.js';
import type { Decoder } from '../../src/generation/decoder.js';
import { proxyDecoder } from '../../src/generation/proxyTuning.js';
import { onnxRuntime } from '../../src/runtime/onnxruntime.js';
import { temporaryFolder } from '../support/adapters.js';
import { ROOT } from '../support/fixtures.js';
import { eventsOf } from '../unit/training/jobs.js';
import { emitted, rows } from './engineModel.js';

const folder = temporaryFolder();
const [small, large] = ['mini', 'tiny'].map((size) => path.join(ROOT, `examples/base-model/peft-studio-${size}`));
const ALPHA = 0.8;

async function makeRun(name: string, steered: string): Promise<LoadedRun> {
  await writeFile(path.join(folder, 'train.jsonl'), rows(16, 1));
  await writeFile(path.join(folder, 'validation.jsonl'), rows(6, 2));
  const file = path.join(folder, `${name}.peft.yaml`);
  const sections = {
    model: small,
    data: { train: 'train.jsonl', validation: 'validation.jsonl', max_length: 64 },
    method: { type: 'lora', r: 4, target_modules: 'all-linear' },
    training: { max_steps: 6, per_device_train_batch_size: 4, learning_rate: 2e-2, eval_generations: 1 },
    proxy_tuning: { model: steered, alpha: ALPHA },
    runtime: { threads: 1 },
  };
  await writeFile(file, JSON.stringify(sections));
  const { run, problems } = await loadRunFile(file);
  assert.ok(run !== undefined, JSON.stringify(problems));
  return run;
}

/** A model of the family, with the adapter of a run where one is named. */
async function decoderOf(model: string, adapter?: string): Promise<Decoder> {
  const opened = await openModel(model, 0);
  const attached =
    adapter === undefined ? undefined : await attachAdapter(await readAdapter(adapter), opened.context);
  return createDecoder({
    model: opened.model,
    methods: attached === undefined ? [] : [attached.method],
    values: attached?.values ?? new Map(),
    weights: await opened.checkpoint.mapped(),
    runtime: await onnxRuntime({ threads: 1 }),
    positionLimit: 64,
  });
}

test('a run tells in the end how the larger base does, steered by its result and alone', async () => {
  const { events, error } = await emitted(await makeRun('steered', large!));
  assert.equal(error, undefined);
  const [planned] = eventsOf(events, 'plan');
  const { name, parts } = planned!.plan.moments.at(-1)!;
  const { size } = await stat(path.join(large!, 'model.safetensors'));
  // The larger base and twice the smaller model, without the files' headers.
  assert.ok(name === 'steering' && parts.find((part) => part.name === 'weights')!.bytes > 0.99 * size);
  const [finished] = eventsOf(events, 'finished');
  const { metrics, adapter } = finished!;
  const [base, expert, antiExpert] = [
    await decoderOf(large!),
    await decoderOf(small!, adapter),
    await decoderOf(small!),
  ];
  const { tokenizer } = await openModel(small!, 0);
  const { train } = await loadDataset({ train: path.join(folder, 'validation.jsonl') }, tokenizer);
  const go = (): Promise<boolean> => Promise.resolve(true);
  const steered = await evaluateDecoder(proxyDecoder({ base, expert, antiExpert, alpha: ALPHA }), train, go);
  const alone = await evaluateDecoder(base, train, go);
  assert.ok(Math.abs(metrics['steered_eval_loss']! - steered.loss) < 1e-5, `${metrics['steered_eval_loss']}`);
  assert.equal(metrics['steered_eval_token_accuracy'], steered.tokenAccuracy);
  assert.ok(Math.abs(metrics['base_eval_loss']! - alone.loss) < 1e-5);
  assert.ok(steered.loss < alone.loss, `${steered.loss} against ${alone.loss}`);
  assert.ok(eventsOf(events, 'log').some(({ message }) => /steered by the result: held-out loss/.test(message)));
  assert.ok(eventsOf(events, 'generations').length > 0);
});

test('a base of another tokenizer is refused before anything is written', async () => {
  const other = path.join(folder, 'other-tokenizer');
  await cp(large!, other, { recursive: true });
  const file = path.join(other, 'tokenizer.json');
  // One token has another name: ids still fit, and nothing else tells.
  const text = await readFile(file, 'utf8');
  const renamed = text.replace('"and":', '"xyzzy":');
  assert.notEqual(renamed, text);
  await writeFile(file, renamed);
  const { events, error } = await emitted(await makeRun('other', other));
  assert.ok(error instanceof ProblemError && error.problem.code === 'proxy.vocabulary', String(error));
  assert.deepEqual(eventsOf(events, 'started'), []);
  const written: string[] = await readdir(path.join(folder, 'runs'));
  assert.ok(!written.includes('other'), written.join(', '));
});

test('an encoder, which answers nothing, steers no base', async () => {
  const model = path.join(ROOT, 'test/fixtures/encoders/tiny-bert');
  const row = (label: string): string => `${JSON.stringify({ text: `a ${label} film`, label })}\n`;
  await writeFile(path.join(folder, 'classes.jsonl'), ['good', 'bad', 'good', 'bad'].map(row).join(''));
  const file = path.join(folder, 'encoder.peft.yaml');
  const sections = {
    model,
    data: { train: 'classes.jsonl' },
    method: { type: 'lora' },
    training: { max_steps: 1 },
    proxy_tuning: { model },
  };
  await writeFile(file, JSON.stringify(sections));
  const { run } = await loadRunFile(file);
  const { events, error } = await emitted(run!);
  assert.ok(error instanceof ProblemError && error.problem.code === 'generation.encoder', String(error));
  assert.deepEqual(eventsOf(events, 'started'), []);
});
