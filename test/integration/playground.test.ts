// The playground: what its columns answer and how they are scored, and the process that the editor forks.
import assert from 'node:assert/strict';
import { cp, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, test } from 'node:test';
import { encodeStart } from '../../src/data/endOfText.js';
import { startPlayground } from '../../src/engines/playground/client.js';
import { BASE_COLUMN } from '../../src/engines/playground/protocol.js';
import type { PlaygroundEvent, PlaygroundOptions, PlaygroundTold } from '../../src/engines/playground/protocol.js';
import { openPlayground } from '../../src/engines/playground/session.js';
import { logProbability } from '../../src/generation/scoring.js';
import { loadTokenizer } from '../../src/models/loadTokenizer.js';
import { temporaryFolder } from '../support/adapters.js';
import { ROOT } from '../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../support/model.js';
import { MINI, TINY, writeLora } from '../support/playground.js';
import { document, run } from '../unit/cli/support.js';

const folder = temporaryFolder();
const zero = await writeLora(path.join(folder, 'zero'), TINY, 0);
const real = await writeLora(path.join(folder, 'real'), TINY, 8);
const small = await writeLora(path.join(folder, 'small'), MINI, 8);
const PROMPT = 'In the beginning God';
const OPTIONS: PlaygroundOptions = { max_new_tokens: 21 };

type Told<Type extends PlaygroundTold['type']> = Extract<PlaygroundTold, { type: Type }>;

/** What came of an answer, out of all that was told. */
function outcome(events: readonly PlaygroundTold[], request: number, column: string) {
  const own = events.filter(
    (event) => 'request' in event && event.request === request && 'column' in event && event.column === column,
  );
  const tokens = own.flatMap((event) => (event.type === 'token' ? [event.token] : []));
  const base: number[] = [];
  for (const event of own) {
    if (event.type !== 'scored') continue;
    assert.equal(event.from, base.length, 'scores come in order, without gaps');
    base.push(...event.base);
  }
  const answer = own.find((event): event is Told<'answered'> => event.type === 'answered')?.answer;
  const refused = own.find((event): event is Told<'refused'> => event.type === 'refused')?.problem;
  return { tokens, base, answer, refused };
}

async function generated(session: Awaited<ReturnType<typeof openPlayground>>, events: PlaygroundEvent[]) {
  const columns = [BASE_COLUMN, 'A', 'B'].map((column) => ({ column, prompt: PROMPT }));
  await session.generate({ type: 'generate', request: 1, columns, options: OPTIONS }, () => false);
  return Object.fromEntries(columns.map(({ column }) => [column, outcome(events, 1, column)]));
}

test('scores are what whole forward passes give; an adapter that changes nothing has no difference', async () => {
  const events: PlaygroundEvent[] = [];
  const session = await openPlayground(TINY, (event) => events.push(event), { runtime: { threads: 1 } });
  assert.deepEqual(await session.attach('A', zero), []);
  assert.deepEqual(await session.attach('B', real), []);
  const found = await generated(session, events);
  await session.close();

  assert.equal(found[BASE_COLUMN]!.base.length, 0, 'the base model is not compared with itself');
  assert.equal(found['A']!.answer!.text, found[BASE_COLUMN]!.answer!.text);
  assert.notEqual(found['B']!.answer!.text, found[BASE_COLUMN]!.answer!.text);
  for (const { tokens, answer } of Object.values(found)) {
    assert.equal(tokens.length, 21);
    assert.equal(tokens.map(({ text }) => text).join('') + answer!.rest, answer!.text);
  }
  for (const [at, { own }] of found['A']!.tokens.entries()) {
    assert.ok(Math.abs(own - found['A']!.base[at]!) < 1e-5, `token ${at}: ${own}, ${found['A']!.base[at]}`);
  }

  const opened = await openModel(TINY);
  const prompt = encodeStart(PROMPT, await loadTokenizer(TINY));
  const { tokens, base } = found['B']!;
  const row = [[...prompt, ...tokens.map(({ id }) => id)]];
  const adapted = await logitsOf(opened, row, await attachAdapter(opened, real));
  const plain = await logitsOf(opened, row);
  let largest = 0;
  for (const [at, { id, own }] of tokens.entries()) {
    const position = (prompt.length - 1 + at) * opened.model.vocabSize;
    const expected = (logits: Float32Array) =>
      logProbability(logits.subarray(position, position + opened.model.vocabSize), id);
    assert.ok(Math.abs(own - expected(adapted)) < 1e-4, `token ${at} with the adapter`);
    assert.ok(Math.abs(base[at]! - expected(plain)) < 1e-4, `token ${at} under the base model`);
    largest = Math.max(largest, Math.abs(own - base[at]!));
  }
  assert.ok(largest > 0.5, 'the adapter matters to this test');
});

