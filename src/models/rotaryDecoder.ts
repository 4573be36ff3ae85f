import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import { add, mul, tanh } from '../tensor/ops/elementwise.js';
import { rotary } from '../tensor/ops/rotary.js';
import { concat } from '../tensor/ops/shape.js';
import type { Constant, Tensor } from '../tensor/tensor.js';
import type { DecoderInputs, DecoderOutputs, BuiltModel } from './architecture.js';
import { attend, causalMask, splitHeads } from './attention.js';
import type { AttentionMask } from './attention.js';
import { checkTensor, otherModel } from './checkTensor.js';
import type { Rope } from './rope.js';
import { rotaryTables } from './rope.js';
import { behindKeys } from './keysInFront.js';
import type { Scope } from './scope.js';
import type { AttentionPlace, Site, SublayerPlace } from './site.js';

/** The numbers that every model of the family has. */
export interface DecoderSizes {
  readonly hiddenSize: number;
  /** Width of the feed-forward part. */
  readonly innerSize: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly headSize: number;
  readonly layerCount: number;
  readonly vocabSize: number;
  readonly maxPositions: number;
  /** Of the norms. */
  readonly epsilon: number;
}

/** What the attention of one layer sees, and how positions turn its queries and keys. */
export interface LayerForm {
  /** A query sees fewer than this many places back; undefined: everything before it. */
  readonly window: number | undefined;
  readonly rope: Rope;
}

/** What tells one model of the family from another. */
export interface DecoderForm extends DecoderSizes {
  readonly modelType: string;
  /** One per layer; layers of a kind share the object, and so its mask and tables. */
  readonly layers: readonly LayerForm[];
  /** Names of a layer's norms within it: before each sublayer, and on its result where the model has such. */
  readonly norms: {
    readonly beforeAttention: string;
    readonly afterAttention?: string;
    readonly beforeFeedForward: string;
    readonly afterFeedForward?: string;
  };
  /** What is added to the weight of every norm: Gemma's are 1 + w. */
  readonly normOffset: 0 | 1;
  /** Whether queries and keys are normed within each head before they are turned (`q_norm`, `k_norm`). */
  readonly headNorms: boolean;
  /** The linear modules of a layer that have a bias: `self_attn.q_proj`. */
  readonly biased: ReadonlySet<string>;
  readonly activation: (x: Tensor) => Tensor;
  /** What embeddings are multiplied by; undefined: nothing. */
  readonly embeddingScale?: number;
  /** What the scores of attention are multiplied by. */
  readonly scoreScale: number;
  /** Soft caps (Bello et al. 2016, section 5.1): c · tanh(x / c) of attention's scores, and of the logits. */
  readonly scoreCap?: number | undefined;
  readonly logitCap?: number | undefined;
  readonly tieWordEmbeddings: boolean;
}

/** Tables that Llama's older checkpoints hold; they follow from the config. */
const ROTARY_BUFFER = /\.rotary_emb\.inv_freq$/;

/**
 * A decoder of Llama's family (Touvron et al. 2023, section 2.2): norms before the sublayers, rotary positions
 * (Su et al. 2021), key heads shared by groups of query heads, and a gated feed-forward part (Shazeer 2020). The
 * `attention_dropout` of the config is not applied in training: a method brings its own.
 *
 * @param tensors shape of every tensor of the checkpoint by its Hugging Face name
 * @throws ProblemError `model.tensor` for a tensor that is missing, of another shape, or has no place in the model
 */
