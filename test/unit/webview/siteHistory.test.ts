import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createSiteHistory,
  frameIndexAt,
  framesWith,
  historyCsv,
  rangeOf,
  takeReport,
  toldQuantities,
  totalOf,
  valueAt,
} from '../../../webview/siteHistory.js';

test('reports become frames; brief ones lack norms; totals are those of what was told', () => {
  const history = createSiteHistory();
  takeReport(history, {
    step: 0,
    budget: 24,
    target: 8,
    sites: [
      { path: 'a', rank: 12, norm: 0 },
      { path: 'b', rank: 12, norm: 0.5 },
    ],
  });
  takeReport(history, {
    step: 5,
    budget: 20,
    target: 8,
    sites: [
      { path: 'a', rank: 11 },
      { path: 'b', rank: 9 },
    ],
  });
  const frames = history.frames.items();
  assert.deepEqual(
    frames.map((frame) => [frame.step, totalOf(frame, 'rank'), frame.budget, frame.target]),
    [
      [0, 24, 24, 8],
      [5, 20, 20, 8],
    ],
  );
  assert.deepEqual(toldQuantities(history), ['rank', 'norm']);
  assert.deepEqual(
    framesWith(history, 'norm').map(({ step }) => step),
    [0],
  );
  assert.equal(valueAt(frames[1]!, 'rank', 1), 9);
  assert.equal(valueAt(frames[1]!, 'norm', 1), undefined);
  assert.deepEqual(rangeOf(frames, 'rank'), { smallest: 9, largest: 12 });
  assert.deepEqual(rangeOf(frames, 'norm'), { smallest: 0.5, largest: 0.5 });
  assert.deepEqual(rangeOf(frames, 'density'), { smallest: 0, largest: 0 });
  assert.equal(historyCsv(history, frames, 'rank'), 'module,step 0,step 5\na,12,11\nb,12,9\n');
  assert.equal(historyCsv(history, frames, 'norm'), 'module,step 0,step 5\na,0,\nb,0.5,\n');
});

test('methods that report the same step make one frame; a resumed run’s word on a step is the last', () => {
  const history = createSiteHistory();
  takeReport(history, { step: 1, sites: [{ path: 'a', density: 0.5 }] });
  takeReport(history, { step: 1, sites: [{ path: 'b', density: 0.25, shape: [4, 8] }] });
  takeReport(history, { step: 3, sites: [{ path: 'a', density: 1 }] });
  const [first, second] = history.frames.items();
  assert.deepEqual([valueAt(first!, 'density', 0), valueAt(first!, 'density', 1)], [0.5, 0.25]);
  assert.deepEqual([valueAt(second!, 'density', 0), valueAt(second!, 'density', 1)], [1, undefined]);
  assert.deepEqual(history.shapes.get('b'), [4, 8]);
  takeReport(history, { step: 2, sites: [{ path: 'a', density: 0.75 }] });
  takeReport(history, { step: 2, sites: [{ path: 'a', density: 0.8 }] });
  const frames = history.frames.items();
  assert.deepEqual(
    frames.map((frame) => [frame.step, valueAt(frame, 'density', 0)?.toFixed(2)]),
    [
      [1, '0.50'],
      [2, '0.80'],
    ],
  );
});

test('numbers that stay are kept once, and many reports are thinned out evenly', () => {
  const history = createSiteHistory(1000);
  const sites = Array.from({ length: 10 }, (_, at) => ({ path: `m${at}`, density: 0.125 }));
  for (let step = 0; step <= 5000; step += 1) takeReport(history, { step, sites });
  const frames = history.frames.items();
  assert.ok(frames.length > 40 && frames.length <= 100, `${frames.length}`);
  assert.deepEqual([frames[0]?.step, frames.at(-1)?.step], [0, 5000]);
  assert.ok(frames.every(({ values }) => values.density === frames[0]!.values.density));
});

test('a step finds the frame that was the state then', () => {
  const frames = [0, 10, 20].map((step) => ({ step, values: {} }));
  assert.deepEqual(
    [-5, 0, 9, 10, 25].map((step) => frameIndexAt(frames, step)),
    [0, 0, 0, 1, 2],
  );
  assert.equal(frameIndexAt([], 3), -1);
});

test('module names are quoted in CSV where they must be', () => {
  const history = createSiteHistory();
  takeReport(history, { step: 0, sites: [{ path: 'a,"b"', rank: 1 }] });
  assert.equal(historyCsv(history, history.frames.items(), 'rank'), 'module,step 0\n"a,""b""",1\n');
  const formula = createSiteHistory();
  takeReport(formula, { step: 0, sites: [{ path: '=HYPERLINK("x")', rank: 1 }] });
  assert.equal(historyCsv(formula, formula.frames.items(), 'rank'), `module,step 0\n"'=HYPERLINK(""x"")",1\n`);
});
