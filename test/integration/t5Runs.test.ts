import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { mergeAdapter } from '../../src/adapters/merging/merge.js';
import { previewData } from '../../src/engines/previewData.js';
import { estimateFile } from '../../src/language/estimateFile.js';
import { loadTokenizer } from '../../src/models/loadTokenizer.js';
import { describeEvent } from '../../src/training/describeEvent.js';
import type { RunEvent } from '../../src/training/events.js';
import { problem, temporaryFolder } from '../support/adapters.js';
import { fixture, readJson, readTensors } from '../support/fixtures.js';
import { attachAdapter, openModel } from '../support/model.js';
import { emitted, makeRun } from './engineModel.js';

const folder = temporaryFolder();
const model = fixture('t5/tiny-t5');
const training = {
  max_steps: 12,
  per_device_train_batch_size: 4,
  learning_rate: 2e-2,
  eval_steps: 6,
  save_steps: 6,
  eval_generations: 2,
  eval_generation_tokens: 6,
};
const method = { type: 'lora', r: 4, target_modules: ['q', 'v'], lora_dropout: 0.1 };

function of<Type extends RunEvent['type']>(events: readonly RunEvent[], type: Type) {
  return events.filter((event): event is Extract<RunEvent, { type: Type }> => event.type === type);
}

test('a run on T5 says what it found, learns, answers, and goes on exactly from a checkpoint', async () => {
  const run = await makeRun(path.join(folder, 'whole'), model, { method, training });
  const { events, error } = await emitted(run);
  assert.equal(error, undefined);
  const [coverage] = of(events, 'coverage');
  assert.equal(coverage!.modules.length, 2 * (2 + 3 + 3));
  assert.deepEqual([coverage!.layersCovered, coverage!.layers], [5, 5]);
  // The encoder's text with its end, then what starts the decoder, then the answer.
  const [sample] = of(events, 'sample');
  assert.deepEqual(
    sample!.spans.map(({ supervised }) => supervised),
    [false, false, true],
  );
  assert.match(sample!.spans[0]!.text, /^<unk>ay \w+:<\/s>$/);
  assert.equal(sample!.spans[1]!.text, '<pad>');
  assert.match(sample!.spans[2]!.text, /^\w+<\/s>$/);
  const [plan] = of(events, 'plan');
  assert.ok(plan!.batch.source! > plan!.batch.length, JSON.stringify(plan!.batch));
  const tokens = `${plan!.batch.rows} × ${plan!.batch.length + plan!.batch.source!} tokens`;
  assert.ok(describeEvent(plan!).some(({ text }) => text.includes(tokens)));
  const losses = of(events, 'step').map(({ loss }) => loss);
  assert.ok(losses.at(-1)! < 0.85 * losses[0]!, `${losses[0]} to ${losses.at(-1)}`);
  const answered = of(events, 'generations');
  assert.deepEqual(
    answered.map(({ step }) => step),
    [0, 6, 12],
  );
  assert.match(answered[0]!.rows[0]!.prompt, /^<unk>ay \w+:<\/s>$/);
  assert.match(answered[0]!.rows[0]!.reference, /^\w+$/);

  const { folder: place } = of(events, 'started')[0]!;
  const adapter = path.join(place, 'adapter');
  const config = await readJson(path.join(adapter, 'adapter_config.json'));
  assert.equal(config['task_type'], 'SEQ_2_SEQ_LM');

  const cut = await makeRun(path.join(folder, 'cut'), model, { method, training });
  let steps = 0;
  const first = await emitted(cut, {
    stopRequested: () => steps >= 6,
    emit: ({ type }) => void (steps += Number(type === 'step')),
  });
  assert.equal(first.error, undefined);
  const stopped = of(first.events, 'started')[0]!.folder;
  const resumed = await emitted(cut, {
    resume: { folder: stopped, checkpoint: path.join(stopped, 'checkpoint-6'), step: 6 },
  });
  assert.equal(resumed.error, undefined);
  const weights = await readTensors(path.join(stopped, 'adapter', 'adapter_model.safetensors'));
  for (const [name, { data }] of await readTensors(path.join(adapter, 'adapter_model.safetensors'))) {
    assert.deepEqual(weights.get(name)!.data, data, name);
  }

  const opened = await openModel(model);
  const report = await mergeAdapter({
    ...opened,
    ...(await attachAdapter(opened, adapter)),
    tokenizer: await loadTokenizer(model),
    out: path.join(folder, 'merged'),
  });
  assert.equal(report.tensorsChanged, 16);
  assert.ok(report.verifiedDifference < 1e-4);
  assert.equal((await readJson(path.join(report.out, 'config.json')))['tie_word_embeddings'], true);
});

test('packed rows are of one batch: both sides keep within max_length', async () => {
  const run = await makeRun(path.join(folder, 'packed'), model, {
    data: { train: 'train.jsonl', packing: true, max_length: 24 },
    method,
    training: { ...training, max_steps: 2, eval_generations: 0 },
  });
  const { events, error } = await emitted(run);
  assert.equal(error, undefined);
  const { batch } = of(events, 'plan')[0]!;
  assert.ok(batch.source! > 12 && batch.source! <= 24 && batch.length <= 24, JSON.stringify(batch));
});

test('a preview shows both sides of a row', async () => {
  const run = await makeRun(path.join(folder, 'preview'), model, { method, training });
  const { splits } = await previewData(run);
  const [sample] = splits[0]!.samples;
  const text = (supervised: boolean): string =>
    sample!.tokens
      .filter((token) => token.supervised === supervised)
      .map((token) => token.text)
      .join('');
  assert.match(text(false), /^<unk>ay \w+:<\/s><pad>$/);
  assert.match(text(true), /^ ?\w+<\/s>$/);
});

test('an estimate counts sources and answers', async () => {
  const run = await makeRun(path.join(folder, 'estimate'), model, { method, training });
  const { plan } = await estimateFile(run);
  assert.ok(plan.total > 0);
  assert.ok(plan.parts.find(({ name }) => name === 'activations')!.bytes > 0);
});

test('rows without a prompt of their own are refused, and prompts are not trained', async () => {
  const refused = async (data: Record<string, unknown>): Promise<unknown> => {
    const run = await makeRun(path.join(folder, 'refused'), model, { method, training, data });
    return (await emitted(run)).error;
  };
  const is = problem('data.train-on-prompt', 'encoder-decoder');
  assert.ok(is(await refused({ train: 'train.jsonl', train_on_prompt: true })));
  const text = problem('data.not-pairs', 'plain text', 'prompt and completion');
  assert.ok(text(await refused({ train: 'train.jsonl', format: 'text', columns: { text: 'prompt' } })));
});

test('tokens are those of Transformers', async () => {
  const tokenizer = await loadTokenizer(model);
  const rows = JSON.parse(await readFile(path.join(model, 'token-ids.json'), 'utf8')) as {
    text: string;
    ids: number[];
    decoded: string;
  }[];
  for (const { text, ids, decoded } of rows) {
    assert.deepEqual(tokenizer.encode(text, { addSpecialTokens: true }), ids, JSON.stringify(text));
    assert.equal(tokenizer.decode(ids, { skipSpecialTokens: true }), decoded);
  }
  assert.deepEqual([tokenizer.eosTokenId, tokenizer.padTokenId, tokenizer.decoderStartId], [1, 0, 0]);
});
