import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { JsonObject } from '../common/json.js';
import type { Dim } from '../tensor/dims.js';
import { iota } from '../tensor/ops/dimValue.js';
import { add, mul, sub } from '../tensor/ops/elementwise.js';
import { concat, expand, reshape } from '../tensor/ops/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { namedActivation } from './activation.js';
import type { Architecture, DecoderInputs, DecoderOutputs, EncodedSource, EncoderInputs } from './architecture.js';
import { attend, causalMask, crossMask, keyDistances, segmentMask, splitHeads } from './attention.js';
import type { AttentionMask } from './attention.js';
import { checkTensor, otherModel } from './checkTensor.js';
import { configReader } from './configReader.js';
import type { ConfigReader } from './configReader.js';
import { MAX_LAYERS } from './decoderConfig.js';
import { ENCODER_DECODERS, decoderStartOf } from './decoderStart.js';
import { behindKeys } from './keysInFront.js';
import { addedBias, relativeBias } from './relativeBias.js';
import type { BiasOf, RelativeBuckets } from './relativeBias.js';
import type { Scope } from './scope.js';
import type { AttentionPlace, Site, SublayerPlace } from './site.js';

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
    const form = readForm(config, read, source);
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

    const sublayersOf = (stack: Stack, names: readonly string[], index: number): SublayerPlace[] =>
      names.map((name, sublayer) => ({
        kind: name === SELF ? 'attention' : name === CROSS ? 'cross-attention' : 'feed-forward',
        path: `${stack.name}.block.${index}.layer.${sublayer}.${name}`,
        layer: stack.firstLayer + index,
      }));
    const encoderSublayers = indices(encoderLayers).map((index) =>
      sublayersOf(encoder, [SELF, FEED_FORWARD], index),
    );
    const decoderSublayers = indices(decoderLayers).map((index) =>
      sublayersOf(decoder, [SELF, CROSS, FEED_FORWARD], index),
    );
    const attentions = indices(decoderLayers).map((index): AttentionPlace => ({
      kind: 'self',
      path: `decoder.block.${index}.layer.0.${SELF}`,
      layer: decoder.firstLayer + index,
      keyHeads: heads,
      headSize,
    }));

    /** x plus what a sublayer makes of the normed x. */
    const residual = (scope: Scope, place: SublayerPlace, x: Tensor, apply: (y: Tensor) => Tensor): Tensor => {
      const path = place.path.replace(/\.[^.]+$/, '.layer_norm');
      const normed = scope.rmsNorm(path, x, epsilon);
      return add(x, scope.sublayer(place, { input: normed, output: apply(normed), residual: x }));
    };
    const feedForward = (scope: Scope, place: SublayerPlace, x: Tensor): Tensor =>
      residual(scope, place, x, (y) => {
        const inner = (name: string): Tensor => scope.linear(`${place.path}.${name}`, y);
        const activated = form.isGated
          ? mul(form.activation(inner('wi_0')), inner('wi_1'))
          : form.activation(inner('wi'));
        return scope.linear(`${place.path}.wo`, activated);
      });
    const projected = (scope: Scope, at: string, name: 'q' | 'k' | 'v', x: Tensor): Tensor =>
      splitHeads(scope.linear(`${at}.${name}`, x), heads);

    const encode = (scope: Scope, inputs: EncoderInputs): EncodedSource => {
      const bias = relativeBias(scope, encoder.bias, { ...form.buckets, bidirectional: true });
      const length = inputs.segments.shape[1]!;
      const mask = biased(segmentMask(inputs), bias(keyDistances(length, 0)));
      let x = scope.stackInput('encoder', scope.embedding(SHARED, inputs.inputIds));
      for (const [attention, fed] of encoderSublayers as [SublayerPlace, SublayerPlace][]) {
        const at = attention.path;
        x = residual(scope, attention, x, (y) => {
          const [q, k, v] = (['q', 'k', 'v'] as const).map((name) => projected(scope, at, name, y)) as Projections;
          return scope.linear(`${at}.o`, attend(q, k, v, mask, 1));
        });
        x = feedForward(scope, fed, x);
      }
      const hidden = scope.rmsNorm('encoder.final_layer_norm', x, epsilon);
      const all = (name: 'k' | 'v'): Tensor[] =>
        decoderSublayers.map((places) => projected(scope, places[1]!.path, name, hidden));
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
      for (const [index, [attention, cross, fed]] of (
        decoderSublayers as [SublayerPlace, SublayerPlace, SublayerPlace][]
      ).entries()) {
        const at = attention.path;
        x = residual(scope, attention, x, (y) => {
          const [q, k, v] = (['q', 'k', 'v'] as const).map((name) => projected(scope, at, name, y)) as Projections;
          const { cache } = inputs;
          keys.push(cache === undefined ? k : concat([cache.keys[index]!, k], 2));
          values.push(cache === undefined ? v : concat([cache.values[index]!, v], 2));
          const seen = scope.attention(attentions[index]!, keys[index]!, values[index]!);
          return scope.linear(`${at}.o`, attend(q, seen.keys, seen.values, mask, 1));
        });
        x = residual(scope, cross, x, (y) => {
          const q = projected(scope, cross.path, 'q', y);
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
      sublayers: [...encoderSublayers, ...decoderSublayers].flat(),
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

type Projections = [Tensor, Tensor, Tensor];

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

interface Form {
  readonly modelType: 't5' | 'mt5';
  readonly vocabSize: number;
  readonly hiddenSize: number;
  /** Width of the feed-forward part. */
  readonly innerSize: number;
  readonly heads: number;
  readonly headSize: number;
  readonly encoderLayers: number;
  readonly decoderLayers: number;
  /** Of the norms. */
  readonly epsilon: number;
  readonly buckets: Omit<RelativeBuckets, 'bidirectional'>;
  readonly isGated: boolean;
  readonly activation: (x: Tensor) => Tensor;
  /** Whether the head reads the hidden state times d_model^−½. */
  readonly scalesHead: boolean;
  readonly startTokenId: number;
}

/** Where a key is absent, what Transformers' T5Config and MT5Config take. */
function readForm(config: JsonObject, read: ConfigReader, source: string): Form {
  const modelType = config['model_type'] === 'mt5' ? 'mt5' : 't5';
  const isMultilingual = modelType === 'mt5';
  if (!read.flag('is_encoder_decoder', true)) {
    read.unsupported('is_encoder_decoder', l10n.t`a T5 with both its encoder and its decoder`);
  }
  const layers = (key: string, usual: number): number => {
    const found = read.count(key, usual);
    return found <= MAX_LAYERS ? found : read.wrong(key, l10n.t`at most ${MAX_LAYERS} layers`);
  };
  const encoderLayers = layers('num_layers', isMultilingual ? 8 : 6);
  const vocabSize = read.count('vocab_size', isMultilingual ? 250_112 : 32_128);
  return {
    modelType,
    vocabSize,
    hiddenSize: read.count('d_model', 512),
    innerSize: read.count('d_ff', isMultilingual ? 1024 : 2048),
    heads: read.count('num_heads', isMultilingual ? 6 : 8),
    headSize: read.count('d_kv', 64),
    encoderLayers,
    decoderLayers: layers('num_decoder_layers', encoderLayers),
    epsilon: read.positive('layer_norm_epsilon', 1e-6),
    buckets: readBuckets(read),
    ...readFeedForward(config, read, isMultilingual ? 'gated-gelu' : 'relu', source),
    // Of mT5 no head was ever tied. Transformers 5 says it apart, and calls every head tied.
    scalesHead: !isMultilingual && read.flag('scale_decoder_outputs', read.flag('tie_word_embeddings', true)),
    startTokenId: readStart(config, read, vocabSize),
  };
}

function readBuckets(read: ConfigReader): Form['buckets'] {
  const count = read.count('relative_attention_num_buckets', 32);
  const reach = read.count('relative_attention_max_distance', 128);
  // Each side of an encoder has half of them, and the nearer half of these one distance each.
  if (count < 4 || count > MAX_BUCKETS) {
    read.wrong('relative_attention_num_buckets', l10n.t`a whole number from ${4} to ${MAX_BUCKETS}`);
  }
  const least = Math.floor(count / 2) + 1;
  if (reach < least || reach > MAX_REACH) {
    read.wrong('relative_attention_max_distance', l10n.t`a whole number from ${least} to ${MAX_REACH}`);
  }
  return { count, reach };
}

const MAX_BUCKETS = 4096;
const MAX_REACH = 2 ** 16;

/** `relu`, or `gated-gelu`: an activation, and whether it gates. The gelu that gates is the one of Google's code. */
function readFeedForward(
  config: JsonObject,
  read: ConfigReader,
  usual: string,
  source: string,
): Pick<Form, 'isGated' | 'activation'> {
  const key = 'feed_forward_proj';
  const asked = read.text(key, usual);
  const isGated = asked.startsWith('gated-');
  const name = isGated ? asked.slice('gated-'.length) : asked;
  const named = configReader({ ...config, [key]: isGated && name === 'gelu' ? 'gelu_new' : name }, source);
  return { isGated, activation: namedActivation(named, key, usual) };
}

function readStart(config: JsonObject, read: ConfigReader, vocabSize: number): number {
  const id = decoderStartOf(config);
  if (id !== undefined && id < vocabSize) return id;
  const key = read.has('decoder_start_token_id') ? 'decoder_start_token_id' : 'pad_token_id';
  return read.wrong(key, l10n.t`a token id from ${0} to ${vocabSize - 1}`);
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
