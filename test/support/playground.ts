import path from 'node:path';
import { random } from '../../src/common/random.js';
import { writeParts } from './adapters.js';
import { ROOT, readJson } from './fixtures.js';

/** The bundled model, and the smaller one of its family. */
export const [TINY, MINI] = [
  path.join(ROOT, 'examples/base-model/peft-studio-tiny'),
  path.join(ROOT, 'examples/base-model/peft-studio-mini'),
];

/**
 * Writes a LoRA adapter of rank 2 for the query and value projections of a model of Llama's family, with random A and,
 * `scale` times as large as they would be, random B; 0: no change at all.
 */
export async function writeLora(folder: string, base: string, scale: number): Promise<string> {
  const config = await readJson(path.join(base, 'config.json'));
  const [hidden, layers] = [Number(config['hidden_size']), Number(config['num_hidden_layers'])];
  const values = Number(config['num_key_value_heads']) * Number(config['head_dim']);
  const numbers = random(1, 'playground', scale);
  const tensor = (name: string, shape: readonly [number, number], size: number) => ({
    name: `base_model.model.${name}.weight`,
    shape,
    data: Float32Array.from({ length: shape[0] * shape[1] }, () => size * numbers.normal()),
  });
  const tensors = Array.from({ length: layers }, (_, layer) =>
    (['q_proj', 'v_proj'] as const).flatMap((module) => {
      const site = `model.layers.${layer}.self_attn.${module}`;
      const out = module === 'q_proj' ? hidden : values;
      return [tensor(`${site}.lora_A`, [2, hidden], 0.1), tensor(`${site}.lora_B`, [out, 2], 0.1 * scale)];
    }),
  ).flat();
  return writeParts(folder, {
    config: {
      peft_type: 'LORA',
      task_type: 'CAUSAL_LM',
      base_model_name_or_path: base,
      r: 2,
      lora_alpha: 4,
      target_modules: ['q_proj', 'v_proj'],
    },
    tensors,
  });
}
