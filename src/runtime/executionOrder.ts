import type { NodeList } from './nodeList.js';

/**
 * The order in which ONNX Runtime executes a graph's nodes (GraphViewer's default order): depth first from the leaves,
 * the last of them first, and at each node from the producer that was written last.
 * @returns places of nodes
 */
export function executionOrder({ nodes, values }: NodeList): Int32Array {
  const producer = new Int32Array(values.length).fill(-1);
  nodes.forEach(({ outputs }, at) => outputs.forEach((value) => (producer[value] = at)));
  const isRead = new Uint8Array(nodes.length);
  for (const { inputs } of nodes)
    for (const value of inputs) if (producer[value]! >= 0) isRead[producer[value]!] = 1;
  const order = new Int32Array(nodes.length);
  const entered = new Uint8Array(nodes.length);
  let done = 0;
  // A node is on the stack as itself until it is entered, then as its complement until it is left.
  const stack: number[] = [];
  for (let at = 0; at < nodes.length; at++) if (isRead[at] === 0) stack.push(at);
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    if (at < 0) {
      order[done++] = ~at;
      continue;
    }
    if (entered[at] === 1) continue;
    entered[at] = 1;
    stack.push(~at);
    const sources = nodes[at]!.inputs.map((value) => producer[value]!).filter((each) => each >= 0);
    for (const each of sources.sort((a, b) => a - b)) if (entered[each] === 0) stack.push(each);
  }
  return order;
}
