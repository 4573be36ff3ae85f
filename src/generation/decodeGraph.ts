import type { LanguageModel } from '../models/architecture.js';
import { createScope } from '../models/scope.js';
import type { Hooks } from '../models/site.js';
import { dim, multiplyDims } from '../tensor/dims.js';
import { gatherRows } from '../tensor/ops/indexing.js';
import { reshape } from '../tensor/ops/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { input } from '../tensor/tensor.js';

/**
 * The graph of a decoding run, for the prompt (past = 0) and for each token after it.
 *
 * Inputs: `input_ids`, `positions`, `segments` int32 [batch, sequence]; `past_segments` int32 [batch, past];
 * `past_keys.LAYER`, `past_values.LAYER` float32 [batch, cacheHeads, past, headSize]; `predictors` int32 [n], flat
 * indices (row · sequence + column) of the positions whose next token is wanted.
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
  const layers = Array.from({ length: model.layers }, (_, layer) => layer);
  const cached = (kind: 'keys' | 'values'): Tensor[] =>
    layers.map((layer) =>
      input(`past_${kind}.${layer}`, 'float32', [batch, model.cacheHeads, past, model.headSize]),
    );
  const scope = createScope(model.sites, hooks, { dropoutSeed: undefined });
  const { hidden, keys, values } = model.decode(scope, {
    inputIds: input('input_ids', 'int32', tokens),
    positions: input('positions', 'int32', tokens),
    segments: input('segments', 'int32', tokens),
    positionLimit,
    cache: {
      keys: cached('keys'),
      values: cached('values'),
      segments: input('past_segments', 'int32', [batch, past]),
    },
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
