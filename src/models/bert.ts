import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import { add, gelu } from '../tensor/ops/elementwise.js';
import type { Tensor } from '../tensor/tensor.js';
import { constant } from '../tensor/tensor.js';
import { namedActivation } from './activation.js';
import type { Architecture, DecoderInputs, DecoderOutputs } from './architecture.js';
import { attend, segmentMask, splitHeads } from './attention.js';
import { classHead, maskedHead } from './bertHeads.js';
import type { ClassModules, MaskedModules } from './bertHeads.js';
import { otherModel } from './checkTensor.js';
import type { ConfigReader } from './configReader.js';
import { configReader } from './configReader.js';
import { MAX_LAYERS } from './decoderConfig.js';
import { behindKeys } from './keysInFront.js';
import { namedSites } from './namedSites.js';
import type { Scope } from './scope.js';
import type { AttentionPlace, Site, SublayerPlace } from './site.js';

/** What tells one encoder of the family from another. */
interface Family {
  readonly modelTypes: readonly string[];
  /** The backbone's name, which a bare checkpoint leaves out. */
  readonly root: string;
  /** Where a key is absent, what Transformers takes. */
  readonly usual: { readonly vocabSize: number; readonly padding: number };
  /** Number of the first token's position in the table. */
  firstPosition(padding: number): number;
  readonly classifier: ClassModules;
  readonly masked: MaskedModules;
  /** The activation of the head for masked tokens; undefined: that of the layers. */
  readonly maskedActivation: ((x: Tensor) => Tensor) | undefined;
}

/**
 * BERT (Devlin et al. 2019; MiniLM is one): an encoder with norms behind its sublayers, learned positions and token
 * types. A token sees all of its own text. With a pooler and a classifier on the first token, or the head for masked
 * tokens; checkpoints name their tensors with or without `bert.` in front.
 */
export const bert: Architecture = encoder({
  modelTypes: ['bert'],
  root: 'bert',
  usual: { vocabSize: 30522, padding: 0 },
  firstPosition: () => 0,
  classifier: {
    dense: 'bert.pooler.dense',
    out: 'classifier',
    savedDense: 'pooler',
    transformersClasses: { bert: 'BertForSequenceClassification' },
  },
  masked: {
    dense: 'cls.predictions.transform.dense',
    norm: 'cls.predictions.transform.LayerNorm',
    decoder: 'cls.predictions.decoder',
    biases: ['cls.predictions.bias', 'cls.predictions.decoder.bias'],
  },
  maskedActivation: undefined,
});

/** RoBERTa (Liu et al. 2019) and XLM-RoBERTa: BERT whose positions start behind the padding's number, with heads of their own. */
export const roberta: Architecture = encoder({
  modelTypes: ['roberta', 'xlm-roberta'],
  root: 'roberta',
  usual: { vocabSize: 50265, padding: 1 },
  firstPosition: (padding) => padding + 1,
  classifier: {
    dense: 'classifier.dense',
    out: 'classifier.out_proj',
    savedDense: undefined,
    transformersClasses: {
      roberta: 'RobertaForSequenceClassification',
      'xlm-roberta': 'XLMRobertaForSequenceClassification',
    },
  },
  masked: {
    dense: 'lm_head.dense',
    norm: 'lm_head.layer_norm',
    decoder: 'lm_head.decoder',
    biases: ['lm_head.bias', 'lm_head.decoder.bias'],
  },
  maskedActivation: gelu,
});

