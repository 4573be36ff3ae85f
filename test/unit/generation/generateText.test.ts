import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import type { Generator } from '../../../src/generation/generate.js';
import { generateText } from '../../../src/generation/generateText.js';
import type { GenerateOptions } from '../../../src/generation/options.js';
import { createTextStream } from '../../../src/generation/textStream.js';
import { loadTokenizer } from '../../../src/models/loadTokenizer.js';
import type { Tokenizer } from '../../../src/models/tokenizer.js';
import { ROOT } from '../../support/fixtures.js';

const EOS = 256;

/** One token per UTF-8 byte; takes the spaces off the front, as SentencePiece's decoders do. */
const bytes: Tokenizer = {
  vocabSize: 257,
  bosTokenId: undefined,
  eosTokenId: EOS,
  eosTokenIds: [EOS],
  padTokenId: undefined,
  chatTemplate: undefined,
  encode: (text) => [...new TextEncoder().encode(text)],
  encodePair: () => ({ ids: [], types: [] }),
  decode: (ids) =>
    new TextDecoder()
      .decode(Uint8Array.from(ids.filter((id) => id < EOS)))
      .concat(ids.includes(EOS) ? '<end>' : '')
      .replace(/^ +/, ''),
  applyChatTemplate: () => '',
  files: () => Promise.resolve(new Map()),
};

/** Answers with these tokens, whatever the prompts, up to an end or a stop. */
function scripted(answers: readonly (readonly number[])[]): Generator & { seen: GenerateOptions[] } {
  const seen: GenerateOptions[] = [];
  return {
    seen,
    generate: (prompts, options, onToken) => {
      seen.push(options);
      return Promise.resolve(
        prompts.map((_, row) => {
          const ids: number[] = [];
          for (const id of answers[row]!) {
            ids.push(id);
            const stopped = onToken?.(row, id, new Float32Array(0)) === false;
            if (options.eos_token_id?.includes(id)) return { ids, reason: 'eos' as const };
            if (stopped) return { ids, reason: 'stopped' as const };
          }
          return { ids, reason: 'length' as const };
        }),
      );
    },
    dispose: () => Promise.resolve(),
  };
}

test('pieces hold whole characters only and join to the text', async () => {
  const texts = [' naïve 日本 🙂!', ' plain'];
  const pieces: string[][] = [[], []];
  const generator = scripted(texts.map((text) => [...bytes.encode(text), EOS, 65]));
  const rows = await generateText(generator, bytes, ['Say', 'Go'], { seed: 5 }, (row, piece) => {
    if (piece !== '') pieces[row]!.push(piece);
  });
  assert.deepEqual(generator.seen, [{ seed: 5, eos_token_id: [EOS] }]);
  for (const [row, text] of texts.entries()) {
    assert.equal(rows[row]!.text, text, 'the space behind the prompt is kept, the end is left out');
    assert.equal(rows[row]!.reason, 'eos');
    assert.deepEqual(pieces[row], [...text]);
  }
});

test('bytes that never become a character are shown in the end', async () => {
  const pieces: string[] = [];
  const [row] = await generateText(scripted([[72, 0xe6, 0x97]]), bytes, ['Say'], {}, (_, piece) => {
    if (piece !== '') pieces.push(piece);
  });
  assert.equal(row!.text, 'H\uFFFD');
  assert.deepEqual(pieces, ['H', '\uFFFD']);
  assert.equal(row!.reason, 'length');
});

test('false from the listener ends a row, other ends than the tokenizer’s count', async () => {
  const answers = [[...bytes.encode('one.two')], [...bytes.encode('one.two')]];
  const heard = ['', ''];
  const rows = await generateText(scripted(answers), bytes, ['a', 'b'], { eos_token_id: [46] }, (row, piece) => {
    heard[row] += piece;
    return row === 0 || heard[row]!.length < 2;
  });
  assert.deepEqual(
    rows.map(({ text, reason }) => [text, reason]),
    [
      ['one', 'eos'],
      ['on', 'stopped'],
    ],
  );
});

test('tokens without text can be stopped too; prompts of ids are not encoded again; every end of the tokenizer ends', async () => {
  const prompts: (readonly number[])[] = [];
  const generator = scripted([
    [0xe6, 0xe6, 0xe6],
    [72, 10, 73],
  ]);
  const spying: Generator = {
    ...generator,
    generate: (given, ...rest) => {
      prompts.push(...given);
      return generator.generate(given, ...rest);
    },
  };
  const turns: Tokenizer = { ...bytes, eosTokenIds: [EOS, 10] };
  const rows = await generateText(spying, turns, [[7, 8], 'Go'], {}, (row) => row === 1);
  assert.deepEqual(prompts, [
    [7, 8],
    [71, 111],
  ]);
  assert.deepEqual(
    rows.map(({ ids, reason }) => [ids.length, reason]),
    [
      [1, 'stopped'],
      [2, 'eos'],
    ],
  );
  assert.equal(rows[1]!.text, 'H');
});

test('a decoder that takes text back is not followed', () => {
  const fickle: Tokenizer = { ...bytes, decode: (ids) => ['', 'ab', 'axy', 'axyz'][ids.length]! };
  const stream = createTextStream(fickle, []);
  assert.deepEqual([stream.push(1), stream.push(2), stream.push(3), stream.finish()], ['ab', '', '', '']);
  assert.equal(stream.text(), 'axyz');
});

test('the bundled model’s byte-level tokenizer streams characters split over tokens', async () => {
  const tokenizer = await loadTokenizer(path.join(ROOT, 'examples/base-model/peft-studio-tiny'));
  const text = ' the 日本語 — 🙂 é';
  const ids = tokenizer.encode(text, { addSpecialTokens: false });
  assert.ok(ids.length > [...text].length / 2);
  const pieces: string[] = [];
  const [row] = await generateText(scripted([ids]), tokenizer, ['In'], {}, (_, piece) => {
    if (piece !== '') pieces.push(piece);
  });
  assert.equal(row!.text, text);
  assert.equal(pieces.join(''), text);
  assert.ok(pieces.length > 5 && pieces.every((piece) => !piece.includes('\uFFFD')));
});
