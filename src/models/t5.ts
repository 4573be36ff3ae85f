import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Dim } from '../tensor/dims.js';
import { iota } from '../tensor/ops/dimValue.js';
import { add, mul, sub } from '../tensor/ops/elementwise.js';
import { concat, expand, reshape } from '../tensor/ops/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Architecture, DecoderInputs, DecoderOutputs, EncodedSource, EncoderInputs } from './architecture.js';
import { attend, causalMask, crossMask, keyDistances, segmentMask, splitHeads } from './attention.js';
import type { AttentionMask } from './attention.js';
import { checkTensor, otherModel } from './checkTensor.js';
import { configReader } from './configReader.js';
import { ENCODER_DECODERS } from './decoderStart.js';
import { behindKeys } from './keysInFront.js';
import { addedBias, relativeBias } from './relativeBias.js';
import type { BiasOf } from './relativeBias.js';
import type { Scope } from './scope.js';
import type { AttentionPlace, Site, SublayerPlace } from './site.js';
import { readT5Form } from './t5Form.js';

/**
 * T5 (Raffel et al. 2020), an encoder-decoder: norms without a bias before the sublayers, no positions but a bias of the
 * scores by distance (section 2.1), which the first layer of a stack holds for all, scores that are not scaled, and
 * linears without a bias. T5 1.1, which Flan-T5 (Chung et al. 2022) and T0 start from, and mT5 (Xue et al. 2021) have a
 * gated feed-forward part and a head of their own; where the head is the embedding's matrix, it reads the hidden state
 * times d_model^−½. The `dropout_rate` of the config is not applied in training: a method brings its own.
 */
