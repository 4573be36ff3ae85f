import { splitAtLayer } from '../../models/tensorPlace.js';
import type { Places } from './places.js';

/** A tensor of which a mask marks numbers. */
export interface MaskTensor {
  /** `model.layers.3.self_attn.q_proj.weight`: the same for the same tensor of one base model. */
  readonly name: string;
  /** `model.layers.3`; undefined beside the layers (embeddings, last norm). */
  readonly layer: string | undefined;
  /** `q_proj`, `norm`, `bias`, …: see {@link placeOfTensor}. */
  readonly kind: string;
  /** Numbers that it has. */
  readonly size: number;
  /** Reads what is marked; nothing is kept of it. */
  places(): Promise<Places>;
}

/**
 * Where a tensor belongs: its layer, and its kind: `bias` of every module, `norm` of every norm, else the module's own
 * name (`q_proj`), with what stands behind it where a method's tensors are masked (`q_proj.lora_A`).
 * @param name `MODULE.weight`, `MODULE.bias` or a method's own
 */
export function placeOfTensor(name: string, isNorm: boolean): Pick<MaskTensor, 'layer' | 'kind'> {
  const { layer, inside } = splitAtLayer(name);
  const parts = inside.split('.');
  const last = parts.at(-1);
  const kind =
    last === 'bias'
      ? 'bias'
      : isNorm
        ? 'norm'
        : last === 'weight'
          ? (parts.at(-2) ?? inside)
          : parts.slice(-2).join('.');
  return { layer, kind };
}
