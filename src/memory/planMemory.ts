import * as l10n from '@vscode/l10n';
import { formatBytes, formatCount } from '../common/format.js';
import { fail } from '../common/problem.js';
import { activations, adapterDtype, lengthsOf } from './activations.js';
import type { Activations } from './activations.js';
import { parameterCount, placedModules, sum, weightCount } from './modelShape.js';
import type { ModelShape } from './modelShape.js';
import { largestTrained, optimizerBytes, stepWorkspace } from './optimizers.js';
import type { TrainedGroup } from './optimizers.js';
import type { MemoryPart, MemoryPlan, Moment, MomentName, PartName } from './plan.js';
import type { MemoryRun } from './run.js';
import { largestLayer, sharesOf } from './sharding.js';
import { DTYPE_BYTES, largestQuantized, requireWhole, weightBytes } from './storage.js';
import { builtCount, countTrained, scoreCount } from './trained.js';
import type { TrainedCount } from './trained.js';

/** A CUDA context with PyTorch's kernels, and cuBLAS's workspace; what nvidia-smi shows before the first tensor. */
const CUDA_RUNTIME_BYTES = 500 * 2 ** 20;
/** The place of a single value within its tensor. */
const INDEX_BYTES = 4;
/** Averages that AdaLoRA keeps per value of its triplets: sensitivity, and sensitivity and uncertainty smoothed. */
const IMPORTANCE_AVERAGES = 3;

/**
 * What a run of Transformers on PyTorch will need at its peak, per device, by part. Nothing is measured and no weights are read.
 * @throws a problem `memory.number`, `memory.targets`, `memory.quantized` or `memory.run` for a run that cannot be
 */
export function planMemory(shape: ModelShape, run: MemoryRun): MemoryPlan {
  checkRun(run);
  const trained = countTrained(shape, run.methods, run.weights.quantization);
  const groups: readonly TrainedGroup[] = [
    { values: trained.base + trained.copied, dtype: run.weights.dtype },
    { values: trained.added, dtype: adapterDtype(run) },
  ].filter(({ values }) => values > 0);
  const fixed = fixedParts(shape, run, trained, groups);
  const gradients = gradientPart(shape, run, groups);
  const kept = activations(shape, run);
  const moments = [
    backwardBegins(shape, run, fixed, gradients, kept),
    backwardEnds(shape, run, fixed, gradients, kept),
    optimizerSteps(shape, run, fixed, gradients, groups),
  ];
  const peak = moments.reduce((most, moment) => (moment.bytes > most.bytes ? moment : most));
  return {
    total: peak.bytes,
    parts: peak.parts,
    peak: peak.name,
    moments,
    parameters: parameterCount(shape),
    trainable: trained.base + trained.copied + trained.added + (run.resting ?? 0),
    adapterFileBytes: fileBytes(shape, run, trained),
    assumptions: assumptionsOf(shape),
  };
}

/**
 * Whole tensors in the base's type, added ones in the adapter's; single values with the place of each; of scores a bit
 * each.
 */
function fileBytes(shape: ModelShape, run: MemoryRun, { base, copied, added }: TrainedCount): number {
  const scores = scoreCount(shape, run.methods);
  const single = sum(run.methods, (method) => (method.kind === 'sparse' ? method.values : 0));
  return (
    (base + copied + (run.resting ?? 0)) * DTYPE_BYTES[run.weights.dtype] +
    (added - scores) * DTYPE_BYTES[adapterDtype(run)] +
    Math.ceil(scores / 8) +
    single * INDEX_BYTES
  );
}

function checkRun(run: MemoryRun): void {
  requireWhole('batch', run.batch, 1);
  requireWhole('length', run.length, 1);
  requireWhole('targetLength', run.targetLength ?? 1, 1);
  requireWhole('accumulation', run.accumulation, 1);
  requireWhole('lossChunks', run.lossChunks ?? 1, 1);
  requireWhole('resting', run.resting ?? 0, 0);
  requireWhole('devices', run.sharding?.devices ?? 1, 1);
  requireWhole('runtimeBytes', run.runtimeBytes ?? 0, 0);
  if (run.optimizer.inBackward && run.accumulation > 1) {
    fail({
      code: 'memory.run',
      message: l10n.t`the step is taken within the backward pass, and gradients of ${run.accumulation} passes are summed`,
      expected: l10n.t`one of both`,
      mend: l10n.t`Set accumulation to 1, or take the step after the backward pass.`,
    });
  }
  for (const method of run.methods) {
    if (method.kind === 'low-rank') requireWhole('rank', method.rank, 1);
    if (method.kind === 'sparse') requireWhole('values', method.values, 0);
    if (method.kind === 'adapters') requireWhole('size', method.size, 1);
    if (method.kind === 'virtual-tokens' || method.kind === 'prefix') requireWhole('count', method.count, 1);
  }
}

