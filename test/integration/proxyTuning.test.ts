import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { ProblemError } from '../../src/common/problem.js';
import { createDecoder } from '../../src/generation/decoder.js';
import type { Decoder } from '../../src/generation/decoder.js';
import { generatorOf } from '../../src/generation/generate.js';
import { checkSameVocabulary, proxyDecoder } from '../../src/generation/proxyTuning.js';
import { remoteDecoder } from '../../src/generation/remoteBase.js';
import { logProbability } from '../../src/generation/scoring.js';
import { promptTokens, rowTokens } from '../../src/generation/tokens.js';
import { loadTokenizer } from '../../src/models/loadTokenizer.js';
import type { Tokenizer } from '../../src/models/tokenizer.js';
import { fixture } from '../support/fixtures.js';
import { attachAdapter, logitsOf, openModel } from '../support/model.js';
import type { Opened } from '../support/model.js';

const TINY = 'examples/base-model/peft-studio-tiny';
const PROMPT = [5, 17, 3, 99];
const GREEDY = { max_new_tokens: 12 };

function isProblem(error: unknown, code: string, message: RegExp): boolean {
  return error instanceof ProblemError && error.problem.code === code && message.test(error.problem.message);
}

function plain(opened: Opened): Promise<Decoder> {
  return createDecoder({ ...opened, methods: [], values: new Map(), positionLimit: 64 });
}

/** tiny-llama with the adapter that real PEFT made. */
async function tuned(opened: Opened): Promise<Decoder> {
  const { method, values } = await attachAdapter(opened, fixture('lora-reference', 'peft-adapter'));
  return createDecoder({ ...opened, methods: [method], values, positionLimit: 64 });
}

async function answer(decoder: Decoder): Promise<readonly number[]> {
  const [row] = await generatorOf(decoder).generate([PROMPT], GREEDY);
  return row!.ids;
}

suite('proxy-tuning', () => {
  test('logits are the base’s and what tuning changed in the small model, for prompts of any lengths', async () => {
    const [large, small] = [
      await openModel(fixture('lora-reference', 'tiny-mistral')),
      await openModel(fixture('lora-reference', 'tiny-llama')),
    ];
    const adapter = await attachAdapter(small, fixture('lora-reference', 'peft-adapter'));
    const decoder = proxyDecoder({
      base: await plain(large),
      expert: await tuned(small),
      antiExpert: await plain(small),
      alpha: 0.7,
    });
    const size = decoder.vocabSize;
    const expected = async (ids: readonly number[]): Promise<number[]> => {
      const [base, expert, antiExpert] = await Promise.all([
        logitsOf(large, [ids]),
        logitsOf(small, [ids], adapter),
        logitsOf(small, [ids]),
      ]);
      const from = (ids.length - 1) * size;
      return Array.from(
        { length: size },
        (_, at) => base[from + at]! + 0.7 * (expert[from + at]! - antiExpert[from + at]!),
      );
    };
    const near = (found: Float32Array, wanted: readonly number[]): void => {
      wanted.forEach((value, at) =>
        assert.ok(Math.abs(found[at]! - value) < 1e-4, `${found[at]} and ${value} at ${at}`),
      );
    };
    const reading = decoder.read(2);
    const prompts = [[7], PROMPT];
    const first = await reading.run(promptTokens(prompts));
    near(first.subarray(0, size), await expected([7]));
    near(first.subarray(size), await expected(PROMPT));
    // One row leaves; the other goes on behind what each of the three has read.
    reading.keepRows([1]);
    near(await reading.run(rowTokens([40], PROMPT.length)), await expected([...PROMPT, 40]));
    await decoder.dispose();
  });

  test('with equal small models, or α = 0, the base answers; with the small model as base, the expert', async () => {
    const [large, small] = [
      await openModel(fixture('lora-reference', 'tiny-mistral')),
      await openModel(fixture('lora-reference', 'tiny-llama')),
    ];
    const [base, expert, antiExpert] = [await plain(large), await tuned(small), await plain(small)];
    const [byBase, byExpert, bySmall] = [await answer(base), await answer(expert), await answer(antiExpert)];
    assert.notDeepEqual(byExpert, bySmall);
    assert.deepEqual(await answer(proxyDecoder({ base, expert, antiExpert: expert, alpha: 1 })), byBase);
    assert.deepEqual(await answer(proxyDecoder({ base, expert, antiExpert, alpha: 0 })), byBase);
    assert.deepEqual(await answer(proxyDecoder({ base: antiExpert, expert, antiExpert, alpha: 1 })), byExpert);
    assert.notDeepEqual(await answer(proxyDecoder({ base, expert, antiExpert, alpha: 1 })), byBase);
  });

  test('models of different tokenizers are refused, naming the first token that differs', async () => {
    const tokenizer = await loadTokenizer(TINY);
    checkSameVocabulary(tokenizer, tokenizer);
    const other: Tokenizer = {
      ...tokenizer,
      decode: (ids, options) => (ids[0] === 300 ? 'other' : tokenizer.decode(ids, options)),
    };
    assert.throws(
      () => checkSameVocabulary(tokenizer, other),
      (error) => isProblem(error, 'proxy.vocabulary', /^token 300 is "other"/),
    );
  });
});

