/**
 * What the forward pass keeps for the backward pass, per token and layer: counted from what autograd keeps for each
 * operation of Transformers' layers, not from a rule of thumb. The counting in the manner of Korthikanti et al. 2022
 * ("Reducing Activation Recomputation in Large Transformer Models", section 4), extended by what is trained: a frozen
 * matrix does not need its input.
 */
import * as l10n from '@vscode/l10n';
import { formatBytes, formatCount } from '../common/format.js';
import type { Block, ModelShape, PlacedModule, ShapeModule } from './modelShape.js';
import { sum } from './modelShape.js';
import type { MemoryRun } from './run.js';
import { DTYPE_BYTES } from './storage.js';
import { isTarget, trainsWeight } from './trained.js';
import type { Trained } from './trained.js';

/** What a decoder's cross-attention reads keys and values from. */
const ENCODER_OUTPUT = 'encoder-output';

/** Lengths a run's sequences have, with virtual tokens. */
export interface Lengths {
  /** Tokens of a row at a block's side. */
  readonly tokens: Readonly<Record<Block['side'], number>>;
  /** Keys of a row that a token of that side attends to. */
  readonly keys: Readonly<Record<Block['side'], number>>;
}

/** A part of what a layer keeps per token, in bytes. */
export interface KeptPart {
  readonly name: string;
  readonly bytes: number;
}

export interface Activations {
  /** All that is kept when the backward pass begins, bytes. */
  readonly kept: number;
  /** What one layer keeps, of the largest block: what is there when the backward pass ends. */
  readonly oneLayer: number;
  readonly formula: string;
}

/** Lengths with virtual tokens before the text, and prefixes before the keys. */
export function lengthsOf(shape: ModelShape, run: MemoryRun): Lengths {
  const virtual = sum(run.methods, (method) => (method.kind === 'virtual-tokens' ? method.count : 0));
  const prefix = sum(run.methods, (method) => (method.kind === 'prefix' ? method.count : 0));
  const hasEncoder = shape.blocks.some(({ side }) => side === 'encoder');
  const hasDecoder = shape.blocks.some(({ side }) => side === 'decoder');
  const encoder = run.length + virtual;
  const decoder = hasEncoder ? (run.targetLength ?? run.length) : run.length + virtual;
  return {
    tokens: { encoder, decoder },
    // Of an encoder-decoder the decoder's own text has it in front.
    keys: { encoder: encoder + (hasDecoder ? 0 : prefix), decoder: decoder + prefix },
  };
}

/** Bytes that all layers keep for one batch. */
export function activations(shape: ModelShape, run: MemoryRun): Activations {
  const lengths = lengthsOf(shape, run);
  const each = DTYPE_BYTES[run.compute];
  const blocks = shape.blocks.map((block) => {
    const tokens = run.batch * lengths.tokens[block.side];
    const parts = keptByLayer(block, run, lengths);
    const perToken = sum(parts, ({ bytes }) => bytes) + crossMemory(block, run, lengths) / Math.max(tokens, 1);
    return { block, tokens, parts, perToken };
  });
  const oneLayer = blocks.reduce((most, { tokens, perToken }) => Math.max(most, tokens * perToken), 0);
  const text = blocks.map(({ block, tokens, parts, perToken }) => {
    const named = parts.map(({ name, bytes }) => `${name} ${formatCount(bytes)}`).join(', ');
    return { block, tokens, perToken, named };
  });
  if (run.checkpointing) {
    const inputs = sum(blocks, ({ block, tokens }) => block.layers * tokens * shape.hidden * each);
    return {
      kept: Math.ceil(inputs + oneLayer),
      oneLayer: Math.ceil(oneLayer),
      formula: l10n.t`checkpointing: every layer's input, ${blocks
        .map(
          ({ block, tokens }) =>
            l10n.t`${block.layers} × ${formatCount(tokens)} tokens × ${shape.hidden} × ${each}`,
        )
        .join(' + ')}, and one layer computed again, ${formatBytes(oneLayer)}`,
    };
  }
  return {
    kept: Math.ceil(sum(blocks, ({ block, tokens, perToken }) => block.layers * tokens * perToken)),
    oneLayer: Math.ceil(oneLayer),
    formula: text
      .map(
        ({ block, tokens, perToken, named }) =>
          l10n.t`layers × tokens × bytes that a layer keeps per token = ${block.layers} × ${formatCount(tokens)} × ${formatCount(perToken)} (${named})`,
      )
      .join(' + '),
  };
}

