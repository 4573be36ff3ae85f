import * as l10n from '@vscode/l10n';
import { formatBytes } from '../common/format.js';
import type { ModelShape } from './modelShape.js';
import { planMemory } from './planMemory.js';
import type { MemoryRun } from './run.js';

/** What to write into a run file: a path of keys, and the value. */
export interface ConfigChange {
  readonly path: readonly string[];
  readonly value: string | number | boolean;
}

/** A change that saves memory. */
export interface Suggestion {
  /** For a button: `Gradient checkpointing`. */
  readonly name: string;
  /** What it is, saves and costs, in one sentence: `Gradient checkpointing saves 9.1 GiB: …`. */
  readonly title: string;
  readonly changes: readonly ConfigChange[];
  /** Bytes less at the peak, and the peak that is left. */
  readonly saved: number;
  readonly total: number;
  /** Whether it leads below the limit; undefined without one. */
  readonly fits?: boolean;
  /** The run as it would be. */
  readonly run: MemoryRun;
}

interface Idea {
  readonly name: string;
  /** What it costs beside memory. */
  readonly cost: string;
  readonly changes: readonly ConfigChange[];
  readonly run: MemoryRun;
}

/** What is worth a line: a hundredth of the peak. */
const LEAST_SHARE = 0.01;
/** Rows shorter than this hold no task. */
const LEAST_LENGTH = 64;
/** Rank of the LoRA that is offered instead of training everything. */
const OFFERED_RANK = 8;

/**
 * Changes that would save memory, the most first; of equal savings those that leave the result as it is come first.
 * Every one is planned anew, so a saving that another part takes over counts for what is left of it.
 * @param limitBytes what a device has, to say which suffice
 */
export function suggestSavings(shape: ModelShape, run: MemoryRun, limitBytes?: number): readonly Suggestion[] {
  const now = planMemory(shape, run).total;
  return ideas(run)
    .map((idea): Suggestion => {
      const { total } = planMemory(shape, idea.run);
      const saved = now - total;
      return {
        name: idea.name,
        title: l10n.t`${idea.name} saves ${formatBytes(Math.max(saved, 0))}: ${idea.cost}`,
        changes: idea.changes,
        saved,
        total,
        ...(limitBytes === undefined ? {} : { fits: total <= limitBytes }),
        run: idea.run,
      };
    })
    .filter(({ saved }) => saved >= LEAST_SHARE * now)
    .sort((one, other) => other.saved - one.saved);
}

/**
 * A few changes that lead below the limit together, each the one that saves most after those before it; undefined where
 * all that there are do not.
 */
export function savingsTogether(shape: ModelShape, run: MemoryRun, limitBytes: number): Suggestion | undefined {
  const before = planMemory(shape, run).total;
  const names = new Map<string, string>();
  const changes = new Map<string, ConfigChange>();
  let now: { readonly run: MemoryRun; readonly total: number } = { run, total: before };
  while (now.total > limitBytes) {
    const [next] = suggestSavings(shape, now.run);
    if (next === undefined) return undefined;
    // Half of a half is one change.
    names.set(next.changes.map(({ path }) => path.join('.')).join(), next.name);
    for (const change of next.changes) changes.set(change.path.join('.'), change);
    now = next;
  }
  const [name, saved] = [[...names.values()].join(' + '), before - now.total];
  return {
    name,
    title: l10n.t`${name} saves ${formatBytes(saved)}: each for what it costs alone`,
    changes: [...changes.values()],
    saved,
    total: now.total,
    fits: true,
    run: now.run,
  };
}

/** In the order in which equals are shown. */
function ideas(run: MemoryRun): readonly Idea[] {
  return [
    ...torchIdeas(run),
    ...smallerBatch(run),
    ...otherMethod(run),
    ...otherOptimizer(run),
    ...shorterRows(run),
  ];
}

function torchIdeas(run: MemoryRun): readonly Idea[] {
  const found: Idea[] = [];
  if (!run.checkpointing) {
    found.push({
      name: l10n.t`Gradient checkpointing`,
      cost: l10n.t`the forward pass is computed twice, about a third more time`,
      changes: [{ path: ['training', 'gradient_checkpointing'], value: true }],
      run: { ...run, checkpointing: true },
    });
  }
  if (run.attention === 'eager') {
    found.push({
      name: l10n.t`Fused attention (sdpa)`,
      cost: l10n.t`same result, and faster`,
      changes: [{ path: ['model_options', 'attn_implementation'], value: 'sdpa' }],
      run: { ...run, attention: 'sdpa' },
    });
  }
  if (run.weights.dtype === 'fp32' && run.weights.quantization === undefined) {
    found.push({
      name: 'bfloat16',
      cost: l10n.t`numbers of three digits, which is usual`,
      changes: [{ path: ['model_options', 'dtype'], value: 'bfloat16' }],
      run: { ...run, weights: { dtype: 'bf16' }, compute: 'bf16' },
    });
  }
  return [...found, ...quantized(run)];
}

