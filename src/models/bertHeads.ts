import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import { tanh } from '../tensor/ops/elementwise.js';
import type { Tensor } from '../tensor/tensor.js';
import type { BuiltModel } from './architecture.js';
import type { ConfigReader } from './configReader.js';
import { headLabels } from './headLabels.js';
import type { NamedSites } from './namedSites.js';
import type { Site } from './site.js';
import type { Task } from './task.js';

/** Modules between a masked token's hidden state and the scores of the vocabulary. */
export interface MaskedModules {
  readonly dense: string;
  readonly norm: string;
  readonly decoder: string;
  /** Names that the decoder's bias has had. */
  readonly biases: readonly string[];
}

/** Modules between the first token's hidden state and the scores of the classes; tanh lies between them. */
export interface ClassModules {
  readonly dense: string;
  readonly out: string;
  /**
   * The entry of PEFT's `modules_to_save` for the dense module, where it is a part of the backbone: it trains only if the
   * checkpoint lacks it.
   */
  readonly savedDense: string | undefined;
  /** Transformers' classes with such a head, by the config's `model_type`. */
  readonly transformersClasses: Readonly<Record<string, string>>;
}

/** What a head adds to a backbone. */
export type Head = Pick<BuiltModel, 'tiedHead' | 'head' | 'classes'> & { readonly sites: readonly Site[] };

interface HeadSizes {
  readonly hiddenSize: number;
  readonly vocabSize: number;
  readonly epsilon: number;
}

/**
 * The head for masked tokens (Devlin et al. 2019, section 3.1): a dense layer, a norm, and the word embeddings as the
 * output layer, with a bias.
 *
 * @param words the tensor of the word embeddings
 * @throws ProblemError `model.no-head`, `model.tensor`
 */
export function maskedHead(
  modules: MaskedModules,
  { stored, checked, has, linear, norm }: NamedSites,
  { hiddenSize, vocabSize, epsilon }: HeadSizes,
  words: string,
  read: ConfigReader,
  activation: (x: Tensor) => Tensor,
  source: string,
): Head {
  const { dense, decoder } = modules;
  if (!has(`${dense}.weight`)) {
    fail({
      code: 'model.no-head',
      message: l10n.t`the checkpoint has no head for masked tokens`,
      where: { file: source },
      expected: l10n.t`a checkpoint for masked language modelling (BertForMaskedLM, RobertaForMaskedLM)`,
      mend: l10n.t`Use such a checkpoint, or train for another task: task_type: SEQ_CLS.`,
    });
  }
  const tiedHead = read.flag('tie_word_embeddings', true) || !has(`${decoder}.weight`);
  const output: Site = {
    kind: 'linear',
    path: decoder,
    layer: undefined,
    shape: [vocabSize, hiddenSize],
    weight: checked(tiedHead ? words : `${decoder}.weight`, [vocabSize, hiddenSize]),
    bias: checked(stored(...modules.biases), [vocabSize]),
    isOutput: true,
  };
  return {
    tiedHead,
    sites: [linear(dense, hiddenSize, hiddenSize), norm(modules.norm, hiddenSize), output],
    head: (scope, hidden) =>
      scope.linear(decoder, scope.layerNorm(modules.norm, activation(scope.linear(dense, hidden)), epsilon)),
  };
}

/** Transformers' `initializer_range`. */
const USUAL_DEVIATION = 0.02;

/**
 * The head that tells classes apart by the first token (Devlin et al. 2019, section 4.1): a dense layer with tanh, which
 * is BERT's pooler, and the output layer. What the checkpoint does not hold starts anew.
 *
 * @throws ProblemError `model.tensor`, `model.config` (labels)
 */
export function classHead(
  { dense, out, savedDense, transformersClasses }: ClassModules,
  { stored, has, linear }: NamedSites,
  hiddenSize: number,
  read: ConfigReader,
  storedShape: readonly number[] | undefined,
  task: Task,
): Head {
  const { names, startsAnew } = headLabels(read, storedShape, task);
  const fresh = new Set<string>();
  const made = (path: string, outSize: number, anew: boolean): Site => {
    const [weight, bias] = [stored(`${path}.weight`), stored(`${path}.bias`)];
    const isOutput = path === out;
    if (!anew && has(weight)) return { ...linear(path, outSize, hiddenSize), isOutput };
    fresh.add(weight).add(bias);
    return { kind: 'linear', path, layer: undefined, shape: [outSize, hiddenSize], weight, bias, isOutput };
  };
  const sites = [made(dense, hiddenSize, false), made(out, names.length, startsAnew)] as const;
  const densePart = savedDense !== undefined && fresh.has(sites[0].weight!) ? [savedDense] : [];
  return {
    tiedHead: false,
    sites,
    classes: {
      labels: names,
      sites: savedDense === undefined || densePart.length > 0 ? sites : [sites[1]],
      fresh,
      deviation: read.number('initializer_range', USUAL_DEVIATION),
      modulesToSave: ['classifier', 'score', ...densePart],
      transformersClass: transformersClasses[read.text('model_type', '')]!,
    },
    head: (scope, hidden) => scope.linear(out, tanh(scope.linear(dense, hidden))),
  };
}
