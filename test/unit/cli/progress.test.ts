import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { createProgress, renderProgress } from '../../../src/cli/progress.js';

function record(terminal: boolean): { written: string[]; output: Parameters<typeof createProgress>[0] } {
  const written: string[] = [];
  return { written, output: { write: (text) => written.push(text), isTTY: terminal, columns: 60 } };
}

describe('the line', () => {
  const state = { activity: 'Training', done: 3, total: 6, detail: 'loss 1.2' };
  test('shows the share done', () => {
    const bar = '█'.repeat(18) + '░'.repeat(18);
    assert.equal(renderProgress(state, 61), `Training  ${bar}  3/6  loss 1.2`);
  });
  test('never is wider than the terminal; the bar gives way first', () => {
    for (let columns = 0; columns <= 130; columns++) {
      const line = renderProgress(state, columns);
      assert.ok([...line].length <= columns, `${columns}: ${line}`);
      assert.equal(line.includes('3/6  loss 1.2'), columns >= 23, `${columns}: ${line}`);
      assert.equal(line.includes('█'), columns >= 33, `${columns}: ${line}`);
    }
  });
  test('without a total has no bar', () => {
    assert.equal(renderProgress({ activity: 'Saving', done: 0, total: 0 }, 60), 'Saving');
  });
  test('a count past its total fills the bar', () => {
    assert.ok(!renderProgress({ ...state, done: 9 }, 60).includes('░'));
  });
});

describe('on a terminal', () => {
  test('the line is rewritten, not too often, and the last state always', () => {
    const { written, output } = record(true);
    let now = 0;
    const progress = createProgress(output, () => now);
    const update = (done: number): void => progress.update({ activity: 'Merging', done, total: 50 });
    update(1);
    update(2);
    assert.equal(written.length, 1);
    now = 100;
    update(3);
    update(50);
    assert.deepEqual(
      written.map((text) => /(\d+)\/50/.exec(text)?.[1]),
      ['1', '3', '50'],
    );
    assert.ok(written.every((text) => text.startsWith('\r\u001b[2K') && !text.includes('\n')));
  });
  test('printing beside it takes it away and brings it back', () => {
    const { written, output } = record(true);
    const progress = createProgress(output, () => 0);
    progress.update({ activity: 'Merging', done: 1, total: 0 });
    progress.aside(() => written.push('a line\n'));
    assert.deepEqual(written.slice(1), ['\r\u001b[2K', 'a line\n', '\r\u001b[2KMerging']);
    progress.end();
    progress.aside(() => written.push('another\n'));
    assert.deepEqual(written.slice(4), ['\r\u001b[2K', 'another\n']);
  });
});

test('elsewhere each activity is one plain line', () => {
  const { written, output } = record(false);
  const progress = createProgress(output);
  for (const activity of ['Compiling', 'Merging', 'Merging', 'Saving']) {
    progress.update({ activity, done: 1, total: 2, detail: 'x' });
    progress.aside(() => undefined);
  }
  progress.end();
  assert.equal(progress.live, false);
  assert.deepEqual(written, ['Compiling\n', 'Merging\n', 'Saving\n']);
});

test('for a program, each state is a line of JSON, not too often', () => {
  const { written, output } = record(false);
  let now = 0;
  const progress = createProgress(output, () => now, 'json');
  const update = (activity: string, done: number): void => progress.update({ activity, done, total: 50 });
  update('Reading', 1);
  update('Reading', 2);
  now = 1000;
  update('Reading', 3);
  update('Merging', 50);
  assert.deepEqual(
    written.map((line) => JSON.parse(line)),
    [
      { activity: 'Reading', done: 1, total: 50 },
      { activity: 'Reading', done: 3, total: 50 },
      { activity: 'Merging', done: 50, total: 50 },
    ],
  );
});

test('commands that the editor runs tell of their progress in its language', async () => {
  for (const name of [
    'combine',
    'compareMethods',
    'masks',
    'merge',
    'convert',
    'generate',
    'inspect',
    'preview',
  ]) {
    const text = await readFile(new URL(`../../../src/cli/${name}.ts`, import.meta.url), 'utf8');
    assert.deepEqual(text.match(/activity: '[^']+'/g) ?? [], [], name);
  }
});