/** What is there at all moments. */
function fixedParts(
  shape: ModelShape,
  run: MemoryRun,
  { added, copied }: TrainedCount,
  groups: readonly TrainedGroup[],
): readonly MemoryPart[] {
  const shares = sharesOf(run.sharding);
  const weights = weightBytes(shape, run.weights);
  const optimizer = optimizerBytes(shape, run.methods, run.optimizer, groups);
  const addedBytes = added * DTYPE_BYTES[adapterDtype(run)];
  const copiedBytes = copied * DTYPE_BYTES[run.weights.dtype];
  return [
    part('weights', weights.bytes / shares.weights, split(weights.formula, shares.weights)),
    part(
      'adapter',
      (addedBytes + copiedBytes) / shares.weights,
      split(
        [
          l10n.t`added values × bytes of ${adapterDtype(run)} = ${formatCount(added)} × ${DTYPE_BYTES[adapterDtype(run)]}`,
          ...(copied > 0
            ? [
                l10n.t`copies of whole modules × bytes of ${run.weights.dtype} = ${formatCount(copied)} × ${DTYPE_BYTES[run.weights.dtype]}`,
              ]
            : []),
        ].join(' + '),
        shares.weights,
      ),
    ),
    part('optimizer', optimizer.bytes / shares.optimizer, split(optimizer.formula, shares.optimizer)),
    statePart(shape, run, groups),
    communication(shape, run, groups),
    part(
      'runtime',
      run.runtimeBytes ?? CUDA_RUNTIME_BYTES,
      l10n.t`the CUDA context and the libraries' workspaces`,
    ),
  ];
}

/** What methods keep beside what they train, on every device. */
function statePart(shape: ModelShape, run: MemoryRun, groups: readonly TrainedGroup[]): MemoryPart {
  const each = DTYPE_BYTES[adapterDtype(run)];
  const adaptive = run.methods.filter((method) => method.kind === 'low-rank' && method.singular);
  const averaged = countTrained(shape, adaptive).added;
  const masks = run.methods.filter(({ kind }) => kind === 'mask').length;
  const masked = sum(groups, ({ values }) => values);
  const scores = scoreCount(shape, run.methods);
  const built = builtCount(shape, run.methods);
  const lines = [
    ...(averaged > 0
      ? [l10n.t`AdaLoRA's averages of importance = ${IMPORTANCE_AVERAGES} × ${formatCount(averaged)} × ${each}`]
      : []),
    ...(scores > 0 ? [l10n.t`masks, and weights times masks = 2 × ${formatCount(scores)} × ${each}`] : []),
    ...(built > 0 ? [l10n.t`updates that are built as whole matrices = ${formatCount(built)} × ${each}`] : []),
    ...(masks > 0 ? [l10n.t`a mask of a byte per trained value = ${masks} × ${formatCount(masked)}`] : []),
  ];
  return part(
    'state',
    IMPORTANCE_AVERAGES * averaged * each + (2 * scores + built) * each + masks * masked,
    lines.join(' + ') || l10n.t`the methods keep none`,
  );
}

function communication(shape: ModelShape, run: MemoryRun, groups: readonly TrainedGroup[]): MemoryPart {
  const kind = run.sharding?.kind;
  if (kind === 'zero-3' || kind === 'fsdp') {
    const largest = largestLayer(shape);
    const each = DTYPE_BYTES[run.compute];
    return part(
      'communication',
      2 * largest * each,
      l10n.t`the largest layer gathered, and the next fetched ahead = 2 × ${formatCount(largest)} × ${each}`,
    );
  }
  if (kind === 'data-parallel') {
    return part(
      'communication',
      sum(groups, ({ values, dtype }) => values * DTYPE_BYTES[dtype]),
      l10n.t`a copy of the gradients in the buckets that are summed over devices`,
    );
  }
  return part(
    'communication',
    0,
    kind === undefined ? l10n.t`one device` : l10n.t`gradients are split as they come`,
  );
}

function gradientPart(shape: ModelShape, run: MemoryRun, groups: readonly TrainedGroup[]): MemoryPart {
  const share = sharesOf(run.sharding).gradients;
  if (run.optimizer.inBackward) {
    const largest = largestTrained(shape, run.methods);
    const each = Math.max(0, ...groups.map(({ dtype }) => DTYPE_BYTES[dtype]));
    return part(
      'gradients',
      largest * each,
      l10n.t`of one tensor at a time, as the step is in the backward pass: ${formatCount(largest)} × ${each}`,
    );
  }
  const bytes = sum(groups, ({ values, dtype }) => values * DTYPE_BYTES[dtype]);
  const products = groups.map(({ values, dtype }) => `${formatCount(values)} × ${DTYPE_BYTES[dtype]}`);
  return part(
    'gradients',
    bytes / share,
    split(l10n.t`one per trained value = ${products.join(' + ') || '0'}`, share),
  );
}

function backwardBegins(
  shape: ModelShape,
  run: MemoryRun,
  fixed: readonly MemoryPart[],
  gradients: MemoryPart,
  kept: Activations,
): Moment {
  const here =
    run.accumulation > 1
      ? gradients
      : part(
          'gradients',
          0,
          l10n.t`none yet as the backward pass begins: ${formatBytes(gradients.bytes)} come while activations go`,
        );
  return moment('backward begins', [
    ...fixed,
    here,
    part('activations', kept.kept, kept.formula),
    logitsPart(shape, run),
    workspace(shape, run),
    dequantization(shape, run),
  ]);
}

