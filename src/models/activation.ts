import * as l10n from '@vscode/l10n';
import { gelu, geluTanh, relu, silu, tanh } from '../tensor/ops/elementwise.js';
import type { Tensor } from '../tensor/tensor.js';
import type { ConfigReader } from './configReader.js';

/** Under the names that Transformers gives them. */
const ACTIVATIONS: ReadonlyMap<string, (x: Tensor) => Tensor> = new Map([
  ['gelu_new', geluTanh],
  ['gelu_pytorch_tanh', geluTanh],
  ['gelu_fast', geluTanh],
  ['gelu', gelu],
  ['relu', relu],
  ['silu', silu],
  ['swish', silu],
  ['tanh', tanh],
]);

/**
 * The activation of a feed-forward part, out of all that are known.
 * @param usual the name that an absent key stands for
 * @throws ProblemError `model.activation`
 */
export function namedActivation(read: ConfigReader, key: string, usual: string): (x: Tensor) => Tensor {
  const name = read.text(key, usual);
  return (
    ACTIVATIONS.get(name) ??
    read.fail(
      l10n.t`the model's activation is '${name}' (${key} of its config)`,
      l10n.t`one of ${[...ACTIVATIONS.keys()].join(', ')}`,
      'model.activation',
    )
  );
}
