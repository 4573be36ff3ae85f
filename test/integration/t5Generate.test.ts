import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { BASE_COLUMN } from '../../src/engines/playground/protocol.js';
import type { PlaygroundEvent } from '../../src/engines/playground/protocol.js';
import { openPlayground } from '../../src/engines/playground/session.js';
import { createDecoder } from '../../src/generation/decoder.js';
import type { Decoder } from '../../src/generation/decoder.js';
import { generatorOf } from '../../src/generation/generate.js';
import { createScorer, logProbability } from '../../src/generation/scoring.js';
import { fixture } from '../support/fixtures.js';
import { openModel } from '../support/model.js';
import { document, run } from '../unit/cli/support.js';

const END = 1;

async function open(name: string): Promise<Decoder> {
  const opened = await openModel(fixture('t5', name));
  return createDecoder({ ...opened, methods: [], values: new Map(), positionLimit: 128 });
}

async function generated(name: string): Promise<{ prompts: number[][]; answers: number[][] }> {
  return JSON.parse(await readFile(fixture('t5', name, 'generated.json'), 'utf8')) as never;
}

for (const name of ['tiny-t5', 'tiny-t5-gated', 'tiny-mt5']) {
  test(`greedy answers of ${name} are those of Transformers, in one batch and alone`, async () => {
    const decoder = await open(name);
    const generator = generatorOf(decoder);
    const { prompts, answers } = await generated(name);
    const options = { max_new_tokens: 12, eos_token_id: [END] };
    const ids = async (asked: number[][]): Promise<(readonly number[])[]> =>
      (await generator.generate(asked, options)).map((row) => row.ids);
    assert.deepEqual(await ids(prompts), answers);
    for (const [at, prompt] of prompts.entries()) assert.deepEqual(await ids([prompt]), [answers[at]]);
    await decoder.dispose();
  });
}

test('an answer that is read in blocks has the probabilities that it was written with', async () => {
  const decoder = await open('tiny-t5-gated');
  const { prompts } = await generated('tiny-t5-gated');
  for (const prompt of prompts) {
    const own: number[] = [];
    const [row] = await generatorOf(decoder).generate(
      [prompt],
      { max_new_tokens: 9, temperature: 1, seed: 3 },
      (_, id, logits) => void own.push(logProbability(logits, id)),
    );
    const scorer = createScorer(decoder, prompt);
    const scored = [...(await scorer.score(row!.ids.slice(0, 4))), ...(await scorer.score(row!.ids.slice(4)))];
    assert.equal(scored.length, own.length);
    for (const [at, score] of scored.entries()) assert.ok(Math.abs(score - own[at]!) < 1e-4, `${at}: ${score}`);
  }
  await decoder.dispose();
});

test('a repetition penalty counts the answer, not the source', async () => {
  const decoder = await open('tiny-t5');
  const generator = generatorOf(decoder);
  const prompts = Array.from({ length: 157 }, (_, at) => [at + 3, END]);
  const rows = await generator.generate(prompts, { max_new_tokens: 1 });
  // A source that the model answers with its own token.
  const at = rows.findIndex(({ ids }, row) => ids[0] === prompts[row]![0]);
  assert.ok(at >= 0);
  const [penalized] = await generator.generate([prompts[at]!], { max_new_tokens: 3, repetition_penalty: 1e6 });
  assert.equal(penalized!.ids[0], prompts[at]![0]);
  assert.equal(new Set(penalized!.ids).size, 3);
  await decoder.dispose();
});

const PROMPT = 'translate English to German: The house is small.';

test('generate and the playground answer with T5, and the base reads along', async () => {
  const model = fixture('t5/tiny-t5');
  const adapter = fixture('t5/peft-adapter');
  // Greedy, these random weights repeat themselves.
  const asked = ['--prompt', PROMPT, '--max-new-tokens', '9', '--temperature', '1', '--seed', '3', '--json'];
  const [base, adapted] = [
    document(await run(['generate', model, ...asked])),
    document(await run(['generate', model, '--adapter', adapter, ...asked])),
  ];
  assert.equal(base['tokens'], 9);
  assert.notEqual(base['text'], adapted['text']);

  const events: PlaygroundEvent[] = [];
  const session = await openPlayground(model, (event) => events.push(event), { runtime: { threads: 1 } });
  assert.equal(session.base.chat, false);
  await session.attach('A', adapter);
  const columns = [BASE_COLUMN, 'A'].map((column) => ({ column, prompt: PROMPT }));
  await session.generate(
    { type: 'generate', request: 1, columns, options: { max_new_tokens: 9, temperature: 1, seed: 3 } },
    () => false,
  );
  await session.close();
  const texts = events.flatMap((event) => (event.type === 'answered' ? [[event.column, event.answer.text]] : []));
  assert.deepEqual(Object.fromEntries(texts), { [BASE_COLUMN]: base['text'], A: adapted['text'] });
  const scored = events.flatMap((event) => (event.type === 'scored' ? event.base : []));
  assert.equal(scored.length, 9);
  assert.ok(scored.every((score) => score < 0 && Number.isFinite(score)));
});
