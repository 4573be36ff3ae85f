import { loadTokenizer } from '../../src/models/loadTokenizer.js';
import type { Tokenizer } from '../../src/models/tokenizer.js';
import { writeInput } from './fuzz.js';
import { mutateJsonBytes } from './json.js';
import { broken, changeOneFile, oneIn, withoutOneFile } from './target.js';
import type { FuzzInput, FuzzTarget } from './target.js';

const TEXTS = [
  'a',
  'ab  ba\n<s>ab</s>',
  'Été 12\u00a0\ud83d\ude00',
  '\ud800 \u0000',
  ' '.repeat(200) + 'a'.repeat(200),
];

const PIECES = ['<unk>', '<s>', '</s>', '▁', '▁a', 'a', 'b', 'ab', 'Ġ', 'Ċ', 'c', '##b', '[UNK]', '<0x0A>'];
const VOCABULARY = Object.fromEntries(PIECES.map((piece, id) => [piece, id]));
const ADDED = PIECES.slice(0, 3).map((content, id) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
}));

const BPE = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: ADDED,
  normalizer: { type: 'NFC' },
  pre_tokenizer: {
    type: 'Sequence',
    pretokenizers: [
      {
        type: 'Split',
        pattern: { Regex: String.raw`\p{N}{1,3}| ?\p{L}+|\s+(?!\S)|\s+` },
        behavior: 'Isolated',
        invert: false,
      },
      { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
    ],
  },
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
    special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
  },
  decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
  model: {
    type: 'BPE',
    dropout: null,
    unk_token: '<unk>',
    continuing_subword_prefix: '',
    end_of_word_suffix: '',
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: false,
    vocab: VOCABULARY,
    merges: ['a b'],
  },
};
const UNIGRAM = {
  ...BPE,
  normalizer: {
    type: 'Sequence',
    normalizers: [
      { type: 'Prepend', prepend: '▁' },
      { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
    ],
  },
  pre_tokenizer: { type: 'Metaspace', replacement: '▁', add_prefix_space: true, prepend_scheme: 'always' },
  post_processor: null,
  decoder: {
    type: 'Sequence',
    decoders: [
      { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
      { type: 'ByteFallback' },
      { type: 'Fuse' },
      { type: 'Strip', content: ' ', start: 1, stop: 0 },
    ],
  },
  model: { type: 'Unigram', unk_id: 0, byte_fallback: false, vocab: PIECES.map((piece, id) => [piece, -id]) },
};
const WORD_PIECE = {
  ...BPE,
  normalizer: {
    type: 'BertNormalizer',
    clean_text: true,
    handle_chinese_chars: true,
    strip_accents: null,
    lowercase: true,
  },
  pre_tokenizer: { type: 'BertPreTokenizer' },
  post_processor: { type: 'BertProcessing', sep: ['</s>', 2], cls: ['<s>', 1] },
  decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
  model: {
    type: 'WordPiece',
    unk_token: '[UNK]',
    continuing_subword_prefix: '##',
    max_input_chars_per_word: 100,
    vocab: VOCABULARY,
  },
};
const CONFIG = {
  bos_token: '<s>',
  eos_token: { content: '</s>', lstrip: false },
  unk_token: '<unk>',
  added_tokens_decoder: { 4: { content: '▁a', special: false } },
  additional_special_tokens: ['<s>'],
  clean_up_tokenization_spaces: false,
  chat_template: '{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}{% endfor %}',
};

const WORDS = {
  keys: [
    'type',
    'vocab',
    'merges',
    'pattern',
    'Regex',
    'String',
    'id',
    'content',
    'special',
    'normalized',
    'eos_token',
    'ids',
  ],
  values: [
    ...[
      '"BPE"',
      '"Unigram"',
      '"WordPiece"',
      '"WordLevel"',
      '"ByteLevel"',
      '"Metaspace"',
      '"Whitespace"',
      '"Punctuation"',
    ],
    ...[
      '"Digits"',
      '"Split"',
      '"Replace"',
      '"Precompiled"',
      '"NFKD"',
      '"Lowercase"',
      '"StripAccents"',
      '"Sequence"',
    ],
    ...[
      '"CTC"',
      '"BPEDecoder"',
      '"Fuse"',
      '"ByteFallback"',
      '"RobertaProcessing"',
      '"TemplateProcessing"',
      '"Removed"',
    ],
    ...[
      '"MergedWithNext"',
      '"Contiguous"',
      '["a","b"]',
      '[["a","b"]]',
      '["a"]',
      '{"Regex":"(a+)+$"}',
      '{"Regex":"("}',
    ],
    ...[
      '{"Regex":"(?i:a)"}',
      '{"String":""}',
      '{"Regex":""}',
      '{"type":"Split","pattern":{"Regex":"(\\\\s*a*)*b"}}',
    ],
    ...[
      '"</s>"',
      '"nothing"',
      '{"content":"x"}',
      '{"a":"b"}',
      '{"a":-1}',
      '{"a":1e9}',
      '{"a":0.5}',
      '[["a",0]]',
      '[["a"]]',
    ],
  ],
};

/** `tokenizer.json` with its companions. */
export const tokenizer: FuzzTarget = {
  name: 'tokenizer',
  seeds: () =>
    Promise.resolve(
      [BPE, UNIGRAM, WORD_PIECE].map(
        (file): FuzzInput =>
          new Map([
            ['tokenizer.json', jsonBytes(file)],
            ['tokenizer_config.json', jsonBytes(CONFIG)],
            ['special_tokens_map.json', jsonBytes({ pad_token: '</s>' })],
            ['generation_config.json', jsonBytes({ eos_token_id: [2, 1] })],
          ]),
      ),
    ),
  mutate(input, rng) {
    if (oneIn(rng, 40)) return withoutOneFile(input, rng);
    const one = oneIn(rng, 4) ? input : new Map([...input].slice(0, 1));
    return new Map([...input, ...changeOneFile(one, rng, (bytes) => mutateJsonBytes(bytes, rng, WORDS))]);
  },
  async run(input, sandbox) {
    writeInput(sandbox, input);
    const loaded = await loadTokenizer(sandbox.folder);
    checkTokenizer(loaded);
    await loaded.files();
  },
};

/** Texts become ids of the vocabulary and the same each time, ids become text, the template renders. */
export function checkTokenizer(loaded: Tokenizer): void {
  // Each call has a clock of its own, which takes most of the time: so each text once, and one of them twice.
  for (const [at, text] of TEXTS.entries()) {
    const addSpecialTokens = at % 2 === 1;
    const ids = loaded.encode(text, { addSpecialTokens });
    const wrong = ids.find((id) => !Number.isSafeInteger(id) || id < 0 || id >= loaded.vocabSize);
    if (wrong !== undefined) broken(`id ${String(wrong)} of a vocabulary of ${loaded.vocabSize}`);
    if (typeof loaded.decode(ids) !== 'string') broken('decoding gives no text');
    const repeats = at !== 1 || loaded.encode(text, { addSpecialTokens }).join() === ids.join();
    if (!repeats) broken('other ids the second time');
  }
  loaded.decode([0, 1, 5, loaded.vocabSize + 1], { skipSpecialTokens: true });
  for (const id of [loaded.bosTokenId, loaded.padTokenId, ...loaded.eosTokenIds]) {
    if (id !== undefined && !(id >= 0 && id < loaded.vocabSize)) broken(`special id ${id}`);
  }
  if (loaded.chatTemplate !== undefined) {
    loaded.applyChatTemplate([{ role: 'user', content: 'a' }], { addGenerationPrompt: true });
  }
}

function jsonBytes(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}
