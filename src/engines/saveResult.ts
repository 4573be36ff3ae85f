import path from 'node:path';
import { modelCard } from '../adapters/card.js';
import { writeAdapter } from '../adapters/writeAdapter.js';
import { writeModel } from '../adapters/writeModel.js';
import type { Attached, Values } from '../methods/method.js';
import { readGenerationConfig } from '../models/generationConfig.js';
import type { TrainingResult } from '../training/job.js';
import type { OpenedModel } from './session.js';

/**
 * Writes what a run learned into its folder: `adapter`, or `model` where every weight trained; of further methods
 * `adapter-TYPE`. Returns the first folder.
 *
 * @param suffix behind the names, for results that are not the run's end
 */
export async function saveResult(
  folder: string,
  methods: readonly Attached[],
  result: TrainingResult,
  opened: OpenedModel,
  suffix = '',
): Promise<string> {
  const { tokenizer, checkpoint } = opened;
  const written: string[] = [];
  for (const [at, method] of methods.entries()) {
    const saved = method.save(valuesOf(method, result.values));
    const name = saved.kind === 'adapter' ? 'adapter' : 'model';
    const target = path.join(folder, `${name}${at === 0 ? '' : `-${method.type}`}${suffix}`);
    if (saved.kind === 'adapter') {
      const held = Object.entries(result.metrics).filter(([key]) => key.startsWith('eval_'));
      const card = modelCard({
        baseModel: checkpoint.source,
        method,
        metrics: Object.fromEntries(held),
        steps: result.steps,
      });
      await writeAdapter(target, saved, { tokenizer, card });
    } else {
      await writeModel(target, {
        // A checkpoint without an output layer is tied whatever its config says; Transformers goes by the config.
        config: { ...checkpoint.config, tie_word_embeddings: opened.model.tiedHead },
        generationConfig: await readGenerationConfig(checkpoint.source),
        tensors: saved.weights.map((tensor) => ({ ...tensor, dtype: 'F32' as const })),
        tokenizerFiles: await tokenizer.files(),
      });
    }
    written.push(target);
  }
  return written[0]!;
}

function valuesOf(method: Attached, values: Values): Values {
  return new Map(method.trainables.map(({ variable: { name } }) => [name, values.get(name)!]));
}