export function rotaryDecoder(
  form: DecoderForm,
  tensors: ReadonlyMap<string, readonly number[]>,
  source: string,
): BuiltModel {
  const { hiddenSize, innerSize, heads, keyHeads, headSize, vocabSize, epsilon, norms } = form;
  const tiedHead = form.tieWordEmbeddings || !tensors.has('lm_head.weight');

  const site = (
    kind: Site['kind'],
    path: string,
    shape: readonly number[],
    layer?: number,
    bias?: string,
  ): Site => {
    const isOutput = path === 'lm_head';
    const weight = isOutput && tiedHead ? 'model.embed_tokens.weight' : `${path}.weight`;
    checkTensor(tensors, weight, shape, source);
    if (bias !== undefined) checkTensor(tensors, bias, [shape[0]!], source);
    return { kind, path, layer, shape, weight, bias, isOutput };
  };
  const layerSites = (layer: number): Site[] => {
    const at = `model.layers.${layer}`;
    const norm = (name: string | undefined, size = hiddenSize): Site[] =>
      name === undefined ? [] : [site('norm', `${at}.${name}`, [size], layer)];
    const linear = (name: string, outSize: number, inSize: number): Site =>
      site(
        'linear',
        `${at}.${name}`,
        [outSize, inSize],
        layer,
        form.biased.has(name) ? `${at}.${name}.bias` : undefined,
      );
    return [
      ...norm(norms.beforeAttention),
      linear('self_attn.q_proj', heads * headSize, hiddenSize),
      linear('self_attn.k_proj', keyHeads * headSize, hiddenSize),
      linear('self_attn.v_proj', keyHeads * headSize, hiddenSize),
      ...(form.headNorms ? [...norm('self_attn.q_norm', headSize), ...norm('self_attn.k_norm', headSize)] : []),
      linear('self_attn.o_proj', hiddenSize, heads * headSize),
      ...norm(norms.afterAttention),
      ...norm(norms.beforeFeedForward),
      linear('mlp.gate_proj', innerSize, hiddenSize),
      linear('mlp.up_proj', innerSize, hiddenSize),
      linear('mlp.down_proj', hiddenSize, innerSize),
      ...norm(norms.afterFeedForward),
    ];
  };

  const attentions = form.layers.map((_, layer): AttentionPlace => ({
    kind: 'self',
    path: `model.layers.${layer}.self_attn`,
    layer,
    keyHeads,
    headSize,
  }));
  const sublayers = form.layers.map((_, layer) => decoderSublayers(layer));

  const decode = (scope: Scope, given: DecoderInputs): DecoderOutputs => {
    const inputs = behindKeys(given, scope.keysInFront);
    const prepared = prepareLayers(form.layers, inputs, scope.keysInFront);
    const keys: Tensor[] = [];
    const values: Tensor[] = [];
    const embedded = scope.embedding('model.embed_tokens', inputs.inputIds, form.embeddingScale);
    let x = scope.stackInput('decoder', embedded);
    for (const [layer, { mask, cos, sin }] of prepared.entries()) {
      x = scope.layerInput(layer, x);
      const at = `model.layers.${layer}`;
      const linear = (name: string, y: Tensor): Tensor => scope.linear(`${at}.${name}`, y);
      const norm = (name: string | undefined, y: Tensor): Tensor =>
        name === undefined ? y : scope.rmsNorm(`${at}.${name}`, y, epsilon, form.normOffset);
      const headNorm = (name: string, y: Tensor): Tensor => norm(form.headNorms ? name : undefined, y);

      const before = norm(norms.beforeAttention, x);
      const q = splitHeads(linear('self_attn.q_proj', before), heads);
      const k = splitHeads(linear('self_attn.k_proj', before), keyHeads);
      const v = splitHeads(linear('self_attn.v_proj', before), keyHeads);
      const turnedQ = rotary(headNorm('self_attn.q_norm', q), inputs.positions, cos, sin);
      const turnedK = rotary(headNorm('self_attn.k_norm', k), inputs.positions, cos, sin);
      const allK = inputs.cache === undefined ? turnedK : concat([inputs.cache.keys[layer]!, turnedK], 2);
      const allV = inputs.cache === undefined ? v : concat([inputs.cache.values[layer]!, v], 2);
      keys.push(allK);
      values.push(allV);
      const seen = scope.attention(attentions[layer]!, allK, allV);
      const mixed = attend(turnedQ, seen.keys, seen.values, mask, form.scoreScale, form.scoreCap);
      const [attention, feedForward] = sublayers[layer]!;
      const attended = norm(norms.afterAttention, linear('self_attn.o_proj', mixed));
      x = add(x, scope.sublayer(attention, { input: before, output: attended, residual: x }));

      const between = norm(norms.beforeFeedForward, x);
      const gate = form.activation(linear('mlp.gate_proj', between));
      const gated = mul(gate, linear('mlp.up_proj', between));
      const fed = norm(norms.afterFeedForward, linear('mlp.down_proj', gated));
      x = add(x, scope.sublayer(feedForward, { input: between, output: fed, residual: x }));
    }
    return { hidden: x, keys, values };
  };

  const head = (scope: Scope, hidden: Tensor): Tensor => {
    const logits = scope.linear('lm_head', scope.rmsNorm('model.norm', hidden, epsilon, form.normOffset));
    const cap = form.logitCap;
    return cap === undefined ? logits : mul(tanh(mul(logits, 1 / cap)), cap);
  };

  const sites = [
    site('embedding', 'model.embed_tokens', [vocabSize, hiddenSize]),
    ...form.layers.flatMap((_, layer) => layerSites(layer)),
    site('norm', 'model.norm', [hiddenSize]),
    site('linear', 'lm_head', [vocabSize, hiddenSize]),
  ];
  const buffers = new Set([...tensors.keys()].filter((name) => ROTARY_BUFFER.test(name)));
  refuseStrangers(form, sites, buffers, tensors, source);
  return {
    modelType: form.modelType,
    vocabSize,
    hiddenSize,
    layers: form.layerCount,
    maxPositions: form.maxPositions,
    cacheHeads: keyHeads,
    headSize,
    tiedHead,
    ...(form.embeddingScale === undefined ? {} : { embeddingScale: form.embeddingScale }),
    sites,
    attentions,
    sublayers: sublayers.flat(),
    buffers,
    decode,
    head,
  };
}

