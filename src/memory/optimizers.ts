/** What optimizers keep, and what a step needs beside it. */
import * as l10n from '@vscode/l10n';
import { formatCount } from '../common/format.js';
import { placedModules, usedCount } from './modelShape.js';
import type { ModelShape, PlacedModule, ShapeModule } from './modelShape.js';
import { DTYPE_BYTES } from './storage.js';
import type { Dtype } from './storage.js';
import { prefixParts, targetsOf, trainedParts, trainsWeight } from './trained.js';
import type { Trained } from './trained.js';

export interface OptimizerPlan {
  readonly kind: 'adamw' | 'adamw-8bit' | 'adafactor' | 'sgd';
  /** SGD: whether momentum is kept. */
  readonly momentum?: boolean;
  /**
   * How PyTorch's AdamW goes over its tensors. `foreach` (PyTorch's default on CUDA) holds a temporary copy of all second
   * moments during a step; `fused` (the Trainer's choice) none.
   */
  readonly implementation?: 'fused' | 'foreach';
  /** Float32 copies of 16-bit weights, as DeepSpeed and Megatron keep them. */
  readonly masterWeights?: boolean;
  /** The step is taken within the backward pass, tensor by tensor; not with accumulation. */
  readonly inBackward?: boolean;
}

/** Trained values that share a type. */
export interface TrainedGroup {
  readonly values: number;
  readonly dtype: Dtype;
}

/** One float32 scale per 256 values of an 8-bit state (Dettmers et al. 2021). */
const EIGHT_BIT_BLOCK = 256;

interface Cost {
  readonly bytes: number;
  readonly formula: string;
}

/** Bytes of the optimizer's state over all trained values. */
export function optimizerBytes(
  shape: ModelShape,
  methods: readonly Trained[],
  optimizer: OptimizerPlan,
  groups: readonly TrainedGroup[],
): Cost {
  const state = projectedState(shape, methods, optimizer, groups);
  const half = groups.filter(({ dtype }) => dtype !== 'fp32').reduce((sum, { values }) => sum + values, 0);
  if (!optimizer.masterWeights || half === 0) return state;
  return {
    bytes: state.bytes + 4 * half,
    formula: l10n.t`${state.formula} + float32 copies: 4 × ${formatCount(half)}`,
  };
}

/** {@link stateBytes}, of which some moments lie in subspaces: they are smaller, and a basis comes on top. */
function projectedState(
  shape: ModelShape,
  methods: readonly Trained[],
  optimizer: OptimizerPlan,
  groups: readonly TrainedGroup[],
): Cost {
  const { saved, bases } = projectedValues(shape, methods);
  const [whole, ...others] = groups;
  if (bases === 0 || whole === undefined) return stateBytes(shape, methods, optimizer, groups);
  const state = stateBytes(shape, methods, optimizer, [{ ...whole, values: whole.values - saved }, ...others]);
  const bytes = bases * DTYPE_BYTES[whole.dtype];
  return {
    bytes: state.bytes + bytes,
    formula: l10n.t`${state.formula} + bases of the subspaces: ${formatCount(bases)} × ${DTYPE_BYTES[whole.dtype]}`,
  };
}

/** GaLore: values that a moment lacks beside one of the weights' own size, and values of the bases. */
function projectedValues(
  shape: ModelShape,
  methods: readonly Trained[],
): { readonly saved: number; readonly bases: number } {
  let [saved, bases] = [0, 0];
  for (const { module, layers, rows, columns, left, right } of projections(shape, methods)) {
    const count = module.copies * layers;
    const [small, basis] = [(left || rows) * (right || columns), left * rows + right * columns];
    saved += (rows * columns - small) * count;
    bases += basis * count;
  }
  return { saved, bases };
}

/** Targets of GaLore with the ranks of their bases; 0 where there is none on that side. */
function projections(
  shape: ModelShape,
  methods: readonly Trained[],
): readonly (PlacedModule & Readonly<Record<'rows' | 'columns' | 'left' | 'right', number>>)[] {
  return methods.flatMap((method) => {
    if (method.kind !== 'full' || method.projected === undefined) return [];
    const { targets, rank: asked, sides } = method.projected;
    return targetsOf(shape, targets)
      .filter(({ module }) => module.shared === undefined)
      .map((placed) => {
        const [rows, columns] = [placed.module.out, placed.module.in];
        const rank = Math.min(asked, rows, columns);
        const isRight =
          sides === 'both' || sides === 'right' || sides === (rows >= columns ? 'shorter' : 'longer');
        const isLeft = sides === 'both' || !isRight;
        return { ...placed, rows, columns, left: isLeft ? rank : 0, right: isRight ? rank : 0 };
      });
  });
}

