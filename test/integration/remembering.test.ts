// A decoder that remembers: what it says over the turns of a conversation, and how much it reads for it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDecoder } from '../../src/generation/decoder.js';
import type { Decoder } from '../../src/generation/decoder.js';
import { generatorOf } from '../../src/generation/generate.js';
import { remembering } from '../../src/generation/remembering.js';
import { createScorer } from '../../src/generation/scoring.js';
import { rowTokens } from '../../src/generation/tokens.js';
import { readModel } from '../../src/models/readModel.js';
import { fixture } from '../support/fixtures.js';
import { attachAdapter, openModel } from '../support/model.js';
import type { Opened } from '../support/model.js';

const OPTIONS = { max_new_tokens: 8, temperature: 1.2, seed: 5, repetition_penalty: 1.1 };
/** What is said before the first answer, and between an answer and the next. */
const SAID = [
  [17, 3, 99, 54, 8],
  [64, 2, 90],
  [1, 77, 12, 30],
];

async function decoderOf(opened: Opened, adapter?: string): Promise<Decoder> {
  const attached = adapter === undefined ? undefined : await attachAdapter(opened, adapter);
  return createDecoder({
    ...opened,
    methods: attached === undefined ? [] : [attached.method],
    values: attached?.values ?? new Map(),
    positionLimit: 96,
  });
}

/** Counts the tokens that a decoder is given to read. */
function counted(decoder: Decoder): { readonly decoder: Decoder; read: number } {
  const count = {
    read: 0,
    decoder: {
      ...decoder,
      read(rows: number, tasks?: readonly number[]) {
        const reading = decoder.read(rows, tasks);
        return {
          ...reading,
          run(...[tokens, predictors]: Parameters<typeof reading.run>) {
            count.read += tokens.rows * tokens.sequence;
            return reading.run(tokens, predictors);
          },
        };
      },
    },
  };
  return count;
}

/** A conversation: each turn's text begins with all texts and answers before it. */
async function converse(decoder: Decoder, edit: (history: number[]) => number[] = (history) => history) {
  const answers: (readonly number[])[] = [];
  let history: number[] = [];
  for (const said of SAID) {
    const prompt = [...edit(history), ...said];
    const [row] = await generatorOf(decoder).generate([prompt], OPTIONS);
    answers.push(row!.ids);
    history = [...prompt, ...row!.ids];
  }
  return answers;
}

const tiny = (name: string): Promise<Opened> => openModel(fixture('lora-reference', name));

/** Its sliding window is shorter than the conversation. */
async function windowed(): Promise<Opened> {
  const opened = await tiny('tiny-mistral');
  const config = { ...opened.checkpoint.config, sliding_window: 6 };
  return { ...opened, model: readModel({ ...opened.checkpoint, config }) };
}

const LORA = fixture('lora-reference', 'peft-adapter');
const CASES: Readonly<Record<string, () => Promise<Decoder>>> = {
  'the base model': async () => decoderOf(await tiny('tiny-llama')),
  'an adapter': async () => decoderOf(await tiny('tiny-llama'), LORA),
  'virtual tokens': async () => decoderOf(await tiny('tiny-llama'), fixture('prompt-tuning', 'llama')),
  'keys and values in front': async () => decoderOf(await tiny('tiny-llama'), fixture('prefix-tuning', 'llama')),
  'a sliding window': async () => decoderOf(await windowed()),
  'a sliding window with keys and values in front': async () =>
    decoderOf(await windowed(), fixture('prefix-tuning', 'mistral')),
};

for (const [name, open] of Object.entries(CASES)) {
  test(`${name}: a conversation goes on from what was read, with the answers of a fresh start`, async () => {
    const decoder = await open();
    const [fresh, kept] = [counted(decoder), counted(decoder)];
    const expected = await converse(fresh.decoder);
    assert.deepEqual(await converse(remembering(kept.decoder)), expected);
    const lengths = SAID.map(({ length }, at) => length + expected[at]!.length);
    // The last token of an answer is read by the next turn only.
    assert.equal(
      kept.read,
      lengths.reduce((sum, length) => sum + length, -1),
    );
    assert.ok(fresh.read > 1.5 * kept.read, `${fresh.read} tokens read without, ${kept.read} with`);
    await decoder.dispose();
  });
}

