import type { JsonObject } from '../common/json.js';
import { fail } from '../common/problem.js';
import { add, mul, silu } from '../tensor/ops/elementwise.js';
import { rotary } from '../tensor/ops/rotary.js';
import { concat } from '../tensor/ops/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Architecture, DecoderInputs, DecoderOutputs, LanguageModel } from './architecture.js';
import { attend, causalMask, splitHeads } from './attention.js';
import { configReader } from './configReader.js';
import type { ConfigReader } from './configReader.js';
import { readRope, rotaryTables } from './rope.js';
import type { Scope } from './scope.js';
import type { Site } from './site.js';

/** Llama 1–3, SmolLM, Mistral: pre-norm decoder with rotary positions and a gated feed-forward part. */
export const llama: Architecture = {
  modelTypes: ['llama', 'mistral'],
  read(config: JsonObject, tensors, source): LanguageModel {
    const read = configReader(config, source);
    const modelType = read.text('model_type', 'llama');
    const activation = read.text('hidden_act', 'silu');
    if (activation !== 'silu') {
      fail({
        code: 'model.activation',
        message: `the model's activation is '${activation}'`,
        where: { file: source },
        expected: "'silu' in a model of type llama or mistral",
      });
    }
    const hiddenSize = read.count('hidden_size');
    const heads = read.count('num_attention_heads');
    const keyHeads = read.count('num_key_value_heads', heads);
    // As Transformers has it, where no head_dim is given.
    const headSize = read.count('head_dim', Math.floor(hiddenSize / heads));
    if (heads % keyHeads !== 0 || headSize % 2 !== 0) {
      fail({
        code: 'model.config',
        message: `${heads} attention heads of size ${headSize} and ${keyHeads} key-value heads do not fit together`,
        where: { file: source },
        expected:
          'num_attention_heads a multiple of num_key_value_heads, and an even head_dim (or hidden_size / heads)',
        mend: 'Use a model folder as Transformers saves it (save_pretrained), or mend its config.json.',
      });
    }
    const inner = read.count('intermediate_size');
    const layers = read.count('num_hidden_layers');
    const vocabSize = read.count('vocab_size');
    const epsilon = read.number('rms_norm_eps', 1e-6);
    const window = modelType === 'mistral' ? mistralWindow(read) : undefined;
    const rope = readRope(read, headSize, source);
    const tiedHead = read.flag('tie_word_embeddings', false) || !tensors.has('lm_head.weight');

    const site = (kind: Site['kind'], path: string, shape: readonly number[], layer?: number): Site => {
      const isOutput = path === 'lm_head';
      const weight = isOutput && tiedHead ? 'model.embed_tokens.weight' : `${path}.weight`;
      const found = tensors.get(weight);
      if (found === undefined || found.join() !== shape.join()) {
        fail({
          code: 'model.tensor',
          message: `the checkpoint's tensor ${weight} is ${found === undefined ? 'missing' : `[${found.join(', ')}]`}`,
          where: { file: source },
          expected: `[${shape.join(', ')}] by the model's config`,
          mend: 'Weights and config belong to different models, or the checkpoint is incomplete: fetch it again.',
        });
      }
      const bias = tensors.has(`${path}.bias`) ? `${path}.bias` : undefined;
      return { kind, path, layer, shape, weight, bias, isOutput };
    };
    const layerSites = (layer: number): Site[] => {
      const at = `model.layers.${layer}`;
      return [
        site('norm', `${at}.input_layernorm`, [hiddenSize], layer),
        site('linear', `${at}.self_attn.q_proj`, [heads * headSize, hiddenSize], layer),
        site('linear', `${at}.self_attn.k_proj`, [keyHeads * headSize, hiddenSize], layer),
        site('linear', `${at}.self_attn.v_proj`, [keyHeads * headSize, hiddenSize], layer),
        site('linear', `${at}.self_attn.o_proj`, [hiddenSize, heads * headSize], layer),
        site('norm', `${at}.post_attention_layernorm`, [hiddenSize], layer),
        site('linear', `${at}.mlp.gate_proj`, [inner, hiddenSize], layer),
        site('linear', `${at}.mlp.up_proj`, [inner, hiddenSize], layer),
        site('linear', `${at}.mlp.down_proj`, [hiddenSize, inner], layer),
      ];
    };

    const decode = (scope: Scope, inputs: DecoderInputs): DecoderOutputs => {
      const mask = causalMask(inputs, window);
      const { cos, sin } = rotaryTables(rope, inputs.positionLimit);
      const keys: Tensor[] = [];
      const values: Tensor[] = [];
      let x = scope.embedding('model.embed_tokens', inputs.inputIds);
      for (let layer = 0; layer < layers; layer++) {
        const at = `model.layers.${layer}`;
        const before = scope.rmsNorm(`${at}.input_layernorm`, x, epsilon);
        const q = splitHeads(scope.linear(`${at}.self_attn.q_proj`, before), heads);
        const k = splitHeads(scope.linear(`${at}.self_attn.k_proj`, before), keyHeads);
        const v = splitHeads(scope.linear(`${at}.self_attn.v_proj`, before), keyHeads);
        const turnedQ = rotary(q, inputs.positions, cos, sin);
        const turnedK = rotary(k, inputs.positions, cos, sin);
        const allK = inputs.cache === undefined ? turnedK : concat([inputs.cache.keys[layer]!, turnedK], 2);
        const allV = inputs.cache === undefined ? v : concat([inputs.cache.values[layer]!, v], 2);
        keys.push(allK);
        values.push(allV);
        const mixed = attend(turnedQ, allK, allV, mask, 1 / Math.sqrt(headSize));
        x = add(x, scope.linear(`${at}.self_attn.o_proj`, mixed));
        const between = scope.rmsNorm(`${at}.post_attention_layernorm`, x, epsilon);
        const gate = silu(scope.linear(`${at}.mlp.gate_proj`, between));
        const gated = mul(gate, scope.linear(`${at}.mlp.up_proj`, between));
        x = add(x, scope.linear(`${at}.mlp.down_proj`, gated));
      }
      return { hidden: x, keys, values };
    };

    return {
      modelType,
      vocabSize,
      hiddenSize,
      layers,
      maxPositions: read.count('max_position_embeddings', 2048),
      cacheHeads: keyHeads,
      headSize,
      tiedHead,
      sites: [
        site('embedding', 'model.embed_tokens', [vocabSize, hiddenSize]),
        ...Array.from({ length: layers }, (_, layer) => layerSites(layer)).flat(),
        site('norm', 'model.norm', [hiddenSize]),
        site('linear', 'lm_head', [vocabSize, hiddenSize]),
      ],
      decode,
      head: (scope, hidden) => scope.linear('lm_head', scope.rmsNorm('model.norm', hidden, epsilon)),
    };
  },
};

/** What Transformers' MistralConfig takes where the key is absent; null stands for no window. */
const MISTRAL_WINDOW = 4096;

/** Transformers reads the key for Mistral only: a Llama with one attends to everything. */
function mistralWindow(read: ConfigReader): number | undefined {
  return read.raw['sliding_window'] === null ? undefined : read.count('sliding_window', MISTRAL_WINDOW);
}
