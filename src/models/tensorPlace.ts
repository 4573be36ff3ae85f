const IN_A_LAYER = /^(.*?\.\d{1,9})\.(.+)$/;

/**
 * The layer that a module's or tensor's name is in, and what stands behind it: `model.layers.3` and
 * `self_attn.q_proj.weight`; without a layer the whole name.
 */
export function splitAtLayer(name: string): { readonly layer: string | undefined; readonly inside: string } {
  const [, layer, inside = name] = IN_A_LAYER.exec(name) ?? [];
  return { layer, inside };
}
