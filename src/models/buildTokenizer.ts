import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import * as l10n from '@vscode/l10n';
import { isJsonObject } from '../common/json.js';
import type { Json, JsonObject } from '../common/json.js';
import { fail, messageOf } from '../common/problem.js';
import { TimeUp, withinTime } from '../common/watchdog.js';
import { collectAddedTokens } from './addedTokens.js';
import { parseChatTemplate } from './chatTemplate.js';
import { decoderStartOf } from './decoderStart.js';
import type { ChatTemplate } from './chatTemplate.js';
import { exactPreTokenizer, hasForeignPattern } from './preTokenizer.js';
import { checkTokenIds } from './tokenizerIds.js';
import type { Tokenizer } from './tokenizer.js';

const SPECIAL_TOKENS = [
  'bos_token',
  'eos_token',
  'unk_token',
  'sep_token',
  'pad_token',
  'cls_token',
  'mask_token',
];

/**
 * Patterns come with the tokenizer, and one that backtracks without end would take longer than anyone waits. The
 * slowest tokenizers of good will do 10 kB a second. (The clock costs as much as a short text: those whose patterns
 * are known go without.)
 */
const MAX_MILLISECONDS = 1000;
const MAX_MILLISECONDS_PER_CHARACTER = 0.1;

/** What a tokenizer is made of. */
export interface TokenizerParts {
  readonly file: string;
  readonly tokenizer: JsonObject;
  readonly config: JsonObject;
  readonly template: string | undefined;
  /** Where the template comes from, for its errors. */
  readonly templateFile: string;
  /**
   * `bos_token_id` and the like of generation_config.json, else of config.json. They count where the tokenizer's
   * own configuration names no token; each `eos_token_id` ends a generation in any case.
   */
  readonly ids: JsonObject;
  files(): Promise<ReadonlyMap<string, Uint8Array>>;
}

/** What is used of the library: its own declarations do not resolve under Node's module rules. */
interface Library {
  encode(
    text: string,
    options: { add_special_tokens: boolean; text_pair?: string; return_token_type_ids?: boolean },
  ): { ids: (number | undefined)[]; token_type_ids?: number[] };
  decode(ids: number[], options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean }): string;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
  get_vocab(): ReadonlyMap<string, number>;
}
type SpecialName = 'bos' | 'eos' | 'pad' | 'mask';

const makeLibrary: new (tokenizer: JsonObject, config: JsonObject) => Library = LibraryTokenizer;

/**
 * A tokenizer of the library with what Transformers adds to it: special tokens, ends of a generation, chat template.
 * Errors: `tokenizer.form`, `tokenizer.special-token`; from `encode` and `decode` also `tokenizer.time`,
 * `tokenizer.no-token`.
 */
