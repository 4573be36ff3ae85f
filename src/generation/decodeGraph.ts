import type { LanguageModel } from '../models/architecture.js';
import { createScope } from '../models/scope.js';
import type { Hooks } from '../models/site.js';
import { dim, multiplyDims } from '../tensor/dims.js';
import type { Dim } from '../tensor/dims.js';
import { gatherRows } from '../tensor/ops/indexing.js';
import { reshape } from '../tensor/ops/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { input } from '../tensor/tensor.js';
import { cacheLayers } from './cache.js';

/**
 * The graph of a decoding run, for the prompt (past = 0) and for each token after it.
 *
 * Inputs: `input_ids`, `positions`, `segments`, `tasks` int32 [batch, sequence]; `past_segments` int32 [batch, past];
 * `past_keys.LAYER`, `past_values.LAYER` float32 [batch, cacheHeads, past, headSize]; `predictors` int32 [n], flat
 * indices (row · sequence + column) of the positions whose next token is wanted. In an encoder-decoder also what
 * `sourceGraph` puts out, and `source_segments` int32 [batch, source].
 *
 * Outputs: `logits` [n, vocabulary]; `keys.LAYER`, `values.LAYER` [batch, cacheHeads, past + sequence, headSize].
 */
export function decodeGraph(
  model: LanguageModel,
  hooks: readonly Hooks[],
  positionLimit: number,
): Record<string, Tensor> {
  const [batch, sequence, past] = [dim('batch'), dim('sequence'), dim('past')];
  const tokens = [batch, sequence];
  const layers = cacheLayers(model);
  const all = (name: string, length: Dim): Tensor[] =>
    layers.map((layer) => input(`${name}.${layer}`, 'float32', [batch, model.cacheHeads, length, model.headSize]));
  const sourceLength = dim('source');
  const scope = createScope(model.sites, hooks, {
    dropoutSeed: undefined,
    tasks: input('tasks', 'int32', tokens),
  });
  const { hidden, keys, values } = model.decode(scope, {
    inputIds: input('input_ids', 'int32', tokens),
    positions: input('positions', 'int32', tokens),
    segments: input('segments', 'int32', tokens),
    positionLimit,
    cache: {
      keys: all('past_keys', past),
      values: all('past_values', past),
      segments: input('past_segments', 'int32', [batch, past]),
    },
    ...(model.encoder && {
      source: {
        keys: all('source_keys', sourceLength),
        values: all('source_values', sourceLength),
        segments: input('source_segments', 'int32', [batch, sourceLength]),
      },
    }),
  });
  const flat = reshape(hidden, [multiplyDims(batch, sequence), model.hiddenSize]);
  const outputs: Record<string, Tensor> = {
    logits: model.head(scope, gatherRows(flat, input('predictors', 'int32', [dim('predictors')]))),
  };
  for (const layer of layers) {
    outputs[`keys.${layer}`] = keys[layer]!;
    outputs[`values.${layer}`] = values[layer]!;
  }
  return outputs;
}