/** 4-bit and 8-bit, where nothing of the base is trained. */
function quantized(run: MemoryRun): readonly Idea[] {
  const trainsBase = run.methods.some(({ kind }) => kind === 'full' || kind === 'whole' || kind === 'sparse');
  if (trainsBase || run.weights.quantization !== undefined) return [];
  return [
    {
      name: l10n.t`4-bit weights (QLoRA)`,
      cost: l10n.t`a little accuracy, and time to unpack`,
      changes: [
        { path: ['model_options', 'load_in_4bit'], value: true },
        { path: ['model_options', 'bnb_4bit_use_double_quant'], value: true },
      ],
      run: { ...run, weights: { ...run.weights, quantization: { kind: 'nf4', doubleQuantization: true } } },
    },
    {
      name: l10n.t`8-bit weights`,
      cost: l10n.t`hardly any accuracy, but slower steps`,
      changes: [{ path: ['model_options', 'load_in_8bit'], value: true }],
      run: { ...run, weights: { ...run.weights, quantization: { kind: 'int8' } } },
    },
  ];
}

/** Half the batch, twice the accumulation: the same step. */
function smallerBatch(run: MemoryRun): readonly Idea[] {
  if (run.batch < 2 || run.optimizer.inBackward) return [];
  const batch = Math.floor(run.batch / 2);
  const accumulation = run.accumulation * Math.ceil(run.batch / batch);
  return [
    {
      name: l10n.t`Batch ${batch} × ${accumulation}`,
      cost:
        batch * accumulation === run.batch * run.accumulation
          ? l10n.t`the same step, a little slower`
          : l10n.t`a step of nearly as many rows`,
      changes: [
        { path: ['training', 'per_device_train_batch_size'], value: batch },
        { path: ['training', 'gradient_accumulation_steps'], value: accumulation },
      ],
      run: { ...run, batch, accumulation },
    },
  ];
}

function otherMethod(run: MemoryRun): readonly Idea[] {
  const found: Idea[] = [];
  if (run.methods.some(({ kind }) => kind === 'full')) {
    found.push({
      name: l10n.t`LoRA (r ${OFFERED_RANK}) instead of training everything`,
      cost: l10n.t`close to it on most tasks`,
      changes: [
        { path: ['method', 'type'], value: 'lora' },
        { path: ['method', 'r'], value: OFFERED_RANK },
      ],
      run: { ...run, methods: [{ kind: 'low-rank', targets: 'all-linear', rank: OFFERED_RANK }] },
    });
  }
  const ranks = run.methods.flatMap((method) => (method.kind === 'low-rank' ? [method.rank] : []));
  const highest = Math.max(0, ...ranks);
  if (ranks.length === 1 && highest > 1) {
    const rank = Math.floor(highest / 2);
    found.push({
      name: l10n.t`Rank ${rank}`,
      cost: l10n.t`an update that can say less`,
      changes: [{ path: ['method', 'r'], value: rank }],
      run: {
        ...run,
        methods: run.methods.map((method) => (method.kind === 'low-rank' ? { ...method, rank } : method)),
      },
    });
  }
  return found;
}

function otherOptimizer(run: MemoryRun): readonly Idea[] {
  if (run.optimizer.kind !== 'adamw') return [];
  const as = (kind: 'adamw-8bit' | 'adafactor', value: string, name: string, cost: string): Idea => ({
    name,
    cost,
    changes: [{ path: ['training', 'optim'], value }],
    run: { ...run, optimizer: { ...run.optimizer, kind } },
  });
  return [
    as('adamw-8bit', 'adamw_8bit', l10n.t`8-bit AdamW`, l10n.t`as good as AdamW in practice`),
    as('adafactor', 'adafactor', 'Adafactor', l10n.t`moments of rows and columns only`),
  ];
}

function shorterRows(run: MemoryRun): readonly Idea[] {
  const length = Math.floor(run.length / 2);
  if (length < LEAST_LENGTH) return [];
  return [
    {
      name: l10n.t`Rows of ${length} tokens`,
      cost: l10n.t`longer ones are cut`,
      changes: [{ path: ['data', 'max_length'], value: length }],
      run: { ...run, length },
    },
  ];
}
