import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';
import { findAdapter } from '../../../../src/adapters/findAdapters.js';
import { inspectAdapter } from '../../../../src/adapters/inspect.js';
import { findRun } from '../../../../src/engines/findRuns.js';
import type { FoundRun } from '../../../../src/engines/findRuns.js';
import { inspectionText } from '../../../../src/host/explorer/inspectionText.js';
import { readPastRun } from '../../../../src/host/explorer/pastRun.js';
import { temporaryFolder } from '../../../support/adapters.js';
import { fixture } from '../../../support/fixtures.js';

const root = temporaryFolder();
let count = 0;

const started = {
  type: 'started',
  time: '2026-01-01T00:00:00Z',
  config: '/w/sql.peft.yaml',
  model: 'm',
  method: 'lora',
  totalSteps: 9,
};

async function run(...lines: readonly (object | string)[]): Promise<FoundRun> {
  const folder = path.join(root, String(++count));
  await mkdir(folder);
  const text = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n');
  await writeFile(path.join(folder, 'events.jsonl'), text);
  return (await findRun(folder, () => Promise.resolve(false)))!;
}

describe('a run of the past', () => {
  const finished = { type: 'finished', reason: 'completed', adapter: '/a', metrics: {}, steps: 2, seconds: 1 };

  test('has its events and the state that it ended in', async () => {
    const steps = [1, 2].map((step) => ({ type: 'step', step, loss: 1 }));
    const found = await run(started, ...steps, finished);
    const { state, events } = await readPastRun(found);
    assert.deepEqual(events, [started, ...steps, finished]);
    assert.deepEqual(state, {
      kind: 'finished',
      file: '/w/sql.peft.yaml',
      began: Date.parse(started.time),
      ended: found.modified,
      result: finished,
    });
  });
  test('that failed keeps its problem', async () => {
    const problem = { code: 'x', message: 'the loss is not finite' };
    const { state } = await readPastRun(await run(started, { type: 'failed', problem, others: [problem] }));
    assert.deepEqual(state.kind === 'failed' && [state.problem, state.others], [problem, [problem]]);
  });
  test('that was killed, also after it was resumed, says so; half a line is passed over', async () => {
    for (const before of [[], [finished]]) {
      const found = await run(started, ...before, { ...started, resumedFrom: 2 }, '{"type":"step","st');
      const { state, events } = await readPastRun(found);
      assert.equal(state.kind === 'failed' && state.problem.code, 'run.interrupted');
      assert.equal(events.length, before.length + 2);
    }
  });
});

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