function encoder(family: Family): Architecture {
  return {
    kind: 'encoder',
    tasks: ['SEQ_CLS', 'MASKED_LM'],
    modelTypes: family.modelTypes,
    dropouts: { hidden_dropout_prob: 0.1, attention_probs_dropout_prob: 0.1, classifier_dropout: 0 },
    read(config, tensors, source, task) {
      const read = configReader(config, source);
      refuseOthers(read);
      const sizes = readSizes(read, family);
      const { hiddenSize, heads, layers, vocabSize, padding, epsilon } = sizes;
      const activation = namedActivation(read, 'hidden_act', 'gelu');
      const firstPosition = family.firstPosition(padding);
      const maxPositions = sizes.positionRows - firstPosition;
      const { root } = family;
      const embeddings = `${root}.embeddings`;
      const words = `${embeddings}.word_embeddings`;
      const block = (layer: number): string => `${root}.encoder.layer.${layer}`;
      const named = namedSites(root, 'embeddings.word_embeddings.weight', tensors, source);
      const { embedding, linear, norm } = named;

      const layerSites = (layer: number): Site[] => {
        const at = block(layer);
        return [
          linear(`${at}.attention.self.query`, hiddenSize, hiddenSize, layer),
          linear(`${at}.attention.self.key`, hiddenSize, hiddenSize, layer),
          linear(`${at}.attention.self.value`, hiddenSize, hiddenSize, layer),
          linear(`${at}.attention.output.dense`, hiddenSize, hiddenSize, layer),
          norm(`${at}.attention.output.LayerNorm`, hiddenSize, layer),
          linear(`${at}.intermediate.dense`, sizes.inner, hiddenSize, layer),
          linear(`${at}.output.dense`, hiddenSize, sizes.inner, layer),
          norm(`${at}.output.LayerNorm`, hiddenSize, layer),
        ];
      };
      const backbone = [
        embedding(words, vocabSize, hiddenSize),
        embedding(`${embeddings}.position_embeddings`, sizes.positionRows, hiddenSize),
        embedding(`${embeddings}.token_type_embeddings`, sizes.tokenTypes, hiddenSize),
        norm(`${embeddings}.LayerNorm`, hiddenSize),
        ...Array.from({ length: layers }, (_, layer) => layerSites(layer)).flat(),
      ];
      const buffers = new Set([...tensors.keys()].filter((name) => BUFFER.test(name)));
      refuseStrangers(family, backbone, buffers, tensors, source);

      const attentions = Array.from({ length: layers }, (_, layer): AttentionPlace => ({
        kind: 'self',
        path: `${block(layer)}.attention.self`,
        layer,
        keyHeads: heads,
        headSize: hiddenSize / heads,
      }));
      const sublayers = Array.from({ length: layers }, (_, layer): [SublayerPlace, SublayerPlace] => [
        { kind: 'attention', path: `${block(layer)}.attention.output`, layer },
        { kind: 'feed-forward', path: `${block(layer)}.output`, layer },
      ]);

      const decode = (scope: Scope, given: DecoderInputs): DecoderOutputs => {
        const inputs = behindKeys(given, scope.keysInFront);
        checkPositions(inputs.positionLimit, maxPositions, source);
        const mask = segmentMask(inputs, scope.keysInFront);
        const normed = (path: string, x: Tensor): Tensor => scope.layerNorm(path, x, epsilon);
        const places = firstPosition === 0 ? inputs.positions : add(inputs.positions, firstPosition);
        const types = inputs.tokenTypes ?? ONE_TYPE;
        const embedded = add(
          scope.embedding(words, inputs.inputIds),
          add(
            scope.embedding(`${embeddings}.token_type_embeddings`, types),
            scope.embedding(`${embeddings}.position_embeddings`, places),
          ),
        );
        let x = scope.stackInput('encoder', normed(`${embeddings}.LayerNorm`, embedded));
        for (let layer = 0; layer < layers; layer++) {
          x = scope.layerInput(layer, x);
          const at = block(layer);
          const [attention, feedForward] = sublayers[layer]!;
          const [q, k, v] = ['query', 'key', 'value'].map((name) =>
            splitHeads(scope.linear(`${at}.attention.self.${name}`, x), heads),
          ) as [Tensor, Tensor, Tensor];
          const seen = scope.attention(attentions[layer]!, k, v);
          const mixed = attend(q, seen.keys, seen.values, mask, 1 / Math.sqrt(hiddenSize / heads));
          const attended = scope.linear(`${at}.attention.output.dense`, mixed);
          const afterAttention = (y: Tensor): Tensor => normed(`${at}.attention.output.LayerNorm`, y);
          const first = { input: x, output: attended, residual: x, norm: afterAttention };
          const between = afterAttention(add(x, scope.sublayer(attention, first)));
          const fed = scope.linear(
            `${at}.output.dense`,
            activation(scope.linear(`${at}.intermediate.dense`, between)),
          );
          const afterFeedForward = (y: Tensor): Tensor => normed(`${at}.output.LayerNorm`, y);
          const second = { input: between, output: fed, residual: between, norm: afterFeedForward };
          x = afterFeedForward(add(between, scope.sublayer(feedForward, second)));
        }
        return { hidden: x, keys: [], values: [] };
      };

      const head =
        task.type === 'MASKED_LM'
          ? maskedHead(
              family.masked,
              named,
              sizes,
              named.stored(`${words}.weight`),
              read,
              family.maskedActivation ?? activation,
              source,
            )
          : classHead(
              family.classifier,
              named,
              hiddenSize,
              read,
              tensors.get(`${family.classifier.out}.weight`),
              task,
            );
      return {
        modelType: read.text('model_type', family.modelTypes[0]!),
        vocabSize,
        hiddenSize,
        layers,
        maxPositions,
        cacheHeads: heads,
        headSize: hiddenSize / heads,
        attentions,
        sublayers: sublayers.flat(),
        buffers,
        decode,
        ...head,
        sites: [...backbone, ...head.sites],
      };
    },
  };
}