export function buildTokenizer(parts: TokenizerParts): Tokenizer {
  const { file, config, template } = parts;
  const specialTokens = readSpecialTokens(config);
  const library = makeTokenizer(file, parts.tokenizer, config, specialTokens);
  const listedIds = (name: SpecialName): number[] => {
    const listed = parts.ids[`${name}_token_id`];
    return (Array.isArray(listed) ? (listed as readonly Json[]) : [listed])
      .filter((id) => typeof id === 'number')
      .filter((id) => library.id_to_token(id) !== undefined);
  };
  const idOf = (name: SpecialName): number | undefined => {
    const token = specialTokens[`${name}_token`];
    if (token !== undefined) {
      return library.token_to_id(token) ?? fail(unknownToken(file, `${name}_token`, token));
    }
    return listedIds(name)[0];
  };
  const eosTokenId = idOf('eos');
  const maskTokenId = idOf('mask');
  const decoderStartId = decoderStartOf(parts.ids);
  const { normalizer, pre_tokenizer: preTokenizer, decoder } = parts.tokenizer;
  const clocked = [normalizer, preTokenizer, decoder].some(hasForeignPattern);
  const guarded = <T>(length: number, work: () => T): T =>
    mended(file, () =>
      clocked ? withinTime(MAX_MILLISECONDS + Math.ceil(length * MAX_MILLISECONDS_PER_CHARACTER), work) : work(),
    );
  const cleanUp = config['clean_up_tokenization_spaces'] === true && !isBpe(parts.tokenizer);
  let parsed: ChatTemplate | undefined;
  return {
    vocabSize: vocabularySize(library),
    bosTokenId: idOf('bos'),
    eosTokenId,
    eosTokenIds: [...new Set([...(eosTokenId === undefined ? [] : [eosTokenId]), ...listedIds('eos')])],
    padTokenId: idOf('pad'),
    ...(maskTokenId === undefined ? {} : { maskTokenId }),
    ...(decoderStartId === undefined ? {} : { decoderStartId }),
    chatTemplate: template,
    encode: (text, options = {}) => {
      const ids = guarded(text.length, () =>
        library.encode(text, { add_special_tokens: options.addSpecialTokens ?? true }),
      ).ids;
      return ids.map((id) => id ?? fail(unknownText(file, text)));
    },
    encodePair(text, pair) {
      const { ids, token_type_ids: types } = guarded(text.length + pair.length, () =>
        library.encode(text, { text_pair: pair, add_special_tokens: true, return_token_type_ids: true }),
      );
      return {
        ids: ids.map((id) => id ?? fail(unknownText(file, text))),
        types: ids.map((_, at) => types?.[at] ?? 0),
      };
    },
    decode: (ids, options = {}) => {
      // Ids that only pad the embedding matrix stand for no text.
      const known = ids.filter((id) => library.id_to_token(id) !== undefined);
      // The library cannot decode nothing.
      if (known.length === 0) return '';
      return guarded(known.length, () =>
        library.decode(known, {
          skip_special_tokens: options.skipSpecialTokens ?? false,
          clean_up_tokenization_spaces: cleanUp,
        }),
      );
    },
    applyChatTemplate: (messages, { addGenerationPrompt }) => {
      if (template === undefined) {
        return fail({
          code: 'template.none',
          message: l10n.t`the model has no chat template`,
          where: { file },
          expected: l10n.t`chat_template.jinja, or chat_template in tokenizer_config.json`,
          mend: l10n.t`Use the instruct version of the model, or data with prompt and completion.`,
        });
      }
      parsed ??= parseChatTemplate(template, parts.templateFile);
      return parsed.render(messages, { addGenerationPrompt, specialTokens });
    },
    files: parts.files,
  };
}

function vocabularySize(library: Library): number {
  let size = 0;
  for (const id of library.get_vocab().values()) size = Math.max(size, id + 1);
  return size;
}

/** The library checks little of what it is built from: what it stumbles over comes to light with the first text. */
function mended<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const slow = error instanceof TimeUp;
    return fail(
      {
        code: slow ? 'tokenizer.time' : 'tokenizer.form',
        message: slow
          ? l10n.t`the tokenizer was stopped: ${messageOf(error)}`
          : l10n.t`the tokenizer fails: ${messageOf(error)}`,
        where: { file },
        mend: slow
          ? l10n.t`Use the tokenizer of the original model: a pattern in this one backtracks without end.`
          : l10n.t`Save it again with a current version of Transformers, or report the model to PEFT Studio.`,
      },
      error,
    );
  }
}

function makeTokenizer(
  file: string,
  tokenizer: JsonObject,
  config: JsonObject,
  specialTokens: Readonly<Record<string, string>>,
): Library {
  const { model } = tokenizer;
  if (!isJsonObject(model) || !Array.isArray(tokenizer['added_tokens'] ?? [])) {
    fail({
      code: 'tokenizer.form',
      message: l10n.t`model or added_tokens is missing or of another kind`,
      where: { file },
      expected: l10n.t`a tokenizer.json of Hugging Face tokenizers`,
    });
  }
  checkTexts(tokenizer, file);
  const added = collectAddedTokens(tokenizer, config, Object.values(specialTokens));
  checkTokenIds(model, added, file);
  const complete: JsonObject = {
    ...tokenizer,
    added_tokens: added,
    normalizer: tokenizer['normalizer'] ?? null,
    pre_tokenizer: exactPreTokenizer(tokenizer['pre_tokenizer']),
    post_processor: tokenizer['post_processor'] ?? null,
    decoder: tokenizer['decoder'] ?? null,
  };
  try {
    return new makeLibrary(complete, libraryConfig(config));
  } catch (error) {
    return fail(
      {
        code: 'tokenizer.form',
        message: l10n.t`the tokenizer cannot be built: ${messageOf(error)}`,
        where: { file },
        mend: l10n.t`Save it again with a current version of Transformers, or report the model to PEFT Studio.`,
      },
      error,
    );
  }
}

