import path from 'node:path';
import { readAdapter } from '../../src/adapters/readAdapter.js';
import type { AdapterOnDisk } from '../../src/adapters/readAdapter.js';
import { random } from '../../src/common/random.js';
import type { NamedTensor } from '../../src/methods/method.js';
import type { LanguageModel } from '../../src/models/architecture.js';
import { writeParts } from './adapters.js';

const NAMES = ['q_proj', 'k_proj', 'up_proj', 'down_proj', 'lm_head', 'embed_tokens'] as const;

/** A LoRA adapter with random options, targets, ranks and numbers, on disk. */
export async function drawnLora(folder: string, seed: number, model: LanguageModel): Promise<AdapterOnDisk> {
  const rng = random(seed, 'adapter');
  const targets = NAMES.filter(() => rng.uniform() < 0.6);
  if (targets.length === 0) targets.push('q_proj');
  const r = 1 + rng.integer(6);
  const own = rng.uniform() < 0.5 ? { [targets[0]!]: 1 + rng.integer(9) } : {};
  const tensors: NamedTensor[] = [];
  for (const site of model.sites) {
    const name = targets.find((each) => site.path.endsWith(`.${each}`) || site.path === each);
    if (name === undefined) continue;
    const rank = own[name] ?? r;
    const isEmbedding = site.kind === 'embedding';
    const [inSize, outSize] = isEmbedding ? site.shape : [...site.shape].reverse();
    const kind = isEmbedding ? 'lora_embedding_' : 'lora_';
    const end = isEmbedding ? '' : '.weight';
    for (const [half, shape] of [
      ['A', [rank, inSize!]],
      ['B', [outSize!, rank]],
    ] as const) {
      tensors.push({
        name: `base_model.model.${site.path}.${kind}${half}${end}`,
        shape: [...shape],
        data: Float32Array.from({ length: shape[0] * shape[1] }, () => 0.3 * rng.normal()),
      });
    }
  }
  await writeParts(folder, {
    config: {
      peft_type: 'LORA',
      task_type: 'CAUSAL_LM',
      base_model_name_or_path: 'tiny-llama',
      r,
      lora_alpha: 1 + rng.integer(20),
      target_modules: targets,
      use_rslora: rng.uniform() < 0.5,
      bias: 'none',
      rank_pattern: own,
      alpha_pattern: rng.uniform() < 0.5 ? { [targets.at(-1)!]: 3 } : {},
    },
    tensors,
  });
  return readAdapter(path.resolve(folder));
}
