import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { readGenerationConfig } from '../../../src/models/generationConfig.js';
import { loadTokenizer } from '../../../src/models/loadTokenizer.js';
import { problem, readFixture, temporaryFolder } from './files.js';
import { ggufFile, value } from './ggufFile.js';

interface Reference {
  special: string[];
  tokens: string[];
  merges: string[];
  texts: string[];
  /** By pre-tokenizer, for each text. */
  ids: Record<string, number[][]>;
  decoded: string[];
}

const root = temporaryFolder();
const reference = await readFixture<Reference>('tokenizer.json');
let count = 0;

/** A GGUF file with the reference vocabulary; `change` replaces metadata (undefined: left out). */
async function saveGguf(change: Readonly<Record<string, Uint8Array | undefined>> = {}): Promise<string> {
  const metadata = {
    'tokenizer.ggml.model': value.text('gpt2'),
    'tokenizer.ggml.pre': value.text('smollm'),
    'tokenizer.ggml.tokens': value.texts(reference.tokens),
    'tokenizer.ggml.merges': value.texts(reference.merges),
    'tokenizer.ggml.token_type': value.ints(
      reference.tokens.map((_, id) => (id < reference.special.length ? 3 : 1)),
    ),
    'tokenizer.ggml.bos_token_id': value.u32(1),
    'tokenizer.ggml.eos_token_id': value.u32(2),
    ...change,
  };
  const kept = Object.entries(metadata).flatMap(([key, part]) => (part ? [[key, part] as const] : []));
  const file = path.join(root, `${count++}.gguf`);
  await writeFile(file, ggufFile({ metadata: Object.fromEntries(kept) }));
  return file;
}

/** A folder with the files of the GGUF tokenizer, changed. */
async function saveFolder(
  change: { tokenizer?: object; config?: object; more?: Readonly<Record<string, string>> } = {},
): Promise<string> {
  const files = await (await loadTokenizer(await saveGguf())).files();
  const parse = (name: string): object => JSON.parse(new TextDecoder().decode(files.get(name))) as object;
  const folder = path.join(root, `folder${count++}`);
  await mkdir(folder);
  const tokenizer = { ...parse('tokenizer.json'), ...change.tokenizer };
  const config = { ...parse('tokenizer_config.json'), ...change.config };
  await writeFile(path.join(folder, 'tokenizer.json'), JSON.stringify(tokenizer));
  await writeFile(path.join(folder, 'tokenizer_config.json'), JSON.stringify(config));
  for (const [name, text] of Object.entries(change.more ?? {})) await writeFile(path.join(folder, name), text);
  return folder;
}

for (const [pre, ids] of Object.entries(reference.ids)) {
  test(`GGUF, pre-tokenizer ${pre}: the ids of Hugging Face's Rust tokenizers`, async () => {
    const tokenizer = await loadTokenizer(await saveGguf({ 'tokenizer.ggml.pre': value.text(pre) }));
    for (const [i, text] of reference.texts.entries()) {
      assert.deepEqual(tokenizer.encode(text, { addSpecialTokens: false }), ids[i], JSON.stringify(text));
    }
  });
}

test('Llama 3 begins a text with its first token unless the file says otherwise, others only if it says so', async () => {
  const first = async (pre: string, flag?: boolean): Promise<boolean> => {
    const change = {
      'tokenizer.ggml.pre': value.text(pre),
      ...(flag === undefined ? {} : { 'tokenizer.ggml.add_bos_token': value.bool(flag) }),
    };
    return (await loadTokenizer(await saveGguf(change))).encode('the')[0] === 1;
  };
  for (const pre of ['llama3', 'llama-v3', 'llama-bpe']) {
    assert.deepEqual(
      [await first(pre), await first(pre, false), await first(pre, true)],
      [true, false, true],
      pre,
    );
  }
  for (const pre of ['smollm', 'gpt-2', 'qwen2']) {
    assert.deepEqual(
      [await first(pre), await first(pre, false), await first(pre, true)],
      [false, false, true],
      pre,
    );
  }
  const without = { 'tokenizer.ggml.pre': value.text('llama3'), 'tokenizer.ggml.bos_token_id': undefined };
  const plain = await loadTokenizer(await saveGguf(without));
  assert.deepEqual(plain.encode('the'), plain.encode('the', { addSpecialTokens: false }));
});

test('the pre-tokenizers differ on these texts, so that the wrong one cannot pass', () => {
  const all = Object.values(reference.ids).map((ids) => JSON.stringify(ids));
  assert.equal(new Set(all).size, all.length);
});

