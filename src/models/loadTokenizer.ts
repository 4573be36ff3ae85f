import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { pathKind } from '../common/files.js';
import type { Json, JsonObject } from '../common/json.js';
import { isJsonObject } from '../common/json.js';
import { fail } from '../common/problem.js';
import { collectAddedTokens } from './addedTokens.js';
import { readBoundedText, readJsonObject } from './boundedJson.js';
import type { ChatTemplate } from './chatTemplate.js';
import { parseChatTemplate } from './chatTemplate.js';
import { readGgufHeader } from './gguf.js';
import { readGenerationConfig } from './generationConfig.js';
import { ggufTokenizerFiles } from './ggufTokenizer.js';
import { isGgufFile } from './openCheckpoint.js';
import { exactPreTokenizer } from './preTokenizer.js';
import type { Tokenizer } from './tokenizer.js';

/** The biggest vocabularies (260,000 tokens with merges) make 35 MB. */
const MAX_TOKENIZER_BYTES = 64 * 1024 * 1024;
const MAX_CONFIG_BYTES = 16 * 1024 * 1024;
const MAX_TEMPLATE_BYTES = 1024 * 1024;

/** What a folder needs to hold a tokenizer for Transformers; those that exist are copied. */
const TOKENIZER_FILES = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'chat_template.jinja',
  'vocab.json',
  'merges.txt',
  'tokenizer.model',
];

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
 * The tokenizer of a model folder (`tokenizer.json` and its companions, as Transformers reads them) or of a
 * GGUF file (byte-level BPE, rebuilt from the metadata). Errors: `tokenizer.*`, `gguf.tokenizer`, `template.*`.
 */
export async function loadTokenizer(source: string): Promise<Tokenizer> {
  const location = path.resolve(source);
  switch (await pathKind(location)) {
    case 'folder':
      return loadFolder(location);
    case 'file':
      if (await isGgufFile(location)) return loadGguf(location);
      return fail({
        code: 'tokenizer.not-found',
        message: `${path.basename(location)} is neither a folder nor a GGUF file`,
        where: { file: location },
        expected: 'a model folder with tokenizer.json, or a .gguf file',
      });
    case 'nothing':
      return fail({
        code: 'tokenizer.not-found',
        message: `folder not found: ${location}`,
        expected: 'a model folder with tokenizer.json, or a .gguf file, on this machine',
        mend: 'Check the path. PEFT Studio downloads nothing: fetch the model first, then name its folder.',
      });
  }
}

async function loadFolder(folder: string): Promise<Tokenizer> {
  const file = path.join(folder, 'tokenizer.json');
  if ((await pathKind(file)) !== 'file') {
    fail({
      code: 'tokenizer.not-found',
      message: 'the folder has no tokenizer.json',
      where: { file: folder },
      expected: 'tokenizer.json, the "fast" tokenizer of Hugging Face',
      mend: 'Convert an older tokenizer once: AutoTokenizer.from_pretrained(…).save_pretrained(…) in Python.',
    });
  }
  const code = 'tokenizer';
  const optional = async (name: string): Promise<JsonObject> => {
    const companion = path.join(folder, name);
    if ((await pathKind(companion)) !== 'file') return {};
    return readJsonObject(companion, { code, maxBytes: MAX_CONFIG_BYTES });
  };
  const tokenizer = await readJsonObject(file, { code, maxBytes: MAX_TOKENIZER_BYTES });
  const config = { ...(await optional('special_tokens_map.json')), ...(await optional('tokenizer_config.json')) };
  const templateFile = path.join(folder, 'chat_template.jinja');
  const ownFile = (await pathKind(templateFile)) === 'file';
  const template = ownFile
    ? await readBoundedText(templateFile, { code: 'template', maxBytes: MAX_TEMPLATE_BYTES })
    : defaultTemplate(config['chat_template']);
  return build({
    file,
    tokenizer,
    config,
    template,
    templateFile: ownFile ? templateFile : path.join(folder, 'tokenizer_config.json'),
    ids: { ...(await optional('config.json')), ...(await readGenerationConfig(folder)) },
    files: () => readFiles(folder),
  });
}

async function readFiles(folder: string): Promise<ReadonlyMap<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  for (const name of TOKENIZER_FILES) {
    const file = path.join(folder, name);
    if ((await pathKind(file)) === 'file') files.set(name, await readFile(file));
  }
  return files;
}

function loadGguf(file: string): Tokenizer {
  const header = readGgufHeader(file);
  const { tokenizer, config } = ggufTokenizerFiles(header);
  const ends = ['eos', 'eot', 'eom'].flatMap(
    (name) => header.metadata.get(`tokenizer.ggml.${name}_token_id`) ?? [],
  );
  const encode = (value: JsonObject) => new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);
  return build({
    file,
    tokenizer,
    config,
    template: defaultTemplate(config['chat_template']),
    templateFile: file,
    // Ends of a text, of a turn and of a message: llama.cpp stops at each.
    ids: { eos_token_id: ends.filter((id) => typeof id === 'number') },
    files: () =>
      Promise.resolve(
        new Map([
          ['tokenizer.json', encode(tokenizer)],
          ['tokenizer_config.json', encode(config)],
        ]),
      ),
  });
}

