// MELoRA, MoRA and SLTrain against PyTorch: test/fixtures/module-updates/make.py.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspectAdapter } from '../../../src/adapters/inspect.js';
import { mergeAdapter } from '../../../src/adapters/merging/merge.js';
import { readAdapter } from '../../../src/adapters/readAdapter.js';
import { writeAdapter } from '../../../src/adapters/writeAdapter.js';
import { temporaryFolder, tokenizer } from '../../support/adapters.js';
import { fixture, largestDifference, readInputIds, readTensors } from '../../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../../support/model.js';
import { repeatPeftSteps } from '../../support/peftSteps.js';

const folder = temporaryFolder();
const BASES: Readonly<Record<string, string>> = {
  llama: fixture('lora-reference', 'tiny-llama'),
  large: fixture('lora-reference', 'tiny-llama'),
  gpt2: fixture('gpt2', 'tiny-gpt2'),
};
const CASES = [
  'melora-llama',
  'melora-gpt2',
  'mora-1-llama',
  'mora-1-large',
  'mora-6-llama',
  'mora-6-large',
  'mora-6-gpt2',
  'sltrain-llama',
  'sltrain-gpt2',
];

for (const name of CASES) {
  const source = fixture('module-updates', name);
  const base = BASES[name.split('-').at(-1)!]!;

  test(`${name}: an adapter gives PyTorch's logits, merges to the same, and is written back as it was`, async () => {
    const opened = await openModel(base);
    const adapter = await attachAdapter(opened, source);
    assert.deepEqual(adapter.warnings, []);
    const file = `${source}/logits.safetensors`;
    const rows = await readInputIds(file);
    const expected = await readTensors(file);
    const found = await logitsOf(opened, rows, adapter);
    assert.ok(largestDifference(found, expected.get('logits')!.data) <= 1e-4);
    assert.ok(largestDifference(found, await logitsOf(opened, rows)) > 0.1, 'the adapter does something');

    const out = `${folder}/${name}-merged`;
    const report = await mergeAdapter({ ...opened, ...adapter, tokenizer, out, dtype: 'F32' });
    assert.ok(report.verifiedDifference <= 1e-4, String(report.verifiedDifference));
    const merged = await logitsOf(await openModel(report.out), rows);
    assert.ok(largestDifference(merged, expected.get('merged_logits')!.data) <= 1e-4);

    const saved = adapter.method.save(adapter.values);
    assert.ok(saved.kind === 'adapter');
    await writeAdapter(`${folder}/${name}`, saved, { tokenizer, card: '' });
    const [again, first] = [await readAdapter(`${folder}/${name}`), await readAdapter(source)];
    assert.deepEqual(
      new Map([...(await again.loadTensors())].sort()),
      new Map([...(await first.loadTensors())].sort()),
    );
    for (const [key, value] of Object.entries(first.config)) {
      // MoRA has no scale: the authors' fork writes LoRA's all the same.
      if (key !== 'lora_alpha' || !name.startsWith('mora')) assert.deepEqual(again.config[key], value, key);
    }
    const inspected = await inspectAdapter(`${folder}/${name}`);
    assert.deepEqual(inspected.problems, []);
    assert.equal(inspected.method, name.split('-')[0]);
    assert.equal(
      inspected.trainable,
      adapter.method.coverage.modules.reduce((sum, { trainable }) => sum + trainable, 0),
    );
  });

  test(`${name}: the norms that are told are those of what merging adds`, async () => {
    const opened = await openModel(base);
    const { method, values } = await attachAdapter(opened, source);
    const told = new Map(method.report!(values).map((site) => [site.path, site.norm!]));
    for (const site of opened.model.sites.filter(({ path }) => told.has(path))) {
      const weight = await opened.context.read(site.weight!);
      const merged = method.merge!(site, 'weight', weight, values)!;
      const norm = Math.sqrt(merged.reduce((sum, value, at) => sum + (value - weight[at]!) ** 2, 0));
      assert.ok(Math.abs(norm - told.get(site.path)!) <= 1e-4 * norm, `${site.path}: ${norm}`);
    }
    assert.ok(told.size > 4);
  });

  test(`${name}: steps from there are PyTorch's`, async () => {
    const opened = await openModel(base);
    const adapter = await attachAdapter(opened, source);
    const errors = await repeatPeftSteps(opened, source, adapter, adapter.values);
    assert.ok(errors.loss <= 1e-4 && errors.gradientNorm <= 1e-3, `${errors.loss}, ${errors.gradientNorm}`);
    for (const [key, distance] of errors.changes) assert.ok(distance <= 1e-2, `${key}: ${distance}`);
  });
}

test('the comparison of steps notices another learning rate', async () => {
  const opened = await openModel(BASES['llama']!);
  const source = fixture('module-updates', 'melora-llama');
  const adapter = await attachAdapter(opened, source);
  const errors = await repeatPeftSteps(opened, source, adapter, adapter.values, 0.8);
  assert.ok([...errors.changes.values()].every((distance) => distance > 0.1));
});
