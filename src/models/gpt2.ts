import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import { add } from '../tensor/ops/elementwise.js';
import { concat, slice } from '../tensor/ops/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { namedActivation } from './activation.js';
import type { Architecture, DecoderInputs, DecoderOutputs } from './architecture.js';
import { attend, causalMask, splitHeads } from './attention.js';
import type { ConfigReader } from './configReader.js';
import { checkTensor } from './checkTensor.js';
import { configReader } from './configReader.js';
import { behindKeys } from './keysInFront.js';
import type { Scope } from './scope.js';
import type { AttentionPlace, Site, SublayerPlace } from './site.js';
import { parameterShape } from './site.js';

/**
 * GPT-2 (Radford et al. 2019): pre-norm decoder with learned positions, layer norms, linears stored as Conv1D and
 * query, key and value in one of them. Checkpoints name their tensors with or without `transformer.` in front.
 * `reorder_and_upcast_attn` changes nothing in float32. The dropouts of the config (`resid_pdrop`, …) are not applied
 * in training: a method brings its own.
 */
export const gpt2: Architecture = {
  kind: 'decoder',
  tasks: ['CAUSAL_LM'],
  modelTypes: ['gpt2'],
  dropouts: { embd_pdrop: 0.1, attn_pdrop: 0.1, resid_pdrop: 0.1 },
  read(config, tensors, source) {
    const read = configReader(config, source);
    const activation = namedActivation(read, 'activation_function', 'gelu_new');
    refuseCrossAttention(read, source);
    // Where a key is absent, what Transformers' GPT2Config takes: the smallest GPT-2.
    const hiddenSize = read.count('n_embd', 768);
    const heads = read.count('n_head', 12);
    const layers = read.count('n_layer', 12);
    const vocabSize = read.count('vocab_size', 50257);
    const maxPositions = read.count('n_positions', 1024);
    const inner = read.count('n_inner', 4 * hiddenSize);
    const epsilon = read.number('layer_norm_epsilon', 1e-5);
    const scale = readScale(read, hiddenSize / heads);
    if (hiddenSize % heads !== 0) {
      fail({
        code: 'model.config',
        message: l10n.t`${heads} attention heads do not share a hidden size of ${hiddenSize} evenly`,
        where: { file: source },
        expected: l10n.t`n_embd a multiple of n_head`,
        mend: l10n.t`Use a model folder as Transformers saves it (save_pretrained), or mend its config.json.`,
      });
    }
    // OpenAI's own files were saved from the bare backbone.
    const bare = tensors.has('wte.weight');
    const tensorName = (path: string): string => (bare ? path.replace(/^transformer\./, '') : path);
    const tiedHead = read.flag('tie_word_embeddings', true) || !tensors.has('lm_head.weight');

    const site = (path: string, form: Pick<Site, 'kind' | 'shape' | 'layout'>, layer?: number): Site => {
      const isOutput = path === 'lm_head';
      const weight = tensorName(isOutput && tiedHead ? `${EMBEDDING}.weight` : `${path}.weight`);
      const hasBias = form.kind === 'norm' || form.layout === 'in-out';
      const bias = hasBias ? tensorName(`${path}.bias`) : undefined;
      const made: Site = { ...form, path, layer, weight, bias, isOutput };
      checkTensor(tensors, weight, parameterShape(made, 'weight'), source);
      if (bias !== undefined) checkTensor(tensors, bias, parameterShape(made, 'bias'), source);
      return made;
    };
    const embedding = (path: string, rows: number): Site =>
      site(path, { kind: 'embedding', shape: [rows, hiddenSize] });
    const layerSites = (layer: number): Site[] => {
      const norm = (name: string): Site =>
        site(`${block(layer)}.${name}`, { kind: 'norm', shape: [hiddenSize] }, layer);
      const conv1d = (name: string, outSize: number, inSize: number): Site =>
        site(`${block(layer)}.${name}`, { kind: 'linear', shape: [outSize, inSize], layout: 'in-out' }, layer);
      return [
        norm('ln_1'),
        conv1d('attn.c_attn', 3 * hiddenSize, hiddenSize),
        conv1d('attn.c_proj', hiddenSize, hiddenSize),
        norm('ln_2'),
        conv1d('mlp.c_fc', inner, hiddenSize),
        conv1d('mlp.c_proj', hiddenSize, inner),
      ];
    };

    const headSize = hiddenSize / heads;
    const attentions = Array.from({ length: layers }, (_, layer): AttentionPlace => ({
      kind: 'self',
      path: `${block(layer)}.attn`,
      layer,
      keyHeads: heads,
      headSize,
    }));
    const sublayers = Array.from({ length: layers }, (_, layer) => blockSublayers(layer));

    const decode = (scope: Scope, given: DecoderInputs): DecoderOutputs => {
      const inputs = behindKeys(given, scope.keysInFront);
      checkPositions(inputs.positionLimit, maxPositions, source);
      const mask = causalMask(inputs, undefined, scope.keysInFront);
      const keys: Tensor[] = [];
      const values: Tensor[] = [];
      const embedded = add(
        scope.embedding(EMBEDDING, inputs.inputIds),
        scope.embedding(POSITIONS, inputs.positions),
      );
      let x = scope.stackInput('decoder', embedded);
      for (let layer = 0; layer < layers; layer++) {
        x = scope.layerInput(layer, x);
        const at = block(layer);
        const [attention, feedForward] = sublayers[layer]!;
        const before = scope.layerNorm(`${at}.ln_1`, x, epsilon);
        const fused = scope.linear(`${at}.attn.c_attn`, before);
        const [q, k, v] = [0, 1, 2].map((part) =>
          splitHeads(slice(fused, -1, part * hiddenSize, (part + 1) * hiddenSize), heads),
        ) as [Tensor, Tensor, Tensor];
        const allK = inputs.cache === undefined ? k : concat([inputs.cache.keys[layer]!, k], 2);
        const allV = inputs.cache === undefined ? v : concat([inputs.cache.values[layer]!, v], 2);
        keys.push(allK);
        values.push(allV);
        const seen = scope.attention(attentions[layer]!, allK, allV);
        const mixed = attend(q, seen.keys, seen.values, mask, scale(layer));
        const attended = scope.linear(`${at}.attn.c_proj`, mixed);
        x = add(x, scope.sublayer(attention, { input: before, output: attended, residual: x }));
        const between = scope.layerNorm(`${at}.ln_2`, x, epsilon);
        const activated = activation(scope.linear(`${at}.mlp.c_fc`, between));
        const fed = scope.linear(`${at}.mlp.c_proj`, activated);
        x = add(x, scope.sublayer(feedForward, { input: between, output: fed, residual: x }));
      }
      return { hidden: x, keys, values };
    };

    return {
      modelType: 'gpt2',
      vocabSize,
      hiddenSize,
      layers,
      maxPositions,
      cacheHeads: heads,
      headSize,
      tiedHead,
      sites: [
        embedding(EMBEDDING, vocabSize),
        embedding(POSITIONS, maxPositions),
        ...Array.from({ length: layers }, (_, layer) => layerSites(layer)).flat(),
        site(LAST_NORM, { kind: 'norm', shape: [hiddenSize] }),
        site('lm_head', { kind: 'linear', shape: [vocabSize, hiddenSize] }),
      ],
      attentions,
      sublayers: sublayers.flat(),
      buffers: new Set([...tensors.keys()].filter((name) => MASK_BUFFER.test(name))),
      decode,
      head: (scope, hidden) => scope.linear('lm_head', scope.layerNorm(LAST_NORM, hidden, epsilon)),
    };
  },
};