function decoderSublayers(layer: number): [SublayerPlace, SublayerPlace] {
  return [
    { kind: 'attention', path: `model.layers.${layer}.self_attn`, layer },
    { kind: 'feed-forward', path: `model.layers.${layer}.mlp`, layer },
  ];
}

interface PreparedLayer {
  readonly mask: AttentionMask;
  readonly cos: Constant;
  readonly sin: Constant;
}

/** Masks and tables of the layers, each made once per kind of layer. */
function prepareLayers(layers: readonly LayerForm[], inputs: DecoderInputs, front: number): PreparedLayer[] {
  const known = new Map<LayerForm, PreparedLayer>();
  return layers.map((layer) => {
    const prepared = known.get(layer) ?? {
      mask: causalMask(inputs, layer.window, front),
      ...rotaryTables(layer.rope, inputs.positionLimit),
    };
    known.set(layer, prepared);
    return prepared;
  });
}

/** A bias, a norm or a layer that the config does not speak of would be left out of the numbers. */
function refuseStrangers(
  form: DecoderForm,
  sites: readonly Site[],
  buffers: ReadonlySet<string>,
  tensors: ReadonlyMap<string, readonly number[]>,
  source: string,
): void {
  const known = new Set(sites.flatMap(({ weight, bias }) => [weight, bias]));
  // A tied model's file may hold its head a second time.
  known.add('lm_head.weight');
  const stranger = [...tensors.keys()].find(
    (name) => /^(model|lm_head)\./.test(name) && !known.has(name) && !buffers.has(name),
  );
  if (stranger === undefined) return;
  fail({
    code: 'model.tensor',
    message: l10n.t`the checkpoint's tensor ${stranger} has no place in the model that its config describes`,
    where: { file: source },
    expected: l10n.t`the tensors of a model of type ${form.modelType} with ${form.layerCount} layers`,
    mend: otherModel(),
  });
}
