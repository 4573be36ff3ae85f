import type { Tensor } from './tensor.js';

/**
 * Every tensor that `outputs` depend on, inputs before users. Iterative: graphs are deeper than the stack.
 * @param ends tensors that are listed without what they depend on
 */
export function topologicalOrder(outputs: readonly Tensor[], ends?: ReadonlySet<Tensor>): Tensor[] {
  const order: Tensor[] = [];
  const seen = new Set<Tensor>();
  // The way from an output down to where the walk is, and at each node which of its inputs comes next.
  const path: Tensor[] = [];
  const next: number[] = [];
  const enter = (node: Tensor): void => {
    seen.add(node);
    path.push(node);
    next.push(0);
  };
  for (const output of outputs) {
    if (!seen.has(output)) enter(output);
    while (path.length > 0) {
      const node = path.at(-1)!;
      const inputs = node.kind !== 'applied' || ends?.has(node) ? NONE : node.inputs;
      const at = next.at(-1)!;
      if (at === inputs.length) {
        order.push(node);
        path.pop();
        next.pop();
        continue;
      }
      next[next.length - 1] = at + 1;
      const source = inputs[at]!;
      if (!seen.has(source)) enter(source);
    }
  }
  return order;
}

const NONE: readonly Tensor[] = [];