function backwardEnds(
  shape: ModelShape,
  run: MemoryRun,
  fixed: readonly MemoryPart[],
  gradients: MemoryPart,
  kept: Activations,
): Moment {
  return moment('backward ends', [
    ...fixed,
    gradients,
    part('activations', kept.oneLayer, l10n.t`of the layer that is left when the backward pass ends`),
    part('logits', 0, l10n.t`gone when the backward pass ends`),
    workspace(shape, run),
    dequantization(shape, run),
  ]);
}

function optimizerSteps(
  shape: ModelShape,
  run: MemoryRun,
  fixed: readonly MemoryPart[],
  gradients: MemoryPart,
  groups: readonly TrainedGroup[],
): Moment {
  const step = stepWorkspace(shape, run.methods, run.optimizer, groups);
  const share = sharesOf(run.sharding).optimizer;
  return moment('optimizer steps', [
    ...fixed,
    gradients,
    part('activations', 0, l10n.t`gone when the optimizer steps`),
    part('logits', 0, l10n.t`gone when the optimizer steps`),
    part('workspace', step.bytes / share, split(step.formula, share)),
    part('dequantization', 0, l10n.t`no product runs as the optimizer steps`),
  ]);
}

/**
 * The logits in the compute type, a float32 copy's log-softmax, and on the way back two gradients in float32: of the
 * loss with respect to it and to the logits.
 */
function logitsPart(shape: ModelShape, run: MemoryRun): MemoryPart {
  if (!shape.logits) return part('logits', 0, l10n.t`the model computes no logits`);
  const positions = run.batch * lengthsOf(shape, run).tokens.decoder;
  const each = DTYPE_BYTES[run.compute];
  const chunks = run.lossChunks ?? 1;
  return part(
    'logits',
    positions * shape.vocab * (each + 12 / chunks),
    l10n.t`positions × vocabulary × bytes = ${formatCount(positions)} × ${formatCount(shape.vocab)} × (${each} + ${chunks > 1 ? l10n.t`3 × 4 / ${chunks} chunks` : '3 × 4'}): logits, log-softmax and two gradients in float32`,
  );
}

/** Gradients of activations on their way: two of the widest tensors; with eager attention those of a layer's scores. */
function workspace(shape: ModelShape, run: MemoryRun): MemoryPart {
  const each = DTYPE_BYTES[run.compute];
  const { tokens, keys } = lengthsOf(shape, run);
  const widest = shape.blocks.map(
    ({ side, feedForward, attention }) =>
      2 * each * run.batch * tokens[side] * feedForward.width * feedForward.active +
      (run.attention === 'eager' ? 8 * run.batch * tokens[side] * attention.heads * keys[side] : 0),
  );
  const copies = autocastValues(shape, run);
  return part(
    'workspace',
    Math.max(0, ...widest) + copies * each,
    [
      run.attention === 'eager'
        ? l10n.t`gradients on their way: 2 × tokens × feed-forward width × ${each}, and 8 bytes per score of a layer`
        : l10n.t`gradients on their way: 2 × tokens × feed-forward width × ${each}`,
      ...(copies > 0 ? [l10n.t`autocast's copies of the matrices: ${formatCount(copies)} × ${each}`] : []),
    ].join('; '),
  );
}

/** Values of matrices that autocast keeps a narrower copy of until the backward pass has passed them. */
function autocastValues(shape: ModelShape, run: MemoryRun): number {
  const { dtype, quantization } = run.weights;
  if (quantization !== undefined || DTYPE_BYTES[dtype] <= DTYPE_BYTES[run.compute]) return 0;
  return sum(placedModules(shape), ({ module, layers }) =>
    module.kind === 'linear' ? weightCount(module) * module.copies * layers : 0,
  );
}

function dequantization(shape: ModelShape, run: MemoryRun): MemoryPart {
  const largest = largestQuantized(shape, run.weights.quantization);
  const each = DTYPE_BYTES[run.compute];
  return part(
    'dequantization',
    largest * each,
    largest === 0
      ? l10n.t`nothing is quantized`
      : l10n.t`the largest quantized matrix, unpacked for its product = ${formatCount(largest)} × ${each}`,
  );
}

function assumptionsOf(shape: ModelShape): readonly string[] {
  return [
    l10n.t`The allocator's gaps between tensors are not counted.`,
    l10n.t`Every row is as long as the longest.`,
    ...shape.leftOut.map((what) => l10n.t`Left out: ${what}.`),
  ];
}

function moment(name: MomentName, parts: readonly MemoryPart[]): Moment {
  return { name, parts, bytes: sum(parts, ({ bytes }) => bytes) };
}

function part(name: PartName, bytes: number, formula: string): MemoryPart {
  return { name, bytes: Math.ceil(bytes), formula };
}

function split(formula: string, devices: number): string {
  return devices === 1 ? formula : l10n.t`(${formula}) / ${devices} devices`;
}
