/**
 * A model as the planner sees it: which matrices and vectors there are, of what size and how often. It comes from
 * `config.json` alone ({@link import('./readShape.js').readModelShape}); no weights are read.
 */

/** A module with parameters, by its path within a layer or, outside of the layers, within the model. */
export interface ShapeModule {
  readonly name: string;
  readonly kind: 'linear' | 'embedding' | 'norm';
  /** Input features; of an embedding its rows; of a norm its width. */
  readonly in: number;
  /** Output features. */
  readonly out: number;
  readonly bias: boolean;
  /** How many there are in a layer: experts, else 1. */
  readonly copies: number;
  /** How many of them one token passes; of a norm over heads, how many heads. */
  readonly active: number;
  /** The activation it reads: modules that name the same share one tensor. */
  readonly input: string;
  /** The module whose matrix it uses: of an output layer that is tied to the embeddings. A bias is its own. */
  readonly shared?: string;
}

export interface AttentionShape {
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headDim: number;
  /** Values are a slice of one matrix's result, which they keep whole while queries and keys are made anew of theirs. */
  readonly fused?: boolean;
}

/** `gelu_new` is written out in several operations in Transformers, which each keep their inputs; others are one. */
export type ActivationFunction = 'silu' | 'gelu' | 'gelu_new' | 'relu';

/** Layers of equal shape, one after the other. */
export interface Block {
  /** Path of the list of layers: `model.layers`. */
  readonly name: string;
  readonly side: 'encoder' | 'decoder';
  readonly layers: number;
  readonly modules: readonly ShapeModule[];
  /** `gemma`: RMSNorm that multiplies by its weight in float32; `t5`: one that keeps its input in both types. */
  readonly norm: 'rms' | 'gemma' | 't5' | 'layer';
  readonly attention: AttentionShape;
  /** What eager attention does with scores: softmax in float32 whatever the type, and a soft cap before it (Gemma 2). */
  readonly scores: { readonly float32: boolean; readonly softCap: boolean };
  /** Attention to the encoder's output. */
  readonly crossAttention: boolean;
  readonly feedForward: {
    readonly width: number;
    readonly gated: boolean;
    readonly activation: ActivationFunction;
    /** Experts that one token passes; 1 without experts. */
    readonly active: number;
  };
  /** Whether the config sets a dropout rate above 0: its mask is kept for the backward pass. */
  readonly dropout: { readonly hidden: boolean; readonly attention: boolean; readonly feedForward: boolean };
}

export interface ModelShape {
  /** `model_type` of the config. */
  readonly modelType: string;
  readonly hidden: number;
  readonly vocab: number;
  readonly blocks: readonly Block[];
  /** Embeddings, final norms, and the output layer where it has a matrix of its own. */
  readonly outside: readonly ShapeModule[];
  /** Whether it computes logits over the vocabulary. */
  readonly logits: boolean;
  /** What of the config this shape leaves out, for instance a vision tower; empty for most. */
  readonly leftOut: readonly string[];
}

type Options = Partial<Pick<ShapeModule, 'bias' | 'copies' | 'active' | 'shared'>>;

/** @param input the activation it reads; modules that name the same share one */
export function linear(
  name: string,
  inputs: number,
  outputs: number,
  input: string,
  options: Options = {},
): ShapeModule {
  return {
    name,
    kind: 'linear',
    in: inputs,
    out: outputs,
    bias: false,
    copies: 1,
    active: 1,
    input,
    ...options,
  };
}

export function embedding(name: string, rows: number, width: number): ShapeModule {
  return { name, kind: 'embedding', in: rows, out: width, bias: false, copies: 1, active: 1, input: 'ids' };
}

/**
 * @param heads for a norm over each head: how many there are
 * @param input the activation it reads, where it shares that with another norm
 */
export function norm(name: string, width: number, bias = false, heads = 1, input = name): ShapeModule {
  return { name, kind: 'norm', in: width, out: width, bias, copies: 1, active: heads, input };
}

/**
 * The layer that yields the logits.
 * @param tied the embeddings whose matrix it uses, if it has none of its own
 */
export function outputLayer(
  name: string,
  inputs: number,
  vocab: number,
  tied: string | undefined,
  bias = false,
): ShapeModule {
  return linear(name, inputs, vocab, 'head', { bias, ...(tied === undefined ? {} : { shared: tied }) });
}

/** Values of the weight of one copy: out × in; of a norm its width; none where another module holds them. */
export function weightCount(module: ShapeModule): number {
  return module.shared === undefined ? usedCount(module) : 0;
}

/** Values of the weight that one copy computes with, whoever holds it. */
export function usedCount(module: ShapeModule): number {
  return module.kind === 'norm' ? module.out : module.in * module.out;
}

/** Values of the bias of one copy. */
export function biasCount(module: ShapeModule): number {
  return module.bias ? module.out : 0;
}

/** All values of a module, in all its copies. */
export function moduleCount(module: ShapeModule): number {
  return (weightCount(module) + biasCount(module)) * module.copies;
}

/** A module with its place: how many layers have it, and the path by which methods find it. */
export interface PlacedModule {
  readonly module: ShapeModule;
  readonly layers: number;
  readonly path: string;
  /** The block it is in; undefined outside of the layers. */
  readonly block?: Block;
}

/** Every module of a model, once per block. */
export function placedModules(shape: ModelShape): readonly PlacedModule[] {
  return [
    ...shape.outside.map((module) => ({ module, layers: 1, path: module.name })),
    ...shape.blocks.flatMap((block) =>
      block.modules.map((module) => ({
        module,
        layers: block.layers,
        path: `${block.name}.*.${module.name}`,
        block,
      })),
    ),
  ];
}

/** All parameters; shared matrices once. */
export function parameterCount(shape: ModelShape): number {
  return sum(placedModules(shape), ({ module, layers }) => moduleCount(module) * layers);
}

/** Sum of a number of each. */
export function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
