import * as l10n from '@vscode/l10n';
import type { ConfigReader } from '../../models/configReader.js';
import type { ActivationFunction, AttentionShape } from '../modelShape.js';

/** Reads the sizes of the heads; `head_dim` counts where the config has it. */
export function headsOf(config: ConfigReader, hidden: number, headDimFallback?: number): AttentionShape {
  const heads = config.count('num_attention_heads');
  const keyValueHeads = config.count('num_key_value_heads', heads);
  if (!config.has('head_dim') && headDimFallback === undefined && hidden % heads !== 0) {
    config.wrong('num_attention_heads', l10n.t`a divisor of hidden_size, ${hidden}`);
  }
  const headDim = config.count('head_dim', headDimFallback ?? hidden / heads);
  return { heads, keyValueHeads, headDim };
}

/** `hidden_act` and its like, by how many tensors it keeps. Unknown names count as one operation, as most are. */
export function activationOf(name: string): ActivationFunction {
  if (name === 'relu') return 'relu';
  if (name === 'silu' || name === 'swish') return 'silu';
  return name === 'gelu_new' ? 'gelu_new' : 'gelu';
}

/** Whether any of these rates is above 0; an absent one has `fallback`. */
export function drops(config: ConfigReader, keys: readonly string[], fallback: number): boolean {
  return keys.some((key) => config.number(key, fallback) > 0);
}
