import path from 'node:path';
import { pathKind } from '../common/files.js';
import type { JsonObject } from '../common/json.js';
import { readJsonObject } from './boundedJson.js';

/** Real ones have some hundred bytes. */
const MAX_GENERATION_CONFIG_BYTES = 1024 * 1024;

/**
 * The `generation_config.json` of a model folder: how its authors have it generate. Undefined where there is none,
 * as for a GGUF file. Errors: `checkpoint.generation-config.json`, `checkpoint.generation-config.too-long`.
 */
export async function readGenerationConfig(source: string): Promise<JsonObject | undefined> {
  const file = path.join(source, 'generation_config.json');
  if ((await pathKind(file)) !== 'file') return undefined;
  return readJsonObject(file, { code: 'checkpoint.generation-config', maxBytes: MAX_GENERATION_CONFIG_BYTES });
}
