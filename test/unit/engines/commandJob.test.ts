import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseProgress, runCommandJob } from '../../../src/engines/commandJob.js';
import type { CommandJob, CommandOutcome } from '../../../src/engines/commandJob.js';

const cli = fileURLToPath(new URL('./scriptedCommand.mjs', import.meta.url));

async function play(script: readonly object[], options: Partial<CommandJob> = {}): Promise<CommandOutcome> {
  return runCommandJob({ cli, args: [JSON.stringify(script), 'x'], ...options });
}

describe('a command in a process of its own', () => {
  test('its document is the outcome, whatever it exits with', async () => {
    assert.deepEqual(await play([{ echo: 'args' }, { exit: 2 }]), {
      kind: 'done',
      document: { args: ['x', '--json'] },
    });
  });
  test('reads what it is given', async () => {
    const outcome = await play([{ echo: 'stdin' }], { input: 'über\n' });
    assert.deepEqual(outcome, { kind: 'done', document: { read: 'über\n' } });
  });
  test('tells progress and other lines apart', async () => {
    const progress: object[] = [];
    const lines: string[] = [];
    const state = { activity: 'Merging', done: 1, total: 9 };
    await play([{ err: 'warning a' }, { err: JSON.stringify(state) }, { out: '{}' }], {
      onProgress: (each) => progress.push(each),
      print: (line) => lines.push(line),
    });
    assert.deepEqual([progress, lines], [[state], ['warning a']]);
  });
  test('its own problem is the failure', async () => {
    const problem = { code: 'adapter.no-config', message: 'nothing there', mend: 'Look.' };
    const outcome = await play([{ out: JSON.stringify({ error: problem, others: [problem, 3] }) }, { exit: 2 }]);
    assert.deepEqual(outcome, { kind: 'failed', problem, others: [problem] });
  });
  test('of one that tells events each is told as it comes, and the last is its document or its failure', async () => {
    const [begun, ended] = [{ type: 'began' }, { type: 'finished', of: 'ü' }];
    const problem = { code: 'data.no-rows', message: 'nothing there' };
    const lines = (...events: object[]): object[] =>
      events.map((event) => ({ out: `${JSON.stringify(event)}\n` }));
    const told: unknown[] = [];
    const onEvent = (event: unknown): void => void told.push(event);
    assert.deepEqual(await play(lines(begun, ended), { onEvent }), { kind: 'done', document: ended });
    assert.deepEqual(told, [begun, ended]);
    assert.deepEqual(await play(lines(begun, { type: 'failed', problem, others: [problem] }), { onEvent }), {
      kind: 'failed',
      problem,
      others: [problem],
    });
    for (const rest of [[{ out: '{"type":"tri' }, { exit: 1 }], [{ signal: 'SIGKILL' }]]) {
      const cut = await play([...lines(begun), ...rest], { onEvent });
      assert.equal(cut.kind === 'failed' && cut.problem.code, 'job.process-ended');
    }
  });
  for (const [how, end] of [
    ['was ended by SIGKILL', { signal: 'SIGKILL' }],
    ['exited with code 7', { exit: 7 }],
  ] as const) {
    test(`one that ${how} without a result says so, with its last words`, async () => {
      const outcome = await play([{ err: 'out of luck' }, end]);
      assert.equal(outcome.kind, 'failed');
      const { message } = outcome.kind === 'failed' ? outcome.problem : assert.fail();
      assert.match(message, new RegExp(`${how} without a result; its last words: out of luck`));
    });
  }
  test('one that is cancelled ends', async () => {
    const abort = new AbortController();
    const outcome = play([{ err: 'begun' }, { wait: true }], {
      signal: abort.signal,
      print: () => abort.abort(),
    });
    assert.deepEqual(await outcome, { kind: 'cancelled' });
  });
  test('one that was cancelled before is not begun', async () => {
    const outcome = await play([{ echo: 'args' }], { signal: AbortSignal.abort() });
    assert.deepEqual(outcome, { kind: 'cancelled' });
  });
});

test('a line that only looks like progress is an ordinary line', () => {
  for (const line of ['{"activity":', '{"activity":"a"}', '{"activity":1,"done":1,"total":1}', 'Merging']) {
    assert.equal(parseProgress(line), undefined, line);
  }
});