test('a conversation goes through the chat template', async () => {
  const events: PlaygroundEvent[] = [];
  const session = await openPlayground(TINY, (event) => events.push(event), { runtime: { threads: 1 } });
  assert.ok(session.base.chat);
  const messages = [{ role: 'user', content: PROMPT }];
  const columns = [{ column: BASE_COLUMN, prompt: messages }];
  await session.generate({ type: 'generate', request: 3, columns, options: { max_new_tokens: 3 } }, () => false);
  const tokenizer = await loadTokenizer(TINY);
  const text = tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true });
  const { answer } = outcome(events, 3, BASE_COLUMN);
  assert.equal(answer!.promptTokens, tokenizer.encode(text, { addSpecialTokens: false }).length);
  await session.close();
});

test('a turn of a conversation says what it says in a session that knows nothing of the turns before', async () => {
  const columns = [BASE_COLUMN, 'A', 'steered'];
  const ask = async (turns: readonly number[]) => {
    const events: PlaygroundEvent[] = [];
    const session = await openPlayground(TINY, (event) => events.push(event), { runtime: { threads: 1 } });
    await session.attach('A', real);
    await session.attach('steered', small, { model: MINI, alpha: 1 });
    const said = ['Tell me a story.', 'How many are there?', 'Thank you.'];
    for (const turn of turns) {
      const messages = said
        .slice(0, turn + 1)
        .flatMap((content, at) => [
          { role: 'user', content },
          ...(at < turn ? [{ role: 'assistant', content: `The answer is ${at}.` }] : []),
        ]);
      const asked = columns.map((column) => ({ column, prompt: messages }));
      await session.generate({ type: 'generate', request: turn, columns: asked, options: OPTIONS }, () => false);
    }
    await session.close();
    return columns.map((column) => outcome(events, 2, column));
  };
  const [inOne, alone] = [await ask([0, 1, 2]), await ask([2])];
  for (const [at, { tokens, base, answer }] of inOne.entries()) {
    const expected = alone[at]!;
    assert.equal(answer!.text, expected.answer!.text);
    assert.equal(answer!.promptTokens, expected.answer!.promptTokens);
    const differences = tokens.map(({ own }, place) => Math.abs(own - expected.tokens[place]!.own));
    const scored = base.map((score, place) => Math.abs(score - expected.base[place]!));
    assert.ok(Math.max(...differences, ...scored) < 1e-4, `column ${columns[at]}`);
  }
});

/** A process with what it told so far, and a way to wait for more. */
/** A process that a failed test left open would keep the tests from ending. */
const forks: { close(): void }[] = [];
after(() => forks.forEach((child) => child.close()));

