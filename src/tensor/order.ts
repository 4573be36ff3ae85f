import type { Tensor } from './tensor.js';

/**
 * Every tensor that `outputs` depend on, inputs before users. Iterative: graphs are deeper than the stack.
 * @param ends tensors that are listed without what they depend on
 */
export function topologicalOrder(outputs: readonly Tensor[], ends?: ReadonlySet<Tensor>): Tensor[] {
  const order: Tensor[] = [];
  const seen = new Set<Tensor>();
  const pending: { node: Tensor; expanded: boolean }[] = [];
  for (const output of [...outputs].reverse()) pending.push({ node: output, expanded: false });
  while (pending.length > 0) {
    const { node, expanded } = pending.pop()!;
    if (expanded) {
      order.push(node);
      continue;
    }
    if (seen.has(node)) continue;
    seen.add(node);
    pending.push({ node, expanded: true });
    if (node.kind !== 'applied' || ends?.has(node)) continue;
    for (const source of [...node.inputs].reverse()) {
      if (!seen.has(source)) pending.push({ node: source, expanded: false });
    }
  }
  return order;
}
