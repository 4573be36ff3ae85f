import { stat } from 'node:fs/promises';
import path from 'node:path';
import { isJsonObject } from '../common/json.js';
import type { Json, JsonObject } from '../common/json.js';
import { readBoundedText, readJsonObject } from '../models/boundedJson.js';
import { parseChatTemplate } from '../models/chatTemplate.js';
import type { ChatTemplate } from '../models/chatTemplate.js';
import { keptByVersion } from './modelCache.js';

/** Files with added tokens for every byte have some 100 kB. */
const MAX_CONFIG_BYTES = 4 * 2 ** 20;
const MAX_TEMPLATE_BYTES = 2 ** 20;

/** A model's chat template, and the special tokens that it may write. */
export interface ModelTemplate {
  readonly template: ChatTemplate;
  readonly specialTokens: Readonly<Record<string, string>>;
}

const templates = keptByVersion<ModelTemplate | undefined>(16);

const CONFIG = 'tokenizer_config.json';
const OWN_FILE = 'chat_template.jinja';
const TOKENS = 'special_tokens_map.json';

/**
 * The chat template of a model folder, read without its tokenizer, which takes long to load. Undefined where there is
 * none. Errors: those of the files, `template.*`.
 */
export async function modelTemplate(folder: string): Promise<ModelTemplate | undefined> {
  const states = await Promise.all(
    [CONFIG, OWN_FILE, TOKENS].map((name) => stat(path.join(folder, name)).catch(() => undefined)),
  );
  const version = states.map((state) => `${state?.size}:${state?.mtimeMs}`).join('|');
  const [config, ownFile, tokens] = states.map((state) => state?.isFile() === true);
  return templates(folder, version, async () => {
    const read = async (name: string, exists: boolean | undefined): Promise<JsonObject> =>
      exists === true
        ? readJsonObject(path.join(folder, name), { code: 'tokenizer', maxBytes: MAX_CONFIG_BYTES })
        : {};
    const options = { ...(await read(TOKENS, tokens)), ...(await read(CONFIG, config)) };
    const file = path.join(folder, ownFile === true ? OWN_FILE : CONFIG);
    const source =
      ownFile === true
        ? await readBoundedText(file, { code: 'template', maxBytes: MAX_TEMPLATE_BYTES })
        : defaultTemplate(options['chat_template']);
    if (source === undefined) return undefined;
    return { template: parseChatTemplate(source, file), specialTokens: tokenTexts(options) };
  });
}

/** A template as text, or the one named "default" of a list. */
function defaultTemplate(value: Json | undefined): string | undefined {
  if (typeof value === 'string') return value;
  const named = Array.isArray(value) ? (value as readonly Json[]).filter(isJsonObject) : [];
  const template = named.find((item) => item['name'] === 'default')?.['template'];
  return typeof template === 'string' ? template : undefined;
}

/** `bos_token` and the like, which are texts or objects with their text under `content`. */
function tokenTexts(options: JsonObject): Record<string, string> {
  return Object.fromEntries(
    Object.entries(options).flatMap(([key, value]): [string, string][] => {
      const text = isJsonObject(value) ? value['content'] : value;
      return key.endsWith('_token') && typeof text === 'string' ? [[key, text]] : [];
    }),
  );
}
