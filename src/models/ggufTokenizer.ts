import * as l10n from '@vscode/l10n';
import type { Json, JsonObject } from '../common/json.js';
import { fail } from '../common/problem.js';
import type { GgufHeader, GgufValue } from './gguf.js';
import type { TokenizerForm } from './ggufSentencePiece.js';
import { MAX_PIECE, MAX_PIECES, sentencePieceForm, spelledSpaces } from './ggufSentencePiece.js';
import { split, wordPattern } from './preTokenizer.js';

/** GGUF's token types that matter here (llama.cpp's `llama_token_type`). */
const CONTROL = 3;
const USER_DEFINED = 4;

const BYTE_LEVEL: JsonObject = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
const BYTES_ONLY: JsonObject = { ...BYTE_LEVEL, use_regex: false };

interface PreTokenizer {
  readonly pre_tokenizer: JsonObject;
  readonly normalizer?: JsonObject;
  /** Words that are tokens as a whole are not built by merges. */
  readonly ignoreMerges?: boolean;
  /** A text starts with the beginning-of-text token unless the file says otherwise, as llama.cpp has it. */
  readonly addBos?: boolean;
}

const DIGITS_THEN_GPT2: PreTokenizer = {
  pre_tokenizer: sequence({ type: 'Digits', individual_digits: true }, BYTE_LEVEL),
};
const LLAMA_3: PreTokenizer = {
  pre_tokenizer: sequence(split(wordPattern(String.raw`\p{N}{1,3}`)), BYTES_ONLY),
  ignoreMerges: true,
  addBos: true,
};

/** What `tokenizer.ggml.pre` names, as the Hugging Face tokenizer of the same models has it. */
const PRE_TOKENIZERS: ReadonlyMap<string, PreTokenizer> = new Map([
  ['gpt-2', { pre_tokenizer: BYTE_LEVEL }],
  ['smollm', DIGITS_THEN_GPT2],
  ['starcoder', DIGITS_THEN_GPT2],
  ['refact', DIGITS_THEN_GPT2],
  ['llama-bpe', LLAMA_3],
  ['llama3', LLAMA_3],
  ['llama-v3', LLAMA_3],
  [
    'qwen2',
    {
      pre_tokenizer: sequence(split(wordPattern(String.raw`\p{N}`)), BYTES_ONLY),
      normalizer: { type: 'NFC' },
    },
  ],
]);

/**
 * The `tokenizer.json` and `tokenizer_config.json` of the tokenizer in a GGUF file's metadata: byte-level BPE ("gpt2"),
 * or SentencePiece as Gemma has it ("llama" without a space before the text). Errors: `gguf.tokenizer` (kind not
 * supported, or parts missing or of another kind).
 */
export function ggufTokenizerFiles({ file, metadata }: GgufHeader): { tokenizer: JsonObject; config: JsonObject } {
  const refuse = (message: string, expected: string): never =>
    fail({
      code: 'gguf.tokenizer',
      message,
      where: { file },
      expected,
      mend: l10n.t`Use the model as a Hugging Face folder with its tokenizer.json.`,
    });
  const flag = (key: string, fallback: boolean): boolean => {
    const value = metadata.get(key) ?? fallback;
    return typeof value === 'boolean' ? value : refuse(l10n.t`${key} is ${shown(value)}`, l10n.t`true or false`);
  };
  const model = metadata.get('tokenizer.ggml.model');
  const isSentencePiece = model === 'llama' && !flag('tokenizer.ggml.add_space_prefix', true);
  if (model !== 'gpt2' && !isSentencePiece) {
    const kind = model === 'llama' ? l10n.t`"llama" with a space before the text` : shown(model);
    refuse(
      l10n.t`the tokenizer model is ${kind}`,
      l10n.t`"gpt2" (byte-level BPE), or "llama" with add_space_prefix false (Gemma)`,
    );
  }
  const pre = model === 'gpt2' ? preTokenizer(metadata.get('tokenizer.ggml.pre'), refuse) : undefined;
  const texts = (key: string): readonly string[] => {
    const value = metadata.get(key);
    if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) {
      return refuse(l10n.t`${key} is ${shown(value)}`, l10n.t`an array of texts`);
    }
    return value;
  };
  const listed = texts('tokenizer.ggml.tokens');
  const tokens = isSentencePiece ? listed.map(spelledSpaces) : listed;
  const vocabulary = new Map(tokens.map((token, id) => [token, id]));
  if (vocabulary.size !== tokens.length)
    refuse(l10n.t`the vocabulary holds a token twice`, l10n.t`each token once`);
  if (isSentencePiece) checkPieces(tokens, refuse);

  const types = metadata.get('tokenizer.ggml.token_type');
  if (types !== undefined && !(Array.isArray(types) && types.length === tokens.length)) {
    refuse(
      l10n.t`tokenizer.ggml.token_type does not fit the vocabulary`,
      l10n.t`an array of ${tokens.length} numbers`,
    );
  }
  const added = tokens.flatMap((content, id) => {
    const type = Array.isArray(types) ? types[id] : undefined;
    return type === CONTROL || type === USER_DEFINED ? [addedToken(id, content, type === CONTROL)] : [];
  });
  const special = (key: string): string | undefined => {
    const id = metadata.get(`tokenizer.ggml.${key}_token_id`);
    if (id === undefined) return undefined;
    const token = typeof id === 'number' ? tokens[id] : undefined;
    return token ?? refuse(l10n.t`the ${key} token has id ${shown(id)}`, l10n.t`an id below ${tokens.length}`);
  };
  const bos = special('bos');
  const eos = special('eos');
  const unknown = special('unknown');
  const padding = special('padding');
  const template = metadata.get('tokenizer.chat_template');
  const plain = new Set(added.filter((each) => !each.special).map((each) => each.id));
  const form =
    pre === undefined
      ? sentencePieceForm(tokens, vocabulary, plain, unknown)
      : byteLevelForm(pre, vocabulary, readMerges(texts('tokenizer.ggml.merges'), refuse));
  const before = flag('tokenizer.ggml.add_bos_token', pre?.addBos ?? isSentencePiece) ? bos : undefined;
  const after = flag('tokenizer.ggml.add_eos_token', false) ? eos : undefined;
  return {
    tokenizer: {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: added,
      normalizer: form.normalizer,
      pre_tokenizer: form.pre_tokenizer,
      post_processor: postProcessor(vocabulary, before, after) ?? form.post_processor,
      decoder: form.decoder,
      model: form.model,
    },
    config: {
      tokenizer_class: 'PreTrainedTokenizerFast',
      clean_up_tokenization_spaces: false,
      ...(bos === undefined ? {} : { bos_token: bos }),
      ...(eos === undefined ? {} : { eos_token: eos }),
      ...(unknown === undefined ? {} : { unk_token: unknown }),
      ...(padding === undefined ? {} : { pad_token: padding }),
      ...(typeof template === 'string' ? { chat_template: template } : {}),
    },
  };
}

