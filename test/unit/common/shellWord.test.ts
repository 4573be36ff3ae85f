import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { shellWord } from '../../../src/common/shellWord.js';

test('a plain name stays as it is', () => {
  assert.equal(shellWord('runs/sql-1.peft.yaml', 'linux'), 'runs/sql-1.peft.yaml');
  assert.equal(shellWord('runs\\sql.peft.yaml', 'win32'), 'runs\\sql.peft.yaml');
});

test('what a shell would take apart arrives whole', { skip: process.platform === 'win32' && 'no sh' }, () => {
  for (const word of ['my run.peft.yaml', "it's.peft.yaml", '$HOME;`ls`.peft.yaml', 'a*"b".peft.yaml', '']) {
    const echoed = execFileSync('sh', ['-c', `printf %s ${shellWord(word)}`], { encoding: 'utf8' });
    assert.equal(echoed, word);
  }
});

test('Windows gets double quotes', () => {
  assert.equal(shellWord('my run.peft.yaml', 'win32'), '"my run.peft.yaml"');
});
