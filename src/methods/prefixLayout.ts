import type { LanguageModel } from '../models/architecture.js';
import type { NamedTensor } from './method.js';

/**
 * Where HF PEFT keeps a prefix: numbers of one virtual token as 2·num_layers slots of a layer's width. A decoder-only
 * model reads keys of layer l at slot 2·l and values behind them. Of an encoder-decoder PEFT strings the slots together
 * twice and deals out four to a layer of the decoder: two are its keys and values, the other two, meant for its
 * cross-attention, are dropped. So layer l reads slots 4·l and 4·l + 1, modulo 2·num_layers.
 *
 * With PEFT's default num_layers (the encoder's depth) an even number of layers would share half of the slots, in pairs,
 * and never read the others. Li & Liang (2021) have keys and values for each layer: so what trains here is [n, 2·layers·width], and
 * it is written with num_layers twice the decoder's depth, where each layer reads slots of its own. Slots that
 * nobody reads are 0.
 */
export interface PrefixLayout {
  /** PEFT's `num_layers`. */
  readonly layers: number;
  /** PEFT's `num_transformer_submodules`. */
  readonly submodules: 1 | 2;
}

export function prefixLayout({ kind, attentions }: LanguageModel): PrefixLayout {
  const isPair = kind === 'encoder-decoder';
  return { layers: attentions.length * (isPair ? 2 : 1), submodules: isPair ? 2 : 1 };
}

/**
 * A prefix as PEFT keeps it.
 * @param own [n, 2·layers·width]
 * @returns [n, 2·num_layers·width]
 */
export function toPeftPrefix(own: NamedTensor, model: LanguageModel): NamedTensor {
  const { submodules, layers } = prefixLayout(model);
  if (submodules === 1) return own;
  const [count, size] = own.shape as [number, number];
  const width = size / layers;
  const data = new Float32Array(2 * own.data.length);
  for (const { token, slot, from } of dealt(count, model.attentions.length, 2 * layers)) {
    data.set(own.data.subarray(from * width, (from + 1) * width), (token * 2 * layers + slot) * width);
  }
  return { ...own, shape: [count, 2 * size], data };
}

/**
 * A prefix out of PEFT's: each layer gets the keys and values that it reads there, whatever num_layers the file was
 * written with. What is no prefix for the model is returned as it is.
 */
export function fromPeftPrefix(saved: NamedTensor, width: number, model: LanguageModel): NamedTensor {
  const [count, size] = saved.shape;
  const own = model.attentions.length;
  const slots = (size ?? 0) / width;
  // PEFT deals out as many shares as there are layers in its file.
  const fits = saved.shape.length === 2 && Number.isInteger(slots / 2) && slots >= 2 * own;
  if (prefixLayout(model).submodules === 1 || !fits) return saved;
  const data = new Float32Array(count! * 2 * own * width);
  for (const { token, slot, from } of dealt(count!, own, slots)) {
    const at = (token * slots + slot) * width;
    data.set(saved.data.subarray(at, at + width), from * width);
  }
  return { ...saved, shape: [count!, 2 * own * width], data };
}

/** For each part of an own prefix (`from`, counted over all tokens) the slot of the token that it lies in. */
function dealt(count: number, layers: number, slots: number): { token: number; slot: number; from: number }[] {
  const parts = Array.from({ length: 2 * layers }, (_, part) => part);
  return Array.from({ length: count }, (_, token) =>
    parts.map((part) => ({
      token,
      slot: (4 * Math.floor(part / 2) + (part % 2)) % slots,
      from: token * 2 * layers + part,
    })),
  ).flat();
}