/** A template as text, or the one named "default" of a list. */
function defaultTemplate(value: Json | undefined): string | undefined {
  if (typeof value === 'string') return value;
  const named = Array.isArray(value) ? (value as readonly Json[]).filter(isJsonObject) : [];
  const template = named.find((item) => item['name'] === 'default')?.['template'];
  return typeof template === 'string' ? template : undefined;
}

interface Parts {
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
  encode(text: string, options: { add_special_tokens: boolean }): { ids: (number | undefined)[] };
  decode(ids: number[], options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean }): string;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
  get_vocab(): ReadonlyMap<string, number>;
}
const makeLibrary: new (tokenizer: JsonObject, config: JsonObject) => Library = LibraryTokenizer;

function build(parts: Parts): Tokenizer {
  const { file, config, template } = parts;
  const specialTokens = readSpecialTokens(config);
  const library = makeTokenizer(file, parts.tokenizer, config, specialTokens);
  const listedIds = (name: 'bos' | 'eos' | 'pad'): number[] => {
    const listed = parts.ids[`${name}_token_id`];
    return (Array.isArray(listed) ? (listed as readonly Json[]) : [listed])
      .filter((id) => typeof id === 'number')
      .filter((id) => library.id_to_token(id) !== undefined);
  };
  const idOf = (name: 'bos' | 'eos' | 'pad'): number | undefined => {
    const token = specialTokens[`${name}_token`];
    if (token !== undefined) {
      return library.token_to_id(token) ?? fail(unknownToken(file, `${name}_token`, token));
    }
    return listedIds(name)[0];
  };
  const eosTokenId = idOf('eos');
  const cleanUp = config['clean_up_tokenization_spaces'] === true && !isBpe(parts.tokenizer);
  let parsed: ChatTemplate | undefined;
  return {
    vocabSize: vocabularySize(library),
    bosTokenId: idOf('bos'),
    eosTokenId,
    eosTokenIds: [...new Set([...(eosTokenId === undefined ? [] : [eosTokenId]), ...listedIds('eos')])],
    padTokenId: idOf('pad'),
    chatTemplate: template,
    encode: (text, options = {}) => {
      const { ids } = library.encode(text, { add_special_tokens: options.addSpecialTokens ?? true });
      return ids.map((id) => id ?? fail(unknownText(file, text)));
    },
    decode: (ids, options = {}) => {
      // Ids that only pad the embedding matrix stand for no text.
      const known = ids.filter((id) => library.id_to_token(id) !== undefined);
      if (known.length === 0) return '';
      return library.decode(known, {
        skip_special_tokens: options.skipSpecialTokens ?? false,
        clean_up_tokenization_spaces: cleanUp,
      });
    },
    applyChatTemplate: (messages, { addGenerationPrompt }) => {
      if (template === undefined) {
        return fail({
          code: 'template.none',
          message: 'the model has no chat template',
          where: { file },
          expected: 'chat_template.jinja, or chat_template in tokenizer_config.json',
          mend: 'Use the instruct version of the model, or data with prompt and completion.',
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

function makeTokenizer(
  file: string,
  tokenizer: JsonObject,
  config: JsonObject,
  specialTokens: Readonly<Record<string, string>>,
): Library {
  if (!isJsonObject(tokenizer['model']) || !Array.isArray(tokenizer['added_tokens'] ?? [])) {
    fail({
      code: 'tokenizer.form',
      message: 'model or added_tokens is missing or of another kind',
      where: { file },
      expected: 'a tokenizer.json of Hugging Face tokenizers',
    });
  }
  const complete: JsonObject = {
    ...tokenizer,
    added_tokens: collectAddedTokens(tokenizer, config, Object.values(specialTokens)),
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
        message: `the tokenizer cannot be built: ${error instanceof Error ? error.message : String(error)}`,
        where: { file },
        mend: 'Save it again with a current version of Transformers, or report the model to PEFT Studio.',
      },
      error,
    );
  }
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
    message: `${name} is ${JSON.stringify(token.slice(0, 100))}, which is not in the vocabulary`,
    where: { file },
    expected: 'a token of the vocabulary or of added_tokens',
    mend: 'Mend tokenizer_config.json, or add the token with Transformers and resize the embeddings.',
  };
}

function unknownText(file: string, text: string) {
  return {
    code: 'tokenizer.no-token',
    message: `a part of ${JSON.stringify(text.slice(0, 100))} has no token, and the vocabulary no unknown token`,
    where: { file },
    expected: 'a vocabulary that covers all text (bytes), or an unk_token',
  };
}