/** Every token of the first type: broadcast over all. */
const ONE_TYPE = constant([0], [1, 1], 'int32');

/** Numbers of the positions, which older versions of Transformers stored. */
const BUFFER = /(^|\.)embeddings\.(position_ids|token_type_ids)$/;

interface Sizes {
  readonly hiddenSize: number;
  readonly heads: number;
  readonly layers: number;
  readonly inner: number;
  readonly vocabSize: number;
  readonly positionRows: number;
  readonly tokenTypes: number;
  readonly padding: number;
  readonly epsilon: number;
}

/** Where a key is absent, what Transformers takes: the base model of the family. */
function readSizes(read: ConfigReader, { usual, firstPosition }: Family): Sizes {
  const hiddenSize = read.count('hidden_size', 768);
  const heads = read.count('num_attention_heads', 12);
  const layers = read.count('num_hidden_layers', 12);
  if (layers > MAX_LAYERS) read.wrong('num_hidden_layers', l10n.t`at most ${MAX_LAYERS}`);
  if (hiddenSize % heads !== 0) {
    read.fail(
      l10n.t`${heads} attention heads do not share a hidden size of ${hiddenSize} evenly`,
      l10n.t`hidden_size a multiple of num_attention_heads`,
    );
  }
  const padding = read.number('pad_token_id', usual.padding);
  const positionRows = read.count('max_position_embeddings', 512);
  if (firstPosition(padding) >= positionRows || padding < 0) {
    read.wrong('max_position_embeddings', l10n.t`more than ${firstPosition(padding)}`);
  }
  return {
    hiddenSize,
    heads,
    layers,
    inner: read.count('intermediate_size', 3072),
    vocabSize: read.count('vocab_size', usual.vocabSize),
    positionRows,
    tokenTypes: read.count('type_vocab_size', 2),
    padding,
    epsilon: read.number('layer_norm_eps', 1e-12),
  };
}

/** What would change the numbers. */
function refuseOthers(read: ConfigReader): void {
  if (read.flag('is_decoder', false)) read.unsupported('is_decoder', l10n.t`false: an encoder`);
  if (read.flag('add_cross_attention', false)) {
    read.unsupported('add_cross_attention', l10n.t`false: an encoder that reads text alone`);
  }
  if (read.text('position_embedding_type', 'absolute') !== 'absolute') {
    read.unsupported('position_embedding_type', l10n.t`absolute: a learned vector for each position`);
  }
}

/** A layer or a parameter of the backbone that the config does not speak of would be left out of the numbers. */
function refuseStrangers(
  { root }: Family,
  sites: readonly Site[],
  buffers: ReadonlySet<string>,
  tensors: ReadonlyMap<string, readonly number[]>,
  source: string,
): void {
  const known = new Set(sites.flatMap(({ weight, bias }) => [weight, bias]));
  const backbone = new RegExp(`^(${root}\\.)?(embeddings|encoder)\\.`);
  const stranger = [...tensors.keys()].find(
    (name) => backbone.test(name) && !known.has(name) && !buffers.has(name),
  );
  if (stranger === undefined) return;
  fail({
    code: 'model.tensor',
    message: l10n.t`the checkpoint's tensor ${stranger} has no place in the model that its config describes`,
    where: { file: source },
    expected: l10n.t`the tensors of an encoder of the type that its config names`,
    mend: otherModel(),
  });
}

/** A learned position beyond the last one does not exist, so nothing could be computed for it. */
function checkPositions(limit: number, maxPositions: number, source: string): void {
  if (limit <= maxPositions) return;
  fail({
    code: 'model.positions',
    message: l10n.t`rows of ${limit} tokens need more positions than the model has`,
    where: { file: source },
    expected: l10n.t`at most ${maxPositions} tokens: each position is a learned vector`,
    mend: l10n.t`Set data.max_length to at most ${maxPositions}, tokens that a method puts in front included.`,
  });
}
