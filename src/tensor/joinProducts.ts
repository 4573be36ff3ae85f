import { matmul, matmulOptions } from './ops/matmul.js';
import { concat, slice } from './ops/shape.js';
import { topologicalOrder } from './order.js';
import type { Applied, Tensor } from './tensor.js';

/**
 * The same graph with products x·Bᵢᵀ that share x made one product with all Bᵢ below each other: the low-rank
 * factors A of query, key and value, say. Each alone has too few rows to keep a processor busy, and reads all of x;
 * the gradients follow, so that the products for ∂x and ∂Bᵢ are one each as well.
 *
 * Only for small Bᵢ that are made of trainables alone: joining copies them, which a frozen weight is not worth.
 *
 * @param outputs where the graph ends
 */
export function joinProducts(outputs: readonly Tensor[]): Tensor[] {
  const order = topologicalOrder(outputs);
  const sharing = new Map<Tensor, Applied[]>();
  for (const node of order) {
    if (node.kind !== 'applied' || !isJoinable(node)) continue;
    const [x] = node.inputs as [Tensor, Tensor];
    sharing.set(x, [...(sharing.get(x) ?? []), node]);
  }
  const rebuilt = new Map<Tensor, Tensor>();
  const standIn = (tensor: Tensor): Tensor => rebuilt.get(tensor) ?? tensor;
  for (const node of order) {
    if (node.kind !== 'applied' || rebuilt.has(node)) continue;
    const members = isJoinable(node) ? sharing.get(node.inputs[0]!)! : [];
    if (members.length > 1) {
      const factors = members.map(({ inputs }) => inputs[1]!);
      const joined = matmul(standIn(node.inputs[0]!), concat(factors, 0), { transposeB: true });
      let start = 0;
      members.forEach((member, index) => {
        const end = start + rowsOf(factors[index]!);
        rebuilt.set(member, slice(joined, -1, start, end));
        start = end;
      });
    } else if (node.inputs.some((source) => rebuilt.has(source))) {
      rebuilt.set(node, node.rebuild(node.inputs.map(standIn)));
    }
  }
  return outputs.map(standIn);
}

/** Rows up to which copying a factor costs nothing beside its product. */
const SMALL = 256;

function isJoinable(node: Applied): boolean {
  const options = matmulOptions(node);
  if (options === undefined || options.transposeA || !options.transposeB || options.alpha !== 1) return false;
  const factor = node.inputs[1]!;
  if (factor.shape.length !== 2 || !(rowsOf(factor) <= SMALL)) return false;
  return topologicalOrder([factor]).every(({ kind }) => kind === 'variable' || kind === 'applied');
}

/** NaN where it is not known before the graph runs. */
function rowsOf(factor: Tensor): number {
  return Number(factor.shape[0]);
}
