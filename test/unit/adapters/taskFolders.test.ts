import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { adapterOfTask, adaptersWithin, taskFolder } from '../../../src/adapters/taskFolders.js';
import { temporaryFolder } from '../../support/adapters.js';

test("a task's folder lies within the run's, under a name that every system has", () => {
  const expected = {
    rte: 'rte',
    'en-de': 'en-de',
    任务: '任务',
    '../x': '..%2fx',
    '..': '%2e%2e',
    '100%': '100%25',
    'trailing.': 'trailing%2e',
    con: '%63%6f%6e',
    'NUL.txt': '%4e%55%4c.txt',
    console: 'console',
  };
  for (const [task, name] of Object.entries(expected)) {
    assert.equal(taskFolder('adapter', task), path.join('adapter', name));
  }
});

test('adapters within a folder are found by their configs', async () => {
  const folder = temporaryFolder();
  for (const name of ['b', 'a', 'empty']) mkdirSync(path.join(folder, name));
  for (const name of ['b', 'a']) writeFileSync(path.join(folder, name, 'adapter_config.json'), '{}');
  assert.deepEqual(await adaptersWithin(folder), ['a', 'b']);
  assert.deepEqual(await adaptersWithin(path.join(folder, 'none')), []);
});

test('a task asked for is its own folder; a fusion of its adapter with others is left whole', async () => {
  const folder = temporaryFolder();
  for (const name of ['a', 'b_c']) {
    mkdirSync(path.join(folder, name));
    writeFileSync(path.join(folder, name, 'adapter_config.json'), '{}');
  }
  assert.deepEqual(await adapterOfTask(folder, 'a'), { folder: path.join(folder, 'a'), isTasks: true });
  assert.deepEqual(await adapterOfTask(folder, 'd'), { folder, isTasks: false });
  writeFileSync(path.join(folder, 'adapter_setup.json'), '{}');
  for (const task of ['a', 'b c']) {
    assert.deepEqual(await adapterOfTask(folder, task), { folder, isTasks: true });
  }
  assert.deepEqual(await adapterOfTask(folder, 'd'), { folder, isTasks: false });
});
