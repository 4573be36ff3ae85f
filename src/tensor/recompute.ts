import { after } from './ops/after.js';
import { topologicalOrder } from './order.js';
import type { Applied, Tensor } from './tensor.js';

/**
 * Recomputation (Chen, Xu, Zhang & Guestrin 2016, for single results instead of segments). What the backward pass
 * needs of the forward pass is kept in between, most of a step's memory. A result that is cheap to compute from what
 * is kept anyway need not be: gradients use a second copy of its op, which runs when the backward pass has come to it.
 * The numbers are the same, bit for bit.
 *
 * Ops that are always worth it say so themselves (`cheap` in defineOp.ts); other places mark what they build with
 * {@link recomputed}.
 */

/**
 * x, marked: it and everything between it and `kept` are computed again in the backward pass, from `kept`.
 *
 *     const weight = recomputed(add(w, scatter(values, indices)), [w, values, indices]);
 *
 * keeps no sum of the size of w from the forward pass to the backward pass.
 *
 * @param kept tensors that x depends on, where it starts anew; leaves are kept in any case
 */
export function recomputed(x: Tensor, kept: readonly Tensor[]): Tensor {
  const ends = new Set(kept);
  const marked = new Map<Tensor, Tensor>();
  for (const node of topologicalOrder([x], ends)) {
    if (node.kind !== 'applied' || ends.has(node)) continue;
    marked.set(
      node,
      node.rebuild(
        node.inputs.map((source) => marked.get(source) ?? source),
        true,
      ),
    );
  }
  return marked.get(x) ?? x;
}

/**
 * What stands for a tensor of the forward pass in gradients: itself where it is kept, else a copy that is computed
 * after `upstream`, the gradient at the place that asks first. Without that order a runtime would be free to compute
 * the copy early and to keep it.
 */
export function recomputation(): (tensor: Tensor, upstream: Tensor) => Tensor {
  const copies = new Map<Tensor, Tensor>();
  const again = (tensor: Tensor, upstream: Tensor): Tensor => {
    if (tensor.kind !== 'applied' || !tensor.recomputed) return tensor;
    const known = copies.get(tensor);
    if (known !== undefined) return known;
    const copy = tensor.rebuild(waiting(tensor, upstream));
    copies.set(tensor, copy);
    return copy;
  };
  const waiting = (node: Applied, upstream: Tensor): Tensor[] => {
    const sources = node.inputs.map((source) => {
      const copy = again(source, upstream);
      return copy === source && source.kind === 'applied' ? after(source, upstream) : copy;
    });
    // Of leaves one is enough.
    if (sources.every((source, index) => source === node.inputs[index]) && sources.length > 0) {
      sources[0] = after(sources[0]!, upstream);
    }
    return sources;
  };
  return again;
}
