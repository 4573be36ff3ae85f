import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { askedInThread } from '../../../src/language/memoryAsker.js';
import type { MemoryQuestion } from '../../../src/language/memoryAnswer.js';
import { NEVER } from './languageSupport.js';

// Tests run from the repository's folder, bundled.
const asker = askedInThread(path.resolve('test/unit/language/scriptedThread.mjs'));
const question = (text: string): MemoryQuestion => ({
  file: '/a.peft.yaml',
  text,
  machine: { free: 1, total: 2, bound: 'machine' },
});

describe('a thread that answers', () => {
  // It keeps no process alive; the editor lives by itself. (A hook outside of a suite would wait for the end itself.)
  let alive: NodeJS.Timeout;
  before(() => {
    alive = setInterval(() => undefined, 1000);
  });
  after(() => clearInterval(alive));

  test('each question gets its own answer, whatever the order', async () => {
    const at = ['method', 0, 'r'];
    const answers: unknown[] = await Promise.all([
      asker.answer(question('one'), NEVER),
      asker.largest(question('two'), at, 'rank', NEVER),
    ]);
    assert.deepEqual(
      answers.map((each) => ({ ...(each as object), id: 0 })),
      [
        { id: 0, type: 'answer', question: question('one') },
        { id: 0, type: 'largest', question: question('two'), at, quantity: 'rank' },
      ],
    );
  });

  test('a fault of the thread is an error', async () => {
    await assert.rejects(asker.answer(question('fault'), NEVER), /no such thing/);
  });

  test('who no longer wants an answer does not wait for it', async () => {
    const abort = new AbortController();
    const asked = asker.answer(question('never'), abort.signal);
    abort.abort();
    await assert.rejects(asked, { name: 'AbortError' });
    await assert.rejects(asker.answer(question('one'), abort.signal), { name: 'AbortError' });
  });

  test('a thread that ends is started anew, and is not asked again what it ended of', async () => {
    await assert.rejects(asker.answer(question('end'), NEVER), /ended with code 7/);
    assert.equal(await asker.answer(question('end'), NEVER), undefined);
    assert.ok(await asker.answer(question('one'), NEVER));
  });
});