test('decoding gives the text back, without special tokens if asked; ids beyond the vocabulary are no text', async () => {
  const tokenizer = await loadTokenizer(await saveGguf());
  for (const [i, ids] of reference.ids['smollm']!.entries()) {
    assert.equal(tokenizer.decode(ids), reference.decoded[i]);
    assert.equal(tokenizer.decode(ids), reference.texts[i]);
  }
  const chat = tokenizer.encode('<|im_start|>user\nhi<|im_end|>');
  assert.equal(tokenizer.decode(chat, { skipSpecialTokens: true }), 'user\nhi');
  for (const skipSpecialTokens of [true, false]) assert.equal(tokenizer.decode([], { skipSpecialTokens }), '');
  assert.equal(tokenizer.decode([1, 2], { skipSpecialTokens: true }), '');
  assert.equal(tokenizer.decode([70_000]), '');
  assert.equal(tokenizer.decode([5_000, ...chat, 70_000], { skipSpecialTokens: true }), 'user\nhi');
});

test('ids, vocabulary and files of a GGUF tokenizer; a folder with those files is the same tokenizer', async () => {
  const template = value.text('{{ bos_token }}{{ messages[0].content }}');
  const fromGguf = await loadTokenizer(await saveGguf({ 'tokenizer.chat_template': template }));
  const folder = path.join(root, 'copied');
  await mkdir(folder);
  for (const [name, bytes] of await fromGguf.files()) await writeFile(path.join(folder, name), bytes);
  const fromFolder = await loadTokenizer(folder);
  for (const tokenizer of [fromGguf, fromFolder]) {
    assert.equal(tokenizer.vocabSize, reference.tokens.length);
    assert.deepEqual([tokenizer.bosTokenId, tokenizer.eosTokenId, tokenizer.padTokenId], [1, 2, undefined]);
    assert.deepEqual(tokenizer.encode(reference.texts[0]!), reference.ids['smollm']![0]);
    const rendered = tokenizer.applyChatTemplate([{ role: 'user', content: 'x' }], { addGenerationPrompt: false });
    assert.equal(rendered, '<|im_start|>x');
  }
  const copied = await fromFolder.files();
  assert.deepEqual([...copied.keys()], ['tokenizer.json', 'tokenizer_config.json']);
  assert.deepEqual(
    Buffer.from(copied.get('tokenizer.json')!),
    await readFile(path.join(folder, 'tokenizer.json')),
  );
});

test('a GGUF file ends a generation at the end of a turn as well', async () => {
  const tokenizer = await loadTokenizer(await saveGguf({ 'tokenizer.ggml.eot_token_id': value.u32(0) }));
  assert.deepEqual([tokenizer.eosTokenId, tokenizer.eosTokenIds], [2, [2, 0]]);
});

test('a first and a last token are added where the file asks for them, and only to whole texts', async () => {
  const both = {
    'tokenizer.ggml.add_bos_token': value.bool(true),
    'tokenizer.ggml.add_eos_token': value.bool(true),
  };
  const tokenizer = await loadTokenizer(await saveGguf(both));
  const plain = tokenizer.encode('the', { addSpecialTokens: false });
  assert.deepEqual(tokenizer.encode('the'), [1, ...plain, 2]);
  assert.equal(plain.length, 2);
});

test('tokenizers that are not supported are named together with those that are', async () => {
  const refuse = async (change: Parameters<typeof saveGguf>[0], ...parts: string[]): Promise<void> =>
    assert.rejects(loadTokenizer(await saveGguf(change)), problem('gguf.tokenizer', ...parts));
  await refuse({ 'tokenizer.ggml.model': value.text('t5') }, '"t5"', 'gpt2');
  // With a space before the text it is Llama 2's, whose normalizer is another.
  const sentencePiece = { 'tokenizer.ggml.model': value.text('llama') };
  await refuse(sentencePiece, '"llama" with a space before the text', 'Gemma');
  await refuse(
    {
      ...sentencePiece,
      'tokenizer.ggml.add_space_prefix': value.bool(false),
      'tokenizer.ggml.tokens': value.texts([...reference.tokens.slice(1), 'x'.repeat(129)]),
    },
    '129 characters',
    'at most 128',
  );
  await refuse({ 'tokenizer.ggml.pre': value.text('tekken') }, '"tekken"', 'smollm, ', 'llama-bpe');
  await refuse({ 'tokenizer.ggml.pre': undefined }, 'missing', 'smollm');
  await refuse({ 'tokenizer.ggml.tokens': undefined }, 'tokens is missing');
  await refuse({ 'tokenizer.ggml.merges': value.ints([1]) }, 'merges', 'array of texts');
  await refuse({ 'tokenizer.ggml.merges': value.texts(['ab']) }, '"ab"');
  await refuse({ 'tokenizer.ggml.tokens': value.texts(['a', 'a']) }, 'twice');
  await refuse({ 'tokenizer.ggml.token_type': value.ints([1]) }, 'token_type');
  await refuse({ 'tokenizer.ggml.eos_token_id': value.u32(1000) }, 'eos', '1000');
  await refuse({ 'tokenizer.ggml.add_bos_token': value.u32(1) }, 'add_bos_token', 'true or false');
});

