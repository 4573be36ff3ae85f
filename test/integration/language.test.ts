// Processes of a window in Chinese say in Chinese what is wrong with a run file; without a window they say it in English.
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { LANGUAGE_VARIABLE } from '../../src/common/language.js';
import type { Problem } from '../../src/common/problem.js';
import { runCommandJob } from '../../src/engines/commandJob.js';
import type { RunEvent } from '../../src/training/events.js';
import { CHINESE } from '../../tools/translations.mjs';
import { temporaryFolder } from '../support/adapters.js';
import { ROOT } from '../support/fixtures.js';

const folder = temporaryFolder();
const file = path.join(folder, 'bad.peft.yaml');
await writeFile(file, 'model: nowhere/at/all\ndata:\n  train: rows.jsonl\nmethod:\n  type: lora\n  r: zero\n');

/** What the worker says of the file. */
function workersProblem(): Promise<Problem> {
  const worker = path.join(ROOT, 'src/worker.ts');
  const child = fork(worker, [], { execArgv: ['--import', 'tsx'], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  child.send({ type: 'train', file });
  return new Promise((resolve, reject) => {
    child.on('message', (event: RunEvent) => event.type === 'failed' && resolve(event.problem));
    child.on('close', () => reject(new Error('the worker ended without a word')));
  });
}

/** What a command of the editor says of the file. */
async function jobsProblem(): Promise<Problem> {
  const ended = await runCommandJob({ cli: path.join(ROOT, 'src/cli.ts'), args: ['estimate', file] });
  assert.equal(ended.kind, 'failed');
  return ended.problem;
}

for (const [program, problem] of [
  ['worker', workersProblem],
  ['job', jobsProblem],
] as const) {
  describe(`the problem of a ${program}`, () => {
    beforeEach(() => delete process.env[LANGUAGE_VARIABLE]);
    afterEach(() => delete process.env[LANGUAGE_VARIABLE]);

    it('is Chinese in a window that is', async () => {
      process.env[LANGUAGE_VARIABLE] = CHINESE;
      const { code, message, expected } = await problem();
      assert.equal(code, 'config.wrong-type');
      assert.equal(message, '`method.r` 为文本 `zero`');
      assert.equal(expected, '不小于 1 的整数');
    });

    it('is English without one', async () => {
      const { message, expected } = await problem();
      assert.equal(message, '`method.r` is the text `zero`');
      assert.equal(expected, 'a whole number from 1 up');
    });
  });
}
