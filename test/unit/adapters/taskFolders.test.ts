import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { taskFolder } from '../../../src/adapters/taskFolders.js';

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
