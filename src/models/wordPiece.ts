import * as l10n from '@vscode/l10n';
import type { Json, JsonObject } from '../common/json.js';
import { isJsonObject } from '../common/json.js';
import { fail } from '../common/problem.js';

/** BERT's special tokens, where tokenizer_config.json names no others. */
const SPECIALS = {
  unk_token: '[UNK]',
  sep_token: '[SEP]',
  pad_token: '[PAD]',
  cls_token: '[CLS]',
  mask_token: '[MASK]',
} as const;

/**
 * BERT's tokenizer as a `tokenizer.json`, out of the older `vocab.txt`: a token per line, its number the id (Devlin et al.
 * 2019; WordPiece, Wu et al. 2016). As Transformers converts it: lower case and Chinese characters by the config's
 * `do_lower_case`, `strip_accents` and `tokenize_chinese_chars`; [CLS] in front, [SEP] behind each text.
 *
 * @param config tokenizer_config.json and special_tokens_map.json
 * @throws ProblemError `tokenizer.form` where the vocabulary lacks a special token
 */
export function wordPieceTokenizer(vocabulary: string, config: JsonObject, file: string): JsonObject {
  const lines = vocabulary.replace(/\n$/, '').split('\n');
  const vocab = new Map(lines.map((line, id) => [line.replace(/\r$/, ''), id]));
  const named = (key: keyof typeof SPECIALS): string => textOf(config[key]) ?? SPECIALS[key];
  const special = (key: keyof typeof SPECIALS): { readonly token: string; readonly id: number } => {
    const token = named(key);
    const id = vocab.get(token);
    if (id !== undefined) return { token, id };
    return fail({
      code: 'tokenizer.form',
      message: l10n.t`the vocabulary lacks the token ${token} (${key})`,
      where: { file },
      expected: l10n.t`a line for each token, special ones too`,
      mend: l10n.t`Download the tokenizer again, or save it with a current version of Transformers.`,
    });
  };
  const [cls, sep] = [special('cls_token'), special('sep_token')];
  const part = (name: 'A' | 'B', type: number): JsonObject[] => [
    { Sequence: { id: name, type_id: type } },
    { SpecialToken: { id: sep.token, type_id: type } },
  ];
  const front = { SpecialToken: { id: cls.token, type_id: 0 } };
  return {
    added_tokens: (Object.keys(SPECIALS) as (keyof typeof SPECIALS)[]).map((key) => {
      const { token, id } = special(key);
      return {
        id,
        content: token,
        special: true,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
      };
    }),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: config['tokenize_chinese_chars'] ?? true,
      strip_accents: config['strip_accents'] ?? null,
      lowercase: config['do_lower_case'] ?? true,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [front, ...part('A', 0)],
      pair: [front, ...part('A', 0), ...part('B', 1)],
      special_tokens: Object.fromEntries(
        [cls, sep].map(({ token, id }) => [token, { id: token, ids: [id], tokens: [token] }]),
      ),
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: special('unk_token').token,
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(vocab),
    },
  };
}

/** A special token as text, or as the object that older configs hold. */
function textOf(value: Json | undefined): string | undefined {
  if (typeof value === 'string') return value;
  const content = isJsonObject(value) ? value['content'] : undefined;
  return typeof content === 'string' ? content : undefined;
}
