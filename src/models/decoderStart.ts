import type { JsonObject } from '../common/json.js';

/** Types of encoder-decoders; their configs need not say that they are. */
export const ENCODER_DECODERS: readonly string[] = ['t5', 'mt5'];

/**
 * The token that an encoder-decoder's answers begin with, by its `config.json`; Transformers takes the padding token
 * where none is named. Undefined for other models.
 */
export function decoderStartOf(config: JsonObject): number | undefined {
  const isOne = config['is_encoder_decoder'] ?? ENCODER_DECODERS.includes(String(config['model_type']));
  if (isOne !== true) return undefined;
  const id = config['decoder_start_token_id'] ?? config['pad_token_id'] ?? 0;
  return typeof id === 'number' && Number.isInteger(id) && id >= 0 ? id : undefined;
}
