/**
 * What a method trains, in the few terms that decide memory. Methods describe themselves in these; counts are exact.
 */
import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import { biasCount, placedModules, sum, usedCount, weightCount } from './modelShape.js';
import type { AttentionShape, ModelShape, PlacedModule } from './modelShape.js';
import { isQuantized } from './storage.js';
import type { Quantization } from './storage.js';

/** Which modules: by the end of their path (`q_proj`, `self_attn.q_proj`), or every linear but the output layer. */
export type Targets = 'all-linear' | readonly string[];

/** Moments of a target [out, in] in a subspace of this rank, from the sides whose bases are kept: left [out, r], right [in, r]. */
export interface Projected {
  readonly targets: Targets;
  readonly rank: number;
  readonly sides: 'shorter' | 'longer' | 'left' | 'right' | 'both';
}

export type Trained =
  /** Every parameter; with `projected` the optimizer of the targets lives in subspaces: GaLore (Zhao et al. 2024). */
  | { readonly kind: 'full'; readonly projected?: Projected }
  /**
   * Whole modules of the base, weight and bias: layer freezing, LayerNorm tuning; `copied`: copies of them, while the
   * base's stay where they are, as PEFT's `modules_to_save` does.
   */
  | { readonly kind: 'whole'; readonly targets: Targets; readonly copied?: boolean }
  /** Every bias, or those of targets: BitFit (Ben Zaken et al. 2022). */
  | { readonly kind: 'biases'; readonly targets?: Targets }
  /** Single values of the targets' weights, chosen by a mask: FISH Mask (Sung et al. 2021). */
  | { readonly kind: 'sparse'; readonly targets: Targets; readonly values: number }
  /** A score for each number of the targets' weights, which stay: learned masks (Zhao et al. 2020). */
  | { readonly kind: 'scores'; readonly targets: Targets }
  /** A mask over what the other methods train: Child-Tuning (Xu et al. 2021). */
  | { readonly kind: 'mask' }
  /**
   * A pair A [r, in], B [out, r] per module: LoRA (Hu et al. 2022); with `magnitude` an [out] vector, too: DoRA (Liu et
   * al. 2024); with `singular` an [r] vector: AdaLoRA (Zhang et al. 2023); with `gated` a gate [r]: SoRA (Ding et al. 2023).
   */
  | {
      readonly kind: 'low-rank';
      readonly targets: Targets;
      readonly rank: number;
      readonly dropout?: boolean;
      readonly magnitude?: boolean;
      readonly singular?: boolean;
      readonly gated?: boolean;
    }
  /**
   * Small matrices per module whose product is its update: `each` values, `sides` rows and columns in all, `kept` values per
   * token for the backward pass; `shared` by all of these modules once (LoTR, Bershatsky et al. 2024); `built`: the update is
   * made as a whole matrix at each step and kept, as PEFT's LoKr does.
   */
  | {
      readonly kind: 'factors';
      readonly targets: Targets;
      readonly each: number;
      readonly sides: number;
      readonly kept: number;
      readonly built: boolean;
      readonly shared: { readonly values: number; readonly sides: number };
    }
  /** A vector that scales what a module reads or gives: (IA)³ (Liu et al. 2022). */
  | { readonly kind: 'scales'; readonly targets: Targets; readonly side: 'in' | 'out' }
  /** Prompt tuning (Lester et al. 2021): embeddings before the (encoder's) text. */
  | { readonly kind: 'virtual-tokens'; readonly count: number }
  /**
   * Keys and values before those of every layer: prefix tuning (Li & Liang 2021); with `projection` made by a network of
   * that inner width, or of the width of keys.
   */
  | { readonly kind: 'prefix'; readonly count: number; readonly projection?: number | 'width' }
  /**
   * Bottleneck adapters (Houlsby et al. 2019): down d·r + r, up r·d + d; so many in a layer, on average; with `scales`
   * more values each, where their scaling trains.
   */
  | {
      readonly kind: 'adapters';
      readonly size: number;
      readonly perLayer: number;
      readonly scales?: number;
    };

/** How many values methods train: inside the base's own tensors, in copies of them, and in tensors that they add. */
export interface TrainedCount {
  readonly base: number;
  readonly copied: number;
  readonly added: number;
}

/**
 * @throws a problem `memory.targets` where targets meet no module, `memory.quantized` where a quantized matrix would
 * be trained
 */
export function countTrained(
  shape: ModelShape,
  methods: readonly Trained[],
  quantization?: Quantization,
): TrainedCount {
  const places = placedModules(shape);
  let [base, copied] = [0, 0];
  for (const placed of places) {
    const parts = trainedParts(placed, methods);
    if (trainsWeight(placed, methods) && isQuantized(quantization, placed)) refuseQuantized(placed.path);
    const { module, layers } = placed;
    const each = (parts.weight ? weightCount(module) : 0) + (parts.bias ? biasCount(module) : 0);
    base += each * module.copies * layers;
    if (parts.copy) copied += (usedCount(module) + biasCount(module)) * module.copies * layers;
  }
  return { base, copied, added: sum(methods, (method) => addedCount(shape, method)) };
}

/** Which of the base's own tensors of a module are trained, and whether a copy of the module is. */
export function trainedParts(
  placed: PlacedModule,
  methods: readonly Trained[],
): { readonly weight: boolean; readonly bias: boolean; readonly copy: boolean } {
  const isWhole = (method: Trained, copied: boolean): boolean =>
    method.kind === 'whole' && (method.copied ?? false) === copied && isTarget(placed, method.targets);
  const whole = methods.some((method) => method.kind === 'full' || isWhole(method, false));
  const copy = methods.some((method) => isWhole(method, true));
  const bias = methods.some(
    (method) => method.kind === 'biases' && (method.targets === undefined || isTarget(placed, method.targets)),
  );
  return { weight: whole, bias: whole || (bias && !copy), copy };
}