function forked(base: string) {
  const told: PlaygroundTold[] = [];
  let heard = (): void => undefined;
  const child = startPlayground({
    program: path.join(ROOT, 'src/playground.ts'),
    base,
    tell(event) {
      told.push(event);
      heard();
    },
    print: (line) => assert.fail(line),
  });
  forks.push(child);
  async function until(found: (event: PlaygroundTold) => boolean): Promise<PlaygroundTold> {
    for (;;) {
      const event = told.find(found);
      if (event !== undefined) return event;
      const ended = told.find(({ type }) => type === 'ended');
      if (ended !== undefined) assert.fail(`the process ended: ${JSON.stringify(ended)}`);
      await new Promise<void>((resolve) => (heard = resolve));
    }
  }
  return { told, child, until };
}

test('the process: columns stream in turns, a bad adapter keeps nobody, a stop acts within a token', async () => {
  const { told, child, until } = forked(TINY);
  child.send({ type: 'attach', column: 'bad', folder: path.join(folder, 'nowhere') });
  child.send({ type: 'attach', column: 'A', folder: real });
  const columns = [BASE_COLUMN, 'bad', 'A'].map((column) => ({ column, prompt: PROMPT }));
  child.send({ type: 'generate', request: 1, columns, options: OPTIONS });
  await until(({ type }) => type === 'done');
  const refusals = told.filter((event): event is Told<'refused'> => event.type === 'refused');
  assert.deepEqual(
    refusals.map(({ column, request, problem }) => [column, request, problem.code]),
    [
      ['bad', undefined, 'adapter.folder-not-found'],
      ['bad', 1, 'playground.column'],
    ],
  );
  assert.ok(refusals[0]!.problem.message.includes('nowhere') || refusals[0]!.problem.where !== undefined);
  const order = told.flatMap((event) => (event.type === 'token' ? [event.column] : []));
  assert.equal(order.length, 42);
  assert.deepEqual([...new Set(order.slice(0, 6))].sort(), ['A', BASE_COLUMN], 'both stream at once');
  assert.equal(outcome(told, 1, 'A').base.length, 21);

  const two = [BASE_COLUMN, 'A'].map((column) => ({ column, prompt: PROMPT }));
  child.send({ type: 'generate', request: 2, columns: two, options: { max_new_tokens: 400, temperature: 1 } });
  await until((event) => event.type === 'token' && event.request === 2);
  child.send({ type: 'stop', request: 2 });
  await until((event) => event.type === 'done' && event.request === 2);
  for (const { column } of two) {
    const { answer, tokens } = outcome(told, 2, column);
    assert.equal(answer!.reason, 'stopped');
    assert.equal(answer!.tokens, tokens.length);
    assert.ok(tokens.length < 400);
  }

  child.send({ type: 'generate', request: 4, columns: two, options: { temperature: -1 } });
  await until((event) => event.type === 'done' && event.request === 4);
  assert.equal(outcome(told, 4, 'A').refused!.code, 'generation.option');

  child.send({ type: 'detach', column: 'A' });
  await until(({ type }) => type === 'detached');
  child.close();
  await child.done;
  assert.ok(!told.some(({ type }) => type === 'ended'), 'an end that was asked for is no news');
});

/** The small model with two tokens that have changed their ids. */
async function otherVocabulary(): Promise<string> {
  const other = path.join(folder, 'other');
  await cp(MINI, other, { recursive: true });
  const file = path.join(other, 'tokenizer.json');
  const tokenizer = JSON.parse(await readFile(file, 'utf8')) as { model: { vocab: Record<string, number> } };
  const { vocab } = tokenizer.model;
  for (const [token, id] of Object.entries(vocab)) {
    if (id === 300 || id === 301) vocab[token] = 601 - id;
  }
  await writeFile(file, JSON.stringify(tokenizer));
  return other;
}