test("a GGUF file's special ids are those of a generation config", async () => {
  const file = await saveGguf({
    'tokenizer.ggml.eot_token_id': value.u32(0),
    'tokenizer.ggml.eom_token_id': value.u32(2),
    'tokenizer.ggml.padding_token_id': value.u32(3),
  });
  assert.deepEqual(await readGenerationConfig(file), { bos_token_id: 1, eos_token_id: [2, 0], pad_token_id: 3 });
  const one = await saveGguf({ 'tokenizer.ggml.bos_token_id': undefined });
  assert.deepEqual(await readGenerationConfig(one), { eos_token_id: 2 });
  const ids = { 'tokenizer.ggml.bos_token_id': undefined, 'tokenizer.ggml.eos_token_id': undefined };
  assert.equal(await readGenerationConfig(await saveGguf(ids)), undefined);
  const other = path.join(root, 'weights.bin');
  await writeFile(other, 'none of it');
  assert.equal(await readGenerationConfig(other), undefined);
});

const render = async (folder: string): Promise<string> =>
  (await loadTokenizer(folder)).applyChatTemplate([{ role: 'user', content: 'x' }], { addGenerationPrompt: true });

test('where a folder has its template', async () => {
  assert.equal(await render(await saveFolder({ config: { chat_template: 'config' } })), 'config');
  const more = { 'chat_template.jinja': '\uFEFFown file' };
  assert.equal(await render(await saveFolder({ config: { chat_template: 'config' }, more })), 'own file');
  const named = [
    { name: 'tool_use', template: 'tools' },
    { name: 'default', template: 'named' },
  ];
  assert.equal(await render(await saveFolder({ config: { chat_template: named } })), 'named');
  await assert.rejects(render(await saveFolder()), problem('template.none', 'no chat template'));
  const looping = await saveFolder({ config: { chat_template: '{% for i in range(1000000000) %}{% endfor %}' } });
  await assert.rejects(render(looping), problem('template.limit', 'tokenizer_config.json'));
});

test('special tokens: as text, as object, from special_tokens_map.json, else by the ids of the model', async () => {
  const ids = async (folder: string) => {
    const { bosTokenId, eosTokenId, padTokenId } = await loadTokenizer(folder);
    return [bosTokenId, eosTokenId, padTokenId];
  };
  const none = { bos_token: undefined, eos_token: undefined };
  const object = { content: '<|im_end|>', lstrip: false };
  assert.deepEqual(await ids(await saveFolder({ config: { pad_token: object } })), [1, 2, 2]);
  const map = { 'special_tokens_map.json': '{"eos_token":"<|endoftext|>"}' };
  assert.deepEqual(await ids(await saveFolder({ config: none, more: map })), [undefined, 0, undefined]);
  const models = {
    'config.json': '{"bos_token_id":1,"eos_token_id":1}',
    'generation_config.json': '{"eos_token_id":[2,0]}',
  };
  assert.deepEqual(await ids(await saveFolder({ config: none, more: models })), [1, 2, undefined]);
  const folder = await saveFolder({
    more: { ...models, 'generation_config.json': '{"eos_token_id":[0,1,2,9999]}' },
  });
  assert.deepEqual(
    (await loadTokenizer(folder)).eosTokenIds,
    [2, 0, 1],
    'each that is in the vocabulary, its own first',
  );
  const plain = await saveFolder({ more: { 'config.json': models['config.json'] } });
  assert.deepEqual((await loadTokenizer(plain)).eosTokenIds, [2, 1]);
  const unknown = await saveFolder({ config: { eos_token: '</s>' } });
  await assert.rejects(loadTokenizer(unknown), problem('tokenizer.special-token', '</s>'));
});

test('tokens that only tokenizer_config.json marks are matched whole', async () => {
  const start = reference.special.indexOf('<|im_start|>');
  const unmarked = { tokenizer: { added_tokens: [] }, config: { bos_token: undefined, eos_token: undefined } };
  assert.ok((await loadTokenizer(await saveFolder(unmarked))).encode('<|im_start|>').length > 1);
  const named = { tokenizer: { added_tokens: [] }, config: { bos_token: '<|im_start|>', eos_token: undefined } };
  assert.deepEqual((await loadTokenizer(await saveFolder(named))).encode('<|im_start|>'), [start]);
  const decoder = { 400: { content: '<new>', special: true } };
  const listed = await loadTokenizer(await saveFolder({ config: { added_tokens_decoder: decoder } }));
  assert.deepEqual(listed.encode('<new>'), [400]);
  assert.equal(listed.vocabSize, 401);
});

