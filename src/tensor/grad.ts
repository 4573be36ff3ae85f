import { shapeText } from './dims.js';
import { sumOf } from './ops/shape.js';
import { topologicalOrder } from './order.js';
import { recomputation } from './recompute.js';
import type { Tensor } from './tensor.js';
import { scalar } from './tensor.js';

/**
 * ∂loss/∂t for each tensor t of `wrt`, as new symbolic tensors (reverse mode). Only paths that lead from
 * `wrt` to the loss are differentiated: below the lowest of them there is no backward pass. The result can
 * be differentiated again. Gradients that need a recomputed result (recompute.ts) get it built anew.
 *
 * @param loss a tensor without axes
 * @throws when the loss does not depend on one of `wrt`
 */
export function gradients(loss: Tensor, wrt: readonly Tensor[]): Tensor[] {
  if (loss.shape.length !== 0) throw new Error(`a loss has no axes, this one has ${shapeText(loss.shape)}`);
  return gradientsAlong([loss], [scalar(1, loss.dtype)], wrt);
}

/**
 * Σᵢ ⟨vᵢ, ∂yᵢ/∂t⟩ for each tensor t of `wrt`: the gradient of Σᵢ ⟨vᵢ, yᵢ⟩, without that sum (a vector-Jacobian product).
 *
 * @param vectors vᵢ, of the shapes of the results yᵢ; no gradient flows to them
 * @throws when the results do not depend on one of `wrt`
 */
export function gradientsAlong(
  results: readonly Tensor[],
  vectors: readonly Tensor[],
  wrt: readonly Tensor[],
): Tensor[] {
  const order = topologicalOrder(results);
  const reaching = new Set<Tensor>(wrt);
  for (const node of order) {
    if (node.kind === 'applied' && node.inputs.some((each) => reaching.has(each))) reaching.add(node);
  }
  const terms = new Map<Tensor, Tensor[]>();
  results.forEach((result, at) => terms.set(result, [...(terms.get(result) ?? []), vectors[at]!]));
  const sums = new Map<Tensor, Tensor>();
  const gradientOf = (tensor: Tensor): Tensor | undefined => {
    const parts = terms.get(tensor);
    if (parts === undefined) return undefined;
    const sum = sums.get(tensor) ?? sumOf(parts);
    sums.set(tensor, sum);
    return sum;
  };
  const again = recomputation();
  // Users come before what they use, so a tensor's terms are complete when its turn comes.
  for (const node of order.reverse()) {
    if (node.kind !== 'applied' || !reaching.has(node)) continue;
    const upstream = gradientOf(node);
    if (upstream === undefined) continue;
    const inputs = node.inputs.map((source) => again(source, upstream));
    node.gradient(upstream, { inputs, result: again(node, upstream) }).forEach((thunk, index) => {
      const source = node.inputs[index]!;
      if (thunk === undefined || !reaching.has(source)) return;
      const parts = terms.get(source) ?? [];
      terms.set(source, parts);
      parts.push(thunk());
    });
  }
  return wrt.map((tensor) => {
    const gradient = gradientOf(tensor);
    if (gradient === undefined) {
      const name = tensor.kind === 'variable' || tensor.kind === 'input' ? tensor.name : tensor.kind;
      throw new Error(`the loss does not depend on ${name} ${shapeText(tensor.shape)}`);
    }
    return gradient;
  });
}
