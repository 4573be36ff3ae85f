import { formatBytes, formatCount } from '../common/format.js';
import type { MemoryPart, MemoryPlan, Moment, MomentName } from '../memory/plan.js';
import { runSession } from './stepMemory.js';
import type { BatchLengths, ProgramKind, SessionUse, StepMemory } from './stepMemory.js';

/**
 * What the process takes beside buffers, in bytes, measured by bench/memoryMeasured.ts on Linux (x64, Node 24, ONNX
 * Runtime 1.30).
 */
const RUNTIME = {
  /** Pages of Node's and ONNX Runtime's own files. */
  files: 78e6,
  /** Node's heap with the program, the tokenizer and the data, and ONNX Runtime before a graph is there. */
  base: 90e6,
  /** A node: in ONNX Runtime's graph and kernels, and in our own graph until it is let go. */
  node: 8e3,
};

/** The memory of a run with such batches, by part and moment. */
export function planOf(
  memory: StepMemory,
  run: Pick<MemoryPlan, 'parameters' | 'trainable' | 'adapterFileBytes' | 'assumptions'> & {
    readonly batch: BatchLengths;
    readonly evaluated: BatchLengths;
  },
): MemoryPlan {
  const evaluates = memory.sessions.some(({ programs }) => programs.some(({ kind }) => kind === 'evaluation'));
  const step = { update: NO_BATCH, step: run.batch };
  const moments: Moment[] = [momentOf('step', memory, run, step)];
  if (evaluates) {
    moments.push(momentOf('evaluation', memory, run, { evaluation: run.evaluated }));
    // The arena keeps what either took: at the peak of one, the other's pages are there.
    const peak = largest(moments);
    const both = momentOf(peak.name, memory, run, { ...step, evaluation: run.evaluated });
    moments.splice(moments.indexOf(peak), 1, both);
  }
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

function momentOf(
  name: MomentName,
  { state, sessions }: StepMemory,
  { batch, evaluated, trainable }: { batch: BatchLengths; evaluated: BatchLengths; trainable: number },
  batches: Partial<Record<ProgramKind, BatchLengths>>,
): Moment {
  const uses = sessions.map((session) => runSession(session, batches));
  const total = (bytes: (use: SessionUse) => number): number => uses.reduce((sum, use) => sum + bytes(use), 0);
  const { rows, length, supervised } = name === 'evaluation' ? evaluated : batch;
  const [main] = [...uses].sort((a, b) => b.touched - a.touched);
  const { activations, logits, gradients, workspace } = main!.inUse;
  const touched = total((use) => use.touched);
  const nodes = sessions.reduce((sum, session) => sum + session.nodes, 0);
  const weights = sessions.reduce((sum, session) => sum + session.weights, 0);
  const constants = sessions.reduce((sum, session) => sum + session.constants, 0);
  const tokens = `${rows} × ${length} tokens`;
  const parts: MemoryPart[] = [
    {
      name: 'weights',
      bytes: weights,
      formula: `frozen weights as float32, 4 bytes each; mapped from the file, so that the system can take them back`,
      fileBacked: true,
    },
    {
      name: 'adapter',
      bytes: state.trainables,
      formula: `${formatCount(trainable)} trained numbers × 4 bytes; twice where a step reads one buffer and writes the other, once for matrices from 262,144 numbers on`,
    },
    {
      name: 'gradients',
      bytes: state.gradients + gradients,
      formula: `gradients that are there at the peak${state.gradients > 0 ? `, and ${formatBytes(state.gradients)} of sums over the batches of a step` : ''}`,
    },
    {
      name: 'optimizer',
      bytes: state.optimizer,
      formula: 'the optimizer’s slots × 4 bytes; twice where a step reads one buffer and writes the other',
    },
    { name: 'state', bytes: state.state, formula: 'averages (two buffers) and masks of the methods' },
    {
      name: 'activations',
      bytes: activations,
      formula: `results of the forward pass over ${tokens} that are there at the peak, counted on the graph`,
    },
    {
      name: 'logits',
      bytes: logits,
      formula: `${formatCount(supervised)} supervised tokens × vocabulary × 4 bytes, as many tensors of it as are there at the peak`,
    },
    {
      name: 'workspace',
      bytes: touched - activations - logits - gradients,
      formula: `gradients on their way and other intermediate results (${formatBytes(workspace)}), and what the runtime’s arena keeps between pieces and programs`,
    },
    {
      name: 'runtime',
      bytes: RUNTIME.base + nodes * RUNTIME.node + constants,
      formula: `Node, ONNX Runtime, tokenizer and data (${formatBytes(RUNTIME.base)}), and ${formatCount(nodes)} nodes × ${formatBytes(RUNTIME.node)}, measured; ${formatBytes(constants)} of constants`,
    },
    {
      name: 'runtime',
      bytes: RUNTIME.files,
      formula: 'pages of the files of Node and ONNX Runtime, measured',
      fileBacked: true,
    },
  ];
  const kept = parts.filter(({ bytes }) => bytes > 0);
  return { name, bytes: kept.reduce((sum, { bytes }) => sum + bytes, 0), parts: kept };
}