test('a history that was written otherwise is read again from where it differs', async () => {
  const decoder = await decoderOf(await tiny('tiny-llama'));
  const edit = (history: number[]): number[] => history.map((id, at) => (at === 9 ? 100 : id));
  const kept = counted(decoder);
  assert.deepEqual(await converse(remembering(kept.decoder), edit), await converse(decoder, edit));
  await decoder.dispose();
});

test('the same prompt once more, a shorter one, and another one', async () => {
  const decoder = await decoderOf(await tiny('tiny-llama'));
  const mind = remembering(decoder);
  for (const prompt of [SAID.flat(), SAID.flat(), SAID.flat().slice(0, 4), [9, 8, 7], [9], [5]]) {
    const ask = (of: Decoder) => generatorOf(of).generate([prompt], OPTIONS);
    assert.deepEqual(await ask(mind), await ask(decoder), prompt.join());
  }
  await decoder.dispose();
});

test('scores are those of a fresh start', async () => {
  const decoder = await decoderOf(await tiny('tiny-llama'), LORA);
  const mind = remembering(decoder);
  for (const [prompt, answer] of [
    [SAID[0]!, [4, 5, 6]],
    [
      [...SAID[0]!, 4, 5, 6, 7],
      [11, 12],
    ],
    [SAID[0]!, [4, 5, 6]],
  ] as const) {
    const [expected, found] = [
      await createScorer(decoder, prompt).score(answer),
      await createScorer(mind, prompt).score(answer),
    ];
    for (const [at, score] of found.entries())
      assert.ok(Math.abs(score - expected[at]!) < 1e-5, `${score}, ${expected[at]}`);
  }
  await decoder.dispose();
});

test('other numbers are not mixed with what the old ones read', async () => {
  const opened = await tiny('tiny-llama');
  const attached = await attachAdapter(opened, LORA);
  const decoder = await decoderOf(opened, LORA);
  const mind = remembering(decoder);
  await converse(mind);
  mind.use(new Map([...attached.values].map(([name, value]) => [name, value.map((number) => 3 * number)])));
  assert.deepEqual(await converse(mind), await converse(decoder));
  await decoder.dispose();
});

test('a text that is begun takes the place of one that is being read', async () => {
  const decoder = await decoderOf(await tiny('tiny-llama'));
  const mind = remembering(decoder);
  const begun = createScorer(mind, [1, 2, 3]);
  await begun.score([4]);
  await createScorer(mind, [1, 2, 9]).score([4]);
  await assert.rejects(begun.score([5]), /another text was begun/);
  await decoder.dispose();
});

test('a text of another task, and one that cannot be taken back, are read whole', async () => {
  const runs: string[] = [];
  const decoderWith = (keepFirst?: (length: number) => void): Decoder => ({
    vocabSize: 8,
    positionLimit: 16,
    read: (rows, tasks) => ({
      run(tokens) {
        runs.push(`${rows} ${tasks?.join()}: ${tokens.ids.join()}`);
        return Promise.resolve(new Float32Array(8));
      },
      keepRows: () => undefined,
      ...(keepFirst === undefined ? {} : { keepFirst }),
    }),
    use: () => undefined,
    dispose: () => Promise.resolve(),
  });
  const read = async (mind: Decoder, ids: readonly number[], task: number) => {
    await mind.read(1, [task]).run(rowTokens(ids, 0));
    return runs.at(-1);
  };
  const kept: number[] = [];
  const mind = remembering(decoderWith((length) => kept.push(length)));
  assert.equal(await read(mind, [1, 2, 3], 1), '1 1: 1,2,3');
  assert.equal(await read(mind, [1, 2, 3, 4], 1), '1 1: 4');
  assert.equal(await read(mind, [1, 2, 3, 4, 5], 2), '1 2: 1,2,3,4,5');
  assert.deepEqual(kept, [3]);
  const fleeting = remembering(decoderWith());
  await read(fleeting, [1, 2, 3], 0);
  assert.equal(await read(fleeting, [1, 2, 3, 4], 0), '1 0: 1,2,3,4');
});