/** What a layer keeps for one token, by the operation that needs it. */
export function keptByLayer(block: Block, run: MemoryRun, lengths: Lengths): readonly KeptPart[] {
  const each = DTYPE_BYTES[run.compute];
  return [
    { name: l10n.t`norms`, bytes: normBytes(block, run, each) },
    { name: l10n.t`attention`, bytes: attentionBytes(block, run, lengths, each) },
    { name: l10n.t`feed-forward`, bytes: feedForwardBytes(block, each) },
    { name: l10n.t`inputs of trained matrices`, bytes: inputBytes(block, run, each) },
    { name: l10n.t`adapters`, bytes: adapterBytes(block, run, each) },
    { name: 'dropout', bytes: dropoutBytes(block) },
  ].filter(({ bytes }) => bytes > 0);
}

/**
 * RMSNorm in Transformers squares a float32 copy, which is kept; in float32 there is no copy, and the residual stream
 * itself is kept. A trained weight needs the normalized value, too. LayerNorm is one operation that keeps its input.
 * Norms that read the same keep it once.
 */
function normBytes(block: Block, run: MemoryRun, each: number): number {
  const inputs = new Map<string, number>();
  let normalized = 0;
  for (const module of block.modules) {
    if (module.kind !== 'norm') continue;
    const width = module.out * module.active;
    inputs.set(module.input, width * normInputBytes(block.norm, each));
    if (!trainsWeight(place(block, module), run.methods) || block.norm === 'layer') continue;
    normalized += width * (block.norm === 'gemma' ? 4 : each);
  }
  return normalized + sum([...inputs.values()], (bytes) => bytes);
}

function normInputBytes(norm: Block['norm'], each: number): number {
  if (norm === 'layer') return each;
  return norm === 't5' && each < 4 ? 4 + each : 4;
}

/**
 * Queries, keys, values and, fused, the output with a float32 per head and row; eager keeps the scores of every pair
 * after softmax instead (where that is in float32, in the compute type, too, for the product with the values). With grouped queries
 * `eager` and `sdpa` repeat keys and values for every head, `flash` does not.
 */
function attentionBytes(block: Block, run: MemoryRun, lengths: Lengths, each: number): number {
  const { heads, keyValueHeads, headDim, fused } = block.attention;
  const slices = fused && run.attention !== 'eager' ? each * headDim * (heads + keyValueHeads) : 0;
  const own = lengths.keys[block.side];
  const repeated = run.attention === 'flash' ? keyValueHeads : heads;
  const once = (keys: number, keyValues: number): number =>
    each * headDim * (heads + 2 * keyValues) +
    (run.attention === 'eager' ? scoreBytes(block, each) * heads * keys : each * heads * headDim + 4 * heads);
  // Keys and values of the encoder's output are per token of the encoder: crossMemory counts them.
  return once(own, repeated) + slices + (block.crossAttention ? once(lengths.tokens.encoder, 0) : 0);
}

/** Bytes that one score keeps with eager attention. */
function scoreBytes(block: Block, each: number): number {
  const softmax = each < 4 && block.scores.float32 ? 4 + each : each;
  return softmax + (block.scores.softCap ? each : 0) + (block.dropout.attention ? 1 + each : 0);
}

/** Of the encoder's output a decoder layer keeps keys, values and what their pairs keep: bytes for the whole batch. */
function crossMemory(block: Block, run: MemoryRun, lengths: Lengths): number {
  if (!block.crossAttention) return 0;
  const { heads, headDim } = block.attention;
  const each = DTYPE_BYTES[run.compute];
  const pairs = sum(block.modules, (module) =>
    module.input === ENCODER_OUTPUT ? pairBytes(block, module, run, each) : 0,
  );
  return (each * 2 * heads * headDim + pairs) * run.batch * lengths.tokens.encoder;
}

/**
 * A gated network keeps gate, its activation and up; a plain one what goes into its activation. Experts keep what they
 * give, too, for the gradient of their weights.
 */
function feedForwardBytes({ feedForward, modules }: Block, each: number): number {
  const { width, gated, activation, active } = feedForward;
  const kept = activation === 'gelu_new' ? 4 : 1;
  const given = modules.some(({ copies }) => copies > 1) ? widthOf(modules) : 0;
  return active * each * (width * (kept + (gated ? 2 : 0)) + given);
}

/**
 * What the matrices read, where their weight is trained: once per tensor that several read. A fused attention's output
 * is kept by the attention already.
 */
