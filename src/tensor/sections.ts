import { topologicalOrder } from './order.js';
import { substitute } from './substitute.js';
import type { Input, Tensor } from './tensor.js';
import { input } from './tensor.js';

/** A part of a graph that runs by itself, once those before it have run. */
export interface Section {
  /** What it computes, by name: what is asked for of the whole graph, and what later sections read as inputs of that name. */
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** Results of earlier sections that it reads, by name. */
  readonly reads: ReadonlySet<string>;
  /** Inputs that stand for weights, by the weights' names. */
  readonly weights: ReadonlyMap<string, Input>;
}

/**
 * Cuts a graph into sections that run one after the other, so that only one section's weights have to be there at a time.
 * A tensor that is made of what the graph is fed is computed in the first section that has all its weights; sections
 * after it get it as an input. What is made of weights and variables alone (a norm, a product of factors) is computed in
 * each section that reads it, and never kept. In the sections weights are inputs, too.
 *
 * @param outputs what the graph computes, by name
 * @param count how many sections there are
 * @param sectionOf the section of a weight, from 0: where it is read first
 */
export function cutIntoSections(
  outputs: Readonly<Record<string, Tensor>>,
  count: number,
  sectionOf: (weight: string) => number,
): Section[] {
  const order = topologicalOrder(Object.values(outputs));
  const section = new Map<Tensor, number>();
  const isFed = new Set<Tensor>();
  for (const node of order) {
    section.set(node, sectionOfNode(node, section, sectionOf));
    if (node.kind === 'input' || (node.kind === 'applied' && node.inputs.some((each) => isFed.has(each)))) {
      isFed.add(node);
    }
  }
  const carried = new Map<Tensor, string>();
  for (const node of order) {
    if (node.kind !== 'applied' || !isFed.has(node)) continue;
    for (const source of node.inputs) {
      const isEarlier = section.get(source)! < section.get(node)!;
      if (!isEarlier || source.kind !== 'applied' || !isFed.has(source) || carried.has(source)) continue;
      carried.set(source, `carried ${carried.size}`);
    }
  }
  const weights = order.filter((node) => node.kind === 'weight');
  const weightInputs = new Map(
    weights.map((node) => [node, input(weightInput(node.name), 'float32', node.shape)]),
  );
  return Array.from({ length: count }, (_, at): Section => {
    const ends = [...Object.entries(outputs), ...[...carried].map(([node, name]) => [name, node] as const)].filter(
      ([, node]) => section.get(node) === at,
    );
    const before = [...carried].filter(([node]) => section.get(node)! < at);
    const given = before.map(([node, name]) => [node, input(name, node.dtype, node.shape)] as const);
    const computed = substitute(
      ends.map(([, node]) => node),
      new Map<Tensor, Tensor>([...weightInputs, ...given]),
    );
    const read = new Set(topologicalOrder(computed));
    return {
      outputs: Object.fromEntries(ends.map(([name], index) => [name, computed[index]!])),
      reads: new Set(given.filter(([, own]) => read.has(own)).map(([, own]) => own.name)),
      weights: new Map(
        [...weightInputs].filter(([, own]) => read.has(own)).map(([node, own]) => [node.name, own]),
      ),
    };
  });
}

function sectionOfNode(
  node: Tensor,
  known: ReadonlyMap<Tensor, number>,
  sectionOf: (weight: string) => number,
): number {
  if (node.kind === 'weight') return sectionOf(node.name);
  if (node.kind !== 'applied') return 0;
  return node.inputs.reduce((latest, source) => Math.max(latest, known.get(source)!), 0);
}

/** A trainable copy of a weight may be called as it is. */
function weightInput(name: string): string {
  return `weight ${name}`;
}
