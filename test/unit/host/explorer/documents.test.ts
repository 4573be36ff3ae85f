import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compareAdapters } from '../../../../src/adapters/comparing/compareAdapters.js';
import { findAdapter } from '../../../../src/adapters/findAdapters.js';
import { inspectAdapter } from '../../../../src/adapters/inspect.js';
import { adapterComparisonText } from '../../../../src/host/explorer/adapterComparisonText.js';
import { inspectionText } from '../../../../src/host/explorer/inspectionText.js';
import { fixture } from '../../../support/fixtures.js';

describe('an inspection as a document', () => {
  const base = { key: '/m/tiny', label: 'tiny', place: '/m/tiny', remote: false };

  test('has a line per module in columns, and what stands out', async () => {
    const folder = fixture('lora-reference/peft-adapter');
    const item = (await findAdapter(folder))!;
    const text = inspectionText(await inspectAdapter(folder), { item, base, unmatched: ['two do not fit'] });
    const lines = text.split('\n');
    assert.ok(lines.includes('Unmatched: two do not fit.'));
    assert.ok(lines.some((line) => /^q_proj +256 +7\.1 % +\d/.test(line)));
    assert.ok(lines.some((line) => /^model\.layers\.1 +1,888 +52\.2 % +\d/.test(line)));
    const head = lines.findIndex((line) => line.startsWith('MODULE '));
    const rows = lines.slice(head + 1, head + 15);
    assert.ok(rows.every((line) => line.startsWith('model.layers.')));
    const at = lines[head]!.indexOf('EFFECTIVE RANK');
    assert.ok(rows.every((line) => /^\d\.\d\d /.test(line.slice(at))));
    assert.equal(lines[head + 15], '');
  });
  test('modules that do not fit the base are told once', async () => {
    const folder = fixture('lora-reference/peft-adapter');
    const item = (await findAdapter(folder))!;
    const found = await inspectAdapter(folder, () => Promise.resolve(fixture('gpt2/tiny-gpt2')));
    const text = inspectionText(found, { item, base, unmatched: ['14 of 14 modules are not in the base'] });
    assert.equal(text.match(/14 of 14 modules are not in the base/g)?.length, 1);
  });
  test('more tensors than a call takes arguments', async () => {
    const folder = fixture('lora-reference/peft-adapter');
    const item = (await findAdapter(folder))!;
    const found = await inspectAdapter(folder);
    const whole = Array.from({ length: 200_000 }, (_, at) => ({ key: `t${at}`, shape: [1], trainable: 1 }));
    const text = inspectionText({ ...found, whole }, { item, base, unmatched: [] });
    assert.match(text, /^t199999 {2}\[1\] +1$/m);
  });
  test('numbers that JSON could not carry are question marks', async () => {
    const folder = fixture('lora-reference/peft-adapter');
    const found = await inspectAdapter(folder);
    const [first] = found.modules;
    const modules = [{ ...first!, norm: NaN, effectiveRank: NaN }];
    const item = (await findAdapter(folder))!;
    const sent = JSON.parse(JSON.stringify({ ...found, modules })) as typeof found;
    const line = inspectionText(sent, { item, base, unmatched: [] })
      .split('\n')
      .find((each) => each.startsWith(first!.path))!;
    assert.equal(line.match(/ \? /g)?.length, 2);
  });
});

describe('two adapters side by side as a document', () => {
  test('a line per module and group in columns; what could not be compared is said', async () => {
    const folders = [fixture('combine-factors/one'), fixture('combine-factors/two')] as const;
    const found = await compareAdapters(folders);
    const warning = { code: 'x', severity: 'warning', message: 'one thing\nis left out' } as const;
    const lines = adapterComparisonText({ ...found, problems: [warning] }).split('\n');
    assert.equal(lines[0], 'one (A) and two (B)');
    assert.ok(lines.includes('Warning: one thing is left out.'), lines.join('\n'));
    const head = lines.findIndex((line) => line.startsWith('MODULE '));
    const rows = lines.slice(head + 1, head + 1 + found.modules.length);
    for (const [at, { path, cosine }] of found.modules.entries()) {
      assert.ok(rows[at]!.startsWith(path));
      assert.equal(rows[at]!.slice(lines[head]!.indexOf('COSINE')).split(' ')[0], cosine!.toFixed(3));
    }
    assert.ok(lines.some((line) => /^q_proj +2 /.test(line)));
    assert.equal(lines.filter((line) => /^all +3 /.test(line)).length, 2);
    assert.deepEqual(JSON.parse(JSON.stringify(found)), found, 'it comes through JSON as it is');
  });
});