const EMBEDDING = 'transformer.wte';
const POSITIONS = 'transformer.wpe';
const LAST_NORM = 'transformer.ln_f';

function block(layer: number): string {
  return `transformer.h.${layer}`;
}

function blockSublayers(layer: number): [SublayerPlace, SublayerPlace] {
  return [
    { kind: 'attention', path: `${block(layer)}.attn`, layer },
    { kind: 'feed-forward', path: `${block(layer)}.mlp`, layer },
  ];
}

/** The causal mask and its filler, which older versions of Transformers stored. */
const MASK_BUFFER = /^(transformer\.)?h\.\d+\.attn\.(bias|masked_bias)$/;

function refuseCrossAttention(read: ConfigReader, source: string): void {
  if (!read.flag('add_cross_attention', false)) return;
  fail({
    code: 'model.unsupported',
    message: l10n.t`the model has cross-attention (add_cross_attention: true)`,
    where: { file: source },
    expected: l10n.t`a GPT-2 that reads text alone`,
    mend: l10n.t`Use the decoder without an encoder.`,
  });
}

/** What the scores of a layer's attention are multiplied by. */
function readScale(read: ConfigReader, headSize: number): (layer: number) => number {
  const all = read.flag('scale_attn_weights', true) ? 1 / Math.sqrt(headSize) : 1;
  const byLayer = read.flag('scale_attn_by_inverse_layer_idx', false);
  return (layer) => (byLayer ? all / (layer + 1) : all);
}

/** A learned position beyond the last one does not exist, so nothing could be computed for it. */
function checkPositions(limit: number, maxPositions: number, source: string): void {
  if (limit <= maxPositions) return;
  fail({
    code: 'model.positions',
    message: l10n.t`rows of ${limit} tokens need more positions than the model has`,
    where: { file: source },
    expected: l10n.t`at most ${maxPositions} tokens (n_positions of its config): each position is a learned vector`,
    mend: l10n.t`Set data.max_length to at most ${maxPositions}, tokens that a method puts in front included.`,
  });
}