/** Parts that act on each text. The tables of a `Precompiled` normalizer are long, and are no text. */
const ACTING = ['normalizer', 'pre_tokenizer', 'post_processor', 'decoder'];
const TABLES = 'precompiled_charsmap';

/** The longest pattern of a known tokenizer has some 300 characters. What is put before each text makes it so long. */
const MAX_PART_CHARACTERS = 4096;

/**
 * @throws ProblemError `tokenizer.form` where a part would put a long text into every text, which some kinds of model
 *   take a time for that grows with its square
 */
function checkTexts(tokenizer: JsonObject, file: string): void {
  const check = (value: Json | undefined, part: string): void => {
    if (typeof value === 'string' && value.length > MAX_PART_CHARACTERS) {
      fail({
        code: 'tokenizer.form',
        message: l10n.t`the ${part} holds a text of ${value.length} characters`,
        where: { file },
        expected: l10n.t`patterns and texts of at most ${MAX_PART_CHARACTERS}`,
        mend: l10n.t`The file is damaged or made to do harm: get it again from where it came from.`,
      });
    }
    if (Array.isArray(value)) for (const each of value as readonly Json[]) check(each, part);
    else if (isJsonObject(value)) {
      for (const [key, each] of Object.entries(value)) if (key !== TABLES) check(each, part);
    }
  };
  for (const part of ACTING) check(tokenizer[part], part);
}

/** Only what the library may act on: the rest of tokenizer_config.json is for Python's slow tokenizers. */
function libraryConfig(config: JsonObject): JsonObject {
  const extra = config['additional_special_tokens'] ?? config['extra_special_tokens'];
  const tokens = Array.isArray(extra) ? (extra as readonly Json[]).flatMap((token) => tokenText(token) ?? []) : [];
  return { additional_special_tokens: tokens };
}

function readSpecialTokens(config: JsonObject): Record<string, string> {
  return Object.fromEntries(
    SPECIAL_TOKENS.flatMap((name) => {
      const text = tokenText(config[name]);
      return text === undefined ? [] : [[name, text]];
    }),
  );
}

/** A token as text or as { content }. */
function tokenText(value: Json | undefined): string | undefined {
  const text = isJsonObject(value) ? value['content'] : value;
  return typeof text === 'string' ? text : undefined;
}

/** Transformers ignores clean_up_tokenization_spaces for BPE, whose texts it would corrupt. */
function isBpe(tokenizer: JsonObject): boolean {
  return isJsonObject(tokenizer['model']) && tokenizer['model']['type'] === 'BPE';
}

function unknownToken(file: string, name: string, token: string) {
  return {
    code: 'tokenizer.special-token',
    message: l10n.t`${name} is ${JSON.stringify(token.slice(0, 100))}, which is not in the vocabulary`,
    where: { file },
    expected: l10n.t`a token of the vocabulary or of added_tokens`,
    mend: l10n.t`Mend tokenizer_config.json, or add the token with Transformers and resize the embeddings.`,
  };
}

function unknownText(file: string, text: string) {
  return {
    code: 'tokenizer.no-token',
    message: l10n.t`a part of ${JSON.stringify(text.slice(0, 100))} has no token, and the vocabulary no unknown token`,
    where: { file },
    expected: l10n.t`a vocabulary that covers all text (bytes), or an unk_token`,
  };
}