function inputBytes(block: Block, run: MemoryRun, each: number): number {
  const seen = new Map<string, number>();
  for (const module of block.modules) {
    // The encoder's output is one for all layers.
    if (module.kind !== 'linear' || module.input === ENCODER_OUTPUT) continue;
    const trained = trainsWeight(place(block, module), run.methods);
    const sharesType = DTYPE_BYTES[adapterDtype(run)] <= each;
    // A pair with dropout keeps the dropped input instead, which adapterBytes counts.
    const shares =
      sharesType &&
      (lowRankOf(block, module, run.methods).some(({ dropout }) => !dropout) ||
        factorsOf(block, module, run.methods).length > 0);
    if (!trained && !shares) continue;
    if (module.input.endsWith('attention-output') && run.attention !== 'eager') continue;
    if (module.input === 'feed-forward-output' && keepsResult(block)) continue;
    seen.set(module.input, module.in * module.active);
  }
  return each * sum([...seen.values()], (width) => width);
}

/** ReLU keeps what it gives, not what it reads. */
function keepsResult({ feedForward }: Block): boolean {
  return feedForward.activation === 'relu' && !feedForward.gated;
}

/**
 * A low-rank pair keeps A's result for B and, where A is wider than the compute type, a copy of its input in A's type
 * (PEFT casts per module); with dropout the dropped input and its mask instead. A magnitude (DoRA) keeps the unscaled
 * result.
 */
function pairBytes(block: Block, module: ShapeModule, run: MemoryRun, each: number): number {
  const adapter = DTYPE_BYTES[adapterDtype(run)];
  const cast = adapter > each ? adapter * module.in : 0;
  const products = sum(
    factorsOf(block, module, run.methods),
    ({ kept }) => (cast + adapter * kept) * module.active,
  );
  const pairs = sum(lowRankOf(block, module, run.methods), (method) => {
    const read = method.dropout ? (adapter + 1) * module.in : cast;
    const magnitude = method.magnitude ? adapter * module.out : 0;
    return (read + adapter * method.rank + magnitude) * module.active;
  });
  return pairs + products;
}

/** What pairs keep; a bottleneck adapter its input and, twice, its bottleneck; scales what they scale. */
function adapterBytes(block: Block, run: MemoryRun, each: number): number {
  const adapter = DTYPE_BYTES[adapterDtype(run)];
  const pairs = sum(block.modules, (module) =>
    module.input === ENCODER_OUTPUT ? 0 : pairBytes(block, module, run, each),
  );
  const hidden = widthOf(block.modules);
  const others = sum(run.methods, (method) => {
    if (method.kind === 'adapters') return method.perLayer * adapter * (hidden + 2 * method.size);
    if (method.kind !== 'scales') return 0;
    return sum(block.modules, (module) =>
      isTarget(place(block, module), method.targets)
        ? each * (method.side === 'in' ? module.in : module.out) * module.active
        : 0,
    );
  });
  return pairs + others;
}

/** Masks, a byte per value. Those of the scores are counted with the scores. */
function dropoutBytes({ dropout, crossAttention, feedForward, modules }: Block): number {
  const sublayers = crossAttention ? 3 : 2;
  const inside = dropout.feedForward ? feedForward.width * feedForward.active : 0;
  return (dropout.hidden ? sublayers * widthOf(modules) : 0) + inside;
}

/** The width of the residual stream: that of the widest norm. */
function widthOf(modules: readonly ShapeModule[]): number {
  return modules.reduce((most, module) => (module.kind === 'norm' ? Math.max(most, module.out) : most), 0);
}

function lowRankOf(
  block: Block,
  module: ShapeModule,
  methods: readonly Trained[],
): readonly (Trained & { kind: 'low-rank' })[] {
  return methods.filter(
    (method): method is Trained & { kind: 'low-rank' } =>
      method.kind === 'low-rank' && isTarget(place(block, module), method.targets),
  );
}

function factorsOf(
  block: Block,
  module: ShapeModule,
  methods: readonly Trained[],
): readonly (Trained & { kind: 'factors' })[] {
  return methods.filter(
    (method): method is Trained & { kind: 'factors' } =>
      method.kind === 'factors' && isTarget(place(block, module), method.targets),
  );
}

/** The type of what a method adds: float32 unless said otherwise, as PEFT casts it. */
export function adapterDtype(run: MemoryRun): 'fp32' | 'bf16' | 'fp16' {
  return run.adapterDtype ?? 'fp32';
}

function place(block: Block, module: ShapeModule): PlacedModule {
  return { module, layers: block.layers, path: `${block.name}.*.${module.name}`, block };
}
