import { fail } from '../common/problem.js';
import type { Architecture, LanguageModel } from './architecture.js';
import type { Checkpoint } from './checkpoint.js';
import { gemma } from './gemma.js';
import { gpt2 } from './gpt2.js';
import { llama } from './llama.js';
import { qwen } from './qwen.js';

const ARCHITECTURES: readonly Architecture[] = [llama, qwen, gemma, gpt2];

/**
 * The model that a checkpoint holds, from its config and header alone.
 * @throws ProblemError `model.unsupported` naming the type found and those supported
 */
export function readModel(checkpoint: Checkpoint): LanguageModel {
  const modelType = checkpoint.config['model_type'];
  const architecture = ARCHITECTURES.find((each) => each.modelTypes.includes(String(modelType)));
  if (architecture === undefined) {
    return fail({
      code: 'model.unsupported',
      message: `the model's type is ${modelType === undefined ? 'not given' : `'${String(modelType)}'`} (model_type in its config)`,
      where: { file: checkpoint.source },
      expected: `one of ${ARCHITECTURES.flatMap((each) => each.modelTypes).join(', ')}`,
      mend: 'Choose a model of one of these types.',
    });
  }
  const shapes = new Map([...checkpoint.tensors].map(([name, { shape }]) => [name, shape]));
  return architecture.read(checkpoint.config, shapes, checkpoint.source);
}