suite('a base behind a server', () => {
  let reply: (request: { prompt: number[]; logprobs: number }) => Promise<unknown>;
  let headers: IncomingMessage['headers'] = {};
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = [];
    headers = request.headers;
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      void reply(JSON.parse(Buffer.concat(chunks).toString('utf8'))).then((body) => {
        response.writeHead(body === 'refused' ? 401 : 200, { 'content-type': 'application/json' });
        response.end(typeof body === 'string' ? body : JSON.stringify(body));
      });
    });
  });
  let url = '';
  let tokenizer: Tokenizer;
  let base: Decoder;
  before(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/`;
    tokenizer = await loadTokenizer(TINY);
    base = await plain(await openModel(TINY));
  });
  after(async () => {
    server.close();
    await base.dispose();
  });

  /** As a server does: the bundled model's `logprobs` likeliest tokens, by their texts or ids. */
  const honest =
    (named: (id: number) => string) =>
    async ({ prompt, logprobs }: { prompt: number[]; logprobs: number }): Promise<unknown> => {
      const logits = await base.read(1).run(rowTokens(prompt, 0));
      const ids = Array.from({ length: base.vocabSize }, (_, id) => id).sort((a, b) => logits[b]! - logits[a]!);
      const top = Object.fromEntries(ids.slice(0, logprobs).map((id) => [named(id), logProbability(logits, id)]));
      return { choices: [{ text: '', logprobs: { top_logprobs: [top] } }] };
    };
  const remote = (topLogprobs: number): ReturnType<typeof remoteDecoder> =>
    remoteDecoder({
      url,
      model: 'tiny',
      topLogprobs,
      tokenizer,
      vocabSize: base.vocabSize,
      positionLimit: 64,
      apiKey: 'secret',
    });

  test('answers as the same model here does, whether it names tokens by id or by text', async () => {
    const wanted = await answer(base);
    reply = honest((id) => `token_id:${id}`);
    const byId = remote(base.vocabSize);
    assert.deepEqual(await answer(byId), wanted);
    assert.equal(headers.authorization, 'Bearer secret');
    assert.ok(byId.truncation().largest < 1e-4);
    reply = honest((id) => tokenizer.decode([id], { skipSpecialTokens: false }));
    assert.deepEqual(await answer(remote(5)), wanted);
  });

  test('says how much of the probability the server kept to itself', async () => {
    reply = honest((id) => `token_id:${id}`);
    const [row] = await generatorOf(base).generate([PROMPT], { max_new_tokens: 1 });
    const logits = await base.read(1).run(rowTokens(PROMPT, 0));
    const decoder = remote(1);
    await generatorOf(decoder).generate([PROMPT], { max_new_tokens: 1 });
    const left = 1 - Math.exp(logProbability(logits, row!.ids[0]!));
    const found = decoder.truncation();
    assert.equal(found.tokens, 1);
    assert.ok(Math.abs(found.mean - left) < 1e-5 && found.largest === found.mean, `${found.mean}, ${left}`);
  });

  const refusals: [string, () => Promise<unknown>, string, RegExp][] = [
    ['a key that is not accepted', () => Promise.resolve('refused'), 'proxy.server', /status 401/],
    [
      'no log-probabilities',
      () => Promise.resolve({ choices: [{ text: 'x' }] }),
      'proxy.no-logprobs',
      /gives no log-probabilities/,
    ],
    ['no JSON', () => Promise.resolve('<html>'), 'proxy.no-logprobs', /<html>/],
    ['megabytes', () => Promise.resolve('x'.repeat(2 << 20)), 'proxy.server', /more than 1048576 bytes/],
    [
      'tokens of another vocabulary',
      () => Promise.resolve({ choices: [{ logprobs: { top_logprobs: [{ '☃☃☃☃': -0.1 }] } }] }),
      'proxy.vocabulary',
      /^none of the tokens/,
    ],
  ];
  for (const [what, given, code, message] of refusals) {
    test(`a server that answers with ${what} is refused`, async () => {
      reply = given;
      await assert.rejects(answer(remote(5)), (error) => isProblem(error, code, message));
    });
  }

  test('a server that is not there is named', async () => {
    const gone = remoteDecoder({
      url: 'http://127.0.0.1:1/v1',
      model: 'm',
      topLogprobs: 5,
      tokenizer,
      vocabSize: base.vocabSize,
      positionLimit: 64,
    });
    await assert.rejects(answer(gone), (error) =>
      isProblem(error, 'proxy.server', /127\.0\.0\.1:1\/v1\/completions does not answer/),
    );
  });
});
