import * as l10n from '@vscode/l10n';
import { formatBytes, formatCount } from '../common/format.js';
import type { MemoryPart, MemoryPlan, Moment, MomentName } from '../memory/plan.js';
import { runSession } from './stepMemory.js';
import type {
  BatchLengths,
  PreparationMemory,
  ProgramKind,
  RefreshMemory,
  Session,
  SessionUse,
  StepMemory,
} from './stepMemory.js';

/**
 * What the process takes beside buffers, in bytes, measured on Linux (x64, Node 20, ONNX Runtime 1.30) in
 * bench/memoryMeasured.ts, whose report says in which of its rows.
 */
const RUNTIME = {
  /** Pages of the files of Node and ONNX Runtime. */
  files: 71e6,
  /** Node with the program and ONNX Runtime without a graph, before one is built. */
  base: 52e6,
  /** What V8 fills before it looks for what is still needed: a semi-space. Building a graph fills it. */
  young: 16 * 2 ** 20,
  /** A token of the vocabulary: its text and its merges. */
  token: 760,
  /** A node: in ONNX Runtime’s graph, plan and kernels, and in our own graph, whose heap Node keeps. */
  node: 7.3e3,
};

/**
 * ONNX Runtime's Node binding copies every result to a new ArrayBuffer (js/node/src/tensor_helper.cc), also one that was
 * written to a buffer of ours. V8 frees them, but not at once: old ones gather until they are so much, young ones, of
 * sets of which two fit in, until they are so much together (V8's limits of external memory: 64 MiB, and two semi-spaces
 * of 16 MiB).
 */
const GATHERED = { old: 64 * 2 ** 20, young: 32 * 2 ** 20 };

interface PlannedRun extends Pick<MemoryPlan, 'parameters' | 'trainable' | 'adapterFileBytes' | 'assumptions'> {
  readonly batch: BatchLengths;
  readonly evaluated: BatchLengths;
  /** Steps of the run; undefined where they are not known. */
  readonly steps: number | undefined;
  /** Bytes of the outputs of frozen layers that are kept in memory; undefined: none are. */
  readonly kept: number | undefined;
}

/**
 * The memory of a run with such batches, by part and moment.
 * @param after moments behind the last step
 * @param before moments before the passes over the data
 */
export function planOf(
  memory: StepMemory,
  preparations: readonly PreparationMemory[],
  run: PlannedRun,
  after: readonly Moment[] = [],
  before: readonly Moment[] = [],
): MemoryPlan {
  const evaluates = memory.sessions.some(({ programs }) => programs.some(({ kind }) => kind === 'evaluation'));
  // The arena keeps what a look at the gradient took.
  const step = { update: NO_BATCH, refresh: run.batch, step: run.batch };
  const moments: Moment[] = [momentOf('step', memory, run, step)];
  if (evaluates) {
    moments.push(momentOf('evaluation', memory, run, { evaluation: run.evaluated }));
    // The arena keeps what either took: at the peak of one, the other's pages are there.
    const peak = largest(moments);
    const both = momentOf(peak.name, memory, run, { ...step, evaluation: run.evaluated });
    moments.splice(moments.indexOf(peak), 1, both);
  }
  if (memory.refresh !== undefined) {
    moments.unshift(
      refreshing(memory, memory.refresh, run, evaluates ? { ...step, evaluation: run.evaluated } : step),
    );
  }
  moments.push(...after);
  moments.unshift(...before, ...preparations.map((each) => preparing(each, memory, run.batch)));
  const peak = largest(moments);
  return {
    total: peak.bytes,
    parts: peak.parts,
    peak: peak.name,
    moments,
    parameters: run.parameters,
    trainable: run.trainable,
    adapterFileBytes: run.adapterFileBytes,
    assumptions: run.assumptions,
  };
}

const NO_BATCH: BatchLengths = { rows: 0, length: 0, supervised: 0 };

function largest(moments: readonly Moment[]): Moment {
  return moments.reduce((most, each) => (each.bytes > most.bytes ? each : most));
}

