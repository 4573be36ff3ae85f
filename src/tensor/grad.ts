import { shapeText } from './dims.js';
import { add } from './ops/elementwise.js';
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
  const order = topologicalOrder([loss]);
  const reaching = new Set<Tensor>(wrt);
  for (const node of order) {
    if (node.kind === 'applied' && node.inputs.some((each) => reaching.has(each))) reaching.add(node);
  }
  const gradientOf = new Map<Tensor, Tensor>([[loss, scalar(1, loss.dtype)]]);
  const again = recomputation();
  for (const node of order.reverse()) {
    const upstream = gradientOf.get(node);
    if (upstream === undefined || node.kind !== 'applied' || !reaching.has(node)) continue;
    const inputs = node.inputs.map((source) => again(source, upstream));
    node.gradient(upstream, { inputs, result: again(node, upstream) }).forEach((thunk, index) => {
      const source = node.inputs[index]!;
      if (thunk === undefined || !reaching.has(source)) return;
      const sofar = gradientOf.get(source);
      gradientOf.set(source, sofar === undefined ? thunk() : add(sofar, thunk()));
    });
  }
  return wrt.map((tensor) => {
    const gradient = gradientOf.get(tensor);
    if (gradient === undefined) {
      const name = tensor.kind === 'variable' || tensor.kind === 'input' ? tensor.name : tensor.kind;
      throw new Error(`the loss does not depend on ${name} ${shapeText(tensor.shape)}`);
    }
    return gradient;
  });
}