type Refuse = (message: string, expected: string) => never;

function preTokenizer(name: GgufValue | undefined, refuse: Refuse): PreTokenizer {
  return (
    (typeof name === 'string' ? PRE_TOKENIZERS.get(name) : undefined) ??
    refuse(l10n.t`the pre-tokenizer is ${shown(name)}`, l10n.t`one of ${[...PRE_TOKENIZERS.keys()].join(', ')}`)
  );
}

function readMerges(merges: readonly string[], refuse: Refuse): readonly string[] {
  const broken = merges.find((merge) => merge.split(' ').length !== 2);
  if (broken !== undefined) {
    refuse(l10n.t`the merge ${shown(broken)} has no two parts`, l10n.t`two tokens with a space between`);
  }
  return merges;
}

function checkPieces(tokens: readonly string[], refuse: Refuse): void {
  const long = tokens.findIndex((token) => token.length > MAX_PIECE);
  if (long >= 0)
    refuse(l10n.t`token ${long} has ${tokens[long]!.length} characters`, l10n.t`at most ${MAX_PIECE}`);
  const all = tokens.reduce((sum, token) => sum + token.length, 0);
  if (all > MAX_PIECES) refuse(l10n.t`the vocabulary has ${all} characters`, l10n.t`at most ${MAX_PIECES}`);
}

function byteLevelForm(
  pre: PreTokenizer,
  vocabulary: ReadonlyMap<string, number>,
  merges: readonly string[],
): TokenizerForm {
  return {
    normalizer: pre.normalizer ?? null,
    pre_tokenizer: pre.pre_tokenizer,
    decoder: { ...BYTE_LEVEL, add_prefix_space: true },
    post_processor: BYTE_LEVEL,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: '',
      end_of_word_suffix: '',
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: pre.ignoreMerges ?? false,
      vocab: Object.fromEntries(vocabulary),
      merges,
    },
  };
}

/** Puts the first token before and the last after a text, where there are such. */
function postProcessor(
  vocabulary: ReadonlyMap<string, number>,
  before: string | undefined,
  after: string | undefined,
): JsonObject | undefined {
  if (before === undefined && after === undefined) return undefined;
  const piece = (token: string | undefined, type: number): JsonObject[] =>
    token === undefined ? [] : [{ SpecialToken: { id: token, type_id: type } }];
  const text = (id: string, type: number): JsonObject[] => [
    ...piece(before, type),
    { Sequence: { id, type_id: type } },
    ...piece(after, type),
  ];
  const tokens = [before, after].flatMap((token) =>
    token === undefined ? [] : [[token, { id: token, ids: [vocabulary.get(token)!], tokens: [token] }] as const],
  );
  return {
    type: 'TemplateProcessing',
    single: text('A', 0),
    pair: [...text('A', 0), ...text('B', 1)],
    special_tokens: Object.fromEntries(tokens),
  };
}

function addedToken(id: number, content: string, special: boolean) {
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special };
}

function sequence(...parts: Json[]): JsonObject {
  return { type: 'Sequence', pretokenizers: parts };
}

function shown(value: GgufValue | undefined): string {
  if (value === undefined) return 'missing';
  return Array.isArray(value) ? l10n.t`an array of another kind` : JSON.stringify(String(value).slice(0, 100));
}
