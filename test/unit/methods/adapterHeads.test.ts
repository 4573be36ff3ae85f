// Adapters, fusions and CIAT on a model that tells classes apart: the head is saved with them and read again.
import assert from 'node:assert/strict';
import { cp, rm, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { adapterTask, headKeys } from '../../../src/adapters/adapterTask.js';
import { attachAdapter } from '../../../src/adapters/attachAdapter.js';
import { checkTensors, inspectAdapter } from '../../../src/adapters/inspect.js';
import { readAdapter } from '../../../src/adapters/readAdapter.js';
import { writeAdapter } from '../../../src/adapters/writeAdapter.js';
import type { JsonObject } from '../../../src/common/json.js';
import { attachMethods } from '../../../src/engines/session.js';
import { AdapterFusionOptions } from '../../../src/methods/adapterFusion.js';
import { AdapterOptions } from '../../../src/methods/bottleneckAdapter.js';
import { BitfitOptions } from '../../../src/methods/bitfit.js';
import { CiatOptions } from '../../../src/methods/ciat.js';
import { LastLayersOptions } from '../../../src/methods/lastLayers.js';
import { LearnedMaskOptions } from '../../../src/methods/learnedMask.js';
import { LokrOptions } from '../../../src/methods/lokr.js';
import { LoraOptions } from '../../../src/methods/lora.js';
import { LotrOptions } from '../../../src/methods/lotr.js';
import { problem, temporaryFolder, tokenizer } from '../../support/adapters.js';
import { fixture, largestDifference, readInputIds, readJson, readTensors } from '../../support/fixtures.js';
import { logitsOf, openModel } from '../../support/model.js';
import { randomValues } from './fakeModel.js';

const folder = temporaryFolder();
const ROWS = [[5, 6, 7, 8]];

for (const config of [
  Value.Parse(AdapterOptions, { type: 'adapter' }),
  Value.Parse(CiatOptions, { type: 'ciat' }),
  // Of one adapter: the folder of the fusion is the adapter's.
  Value.Parse(AdapterFusionOptions, { type: 'adapter_fusion' }),
]) {
  test(`${config.type}: the head of a classifier goes with it`, async () => {
    const opened = await openModel(fixture('encoders/tiny-bert-classes'), { type: 'SEQ_CLS' });
    const [method] = attachMethods([config], opened.context);
    // A fusion is in its second stage.
    method!.beforeStep?.({ step: 2, totalSteps: 2 });
    const values = new Map(
      [...randomValues(method!)].map(([name, data]) => [name, data.map((each) => 0.3 * each)]),
    );
    const saved = method!.save(values);
    assert.ok(saved.kind === 'adapter');
    const out = `${folder}/${config.type}`;
    await writeAdapter(out, saved, { tokenizer, card: '' });
    const adapter = await readAdapter(out);
    assert.deepEqual(adapterTask(adapter), { type: 'SEQ_CLS', labels: ['joy', 'rain', 'sand'], classCount: 3 });
    assert.deepEqual((await inspectAdapter(out)).problems, []);
    const loaded = await attachAdapter(adapter, opened.context);
    const expected = await logitsOf(opened, ROWS, { method: method!, values });
    assert.equal(largestDifference(await logitsOf(opened, ROWS, loaded), expected), 0);
    assert.ok(largestDifference(await logitsOf(opened, ROWS), expected) > 1e-3);
  });
}

for (const config of [
  Value.Parse(BitfitOptions, { type: 'bitfit' }),
  Value.Parse(LastLayersOptions, { type: 'last_layers' }),
  Value.Parse(LearnedMaskOptions, { type: 'learned_mask' }),
  Value.Parse(LoraOptions, { type: 'lora', r: 2 }),
  Value.Parse(LokrOptions, { type: 'lokr', r: 2 }),
  Value.Parse(LotrOptions, { type: 'lotr', r: 2 }),
]) {
  test(`${config.type}: a new head goes with it, pooler and all, and inspect knows it`, async () => {
    const labels = ['joy', 'rain', 'sand'];
    const opened = await openModel(fixture('encoders/tiny-bert'), { type: 'SEQ_CLS', labels });
    const [method] = attachMethods([config], opened.context);
    const saved = method!.save(randomValues(method!));
    assert.ok(saved.kind === 'adapter');
    const out = `${folder}/pooler-${config.type}`;
    await writeAdapter(out, saved, { tokenizer, card: '' });
    const adapter = await readAdapter(out);
    const trained = method!.trainables.filter(({ variable }) => /classifier|pooler/.test(variable.name));
    const ofHead = headKeys(adapter);
    if (config.type !== 'bitfit' && config.type !== 'last_layers') assert.equal(ofHead.length, 4);
    assert.ok(trained.length >= ofHead.length);
    const found = await inspectAdapter(out);
    assert.deepEqual(found.problems, []);
    assert.ok(ofHead.every((key) => found.whole.some((each) => each.key === key)));
    await checkTensors(adapter);
  });
}

test("an adapter of the adapters library with its head gives the library's scores, and is written for it", async () => {
  const source = fixture('adapters-library/classes/pfeiffer');
  const adapter = await readAdapter(source);
  assert.deepEqual(adapterTask(adapter), { type: 'SEQ_CLS', labels: ['joy', 'rain', 'sand'], classCount: 3 });
  const opened = await openModel(fixture('encoders/tiny-bert-classes'), adapterTask(adapter));
  const { method, values, warnings } = await attachAdapter(adapter, opened.context);
  assert.deepEqual(warnings, []);
  const rows = await readInputIds(`${source}/logits.safetensors`);
  const expected = (await readTensors(`${source}/logits.safetensors`)).get('logits')!.data;
  const found = await logitsOf(opened, rows, { method, values });
  assert.ok(largestDifference(found, expected) <= 1e-5, String(largestDifference(found, expected)));
  assert.deepEqual((await inspectAdapter(source)).problems, []);

  const saved = method.save(values);
  assert.ok(saved.kind === 'adapter');
  const out = `${folder}/again`;
  await writeAdapter(out, saved, { tokenizer, card: '' });
  assert.deepEqual(await (await readAdapter(out)).loadTensors(), await adapter.loadTensors());
});

test("a damaged head of the adapters library is refused; other models' heads stay unread", async () => {
  const source = fixture('adapters-library/classes/pfeiffer');
  const config = await readJson(`${source}/head_config.json`);
  const withHead = async (name: string, head: JsonObject): Promise<string> => {
    const out = `${folder}/${name}`;
    await cp(source, out, { recursive: true });
    await writeFile(`${out}/head_config.json`, JSON.stringify({ ...config, ...head }));
    return out;
  };
  const other = await readAdapter(await withHead('flexible', { model_class: 'BertAdapterModel' }));
  assert.deepEqual([other.labels, other.tensors.has('classifier.weight')], [undefined, false]);
  for (const label2id of [null, { joy: 0, rain: 2, sand: 1.5 }]) {
    const at = `labels-${JSON.stringify(label2id).length}`;
    await assert.rejects(withHead(at, { label2id }).then(readAdapter), problem('adapter.labels', 'label2id'));
  }
  const bare = await withHead('bare', {});
  await rm(`${bare}/model_head.safetensors`);
  await assert.rejects(readAdapter(bare), problem('adapter.no-weights', 'model_head.safetensors'));
});

test('targets that are the head alone leave nothing to adapt, which is said', async () => {
  const { context } = await openModel(fixture('encoders/tiny-bert-classes'), { type: 'SEQ_CLS' });
  const config = Value.Parse(LoraOptions, { type: 'lora', target_modules: ['classifier'] });
  assert.throws(() => attachMethods([config], context), problem('targets.no-match', 'classifier'));
});
