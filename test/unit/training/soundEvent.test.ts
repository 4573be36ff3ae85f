import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memoryRows } from '../../../webview/memoryRows.js';
import { createColumns, followRun, lineOf } from '../../../webview/curveColumns.js';
import { createRunModel, takeEvent } from '../../../webview/runModel.js';
import { createHistory } from '../../../src/engines/history.js';
import type { RunEvent } from '../../../src/training/events.js';
import { eventOfLine, soundEvent } from '../../../src/training/soundEvent.js';

const KINDS = [
  ...['started', 'coverage', 'data', 'plan', 'sample', 'step', 'evaluation', 'ranks', 'masks', 'memory'],
  ...['checkpoint', 'log', 'progress', 'paused', 'continued', 'finished', 'failed'],
] as const;
const ODD = { step: 'x', sites: [{}], terms: 3, parts: 'x', problem: [], plan: null, report: 1, warnings: [3] };

test('a number that is not finite is null in JSON, and NaN again when it is read: a gap in its curve', () => {
  const line = JSON.stringify({
    type: 'step',
    step: 1,
    loss: NaN,
    gradientNorm: 2,
    terms: { orthogonal: Infinity },
  });
  const event = eventOfLine(line);
  assert.deepEqual(event, { type: 'step', step: 1, loss: NaN, gradientNorm: 2, terms: { orthogonal: NaN } });
  // A page gets it as JSON once more.
  const model = createRunModel();
  takeEvent(model, JSON.parse(line) as RunEvent);
  const columns = createColumns();
  followRun(columns, model);
  assert.deepEqual(Array.from(lineOf(columns, 'loss', 'step').y), [NaN]);
  assert.deepEqual(Array.from(lineOf(columns, 'term:orthogonal', 'step').y), [NaN]);
});

test('events that lack what is read of them are none, and stop neither editor nor page', () => {
  for (const type of KINDS) {
    for (const about of [{}, ODD]) {
      const event = eventOfLine(JSON.stringify({ type, ...about }));
      const history = createHistory();
      const model = createRunModel();
      if (event !== undefined) history.add(event);
      takeEvent(model, { type, ...about } as unknown as RunEvent);
      memoryRows(undefined, model.memory);
      followRun(createColumns(), model);
      assert.equal(model.count, 1);
    }
  }
  for (const type of ['ranks', 'masks', 'memory', 'plan', 'data', 'coverage', 'finished', 'failed'] as const) {
    assert.equal(soundEvent({ type }), undefined, type);
  }
  const masks = { type: 'masks', step: 0, sites: [{ path: 'a', density: 1, shape: [2, -1] }] };
  assert.equal(soundEvent(masks), undefined);
  assert.equal(eventOfLine('{"type":"step","st'), undefined);
});
