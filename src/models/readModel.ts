import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { Architecture, LanguageModel } from './architecture.js';
import type { Checkpoint } from './checkpoint.js';
import { gemma } from './gemma.js';
import { gpt2 } from './gpt2.js';
import { llama } from './llama.js';
import { qwen } from './qwen.js';

const ARCHITECTURES: readonly Architecture[] = [llama, qwen, gemma, gpt2];

/**
 * The model that a checkpoint holds, from its config and header alone.
 * @throws ProblemError `model.unsupported` naming the type found and those supported, or packed weights; what the type's
 *   own reader throws
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
  const packed = checkpoint.config['quantization_config'] ?? null;
  if (packed !== null) {
    // Their scales lie beside the weights, under names of their own.
    fail({
      code: 'model.unsupported',
      message: `the weights are packed: quantization_config of the model's config is ${JSON.stringify(packed)}`,
      where: { file: checkpoint.source },
      expected: 'weights in F32, F16 or BF16, or a GGUF file',
      mend: 'Use the model that this one was made from.',
    });
  }
  const shapes = new Map([...checkpoint.tensors].map(([name, { shape }]) => [name, shape]));
  const model = architecture.read(checkpoint.config, shapes, checkpoint.source);
  return { ...model, warnings: dropoutWarnings(checkpoint, architecture.dropouts) };
}

/** Transformers' Trainer would apply the dropouts that a config asks for; here methods have dropout of their own. */
function dropoutWarnings({ config, source }: Checkpoint, dropouts: Architecture['dropouts']): Problem[] {
  const asked = Object.entries(dropouts)
    .map(([key, absent]) => [key, config[key] ?? absent] as const)
    .filter(([, rate]) => rate !== 0);
  if (asked.length === 0) return [];
  return [
    {
      code: 'model.dropout',
      severity: 'warning',
      message: `the model's config asks for dropout in training (${asked.map(([key, rate]) => `${key} ${JSON.stringify(rate)}`).join(', ')}), which is not applied`,
      where: { file: source },
      mend: "Use the method's own dropout, such as lora_dropout, if you want one.",
    },
  ];
}
