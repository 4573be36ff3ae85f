import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runName } from '../../../src/config/runName.js';

test('a run is called as its file, without what run files end in', () => {
  const names = {
    'a/quick start.peft.yaml': 'quick start',
    'C:\\runs\\b.peft.json': 'b',
    'x.PEFT.yml': 'x',
    'c.yaml': 'c',
    'v1.2.peft.yaml': 'v1.2',
    '.peft.yaml': 'run',
    '.hidden': '.hidden',
  };
  for (const [file, name] of Object.entries(names)) assert.equal(runName(file), name);
});