export const t5: Architecture = {
  kind: 'encoder-decoder',
  tasks: ['SEQ_2_SEQ_LM'],
  modelTypes: ENCODER_DECODERS,
  dropouts: { dropout_rate: 0.1 },
  read(config, tensors, source) {
    const read = configReader(config, source);
    const form = readT5Form(config, read, source);
    const { hiddenSize, heads, headSize, encoderLayers, decoderLayers, vocabSize, epsilon } = form;
    const wide = heads * headSize;
    const tiedHead = !tensors.has('lm_head.weight') || (form.scalesHead && read.flag('tie_word_embeddings', true));
    const embeddings = EMBEDDINGS.find((name) => tensors.has(name)) ?? EMBEDDINGS[0];

    const site = (kind: Site['kind'], path: string, shape: readonly number[], layer?: number): Site => {
      const isOutput = path === HEAD;
      const weight = path === SHARED || (isOutput && tiedHead) ? embeddings : `${path}.weight`;
      checkTensor(tensors, weight, shape, source);
      return { kind, path, layer, shape, weight, bias: undefined, isOutput };
    };
    const norm = (path: string, layer?: number): Site => site('norm', path, [hiddenSize], layer);
    const linear = (path: string, outSize: number, inSize: number, layer?: number): Site =>
      site('linear', path, [outSize, inSize], layer);
    const attentionSites = (stack: Stack, index: number, sublayer: number, name: string): Site[] => {
      const at = `${stack.name}.block.${index}.layer.${sublayer}`;
      const layer = stack.firstLayer + index;
      const isFirst = index === 0 && name === SELF;
      return [
        norm(`${at}.layer_norm`, layer),
        linear(`${at}.${name}.q`, wide, hiddenSize, layer),
        linear(`${at}.${name}.k`, wide, hiddenSize, layer),
        linear(`${at}.${name}.v`, wide, hiddenSize, layer),
        ...(isFirst ? [site('embedding', stack.bias, [form.buckets.count, heads], layer)] : []),
        linear(`${at}.${name}.o`, hiddenSize, wide, layer),
      ];
    };
    const feedForwardSites = (stack: Stack, index: number, sublayer: number): Site[] => {
      const at = `${stack.name}.block.${index}.layer.${sublayer}`;
      const layer = stack.firstLayer + index;
      const inner = form.isGated ? ['wi_0', 'wi_1'] : ['wi'];
      return [
        norm(`${at}.layer_norm`, layer),
        ...inner.map((name) => linear(`${at}.${FEED_FORWARD}.${name}`, form.innerSize, hiddenSize, layer)),
        linear(`${at}.${FEED_FORWARD}.wo`, hiddenSize, form.innerSize, layer),
      ];
    };
    const encoder: Stack = { name: 'encoder', firstLayer: 0, bias: biasPath('encoder') };
    const decoder: Stack = { name: 'decoder', firstLayer: encoderLayers, bias: biasPath('decoder') };
    const sites = [
      site('embedding', SHARED, [vocabSize, hiddenSize]),
      ...indices(encoderLayers).flatMap((index) => [
        ...attentionSites(encoder, index, 0, SELF),
        ...feedForwardSites(encoder, index, 1),
      ]),
      norm('encoder.final_layer_norm'),
      ...indices(decoderLayers).flatMap((index) => [
        ...attentionSites(decoder, index, 0, SELF),
        ...attentionSites(decoder, index, 1, CROSS),
        ...feedForwardSites(decoder, index, 2),
      ]),
      norm('decoder.final_layer_norm'),
      linear(HEAD, vocabSize, hiddenSize),
    ];
    const buffers = new Set([...tensors.keys()].filter((name) => name !== embeddings && IDLE.has(name)));
    refuseStrangers(sites, buffers, tensors, source);

    const place = (stack: Stack, index: number, sublayer: number, kind: SublayerPlace['kind']): SublayerPlace => ({
      kind,
      path: `${stack.name}.block.${index}.layer.${sublayer}.${MODULES[kind]}`,
      layer: stack.firstLayer + index,
    });
    const encoderBlocks = indices(encoderLayers).map((index) => ({
      self: place(encoder, index, 0, 'attention'),
      fed: place(encoder, index, 1, 'feed-forward'),
    }));
    const decoderBlocks = indices(decoderLayers).map((index) => ({
      self: place(decoder, index, 0, 'attention'),
      cross: place(decoder, index, 1, 'cross-attention'),
      fed: place(decoder, index, 2, 'feed-forward'),
    }));
    const attentions = indices(decoderLayers).map((index): AttentionPlace => ({
      kind: 'self',
      path: `decoder.block.${index}.layer.0.${SELF}`,
      layer: decoder.firstLayer + index,
      keyHeads: heads,
      headSize,
    }));

    /** x plus what a sublayer makes of the normed x. */
    const residual = (scope: Scope, at: SublayerPlace, x: Tensor, apply: (y: Tensor) => Tensor): Tensor => {
      const normed = scope.rmsNorm(at.path.replace(/[^.]+$/, 'layer_norm'), x, epsilon);
      return add(x, scope.sublayer(at, { input: normed, output: apply(normed), residual: x }));
    };
    const feedForward = (scope: Scope, at: SublayerPlace, x: Tensor): Tensor =>
      residual(scope, at, x, (y) => {
        const inner = (name: string): Tensor => scope.linear(`${at.path}.${name}`, y);
        const activated = form.isGated
          ? mul(form.activation(inner('wi_0')), inner('wi_1'))
          : form.activation(inner('wi'));
        return scope.linear(`${at.path}.wo`, activated);
      });
    const projected = (scope: Scope, at: SublayerPlace, name: 'q' | 'k' | 'v', x: Tensor): Tensor =>
      splitHeads(scope.linear(`${at.path}.${name}`, x), heads);

    const encode = (scope: Scope, inputs: EncoderInputs): EncodedSource => {
      const bias = relativeBias(scope, encoder.bias, { ...form.buckets, bidirectional: true });
      const length = inputs.segments.shape[1]!;
      const mask = biased(segmentMask(inputs), bias(keyDistances(length, 0)));
      let x = scope.stackInput('encoder', scope.embedding(SHARED, inputs.inputIds));
      for (const { self, fed } of encoderBlocks) {
        x = residual(scope, self, x, (y) => {
          const q = projected(scope, self, 'q', y);
          const k = projected(scope, self, 'k', y);
          const v = projected(scope, self, 'v', y);
          return scope.linear(`${self.path}.o`, attend(q, k, v, mask, 1));
        });
        x = feedForward(scope, fed, x);
      }
      const hidden = scope.rmsNorm('encoder.final_layer_norm', x, epsilon);
      const all = (name: 'k' | 'v'): Tensor[] =>
        decoderBlocks.map(({ cross }) => projected(scope, cross, name, hidden));
      return { keys: all('k'), values: all('v'), segments: inputs.segments };
    };

    const decode = (scope: Scope, given: DecoderInputs): DecoderOutputs => {
      const { source: encoded } = given;
      if (encoded === undefined) throw new Error('an encoder-decoder decodes what its encoder has read');
      const inputs = behindKeys(given, scope.keysInFront);
      const bias = relativeBias(scope, decoder.bias, { ...form.buckets, bidirectional: false });
      const mask = biased(
        causalMask(inputs, undefined, scope.keysInFront),
        decoderBias(bias, inputs, scope.keysInFront),
      );
      const sourceMask = crossMask(inputs, encoded.segments);
      const keys: Tensor[] = [];
      const values: Tensor[] = [];
      let x = scope.stackInput('decoder', scope.embedding(SHARED, inputs.inputIds));
      for (const [index, { self, cross, fed }] of decoderBlocks.entries()) {
        x = residual(scope, self, x, (y) => {
          const q = projected(scope, self, 'q', y);
          const k = projected(scope, self, 'k', y);
          const v = projected(scope, self, 'v', y);
          const { cache } = inputs;
          keys.push(cache === undefined ? k : concat([cache.keys[index]!, k], 2));
          values.push(cache === undefined ? v : concat([cache.values[index]!, v], 2));
          const seen = scope.attention(attentions[index]!, keys[index]!, values[index]!);
          return scope.linear(`${self.path}.o`, attend(q, seen.keys, seen.values, mask, 1));
        });
        x = residual(scope, cross, x, (y) => {
          const q = projected(scope, cross, 'q', y);
          const mixed = attend(q, encoded.keys[index]!, encoded.values[index]!, sourceMask, 1);
          return scope.linear(`${cross.path}.o`, mixed);
        });
        x = feedForward(scope, fed, x);
      }
      return { hidden: x, keys, values };
    };

    return {
      modelType: form.modelType,
      vocabSize,
      hiddenSize,
      layers: encoderLayers + decoderLayers,
      maxPositions: ANY_POSITION,
      cacheLayers: decoderLayers,
      cacheHeads: heads,
      headSize,
      tiedHead,
      sites,
      attentions,
      sublayers: [...encoderBlocks, ...decoderBlocks].flatMap((block) => Object.values(block)),
      buffers,
      encoder: { startTokenId: form.startTokenId, encode },
      decode,
      head(scope, hidden) {
        const normed = scope.rmsNorm('decoder.final_layer_norm', hidden, epsilon);
        return scope.linear(HEAD, form.scalesHead ? mul(normed, hiddenSize ** -0.5) : normed);
      },
    };
  },
};

