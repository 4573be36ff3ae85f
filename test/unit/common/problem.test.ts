import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { ProblemError, describeProblem, fail, problemOf } from '../../../src/common/problem.js';
import type { Problem } from '../../../src/common/problem.js';

const problem: Problem = {
  code: 'config.unknown-key',
  message: '`lora_alhpa` is no option of LoRA',
  where: { file: 'run.peft.yaml', line: 7, column: 3 },
  expected: 'lora_alpha',
  mend: 'Correct the name.',
};

test('a problem says where, what, what was expected and how to mend it', () => {
  assert.equal(
    describeProblem(problem),
    'run.peft.yaml:7:3: `lora_alhpa` is no option of LoRA\nExpected: lora_alpha\nTo mend it: Correct the name.',
  );
});

test('parts that are not known are left out', () => {
  assert.equal(describeProblem({ code: 'x', message: 'It is empty' }), 'It is empty');
  assert.equal(describeProblem({ code: 'x', message: 'It is empty', where: { file: 'a' } }), 'a: It is empty');
  const where = { file: 'a', line: 2 };
  assert.equal(describeProblem({ code: 'x', message: 'It is empty', where }), 'a:2: It is empty');
  assert.equal(
    describeProblem({ code: 'x', message: 'It is empty', mend: 'Fill it.' }),
    'It is empty\nTo mend it: Fill it.',
  );
});

test('fail throws the problem, with its cause', () => {
  const cause = new Error('EACCES');
  assert.throws(
    () => fail(problem, cause),
    (error: unknown) => {
      assert.ok(error instanceof ProblemError);
      assert.equal(error.problem, problem);
      assert.equal(error.cause, cause);
      assert.equal(error.message, describeProblem(problem));
      assert.equal(problemOf(error), problem);
      return true;
    },
  );
});

test('names out of files may have megabytes: texts are cut in their middle, codes and places stay', () => {
  const long = 'x'.repeat(1_000_000);
  const { problem: found, message } = new ProblemError({
    ...problem,
    message: `the tensor ${long} has no shape`,
    expected: long,
  });
  assert.match(found.message, /^the tensor x+ … x+ has no shape$/);
  assert.ok(message.length < 10_000, String(message.length));
  assert.deepEqual([found.code, found.where, found.mend], [problem.code, problem.where, problem.mend]);
});

test('any other error is an internal problem that asks for a report', () => {
  const internal = problemOf(new TypeError('x is undefined'));
  assert.equal(internal.code, 'internal');
  assert.equal(internal.message, 'x is undefined');
  assert.match(internal.mend!, /report/);
  assert.equal(problemOf('thrown text').message, 'thrown text');
});

test('what the file system refuses says which file and what to do', async () => {
  const error = await readFile('/nowhere/at/all').catch((reason: unknown) => reason);
  const found = problemOf(error);
  assert.equal(found.code, 'file.enoent');
  assert.equal(found.where?.file, '/nowhere/at/all');
  assert.ok(found.mend !== undefined);
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  assert.deepEqual([problemOf(full).code, problemOf(full).where], ['file.enospc', undefined]);
  assert.match(problemOf(full).mend!, /space/);
});
