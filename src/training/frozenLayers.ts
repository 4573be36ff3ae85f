import type { LanguageModel } from '../models/architecture.js';
import type { Hooks } from '../models/site.js';
import { topologicalOrder } from '../tensor/order.js';
import type { Tensor } from '../tensor/tensor.js';
import { lossGraph } from './lossGraph.js';

/** Inputs that are the same for a row whenever it comes. */
const OF_THE_ROW: ReadonlySet<string> = new Set(['input_ids', 'positions', 'segments', 'token_types']);

/**
 * How many layers, from the first, give the same for a row at every step: nothing trains in or below them, nothing is
 * drawn, and no method acts there with numbers of its own. 0 also where the model's layers are not one stack.
 */
export function frozenLayers(model: LanguageModel, hooks: readonly Hooks[], positionLimit: number): number {
  const { scope } = lossGraph(model, hooks, { training: true, positionLimit });
  const layers = [...scope.layerInputs].sort(([a], [b]) => b - a);
  const fixed = new Set<Tensor>();
  for (const tensor of topologicalOrder(layers.map(([, x]) => x))) if (isFixed(tensor, fixed)) fixed.add(tensor);
  return layers.find(([, x]) => fixed.has(x))?.[0] ?? 0;
}

function isFixed(tensor: Tensor, fixed: ReadonlySet<Tensor>): boolean {
  switch (tensor.kind) {
    case 'weight':
    case 'constant':
      return true;
    case 'variable':
      return false;
    case 'input':
      return OF_THE_ROW.has(tensor.name);
    case 'applied':
      return tensor.inputs.every((each) => fixed.has(each));
  }
}
