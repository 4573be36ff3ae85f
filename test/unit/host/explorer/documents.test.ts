import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { findAdapter } from '../../../../src/adapters/findAdapters.js';
import { inspectAdapter } from '../../../../src/adapters/inspect.js';
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
    const head = lines.findIndex((line) => line.startsWith('MODULE '));
    const rows = lines.slice(head + 1, head + 15);
    assert.ok(rows.every((line) => line.startsWith('model.layers.')));
    const at = lines[head]!.indexOf('EFFECTIVE RANK');
    assert.ok(rows.every((line) => /^\d\.\d\d /.test(line.slice(at))));
    assert.equal(lines[head + 15], '');
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
    const modules = [{ ...first!, norm: NaN, effectiveRank: undefined }];
    const item = (await findAdapter(folder))!;
    const sent = JSON.parse(JSON.stringify({ ...found, modules })) as typeof found;
    const line = inspectionText(sent, { item, base, unmatched: [] })
      .split('\n')
      .find((each) => each.startsWith(first!.path))!;
    assert.equal(line.match(/ \? /g)?.length, 2);
  });
});