function stateBytes(
  shape: ModelShape,
  methods: readonly Trained[],
  optimizer: OptimizerPlan,
  groups: readonly TrainedGroup[],
): Cost {
  const each = (factor: number, words: string): Cost => ({
    bytes: groups.reduce((sum, { values, dtype }) => sum + values * factor * DTYPE_BYTES[dtype], 0),
    formula: l10n.t`${words} × bytes of their type = ${groups
      .map(({ values, dtype }) => `${factor} × ${formatCount(values)} × ${DTYPE_BYTES[dtype]}`)
      .join(' + ')}`,
  });
  switch (optimizer.kind) {
    case 'adamw':
      return each(2, l10n.t`two moments per trained value`);
    case 'sgd':
      return optimizer.momentum
        ? each(1, l10n.t`momentum per trained value`)
        : { bytes: 0, formula: l10n.t`SGD keeps nothing` };
    case 'adamw-8bit': {
      const values = groups.reduce((sum, group) => sum + group.values, 0);
      return {
        bytes: 2 * (values + 4 * Math.ceil(values / EIGHT_BIT_BLOCK)),
        formula: l10n.t`two moments of a byte and a float32 scale per ${EIGHT_BIT_BLOCK} = 2 × ${formatCount(values)} × (1 + 4/${EIGHT_BIT_BLOCK})`,
      };
    }
    case 'adafactor': {
      const values = factoredValues(shape, methods);
      return {
        bytes: 4 * values,
        formula: l10n.t`float32 second moments of rows and columns (Shazeer & Stern 2018) = 4 × ${formatCount(values)}`,
      };
    }
  }
}

/** Adafactor's state in values: rows + columns of matrices, every value of vectors. */
function factoredValues(shape: ModelShape, methods: readonly Trained[]): number {
  // Of a projected matrix those of what it is projected to.
  let values = -projections(shape, methods).reduce(
    (sum, { module, layers, rows, columns, left, right }) =>
      sum + (rows - (left || rows) + columns - (right || columns)) * module.copies * layers,
    0,
  );
  for (const placed of placedModules(shape)) {
    const { module, layers } = placed;
    const parts = trainedParts(placed, methods);
    const isOwn = parts.weight && module.shared === undefined;
    const weight = isOwn || parts.copy ? sidesOf(module) : 0;
    const bias = (parts.bias || parts.copy) && module.bias ? module.out : 0;
    values += (weight + bias) * module.copies * layers;
  }
  for (const method of methods) values += factoredAdded(shape, method);
  return values;
}

/** Rows + columns of a matrix; a vector's values. */
function sidesOf(module: ShapeModule): number {
  return module.kind === 'norm' ? module.out : module.in + module.out;
}

function factoredAdded(shape: ModelShape, method: Trained): number {
  const { blocks, hidden } = shape;
  switch (method.kind) {
    case 'full':
    case 'whole':
    case 'biases':
    case 'mask':
      return 0;
    case 'sparse':
      return method.values;
    case 'scores':
      return targetsOf(shape, method.targets).reduce(
        (total, { module, layers }) => total + sidesOf(module) * module.copies * layers,
        0,
      );
    case 'low-rank':
      return targetsOf(shape, method.targets).reduce((total, { module, layers }) => {
        const vectors = (method.magnitude ? module.out : 0) + (method.singular || method.gated ? method.rank : 0);
        return total + (module.in + module.out + 2 * method.rank + vectors) * module.copies * layers;
      }, 0);
    case 'factors':
      return targetsOf(shape, method.targets).reduce(
        (total, { module, layers }) => total + method.sides * module.copies * layers,
        method.shared.sides,
      );
    case 'scales':
      return targetsOf(shape, method.targets).reduce(
        (total, { module, layers }) =>
          total + (method.side === 'in' ? module.in : module.out) * module.copies * layers,
        0,
      );
    case 'virtual-tokens':
      return method.count === 0 ? 0 : method.count + hidden;
    case 'prefix':
      return prefixParts(shape, method).reduce((total, { sides }) => total + sides, 0);
    case 'adapters':
      return (
        Math.round(method.perLayer * blocks.reduce((total, { layers }) => total + layers, 0)) *
        (3 * hidden + 3 * method.size + (method.scales ?? 0))
      );
  }
}

/** What a step needs while it runs, beside state and gradients. */
export function stepWorkspace(
  shape: ModelShape,
  methods: readonly Trained[],
  optimizer: OptimizerPlan,
  groups: readonly TrainedGroup[],
): Cost {
  if (optimizer.kind === 'adamw' && optimizer.implementation === 'foreach') {
    return {
      bytes: groups.reduce((sum, { values, dtype }) => sum + values * DTYPE_BYTES[dtype], 0),
      formula: l10n.t`the roots of all second moments at once: ${groups
        .map(({ values, dtype }) => `${formatCount(values)} × ${DTYPE_BYTES[dtype]}`)
        .join(' + ')}`,
    };
  }
  const largest = largestTrained(shape, methods);
  const copies = optimizer.kind === 'adafactor' ? 2 : 0;
  return {
    bytes: copies * 4 * largest,
    formula:
      copies === 0
        ? l10n.t`a fused step writes in place`
        : l10n.t`the update and its square, of the largest tensor: ${copies} × 4 × ${formatCount(largest)}`,
  };
}

/** Values of the largest trained tensor of the base (or copy of one), or of the largest target's pair. */
export function largestTrained(shape: ModelShape, methods: readonly Trained[]): number {
  const base = placedModules(shape)
    .filter((placed) => trainsWeight(placed, methods))
    .map(({ module }) => usedCount(module));
  const added = methods.flatMap((method) =>
    method.kind === 'low-rank'
      ? targetsOf(shape, method.targets).map(({ module }) => method.rank * Math.max(module.in, module.out))
      : [],
  );
  return [...base, ...added].reduce((most, values) => Math.max(most, values), 0);
}
