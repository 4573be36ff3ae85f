import { topologicalOrder } from './order.js';
import type { Tensor } from './tensor.js';

/**
 * The same graph with some of its tensors replaced. Parts that do not depend on a replaced tensor are shared
 * with the original.
 *
 * @param outputs where the graph ends
 * @param replacements new tensors of the same type and shape, by the one each stands for
 */
export function substitute(outputs: readonly Tensor[], replacements: ReadonlyMap<Tensor, Tensor>): Tensor[] {
  const rebuilt = new Map(replacements);
  // What lies below a replaced tensor is not asked for.
  for (const node of topologicalOrder(outputs, new Set(replacements.keys()))) {
    if (node.kind !== 'applied' || rebuilt.has(node)) continue;
    if (!node.inputs.some((source) => rebuilt.has(source))) continue;
    rebuilt.set(node, node.rebuild(node.inputs.map((source) => rebuilt.get(source) ?? source)));
  }
  return outputs.map((output) => rebuilt.get(output) ?? output);
}