interface Stack {
  readonly name: 'encoder' | 'decoder';
  /** Number of its first layer among those of both stacks. */
  readonly firstLayer: number;
  /** Path of its relative bias. */
  readonly bias: string;
}

const SHARED = 'shared';
const HEAD = 'lm_head';
const SELF = 'SelfAttention';
const CROSS = 'EncDecAttention';
const FEED_FORWARD = 'DenseReluDense';
const MODULES: Readonly<Record<SublayerPlace['kind'], string>> = {
  attention: SELF,
  'cross-attention': CROSS,
  'feed-forward': FEED_FORWARD,
};

/** Names that the embeddings have had; one of them is read. */
const EMBEDDINGS = ['shared.weight', 'encoder.embed_tokens.weight', 'decoder.embed_tokens.weight'] as const;

/** Copies of the embeddings, and a bias that early checkpoints hold and nobody reads. */
const IDLE: ReadonlySet<string> = new Set([
  ...EMBEDDINGS,
  'decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight',
]);

/** Distances have no end: as many tokens as a row may have. */
const ANY_POSITION = 2 ** 20;

function biasPath(stack: Stack['name']): string {
  return `${stack}.block.0.layer.0.${SELF}.relative_attention_bias`;
}

function indices(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

/** A mask with a bias of the scores, which is [q, k, heads] or [batch, q, k, heads]. */
function biased(mask: AttentionMask, bias: Tensor): AttentionMask {
  return { ...mask, added: add(mask.added, addedBias(bias)) };
}

/**
 * The bias of a decoder's scores. Keys in front are as far away as if the text began behind them, whatever segment of a
 * packed row reads them.
 */
function decoderBias(bias: BiasOf, { segments, positions, cache }: DecoderInputs, front: number): Tensor {
  const [batch, sequence] = segments.shape as [Dim, Dim];
  const past = cache === undefined ? 0 : cache.segments.shape[1]!;
  const own = bias(keyDistances(sequence, past));
  if (front === 0) return own;
  const before = bias(sub(reshape(iota(front), [1, 1, front]), reshape(positions, [batch, sequence, 1])));
  const forRows = expand(reshape(own, [1, ...own.shape]), [batch, ...own.shape]);
  return concat([before, forRows], 2);
}

/** A bias or a layer that the config does not speak of would be left out of the numbers. */
function refuseStrangers(
  sites: readonly Site[],
  buffers: ReadonlySet<string>,
  tensors: ReadonlyMap<string, readonly number[]>,
  source: string,
): void {
  const known = new Set(sites.map(({ weight }) => weight));
  // A tied model's file may hold its head a second time.
  known.add(`${HEAD}.weight`);
  const stranger = [...tensors.keys()].find(
    (name) => /^(shared|encoder|decoder|lm_head)\./.test(name) && !known.has(name) && !buffers.has(name),
  );
  if (stranger === undefined) return;
  fail({
    code: 'model.tensor',
    message: l10n.t`the checkpoint's tensor ${stranger} has no place in the model that its config describes`,
    where: { file: source },
    expected: l10n.t`the tensors of a T5 with the layers and the feed-forward part of its config`,
    mend: otherModel(),
  });
}