/** @param handed bytes that programs give back, of which there are copies; default: those of all programs */
function momentOf(
  name: MomentName,
  { state, sessions, vocabulary }: StepMemory,
  { batch, evaluated, trainable, steps, kept = 0 }: PlannedRun,
  batches: Partial<Record<ProgramKind, BatchLengths>>,
  handed: readonly number[] = handedBy(sessions),
): Moment {
  const uses = sessions.map((session) => runSession(session, batches));
  const total = (bytes: (use: SessionUse) => number): number => uses.reduce((sum, use) => sum + bytes(use), 0);
  const { rows, length, supervised, source = 0 } = name === 'evaluation' ? evaluated : batch;
  const [main] = [...uses].sort((a, b) => b.touched - a.touched);
  const { activations, logits, gradients, workspace } = main!.inUse;
  const touched = total((use) => use.touched);
  // One session runs at a time.
  const beside = Math.max(...uses.map((use) => use.beside));
  const weights = sessions.reduce((sum, session) => sum + session.weights, 0);
  const tokens = l10n.t`${rows} × ${length + source} tokens`;
  const parts: MemoryPart[] = [
    {
      name: 'weights',
      bytes: weights,
      formula: l10n.t`frozen weights as float32, 4 bytes each; mapped from the file, so that the system can take them back`,
      fileBacked: true,
    },
    {
      name: 'adapter',
      bytes: state.trainables,
      formula: l10n.t`${formatCount(trainable)} trained numbers × 4 bytes; twice where a step reads one buffer and writes the other, once for matrices from 262,144 numbers on`,
    },
    {
      name: 'gradients',
      bytes: state.gradients + gradients,
      formula:
        state.gradients > 0
          ? l10n.t`gradients that are there at the peak, and ${formatBytes(state.gradients)} of sums over the batches of a step`
          : l10n.t`gradients that are there at the peak`,
    },
    {
      name: 'optimizer',
      bytes: state.optimizer,
      formula: l10n.t`the optimizer’s slots × 4 bytes; twice where a step reads one buffer and writes the other`,
    },
    { name: 'state', bytes: state.state, formula: l10n.t`averages (two buffers) and masks of the methods` },
    {
      name: 'activations',
      bytes: activations,
      formula: l10n.t`results of the forward pass over ${tokens} that are there at the peak, counted on the graph`,
    },
    {
      name: 'activations',
      bytes: kept,
      formula: l10n.t`outputs of the frozen layers, kept for every row (cache_frozen_layers)`,
    },
    {
      name: 'logits',
      bytes: logits,
      formula: l10n.t`${formatCount(supervised)} supervised tokens × vocabulary × 4 bytes, as many tensors of it as are there at the peak`,
    },
    {
      name: 'workspace',
      bytes: touched - activations - logits - gradients + beside,
      formula: l10n.t`gradients on their way and other intermediate results (${formatBytes(workspace + beside)}), and what the runtime’s arena keeps between pieces and programs`,
    },
    copiesPart(handed, steps ?? Infinity),
    ...runtimeParts(sessions, vocabulary),
  ];
  return moment(name, parts);
}

/** A look at a step's gradient: the memory of the steps stays. What the last step gave back has been freed by then. */
function refreshing(
  memory: StepMemory,
  { program, gradients, found, work, largest }: RefreshMemory,
  run: PlannedRun,
  batches: Partial<Record<ProgramKind, BatchLengths>>,
): Moment {
  const { state } = memory;
  const seen = {
    ...memory,
    state: {
      ...state,
      gradients: state.gradients + gradients,
      // Older matrices gather until Node frees them; a large one takes more by itself.
      state: state.state + found + Math.max(largest, Math.min(work, GATHERED.old)),
    },
  };
  return momentOf('refresh', seen, run, batches, [program.handed]);
}

/** Weights that are taken apart one by one before the first step. */
export interface WeightWorkMemory {
  /** The most that one weight takes. */
  readonly largest: number;
  /** What is taken of all weights, one after the other. */
  readonly all: number;
  /** What is found, and kept. */
  readonly found: number;
}

/**
 * The moment in which weights are taken apart; no graph is there yet. (bench/pissa.ts: what it takes beyond Node itself on
 * SmolLM2-135M is between 71 and 105 MiB, and planned with 83 to 92.)
 * @param vocabulary tokens of the tokenizer
 */
export function takingApart({ largest, all, found }: WeightWorkMemory, vocabulary: number): Moment {
  const older = Math.min(GATHERED.old, all - largest);
  return moment('preparing', [
    {
      name: 'adapter',
      bytes: found,
      formula: l10n.t`starts of A and B, ${formatCount(found / 4)} numbers × 4 bytes`,
    },
    {
      name: 'workspace',
      bytes: largest + older,
      formula: l10n.t`the largest weight in double precision and what is made of it: ${formatBytes(largest)}, and up to ${formatBytes(older)} of those before that Node has not freed yet`,
    },
    ...runtimeParts([], vocabulary),
  ]);
}