test('texts that a vocabulary does not cover are an error, not a hole', async () => {
  const model = { type: 'WordPiece', vocab: { a: 0 }, unk_token: '[UNK]', continuing_subword_prefix: '' };
  const plain = { model, added_tokens: [], pre_tokenizer: null, decoder: null, post_processor: null };
  const folder = await saveFolder({ tokenizer: plain, config: { bos_token: undefined, eos_token: undefined } });
  const tokenizer = await loadTokenizer(folder);
  assert.deepEqual(tokenizer.encode('aa'), [0, 0]);
  assert.throws(() => tokenizer.encode('ab'), problem('tokenizer.no-token', '"ab"'));
});

test('folders without a tokenizer, and files that are none', async () => {
  await assert.rejects(loadTokenizer('no/such/model'), problem('tokenizer.not-found', 'folder not found'));
  const empty = path.join(root, 'empty');
  await mkdir(empty);
  await assert.rejects(loadTokenizer(empty), problem('tokenizer.not-found', 'no tokenizer.json'));
  await writeFile(path.join(empty, 'tokenizer.json'), '{"model":7}');
  await assert.rejects(loadTokenizer(empty), problem('tokenizer.form', 'tokenizer.json'));
  await assert.rejects(loadTokenizer(path.join(empty, 'tokenizer.json')), problem('tokenizer.not-found'));
  await writeFile(path.join(empty, 'tokenizer.json'), '['.repeat(1_000_000));
  await assert.rejects(loadTokenizer(empty), problem('tokenizer.json', 'deeper'));
  const unknown = await saveFolder({ tokenizer: { pre_tokenizer: { type: 'Novel' } } });
  await assert.rejects(loadTokenizer(unknown), problem('tokenizer.form', 'Novel'));
});

test('ids that are no rows of an embedding matrix are refused with their token', async () => {
  const refused = async (tokenizer: object, ...parts: string[]): Promise<void> =>
    assert.rejects(loadTokenizer(await saveFolder({ tokenizer })), problem('tokenizer.form', ...parts));
  const bpe = (vocab: unknown): object => ({ model: { type: 'BPE', vocab, merges: [], unk_token: null } });
  for (const id of [-1, 0.5, 1e9, '1', null]) await refused(bpe({ a: id }), '"a"', JSON.stringify(id));
  await refused(bpe('a'), 'vocabulary', '"a"');
  const added = (token: object): object => ({ added_tokens: [{ special: true, ...token }] });
  // The library would walk up to such an id.
  await refused(added({ content: '<x>', id: 4_000_000_000 }), '<x>', '4000000000');
  await refused(added({ content: 7, id: 1 }), '7', 'a text');
  const unigram = (unknown: unknown, vocab: unknown = [['a', 0]]): object => ({
    model: { type: 'Unigram', unk_id: unknown, vocab },
  });
  for (const id of [1, -1, 0.5, 'a']) await refused(unigram(id), 'unk_id', 'below 1');
  await refused(unigram(0, [['a']]), 'entry 0', 'token and score');
});

test('what the library stumbles over with a text is a problem with the file, an endless pattern too', async () => {
  const broken = { type: 'BertProcessing', sep: null, cls: ['<s>', 1] };
  const failing = await loadTokenizer(await saveFolder({ tokenizer: { post_processor: broken } }));
  assert.throws(() => failing.encode('a'), problem('tokenizer.form', 'tokenizer.json', 'the tokenizer fails'));
  const pattern = { type: 'Split', pattern: { Regex: '(a+)+b' }, behavior: 'Isolated', invert: false };
  const endless = await loadTokenizer(await saveFolder({ tokenizer: { pre_tokenizer: pattern } }));
  assert.throws(() => endless.encode('a'.repeat(60)), problem('tokenizer.time', 'tokenizer.json', 'stopped'));
  assert.doesNotThrow(() => endless.encode('ab'));
});

test('a part that would put a long text into every text is refused; tables of a normalizer may be long', async () => {
  const normalizer = { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: 'long '.repeat(2000) }] };
  await assert.rejects(
    loadTokenizer(await saveFolder({ tokenizer: { normalizer } })),
    problem('tokenizer.form', 'tokenizer.json', 'the normalizer holds a text of 10000 characters', 'at most 4096'),
  );
  const tables = { type: 'Precompiled', precompiled_charsmap: 'A'.repeat(10_000) };
  const loaded = await loadTokenizer(await saveFolder({ tokenizer: { normalizer: tables } }));
  assert.ok(loaded.vocabSize > 0);
});