/** Whether a module's weight gets a gradient, for which its input is kept. */
export function trainsWeight(placed: PlacedModule, methods: readonly Trained[]): boolean {
  const { weight, copy } = trainedParts(placed, methods);
  const isOwn = (each: Trained): boolean =>
    (each.kind === 'sparse' || each.kind === 'scores') && isTarget(placed, each.targets);
  return weight || copy || methods.some(isOwn);
}

/** Whether targets name a module: as PEFT does, by its path or an end of its path after a dot. */
export function isTarget({ path, module, block }: PlacedModule, targets: Targets): boolean {
  if (targets === 'all-linear') return module.kind === 'linear' && block !== undefined;
  return targets.some((target) => path === target || path.endsWith(`.${target}`));
}

/** The modules that targets name. @throws a problem `memory.targets` where they name none */
export function targetsOf(shape: ModelShape, targets: Targets): readonly PlacedModule[] {
  const found = placedModules(shape).filter((placed) => isTarget(placed, targets));
  if (found.length > 0) return found;
  return fail({
    code: 'memory.targets',
    message: l10n.t`no module of the model is called ${[targets].flat().join(', ')}`,
    expected: l10n.t`ends of ${placedModules(shape)
      .map(({ path }) => path)
      .join(', ')}`,
    mend: l10n.t`Name modules of this model, or 'all-linear'.`,
  });
}

function addedCount(shape: ModelShape, method: Trained): number {
  switch (method.kind) {
    case 'full':
    case 'biases':
    case 'mask':
      return 0;
    case 'whole':
      // Counted where the modules are; here only: there must be some.
      targetsOf(shape, method.targets);
      return 0;
    case 'sparse':
      targetsOf(shape, method.targets);
      return method.values;
    case 'scores':
      return scoreCount(shape, [method]);
    case 'low-rank':
      return sum(targetsOf(shape, method.targets), ({ module, layers }) => {
        const pair = method.rank * (module.in + module.out);
        const magnitude = method.magnitude ? module.out : 0;
        const singular = method.singular || method.gated ? method.rank : 0;
        return (pair + magnitude + singular) * module.copies * layers;
      });
    case 'factors':
      return (
        method.shared.values +
        sum(targetsOf(shape, method.targets), ({ module, layers }) => method.each * module.copies * layers)
      );
    case 'scales':
      return sum(
        targetsOf(shape, method.targets),
        ({ module, layers }) => (method.side === 'in' ? module.in : module.out) * module.copies * layers,
      );
    case 'virtual-tokens':
      return method.count * shape.hidden;
    case 'prefix':
      return prefixParts(shape, method).reduce((total, { values }) => total + values, 0);
    case 'adapters':
      return (
        Math.round(method.perLayer * sum(shape.blocks, ({ layers }) => layers)) *
        (adapterCount(shape.hidden, method.size) + (method.scales ?? 0))
      );
  }
}

/** Numbers of the weights that have a score each. */
export function scoreCount(shape: ModelShape, methods: readonly Trained[]): number {
  return sum(methods, (method) =>
    method.kind === 'scores'
      ? sum(targetsOf(shape, method.targets), ({ module, layers }) => usedCount(module) * module.copies * layers)
      : 0,
  );
}

/** Numbers of the updates that are built as whole matrices. */
export function builtCount(shape: ModelShape, methods: readonly Trained[]): number {
  return sum(methods, (method) =>
    method.kind === 'factors' && method.built
      ? sum(targetsOf(shape, method.targets), ({ module, layers }) => usedCount(module) * module.copies * layers)
      : 0,
  );
}

/**
 * The tensors of a prefix of a model whose layers are alike, by their values and by rows + columns: the prefix itself
 * [count, 2·layers·width], or an embedding [count, width] and the two layers behind it.
 */
export function prefixParts(
  shape: ModelShape,
  { count, projection }: Extract<Trained, { kind: 'prefix' }>,
): readonly { readonly values: number; readonly sides: number }[] {
  const matrix = (rows: number, columns: number) => ({ values: rows * columns, sides: rows + columns });
  const vector = (size: number) => ({ values: size, sides: size });
  const widthOf = ({ keyValueHeads, headDim }: AttentionShape): number => keyValueHeads * headDim;
  const out = 2 * sum(shape.blocks, ({ layers, attention }) => layers * widthOf(attention));
  if (projection === undefined) return [matrix(count, out)];
  const width = widthOf(shape.blocks[0]!.attention);
  const inner = projection === 'width' ? width : projection;
  return [matrix(count, width), matrix(inner, width), vector(inner), matrix(out, inner), vector(out)];
}

/** Parameters of one bottleneck adapter, biases included: 2dr + d + r (Houlsby et al. 2019, section 2.1). */
export function adapterCount(width: number, size: number): number {
  return 2 * width * size + width + size;
}

function refuseQuantized(path: string): never {
  return fail({
    code: 'memory.quantized',
    message: l10n.t`${path} is quantized and trained whole`,
    expected: l10n.t`quantized matrices stay as they are`,
    mend: l10n.t`Train an adapter beside it (LoRA), or leave quantization off.`,
  });
}
