// Evaluations at lower ranks along a run: those of the adapter cut to them.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { cutAdapter, writeConverted } from '../../../src/adapters/converting/convert.js';
import { readAdapter } from '../../../src/adapters/readAdapter.js';
import { writeAdapter } from '../../../src/adapters/writeAdapter.js';
import { DyLoraOptions } from '../../../src/methods/dylora.js';
import { describeEvent } from '../../../src/training/describeEvent.js';
import { createEvaluator } from '../../../src/training/evaluate.js';
import { temporaryFolder, tokenizer } from '../../support/adapters.js';
import { fixture } from '../../support/fixtures.js';
import { attachAdapter, openModel } from '../../support/model.js';
import { UNEVEN, eventsOf, run } from './jobs.js';

const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
const VALIDATION = UNEVEN.slice(0, 4);
const folder = temporaryFolder();

test('DyLoRA: at eval_ranks and at r, the losses of the adapters of these ranks; the run itself goes by r', async () => {
  const method = Value.Parse(DyLoraOptions, { type: 'dylora', r: 4, eval_ranks: [3, 1, 3, 4] });
  const options = { max_steps: 6, eval_steps: 3, learning_rate: 2e-2, per_device_train_batch_size: 4 };
  const ran = await run(opened, { method, options, validation: VALIDATION });
  const told = eventsOf(ran.events, 'rank-evaluation');
  assert.deepEqual(
    told.map(({ step, ranks }) => [step, ranks.map(({ rank }) => rank)]),
    [0, 3, 6].map((step) => [step, [1, 3, 4]]),
  );
  const evaluations = eventsOf(ran.events, 'evaluation');
  assert.deepEqual(
    told.map(({ ranks }) => ranks.at(-1)!.loss),
    evaluations.map(({ loss }) => loss),
  );
  // The base model has no ranks yet; later each is another model.
  assert.equal(new Set(told[0]!.ranks.map(({ loss }) => loss)).size, 1);
  assert.equal(new Set(told[2]!.ranks.map(({ loss }) => loss)).size, 3);
  assert.match(describeEvent(told[2]!)[0]!.text, /^step 6, validation: loss at rank 1: \d.*, 3: \d.*, 4: \d/);

  const whole = path.join(folder, 'whole');
  const saved = ran.methods[0]!.save(ran.values);
  assert.ok(saved.kind === 'adapter');
  await writeAdapter(whole, saved, { tokenizer, card: '' });
  for (const { rank, loss } of told[2]!.ranks) {
    const cut = path.join(folder, String(rank));
    await writeConverted(cut, await cutAdapter(await readAdapter(whole), rank), whole);
    const adapter = await attachAdapter(opened, cut);
    const evaluator = await createEvaluator({ ...opened, ...adapter, positionLimit: 64, batchSize: 4 });
    const found = await evaluator.evaluate(VALIDATION, adapter.values);
    await evaluator.dispose();
    assert.ok(Math.abs(found.loss - loss) <= 1e-5 * loss, `rank ${rank}: ${loss}, cut ${found.loss}`);
  }
});

test('a stop in the midst of the ranks tells none of them', async () => {
  const method = Value.Parse(DyLoraOptions, { type: 'dylora', r: 4, eval_ranks: [1, 2] });
  let passes = 0;
  const ran = await run(opened, {
    method,
    options: { max_steps: 6, per_device_eval_batch_size: 1 },
    validation: VALIDATION,
    // Asked after each batch: four of the evaluation itself, two of the first lower rank.
    stopRequested: () => ++passes > 6,
  });
  assert.equal(eventsOf(ran.events, 'evaluation').length, 1);
  assert.equal(eventsOf(ran.events, 'rank-evaluation').length, 0);
});
