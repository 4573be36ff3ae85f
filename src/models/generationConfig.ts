import path from 'node:path';
import { pathKind } from '../common/files.js';
import type { JsonObject } from '../common/json.js';
import { readJsonObject } from './boundedJson.js';
import { readGgufHeader } from './gguf.js';
import type { GgufHeader } from './gguf.js';
import { isGgufFile } from './openCheckpoint.js';

/** Real ones have some hundred bytes. */
const MAX_GENERATION_CONFIG_BYTES = 1024 * 1024;

/**
 * How a model's authors have it generate: `generation_config.json` of a model folder, or the same of the ids in a
 * GGUF file; undefined where there is none. Errors: `checkpoint.generation-config.json`,
 * `checkpoint.generation-config.too-long`, `gguf.*`.
 */
export async function readGenerationConfig(source: string): Promise<JsonObject | undefined> {
  if ((await pathKind(source)) === 'file') {
    return (await isGgufFile(source)) ? ggufGenerationConfig(readGgufHeader(source)) : undefined;
  }
  const file = path.join(source, 'generation_config.json');
  if ((await pathKind(file)) !== 'file') return undefined;
  return readJsonObject(file, { code: 'checkpoint.generation-config', maxBytes: MAX_GENERATION_CONFIG_BYTES });
}

/** Special ids of a GGUF file under the names of `generation_config.json`; undefined where it has none. */
export function ggufGenerationConfig({ metadata }: GgufHeader): JsonObject | undefined {
  const idOf = (name: string): number | undefined => {
    const id = metadata.get(`tokenizer.ggml.${name}_token_id`);
    return typeof id === 'number' ? id : undefined;
  };
  // Ends of a text, of a turn and of a message: llama.cpp stops at each.
  const ends = [...new Set(['eos', 'eot', 'eom'].flatMap((name) => idOf(name) ?? []))];
  const [bos, pad] = [idOf('bos'), idOf('padding')];
  const config: JsonObject = {
    ...(bos === undefined ? {} : { bos_token_id: bos }),
    ...(ends.length === 0 ? {} : { eos_token_id: ends.length === 1 ? ends[0]! : ends }),
    ...(pad === undefined ? {} : { pad_token_id: pad }),
  };
  return Object.keys(config).length === 0 ? undefined : config;
}
