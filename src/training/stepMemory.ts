import type { TrainingOptions } from '../config/schema.js';
import type { Attached, GradientRequest } from '../methods/method.js';
import { tripletsWorkBytes } from '../linalg/svd.js';
import type { LanguageModel } from '../models/architecture.js';
import { createArena } from '../runtime/arena.js';
import type { ListedValue } from '../runtime/nodeList.js';
import { planProgram } from '../runtime/replay.js';
import type { Lengths, PlannedProgram } from '../runtime/replay.js';
import type { Outputs } from '../runtime/runtime.js';
import { fixedShape, fixedSize } from '../tensor/dims.js';
import { topologicalOrder } from '../tensor/order.js';
import type { Tensor, Variable } from '../tensor/tensor.js';
import { evaluationOutputs, lossGraph } from './lossGraph.js';
import { isLarge } from './packs.js';
import type { Pack } from './packs.js';
import { sumsGraph } from './gradientPasses.js';
import { stepGraph } from './stepGraph.js';
import type { StepGraph } from './stepGraph.js';
import { gradientProgram, stepPrograms } from './stepPrograms.js';
import type { GradientProgram, StepPrograms } from './stepPrograms.js';

/** Bytes of a float32. */
const FLOAT = 4;

/** What a graph's tensors are for; `BufferBytes` has one number for each. */
const GROUPS = ['activations', 'logits', 'gradients', 'workspace'] as const;
type Group = (typeof GROUPS)[number];
export type BufferBytes = Readonly<Record<Group, number>>;

/** What a run keeps in buffers of its own, in bytes, two of each where a step reads one and writes the other. */
export interface StateBytes {
  readonly trainables: number;
  readonly optimizer: number;
  /** Averages and masks of the methods. */
  readonly state: number;
  /** Sums of gradients over the batches of a step, and the points of sharpness-aware minimization. */
  readonly gradients: number;
}

/** A batch's lengths. */
export interface BatchLengths {
  readonly rows: number;
  /** Tokens of each row, padding and virtual tokens included. */
  readonly length: number;
  /** Positions that predict a supervised token. */
  readonly supervised: number;
  /** Encoder-decoders: tokens of each source, padding and virtual tokens included. */
  readonly source?: number;
}

/** What a program is for. An update is of no batch; a decoder reads rows. */
export type ProgramKind = 'preparation' | 'refresh' | 'step' | 'update' | 'evaluation' | 'reading';

/** Programs that share an arena and a mapping of the weights. */
export interface Session {
  readonly programs: readonly { readonly kind: ProgramKind; readonly program: PlannedProgram }[];
  /** Bytes of the weights that are read, each once. */
  readonly weights: number;
  /** Nodes of all programs, and bytes of their constants: of each that is fed once. */
  readonly nodes: number;
  readonly constants: number;
}

/** The memory of a run's steps, planned for any batch. */
export interface StepMemory {
  readonly state: StateBytes;
  readonly sessions: readonly Session[];
  /** Where methods look at gradients before their step; absent: none does. */
  readonly refresh?: RefreshMemory;
  /** Tokens of the vocabulary. */
  readonly vocabulary: number;
}

/** The memory of looking at the gradient of a step before it is taken, by a program of the step's session. */
export interface RefreshMemory {
  readonly program: PlannedProgram;
  /** Bytes of the gradients, which are all there together. */
  readonly gradients: number;
  /**
   * Bytes of what is made of them: the state's next numbers, and matrices in double precision on the way; the most that one
   * of these takes while it is taken apart.
   */
  readonly found: number;
  readonly work: number;
  readonly largest: number;
}

/**
 * Plans a run's steps: the graphs are those of stepper.ts and evaluate.ts.
 * @param setup.rebuilt whether the step was built anew on the way, so that it shares nothing with the evaluation
 * @param setup.rested trainables that trained before: they rest, but their numbers are kept
 */