/** A method's passes over the data: sums beside what one pass takes. */
function preparing(
  { rows, sums, trainables, session }: PreparationMemory,
  { vocabulary }: StepMemory,
  { rows: batchRows, supervised, ...lengths }: BatchLengths,
): Moment {
  const batch = { ...lengths, rows, supervised: Math.ceil((supervised / batchRows) * rows) };
  const { inUse, touched, beside } = runSession(session, { preparation: batch });
  return moment('preparing', [
    {
      name: 'weights',
      bytes: session.weights,
      formula: l10n.t`frozen weights as float32, 4 bytes each; mapped from the file, so that the system can take them back`,
      fileBacked: true,
    },
    { name: 'adapter', bytes: trainables, formula: l10n.t`numbers of the methods before × 4 bytes` },
    {
      name: 'state',
      bytes: sums,
      formula: l10n.t`sums over the data, ${formatCount(sums / 4)} numbers × 4 bytes`,
    },
    {
      name: 'logits',
      bytes: inUse.logits,
      formula: l10n.t`${formatCount(batch.supervised)} supervised tokens × vocabulary × 4 bytes`,
    },
    {
      name: 'workspace',
      bytes: touched - inUse.logits + beside,
      formula: l10n.t`results and gradients of a pass over ${rows} × ${lengths.length + (lengths.source ?? 0)} tokens, and what the runtime’s arena keeps`,
    },
    copiesPart(handedBy([session]), Infinity),
    ...runtimeParts([session], vocabulary),
  ]);
}

/**
 * The copies of what the last pass gave back, and older ones that have gathered.
 * @param sets bytes of what each program gives back
 * @param times the programs are run
 */
export function copiesPart(sets: readonly number[], times: number): MemoryPart {
  const newest = Math.max(...sets);
  const others = sets.reduce((sum, bytes) => sum + bytes, 0) - newest;
  const older = gathered(newest, others + (times - 1) * (newest + others));
  return {
    name: 'copies',
    bytes: newest + older,
    formula: l10n.t`copies of what a step gives back, which the runtime’s Node binding makes: ${formatBytes(newest)}, and up to ${formatBytes(older)} of older ones that Node has not freed yet`,
  };
}

/** Bytes of what each program of sessions gives back; what looks at gradients before a step is not run with the others. */
export function handedBy(sessions: readonly Session[]): readonly number[] {
  return sessions.flatMap(({ programs }) =>
    programs.filter(({ kind }) => kind !== 'refresh').map(({ program }) => program.handed),
  );
}

/** Bytes of older buffers that Node has not freed yet. @param all older ones there were */
export function gathered(newest: number, all: number): number {
  if (newest === 0) return 0;
  const limit = 2 * newest <= GATHERED.young ? GATHERED.young - newest : GATHERED.old;
  return Math.min(limit, all);
}

/** Node, ONNX Runtime, tokenizers and graphs. @param vocabulary tokens of all tokenizers */
export function runtimeParts(sessions: readonly Session[], vocabulary: number): MemoryPart[] {
  const nodes = sessions.reduce((sum, session) => sum + session.nodes, 0);
  const constants = sessions.reduce((sum, session) => sum + session.constants, 0);
  const base = RUNTIME.base + RUNTIME.young;
  const tokenizer = vocabulary * RUNTIME.token;
  const graph = nodes * RUNTIME.node;
  return [
    {
      name: 'runtime',
      bytes: base + tokenizer + graph + constants,
      formula: l10n.t`Node and ONNX Runtime ${formatBytes(base)}; tokenizer ${formatCount(vocabulary)} × ${RUNTIME.token} B = ${formatBytes(tokenizer)}; graph ${formatCount(nodes)} nodes × ${formatBytes(RUNTIME.node)} = ${formatBytes(graph)}: measured; constants ${formatBytes(constants)}`,
    },
    {
      name: 'runtime',
      bytes: RUNTIME.files,
      formula: l10n.t`pages of the files of Node and ONNX Runtime, measured`,
      fileBacked: true,
    },
  ];
}

/** A moment of those parts that take anything. */
export function moment(name: MomentName, parts: readonly MemoryPart[]): Moment {
  const kept = parts.filter(({ bytes }) => bytes > 0);
  return { name, bytes: kept.reduce((sum, { bytes }) => sum + bytes, 0), parts: kept };
}
