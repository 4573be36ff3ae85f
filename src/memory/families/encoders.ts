import * as l10n from '@vscode/l10n';
import type { ConfigReader } from '../../models/configReader.js';
import { embedding, linear, norm } from '../modelShape.js';
import type { ModelShape } from '../modelShape.js';
import { activationOf, drops, headsOf } from './common.js';

/**
 * BERT and RoBERTa as encoders with a pooler, the way `BertModel` counts its parameters: a head for a task adds what
 * it needs. Names as in Transformers.
 */
export function bert(config: ConfigReader, modelType: 'bert' | 'roberta'): ModelShape {
  const hidden = config.count('hidden_size');
  const vocab = config.count('vocab_size');
  const width = config.count('intermediate_size');
  const bias = { bias: true } as const;
  const hiddenDropout = drops(config, ['hidden_dropout_prob'], 0.1);
  return {
    modelType,
    hidden,
    vocab,
    blocks: [
      {
        name: 'encoder.layer',
        side: 'encoder',
        layers: config.count('num_hidden_layers'),
        modules: [
          linear('attention.self.query', hidden, hidden, 'attention', bias),
          linear('attention.self.key', hidden, hidden, 'attention', bias),
          linear('attention.self.value', hidden, hidden, 'attention', bias),
          linear('attention.output.dense', hidden, hidden, 'attention-output', bias),
          norm('attention.output.LayerNorm', hidden, true),
          linear('intermediate.dense', hidden, width, 'feed-forward', bias),
          linear('output.dense', width, hidden, 'feed-forward-output', bias),
          norm('output.LayerNorm', hidden, true),
        ],
        norm: 'layer',
        attention: headsOf(config, hidden),
        scores: { float32: false, softCap: false },
        crossAttention: false,
        feedForward: {
          width,
          gated: false,
          activation: activationOf(config.text('hidden_act', 'gelu')),
          active: 1,
        },
        dropout: {
          hidden: hiddenDropout,
          attention: drops(config, ['attention_probs_dropout_prob'], 0.1),
          feedForward: false,
        },
      },
    ],
    outside: [
      embedding('embeddings.word_embeddings', vocab, hidden),
      embedding('embeddings.position_embeddings', config.count('max_position_embeddings'), hidden),
      embedding('embeddings.token_type_embeddings', config.count('type_vocab_size', 2), hidden),
      norm('embeddings.LayerNorm', hidden, true),
      linear('pooler.dense', hidden, hidden, 'pooler', bias),
    ],
    logits: false,
    leftOut: [l10n.t`the head for a task, which the config does not describe`],
  };
}