export function stepMemory(setup: {
  readonly model: LanguageModel;
  readonly methods: readonly Attached[];
  readonly options: TrainingOptions;
  readonly positionLimit: number;
  readonly evaluates: boolean;
  readonly rebuilt: boolean;
  readonly rested: ReadonlySet<Variable>;
  /** The layer that the graphs begin at, where what is below is kept for each row. */
  readonly frozenBelow?: number | undefined;
}): StepMemory {
  const { options } = setup;
  const graph = stepGraph(setup);
  const programs = stepPrograms(graph, options);
  const forward = new Set(topologicalOrder([graph.lossSum, ...graph.terms.values()]));
  const groupOf = groups(setup.model, forward, gradientTensors(graph));
  const planned = (kind: ProgramKind, outputs: Outputs): Session['programs'][number] => ({
    kind,
    program: planProgram(outputs, groupOf, isHanded),
  });
  const step = planned('step', programs.first);
  const seen = gradientProgram(graph, new Set(setup.methods.flatMap(({ refresh }) => refresh?.of ?? [])));
  const look = seen.sums.size === 0 ? [] : [planned('refresh', seen.outputs)];
  const evaluation = setup.evaluates ? [evaluationProgram(setup)] : [];
  const apart = [programs.second, programs.ascent].filter((each) => each !== undefined);
  const joined = setup.rebuilt ? [[step, ...look], evaluation] : [[step, ...look, ...evaluation]];
  const sessions = [...joined, ...apart.map((outputs) => [planned('update', outputs)])]
    .filter((each) => each.length > 0)
    .map(session);
  const state = stateBytes(graph, programs, setup.rested);
  const [looking] = look;
  return {
    ...(looking === undefined ? {} : { refresh: refreshMemory(graph, seen, looking.program) }),
    state: { ...state, state: state.state + maskBytes(sessions) },
    sessions,
    vocabulary: setup.model.vocabSize,
  };
}

function refreshMemory(graph: StepGraph, { sums }: GradientProgram, program: PlannedProgram): RefreshMemory {
  const shapes = [...sums.values()].map(({ shape }) => fixedShape(shape));
  const sizes = shapes.map(fixedSize);
  return {
    program,
    gradients: FLOAT * sum(sizes),
    found: FLOAT * sum(graph.state.map(({ variable }) => fixedSize(variable.shape))),
    work: 2 * FLOAT * sum(sizes),
    largest: Math.max(
      ...shapes.map(([rows = 1, columns = 1]) => 8 * rows * columns + tripletsWorkBytes(rows, columns)),
    ),
  };
}

/** The memory of passes over the data before a run, for methods that prepare. */
export interface PreparationMemory {
  /** Rows of a pass. */
  readonly rows: number;
  /** Bytes of the sums, also of passes before, and of the trainables that are there before. */
  readonly sums: number;
  readonly trainables: number;
  readonly session: Session;
}

/** Plans the passes of gradientPasses.ts. */
export function preparationMemory(
  model: LanguageModel,
  before: readonly Attached[],
  request: GradientRequest,
  positionLimit: number,
): PreparationMemory {
  const methods = [...before, ...(request.own === undefined ? [] : [request.own])];
  const hooks = methods.map((method) => method.hooks);
  const { sums, outputs } = sumsGraph(model, hooks, request, positionLimit);
  const program = planProgram(outputs, groups(model, new Set(), new Set()), isHanded);
  const trained = methods.flatMap(({ trainables }) => trainables.map(({ variable }) => variable));
  return {
    rows: request.batchSize,
    sums: FLOAT * sum(sums.map(({ shape }) => fixedSize(shape))),
    trainables: FLOAT * sum(trained.map(({ shape }) => fixedSize(shape))),
    session: session([{ kind: 'preparation', program }]),
  };
}

/** Numbers of a run are written to buffers that it keeps; losses and norms come from the runtime. */
function isHanded(result: string): boolean {
  return result.startsWith('new ');
}

function evaluationProgram({
  model,
  methods,
  ...graph
}: Pick<
  Parameters<typeof stepMemory>[0],
  'model' | 'methods' | 'positionLimit' | 'frozenBelow'
>): Session['programs'][number] {
  const hooks = methods.map((method) => method.hooks);
  const outputs = evaluationOutputs(lossGraph(model, hooks, { training: false, ...graph }), model);
  const forward = new Set(topologicalOrder(Object.values(outputs)));
  const groupOf = groups(model, forward, new Set());
  return { kind: 'evaluation', program: planProgram(outputs, groupOf, isHanded) };
}

/** Which of {@link GROUPS} a value with a buffer belongs to. */
export function groups(
  { vocabSize }: Pick<LanguageModel, 'vocabSize'>,
  forward: ReadonlySet<Tensor>,
  gradients: ReadonlySet<Tensor>,
): (value: ListedValue) => number {
  return ({ shape, tensor }) => {
    const group: Group =
      shape.at(-1) === vocabSize && typeof shape[0] !== 'number'
        ? 'logits'
        : tensor !== undefined && forward.has(tensor)
          ? 'activations'
          : tensor !== undefined && gradients.has(tensor)
            ? 'gradients'
            : 'workspace';
    return GROUPS.indexOf(group);
  };
}