test('a small model steers the base as generate --proxy does; one that cannot keeps nobody', async () => {
  const { told, child, until } = forked(TINY);
  const steer = (column: string, model: string, alpha: number): void =>
    child.send({ type: 'attach', column, folder: small, steering: { model, alpha } });
  steer('other', await otherVocabulary(), 1);
  steer('gone', path.join(folder, 'no-model'), 1);
  steer('half', MINI, 0.5);
  steer('none', MINI, 0);
  const columns = [BASE_COLUMN, 'half', 'none'].map((column) => ({ column, prompt: PROMPT }));
  child.send({ type: 'generate', request: 1, columns, options: OPTIONS });
  await until(({ type }) => type === 'done');
  const refusals = told.filter((event): event is Told<'refused'> => event.type === 'refused');
  assert.deepEqual(
    refusals.map(({ column, problem }) => [column, problem.code]),
    [
      ['other', 'proxy.vocabulary'],
      ['gone', 'checkpoint.folder-not-found'],
    ],
  );
  const [base, half, none] = columns.map(({ column }) => outcome(told, 1, column));
  const args = [
    'generate',
    TINY,
    '--proxy',
    small,
    '--alpha',
    '0.5',
    '--prompt',
    PROMPT,
    '--max-new-tokens',
    '21',
  ];
  const ran = await run([...args, '--json']);
  assert.equal(half!.answer!.text, document(ran)['text'], ran.err);
  assert.notEqual(half!.answer!.text, base!.answer!.text);
  assert.equal(none!.answer!.text, base!.answer!.text);
  const differences = ({ tokens, base: scores }: typeof none & object): number[] =>
    tokens.map(({ own }, at) => Math.abs(own - scores[at]!));
  assert.equal(half!.base.length, 21, 'compared with the base model');
  assert.ok(Math.max(...differences(none!)) < 1e-5 && Math.max(...differences(half!)) > 0.1);

  // Another factor holds from the next answer on; a column that is not there, or not steered, is left alone.
  for (const column of ['none', 'nowhere', BASE_COLUMN]) child.send({ type: 'steer', column, alpha: 0.5 });
  const again = [BASE_COLUMN, 'none'].map((column) => ({ column, prompt: PROMPT }));
  child.send({ type: 'generate', request: 3, columns: again, options: OPTIONS });
  await until((event) => event.type === 'done' && event.request === 3);
  assert.equal(outcome(told, 3, 'none').answer?.text, half!.answer!.text);
  assert.equal(outcome(told, 3, BASE_COLUMN).answer?.text, base!.answer!.text);
  child.send({ type: 'steer', column: 'none', alpha: 0 });

  // The base that it steered answers on without it.
  child.send({ type: 'detach', column: 'half' });
  const two = [BASE_COLUMN, 'none'].map((column) => ({ column, prompt: PROMPT }));
  child.send({ type: 'generate', request: 2, columns: two, options: OPTIONS });
  await until((event) => event.type === 'done' && event.request === 2);
  for (const { column } of two) assert.equal(outcome(told, 2, column).answer?.text, base!.answer!.text, column);
  child.close();
  await child.done;
});

test('no more columns than can be read', async () => {
  const session = await openPlayground(TINY, () => undefined, { runtime: { threads: 1 } });
  for (const column of ['A', 'B', 'C']) await session.attach(column, zero);
  await assert.rejects(session.attach('D', zero), /4 columns are open.*\n.*at most 4.*\n.*Remove an adapter/);
  await session.detach('B');
  await session.attach('D', zero);
  await session.close();
});

test('a base that is not there is refused; a process that dies says so', async () => {
  const missing = forked(path.join(folder, 'no-model'));
  const refused = await missing.until(({ type }) => type === 'refused');
  assert.ok(refused.type === 'refused' && refused.column === undefined && refused.problem.mend !== undefined);
  missing.child.close();
  await missing.child.done;

  const program = path.join(folder, 'nothing.mjs');
  const told: PlaygroundTold[] = [];
  const lines: string[] = [];
  const gone = startPlayground({
    program,
    base: TINY,
    tell: (event) => told.push(event),
    print: (line) => lines.push(line),
  });
  await gone.done;
  assert.ok(told[0]?.type === 'ended' && told[0].problem.code === 'playground.process-ended');
  assert.ok(lines.length > 0);
});
