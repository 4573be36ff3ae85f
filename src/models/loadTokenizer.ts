import * as l10n from '@vscode/l10n';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { pathKind } from '../common/files.js';
import { isJsonObject } from '../common/json.js';
import type { Json, JsonObject } from '../common/json.js';
import { fail } from '../common/problem.js';
import { readBoundedText, readJsonObject } from './boundedJson.js';
import { buildTokenizer } from './buildTokenizer.js';
import { ggufGenerationConfig, readGenerationConfig } from './generationConfig.js';
import { readGgufHeader } from './gguf.js';
import { ggufTokenizerFiles } from './ggufTokenizer.js';
import { isGgufFile } from './openCheckpoint.js';
import { spieceTokenizer } from './spieceTokenizer.js';
import type { Tokenizer } from './tokenizer.js';
import { wordPieceTokenizer } from './wordPiece.js';

/** The biggest vocabularies (260,000 tokens with merges) make 35 MB. */
const MAX_TOKENIZER_BYTES = 64 * 1024 * 1024;
const MAX_CONFIG_BYTES = 16 * 1024 * 1024;
const MAX_TEMPLATE_BYTES = 1024 * 1024;

/** The SentencePiece model of T5, where there is no tokenizer.json. */
const SPIECE = 'spiece.model';

/** BERT's tokens, a line each. */
const WORD_PIECES = 'vocab.txt';

/** Files of which a folder needs one. */
export const TOKENIZERS: readonly string[] = ['tokenizer.json', SPIECE, WORD_PIECES];

/** What a folder needs to hold a tokenizer for Transformers; those that exist are copied. */
export const TOKENIZER_FILES = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'chat_template.jinja',
  'vocab.json',
  'merges.txt',
  WORD_PIECES,
  'tokenizer.model',
  SPIECE,
];

/**
 * The tokenizer of a model folder (`tokenizer.json` and its companions, as Transformers reads them) or of a
 * GGUF file (rebuilt from the metadata). Errors: `tokenizer.*`, `gguf.tokenizer`, `template.*`.
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
        message: l10n.t`${path.basename(location)} is neither a folder nor a GGUF file`,
        where: { file: location },
        expected: l10n.t`a model folder with tokenizer.json, or a .gguf file`,
      });
    case 'nothing':
      return fail({
        code: 'tokenizer.not-found',
        message: l10n.t`folder not found: ${location}`,
        expected: l10n.t`a model folder with tokenizer.json, or a .gguf file, on this machine`,
        mend: l10n.t`Check the path.`,
      });
  }
}

async function loadFolder(folder: string): Promise<Tokenizer> {
  const code = 'tokenizer';
  const optional = async (name: string): Promise<JsonObject> => {
    const companion = path.join(folder, name);
    if ((await pathKind(companion)) !== 'file') return {};
    return readJsonObject(companion, { code, maxBytes: MAX_CONFIG_BYTES });
  };
  const config = { ...(await optional('special_tokens_map.json')), ...(await optional('tokenizer_config.json')) };
  const { file, tokenizer } = await readTokenizer(folder, config);
  const templateFile = path.join(folder, 'chat_template.jinja');
  const ownFile = (await pathKind(templateFile)) === 'file';
  const template = ownFile
    ? await readBoundedText(templateFile, { code: 'template', maxBytes: MAX_TEMPLATE_BYTES })
    : defaultTemplate(config['chat_template']);
  return buildTokenizer({
    file,
    tokenizer,
    config,
    template,
    templateFile: ownFile ? templateFile : path.join(folder, 'tokenizer_config.json'),
    ids: { ...(await optional('config.json')), ...(await readGenerationConfig(folder)) },
    files: () => readFiles(folder),
  });
}

/** `tokenizer.json`, or what T5's SentencePiece model or BERT's list of tokens makes of one. */
async function readTokenizer(
  folder: string,
  config: JsonObject,
): Promise<{ readonly file: string; readonly tokenizer: JsonObject }> {
  const file = path.join(folder, 'tokenizer.json');
  if ((await pathKind(file)) === 'file') {
    const tokenizer = await readJsonObject(file, { code: 'tokenizer', maxBytes: MAX_TOKENIZER_BYTES });
    return { file, tokenizer };
  }
  const spiece = path.join(folder, SPIECE);
  if ((await pathKind(spiece)) === 'file') {
    const { size } = await stat(spiece);
    if (size <= MAX_TOKENIZER_BYTES) {
      return { file: spiece, tokenizer: spieceTokenizer(await readFile(spiece), config, spiece) };
    }
  }
  const vocabulary = path.join(folder, WORD_PIECES);
  if ((await pathKind(vocabulary)) === 'file') {
    const text = await readBoundedText(vocabulary, { code: 'tokenizer', maxBytes: MAX_TOKENIZER_BYTES });
    return { file: vocabulary, tokenizer: wordPieceTokenizer(text, config, vocabulary) };
  }
  return fail({
    code: 'tokenizer.not-found',
    message: l10n.t`the folder has no tokenizer.json`,
    where: { file: folder },
    expected: l10n.t`tokenizer.json, the "fast" tokenizer of Hugging Face`,
    mend: l10n.t`Convert an older tokenizer once: AutoTokenizer.from_pretrained(…).save_pretrained(…) in Python.`,
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
  const encode = (value: JsonObject) => new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);
  return buildTokenizer({
    file,
    tokenizer,
    config,
    template: defaultTemplate(config['chat_template']),
    templateFile: file,
    ids: ggufGenerationConfig(header) ?? {},
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
