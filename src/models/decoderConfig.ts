import * as l10n from '@vscode/l10n';
import { geluTanh, silu } from '../tensor/ops/elementwise.js';
import type { Tensor } from '../tensor/tensor.js';
import type { ConfigReader } from './configReader.js';
import type { DecoderSizes } from './rotaryDecoder.js';

/** The deepest in use have some 130: a config may claim any, and a list of them is made before tensors are looked at. */
export const MAX_LAYERS = 4096;

/**
 * The sizes of a decoder under the names that all of Llama's family use.
 *
 * @param usual what Transformers takes where a key is absent; without a head size it is hidden_size / heads
 * @throws ProblemError `model.config` naming the key; `model.unsupported` for what would change the numbers
 */
export function readSizes(
  read: ConfigReader,
  usual: { readonly maxPositions: number; readonly headSize?: number },
): DecoderSizes {
  refuseOtherAttention(read);
  const hiddenSize = read.count('hidden_size');
  const heads = read.count('num_attention_heads');
  const keyHeads = read.count('num_key_value_heads', heads);
  const headSize = read.count('head_dim', usual.headSize ?? Math.floor(hiddenSize / heads));
  if (heads % keyHeads !== 0 || headSize % 2 !== 0) {
    read.fail(
      l10n.t`${heads} attention heads of size ${headSize} and ${keyHeads} key-value heads do not fit together`,
      l10n.t`num_attention_heads a multiple of num_key_value_heads, and an even head_dim (or hidden_size / heads)`,
    );
  }
  const layerCount = read.count('num_hidden_layers');
  if (layerCount > MAX_LAYERS) read.wrong('num_hidden_layers', l10n.t`at most ${MAX_LAYERS}`);
  return {
    hiddenSize,
    innerSize: read.count('intermediate_size'),
    heads,
    keyHeads,
    headSize,
    layerCount,
    vocabSize: read.count('vocab_size'),
    maxPositions: read.count('max_position_embeddings', usual.maxPositions),
    epsilon: read.number('rms_norm_eps', 1e-6),
  };
}

/** Encoders made of decoders see what follows, too. */
function refuseOtherAttention(read: ConfigReader): void {
  if (read.flag('use_bidirectional_attention', false)) {
    read.unsupported('use_bidirectional_attention', l10n.t`false: a decoder, which sees what went before`);
  }
}

/** Under the names that Transformers gives them. */
const ACTIVATIONS = { silu, gelu_pytorch_tanh: geluTanh, gelu: geluTanh } as const;

/**
 * The activation of the feed-forward part.
 *
 * @param names those that the model's type has, the usual one first. `gelu` stands for the tanh form, as in Gemma's
 *   first configs, and is allowed for them only.
 * @throws ProblemError `model.activation`
 */
export function readActivation(
  read: ConfigReader,
  key: string,
  names: readonly (keyof typeof ACTIVATIONS)[],
): (x: Tensor) => Tensor {
  const found = read.text(key, names[0]!);
  const name = names.find((each) => each === found);
  if (name !== undefined) return ACTIVATIONS[name];
  return read.fail(
    l10n.t`the model's activation is '${found}' (${key} of its config)`,
    l10n.t`one of ${names.map((each) => `'${each}'`).join(', ')} in a model of type ${read.text('model_type', 'llama')}`,
    'model.activation',
  );
}

/**
 * Which layers see a window only, and how wide it is: `layer_types`, or the rule of the model's type where there are
 * none.
 *
 * @param window undefined: the config gives none
 * @throws ProblemError `model.config` where the types are not one per layer, or a layer's window is not given;
 *   `model.unsupported` for other kinds of layer
 */
export function readWindows(
  read: ConfigReader,
  layerCount: number,
  window: number | undefined,
  slides: (layer: number) => boolean,
): (number | undefined)[] {
  const kinds =
    read.texts('layer_types') ??
    Array.from({ length: layerCount }, (_, layer) => (slides(layer) ? SLIDING : 'full_attention'));
  if (kinds.length !== layerCount) read.wrong('layer_types', l10n.t`one for each of ${layerCount} layers`);
  if (!kinds.every((kind) => kind === SLIDING || kind === 'full_attention')) {
    read.unsupported('layer_types', l10n.t`a list of full_attention and ${SLIDING}`);
  }
  if (window === undefined && kinds.includes(SLIDING)) {
    read.fail(
      l10n.t`the config has layers of type ${SLIDING}, but no sliding_window in force`,
      l10n.t`sliding_window, the number of places such a layer sees (with use_sliding_window: true, where the type has it)`,
    );
  }
  return kinds.map((kind) => (kind === SLIDING ? window : undefined));
}

const SLIDING = 'sliding_attention';

/** One and the same thing for each layer. */
export function repeated<T>(count: number, thing: T): T[] {
  return Array.from({ length: count }, () => thing);
}