/** Of each pack, and of its members before they are joined. */
function gradientTensors({ batchGradients }: StepGraph): ReadonlySet<Tensor> {
  const found = new Set<Tensor>();
  const open: Tensor[] = [...batchGradients];
  for (let tensor = open.pop(); tensor !== undefined; tensor = open.pop()) {
    if (tensor.kind !== 'applied' || found.has(tensor)) continue;
    found.add(tensor);
    if (tensor.op === 'concat' || tensor.op === 'reshape') open.push(...tensor.inputs);
  }
  return found;
}

export function session(programs: Session['programs']): Session {
  const weights = new Map(programs.flatMap(({ program }) => [...program.weights]));
  const fed = new Map(programs.flatMap(({ program }) => [...program.fedConstants]));
  return {
    programs,
    weights: sum(weights.values()),
    nodes: sum(programs.map(({ program }) => program.nodes)),
    constants: sum(programs.map(({ program }) => program.constants)) + sum(fed.values()),
  };
}

/** What sessions take while they run. */
export interface SessionUse {
  /** In use by kind when most are. */
  readonly inUse: BufferBytes;
  /** Pages of the arenas that were written to. */
  readonly touched: number;
  /** What a kernel takes beside the arena, when that is most. */
  readonly beside: number;
}

/**
 * Runs a session's programs until its arena grows no more: pieces lie differently once it has its regions.
 * @param batches of the programs that are run, by what they are for
 */
export function runSession(
  { programs }: Session,
  batches: Readonly<Partial<Record<ProgramKind, BatchLengths>>>,
): SessionUse {
  const arena = createArena();
  let most: Float64Array = new Float64Array(GROUPS.length);
  let beside = 0;
  for (let before = -1; arena.touched() > before;) {
    before = arena.touched();
    for (const { kind, program } of programs) {
      const batch = batches[kind];
      if (batch === undefined) continue;
      const used = program.run(arena, lengthsOf(batch), GROUPS.length);
      if (sum(used) > sum(most)) most = used;
      beside = Math.max(beside, program.besideArena(lengthsOf(batch)));
    }
  }
  return {
    inUse: Object.fromEntries(GROUPS.map((group, at) => [group, most[at]!])) as Record<Group, number>,
    touched: arena.touched(),
    beside,
  };
}

function lengthsOf({ rows, length, supervised, source = 0 }: BatchLengths): Lengths {
  // A decoder reads a row at once: behind nothing.
  return { batch: rows, sequence: length, predictors: supervised, source, past: 0 };
}

/** What stepper.ts keeps in its state. */
function stateBytes(graph: StepGraph, programs: StepPrograms, rested: ReadonlySet<Variable>): StateBytes {
  const buffers = (pack: Pack): number => (isLarge(pack) ? 1 : 2);
  const ofPacks = (bytes: (pack: Pack) => number): number =>
    sum(graph.packs.map((pack) => buffers(pack) * bytes(pack)));
  const sizes = (of: readonly { readonly shape: Tensor['shape'] }[]): number =>
    sum(of.map(({ shape }) => FLOAT * fixedSize(shape)));
  return {
    trainables:
      ofPacks(({ variable }) => sizes([variable])) +
      sizes(
        graph.resting
          .filter(({ variable, readAtRest }) => readAtRest === true || rested.has(variable))
          .map(({ variable }) => variable),
      ),
    optimizer: ofPacks((pack) => sizes(graph.slotsOf(pack).map(({ variable }) => variable))),
    state: sum(
      graph.state.map(({ variable }) => (programs.changed.includes(variable) ? 2 : 1) * sizes([variable])),
    ),
    gradients:
      (programs.sums.length === 0 ? 0 : ofPacks(({ variable }) => sizes([variable]))) + sizes(programs.points),
  };
}

/** Masks that methods feed to each step. */
function maskBytes(sessions: readonly Session[]): number {
  const masks = sessions.flatMap(({ programs }) => programs.flatMap(({ program }) => [...program.fixedInputs]));
  return sum(new Map(masks).values());
}

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const each of numbers) total += each;
  return total;
}
