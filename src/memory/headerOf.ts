import type { TensorInfo } from '../models/checkpoint.js';
import type { ModelShape, ShapeModule } from './modelShape.js';

/**
 * The header that a model's safetensors would have, out of its shape: every tensor by its Hugging Face name. A tied
 * output layer has none, as Transformers saves it.
 * @param dtype as safetensors names it: `BF16`
 */
export function headerOf(shape: ModelShape, dtype: string): ReadonlyMap<string, TensorInfo> {
  const tensors = new Map<string, TensorInfo>();
  const add = (path: string, module: ShapeModule, inOut: boolean): void => {
    if (module.shared === undefined) tensors.set(`${path}.weight`, { dtype, shape: weightShape(module, inOut) });
    if (module.bias) tensors.set(`${path}.bias`, { dtype, shape: [module.out] });
  };
  for (const module of shape.outside) add(module.name, module, false);
  for (const block of shape.blocks) {
    for (let layer = 0; layer < block.layers; layer++) {
      for (const module of block.modules) {
        // GPT-2's matrices are Conv1D, which lie [in, out].
        const inOut = shape.modelType === 'gpt2' && module.kind === 'linear';
        for (const name of copiesOf(module)) add(`${block.name}.${layer}.${name}`, module, inOut);
      }
    }
  }
  return tensors;
}

function weightShape(module: ShapeModule, inOut: boolean): readonly number[] {
  if (module.kind === 'norm') return [module.out];
  return module.kind === 'embedding' || inOut ? [module.in, module.out] : [module.out, module.in];
}

/** `experts.w1` of two experts: `experts.0.w1`, `experts.1.w1`. */
function copiesOf({ name, copies }: ShapeModule): readonly string[] {
  if (copies === 1) return [name];
  return Array.from({ length: copies }, (_, at) => copyName(name, at));
}

/** The path of one copy: `experts.w1`, 3 → `experts.3.w1`. */
export function copyName(name: string, at: number): string {
  return name.replace(/\.(?=[^.]*$)/, `.${at}.`);
}
