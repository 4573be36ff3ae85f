import type { Static, TObject } from '@sinclair/typebox';
import type { JsonObject } from '../common/json.js';
import type { Problem } from '../common/problem.js';
import type { Random } from '../common/random.js';
import type { MatrixProducts } from '../linalg/products.js';
import type { LanguageModel } from '../models/architecture.js';
import type { Hooks, ParameterKind, Phase, Site } from '../models/site.js';
import type { Tokenizer } from '../models/tokenizer.js';
import type { Value } from '../runtime/runtime.js';
import type { Shape, Tensor, Variable } from '../tensor/tensor.js';
import type { AttentionShare } from './attentionShare.js';
import type { MethodCoverage } from './coverage.js';
import type { MethodInfo } from './info.js';
import type { PeftFormat } from './peftFormat.js';
import type { IdlePatterns } from './targets.js';

/** A method and what it does with a model; `Options` is the schema of its part of the run file. */
export interface Method<Options extends TObject> {
  readonly info: MethodInfo<Options>;
  /**
   * What has to be computed before a new run can attach: passes over the data, decompositions of weights. A run
   * that is resumed gets what it found then.
   */
  prepare?(options: Static<Options>, context: PrepareContext): Promise<Prepared | undefined>;
  /** Whether it has to prepare before it can attach, with these options. Default: where it has `prepare`, always. */
  prepares?(options: Static<Options>): boolean;
  /** For a method that prepares: throws what `attach` would refuse whatever `prepare` finds. Reads nothing but headers. */
  check?(options: Static<Options>, context: AttachContext): void;
  /**
   * Whether a head for a task is among the weights that it acts on, where it is the first method of a run; else it does
   * not see the head, which trains whole beside it.
   */
  adaptsHead?(options: Static<Options>): boolean;
  /** Takes hold of a model. Throws a ProblemError when nothing matches. */
  attach(options: Static<Options>, context: AttachContext): Attached;
  /** How Hugging Face PEFT keeps its adapters. Absent: PEFT has no such method, or it writes whole models. */
  readonly peft?: PeftFormat<Static<Options>>;
}

/** What a method is handed; it never opens a file itself. */
export interface AttachContext {
  readonly model: LanguageModel;
  /** The base model's name, as it is written into an adapter's config. */
  readonly modelName: string;
  /** The commit of a base model that is named by its id in the hub. */
  readonly modelRevision?: string;
  /** A base weight as float32, row-major. */
  readonly read: (name: string) => Promise<Float32Array>;
  /** Random numbers of a stream of one's own: no other method of the run draws the same. */
  readonly random: (...stream: (string | number)[]) => Random;
  /** What the names of its variables start with, so that two methods of a run may share a kind. Default: nothing. */
  readonly instance?: string;
  /** A pattern that matches nothing: `error` (the default) in a run file, `warning` in an adapter on disk. */
  readonly idlePatterns?: IdlePatterns;
  /** The base model's, for methods that start from text. */
  readonly tokenizer?: Tokenizer;
  /** The tasks that rows are of, in their order; absent or empty: rows name none. */
  readonly tasks?: readonly string[];
  /** The methods of the run that were attached before this one. */
  readonly before?: readonly Attached[];
  /** Reads an adapter's folder, by a path as the run file has it; absent where none are read. */
  readonly readAdapter?: (folder: string) => Promise<TrainedAdapter>;
  /** What the method's `prepare` or its last `turn` found, in this run or in the one that is resumed. */
  readonly prepared?: Prepared;
}

/** What `prepare` is handed. */
export interface PrepareContext extends AttachContext, GradientPasses {
  /** Absent: without a runtime, and without a word. */
  readonly weightWork?: WeightWork;
}

/** For methods that take weights apart. */
export interface WeightWork {
  /** A matrix [rows, columns], whose products a runtime computes. */
  readonly products: (matrix: Float64Array, rows: number, columns: number) => MatrixProducts;
  /** Says how far it has come; stops with a ProblemError when the run is asked to end. */
  readonly progress: (done: number, total: number) => Promise<void>;
}

/** An adapter that was trained before. */
export interface TrainedAdapter {
  /** Its `adapter_config.json`. */
  readonly config: JsonObject;
  readonly tensors: ReadonlyMap<string, NamedTensor>;
  /** Its folder, for messages. */
  readonly source: string;
}

/** Passes over the training data. They stop with a ProblemError when the run is asked to end. */
export interface GradientPasses {
  /** Σ g² per number: Fisher information. */
  readonly squaredGradients: (request: GradientRequest) => Promise<SummedSquares>;
  /** Σ g per number, signs and all. @returns by the name of the variable or weight */
  readonly summedGradients: (request: GradientRequest) => Promise<Values>;
  /** Σ g² per number over single rows, g the gradient of log p(y | x): the diagonal of the Fisher information. */
  readonly fisher: (request: RowRequest & FisherKind) => Promise<RowSquares>;
  /** Σ g per number over single rows. */
  readonly rowGradients: (request: RowRequest) => Promise<RowSums>;
  /**
   * The diagonal of the Hessian of the sum of the rows' losses, by Hutchinson's estimator: the mean of v ⊙ Hv over vectors
   * v of ±1, drawn anew for each probe and row.
   */
  readonly hessianDiagonal: (request: RowRequest & { readonly probes: number }) => Promise<RowSums>;
  /** The present loss of each training row. */
  readonly rowLosses: () => Promise<RowLosses>;
}

export interface RowLosses {
  /** Means over each row's supervised tokens, in the order of the data. */
  readonly losses: Float32Array;
  /** Batches of an epoch of the run. */
  readonly batches: number;
}

/**
 * Which rows to pass over. g is the gradient of a row's mean loss per supervised token: each row counts alike, and
 * whatever rows a pass takes at once, or a run packs together, the sums are the same.
 */
export interface RowRequest {
  /** Frozen weights, by their name in the checkpoint. */
  readonly weights: readonly string[];
  /**
   * How many rows, the first in the order of the run's first epoch; or which, by their places in the data. Default: all.
   */
  readonly rows?: number | readonly number[];
}

export interface FisherKind {
  /** Whose answers y are: those of the rows, or any, each as likely as the model makes it. */
  readonly fisher: 'empirical' | 'expected';
  /** Expected: answers drawn for each row. Of classes none is drawn: all count, each by its probability. Default: 1. */
  readonly draws?: number;
}

export interface RowSquares {
  /** By the weights' names. */
  readonly squares: Values;
  /** How many rows there were: the data may hold fewer than were asked for. */
  readonly rows: number;
}

export interface RowSums {
  readonly sums: Values;
  readonly rows: number;
}

/** What to sum the gradients of; g is the gradient of a batch's mean loss per supervised token. */
export interface GradientRequest {
  /** The method that prepares, on the model beside those attached before it. */
  readonly own?: Pick<Attached, 'hooks' | 'trainables'>;
  /** Trainables of these methods. */
  readonly variables?: readonly Variable[];
  /** Frozen weights, by their name in the checkpoint. */
  readonly weights?: readonly string[];
  /** Rows per batch; 1 is one gradient per row. */
  readonly batchSize: number;
  /** How many batches; default: each row once. The order is that of the run's first epoch. */
  readonly batches?: number;
  /** Each batch's gradient is clipped to this global L2 norm first; 0 or absent: not. */
  readonly maxGradNorm?: number;
}

export interface SummedSquares {
  /** Σ g² per number, by the name of the variable or weight. */
  readonly squares: Values;
  /** How many batches there were: the data may hold fewer than were asked for. */
  readonly batches: number;
}

/** What a method's `prepare` found: flat vectors by name. */
export type Prepared = ReadonlyMap<string, Float32Array | Int32Array>;

/** One method on one model. A run may attach several; their hooks act in order. */
export interface Attached {
  readonly type: string;
  readonly hooks: Hooks;
  /** Everything that it may train in the course of a run. */
  readonly trainables: readonly Trainable[];
  readonly coverage: MethodCoverage;
  /** The method alone, where the head of the task trains along with it. */
  readonly alone?: Attached;
  /** The tasks that it tells apart, by the numbers that rows carry; absent: all rows are alike to it. */
  readonly tasks?: readonly string[];
  /** Tensors that a step changes without a gradient: averages, masks. Kept in checkpoints. */
  readonly state?: readonly StateTensor[];
  /** Terms that are added to the loss, each a curve of its own, built from the trainables' variables. */
  regularizers?(): readonly Regularizer[];
  /**
   * What is to become of the gradient of a trainable (of this method or of one attached before) between clipping and
   * the optimizer: the mask of Child-Tuning.
   */
  gradient?(trainable: Variable, gradient: Tensor, phase: Phase): Tensor;
  /** New numbers of state tensors, or other numbers than the optimizer's for trainables, as part of the step's graph. */
  update?(step: UpdateView): Updates;
  /** Values of inputs of one's own that the step's graph reads (a budget, a rank), for one step. */
  stepInputs?(at: StepPlace): Readonly<Record<string, Value>>;
  /**
   * Called before each step, and before the first one after a resume. `rebuild`: hooks, or the trainables that are
   * `active`, are no longer what the graph was compiled with. Depends on `at` alone, so that a resumed run does the same.
   */
  beforeStep?(at: StepPlace): 'keep' | 'rebuild';
  /**
   * The trainables that train at present; default: all. The others keep their numbers, if they ever had any, and lose
   * their optimizer slots.
   */
  active?(): ReadonlySet<Variable>;
  /**
   * Optimizer steps of the run that were taken before a trainable began to train without a pause until now: its
   * optimizer slots are as old as that. Asked for the head of the task, too. Default: 0.
   */
  startedAfter?(trainable: Variable): number;
  /**
   * Whether it is attached anew between this step and the next, because what it trains has another structure from then
   * on. Depends on `at` alone, so that a resumed run does the same.
   */
  turnsAfter?(at: StepPlace): boolean;
  /** What it is attached with from then on. */
  turn?(now: TurnView): Promise<Turn>;
  /** What it has taught so far is on the way to something else: such evaluations are neither the best nor an early end. */
  readonly isPassing?: boolean;
  /**
   * The learning rate of a step, where the run's schedule is to begin anew on the way: over a part of the run, or by a
   * warm-up that leads back to it. Several methods of a run act on each other's. Default: `schedule(at)`.
   * @param schedule the run's own, or what methods before this one make of it
   */
  learningRate?(at: StepPlace, schedule: (at: StepPlace) => number): number;
  /** What it finds out of the gradient of the step about to be taken, outside of the graph. */
  readonly refresh?: Refresh;
  /**
   * What an evaluation saw, out of the sums that hooks asked `Phase.measuring` for, over all its batches.
   * @param sums by their names
   */
  observed?(sums: Values): readonly AttentionShare[];
  /** Lower ranks at which evaluations on held-out rows measure what was learned, too. */
  readonly lowerRanks?: readonly LowerRank[];
  /** Whether `report` has news after this step beside those at evaluations. */
  reportsAfter?(at: StepPlace): boolean;
  /**
   * Numbers per site for the panel, computed from present values (of trainables and state).
   * @param brief only what has changed of itself since the last report: no norms, which take long where every step reports
   */
  report?(values: Values, brief?: boolean): readonly SiteReport[];
  /** Where ranks are shared out by a schedule: their sum after a step, and in the end. */
  rankBudget?(at: StepPlace): RankBudget;
  /**
   * What a parameter of the base becomes when the method is merged into it, or undefined where it stays.
   * Computed in float32 from `base`. Absent: the method cannot be merged.
   */
  merge?(site: Site, kind: ParameterKind, base: Float32Array, values: Values): Float32Array | undefined;
  /** What is written to disk. */
  save(values: Values): SavedMethod;
  /**
   * Values of the trainables out of the tensors of an adapter on disk.
   * @throws ProblemError naming tensors that are missing, left over or of another shape
   */
  load(tensors: ReadonlyMap<string, NamedTensor>, source: string): LoadedValues;
}

/** A place in a run. */
export interface StepPlace {
  /** The step about to be taken, or just taken, from 1. */
  readonly step: number;
  readonly totalSteps: number;
}

/**
 * State tensors that get new numbers between two steps, out of the gradient of the second. They depend on `at`, on that
 * gradient and on the state alone, so that a resumed run does the same.
 */
export interface Refresh {
  /** Trainables whose gradients they are made of. */
  readonly of: readonly Variable[];
  isDue(at: StepPlace): boolean;
  refreshed(view: RefreshView): Promise<Refreshed>;
}

export interface RefreshView {
  /** The step about to be taken. */
  readonly at: StepPlace;
  /** Before clipping, over all batches of the step, by the trainables' names; only read. */
  readonly gradients: Values;
  /** Present numbers of state tensors; only read. */
  readonly state: Values;
  readonly weightWork: WeightWork;
}

export interface Refreshed {
  /** New numbers of state tensors, by name. */
  readonly state: Values;
  /** What is logged of it. */
  readonly says: string;
}

/** What a method that is about to be attached anew is handed: passes run over the methods with their present values. */
export interface TurnView extends GradientPasses {
  /** The step that was taken last. */
  readonly at: StepPlace;
  /** Present numbers of all methods' trainables and state tensors; only read. */
  readonly values: Values;
  /** Present optimizer slots as `TRAINABLE/SLOT`; only read. */
  readonly slots: ReadonlyMap<string, Float32Array>;
}

/** What a method is attached with in the course of a run, and what goes over. */
export interface Turn {
  /** In place of what its `prepare` or its last turn found; checkpoints hold it. */
  readonly prepared: Prepared;
  /** Numbers of trainables and state tensors from then on, by name; its own that are missing start anew. */
  readonly values: Values;
  /** Optimizer slots of its own trainables as `TRAINABLE/SLOT`; a missing one is zero. */
  readonly slots?: ReadonlyMap<string, Float32Array>;
  /** What is logged of it; default: how many numbers train. */
  readonly says?: string;
  /** What else trains in the run starts anew as well, with values that `values` does not give. Default: it goes on. */
  readonly startsOver?: true;
}

/** A term of the loss, already weighted. */
export interface Regularizer {
  /** `orthogonality` */
  readonly name: string;
  /** [] */
  readonly term: Tensor;
}

/** Numbers of the step that a method's own update may use, as tensors of the step's graph. */
export interface UpdateView {
  /** The gradient that the optimizer saw. */
  gradient(trainable: Variable): Tensor;
  /** The trainable as the optimizer left it. */
  updated(trainable: Variable): Tensor;
  readonly phase: Phase;
}

/** New numbers by the variable of a state tensor or a trainable. */
export type Updates = ReadonlyMap<Variable, Tensor>;

/** A tensor that a step changes without a gradient. */
export interface StateTensor {
  readonly variable: Variable;
  /** Its numbers before the first step; default: zeros. */
  readonly start?: () => Float32Array;
}

/** Present numbers of the trainables and state tensors, by name. A trainable that never trained may be missing. */
export type Values = ReadonlyMap<string, Float32Array>;

export interface LoadedValues {
  readonly values: Values;
  readonly warnings: readonly Problem[];
}

/** A tensor that the run trains. */
export interface Trainable {
  readonly variable: Variable;
  /** Its numbers before the first step. */
  readonly start: () => Float32Array | Promise<Float32Array>;
  /** Weight decay acts on it. */
  readonly decays: boolean;
  /** The model reads it though it rests from the start: it is kept as it starts. */
  readonly readAtRest?: boolean;
  /**
   * Its learning rate: so many times the run's, or one of its own, on which the run's schedule acts as on its own. Default:
   * the run's.
   */
  readonly rate?: { readonly times: number } | { readonly peak: number };
  /** Where its optimizer slots lie; default: they have its shape. Such a trainable is updated by itself. */
  readonly slots?: SlotRule;
  /** Trainables of one group are updated as one vector; a method that changes some after the update puts them apart. */
  readonly group?: string;
}

/**
 * Coordinates in which an optimizer keeps its slots and takes its steps, in place of a trainable's own. Both ways are linear
 * and may read state tensors, which say where the coordinates lie.
 */
export interface SlotRule {
  /** Of a gradient in these coordinates. */
  readonly shape: Shape;
  /** @param gradient of the trainable's shape */
  project(gradient: Tensor): Tensor;
  /** @param update of {@link SlotRule.shape} @returns of the trainable's shape */
  projectBack(update: Tensor): Tensor;
}

export interface SiteReport {
  readonly path: string;
  readonly rank?: number;
  readonly scale?: number;
  /** Frobenius norm of ΔW. */
  readonly norm?: number;
  /** Share of the numbers that train. */
  readonly density?: number;
  /** Of the tensor that the density is of, as it lies on disk: what the places of a mask refer to. */
  readonly shape?: readonly number[];
}

/** A rank below the one that was trained to. */
export interface LowerRank {
  readonly rank: number;
  /** Values with which the method does what it does at this rank. */
  values(values: Values): Values;
}

/** A sum of ranks over all sites that a schedule allows. */
export interface RankBudget {
  readonly budget: number;
  /** What it falls to. */
  readonly target: number;
}

export interface NamedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Where numbers belong that are kept without the zeros between them. */
export interface NamedIndices {
  readonly name: string;
  readonly data: Int32Array;
}

/** What an adapter's folder holds, in the form of Hugging Face PEFT or of the `adapters` library. */
export interface SavedAdapter {
  readonly kind: 'adapter';
  /** Whose form it is; default: PEFT's. */
  readonly library?: 'adapters';
  readonly config: JsonObject;
  readonly tensors: readonly NamedTensor[];
  readonly indices?: readonly NamedIndices[];
  /** Its first components are those of any lower rank: the weights' file says so. */
  readonly nested?: true;
  /** The names of the classes that its head tells apart, by their number. */
  readonly labels?: readonly string[];
  /** Folders of the `adapters` library within it, which hold its tensors; and what says how they belong together. */
  readonly parts?: readonly SavedPart[];
  readonly setup?: JsonObject;
  /** Weights of the base that trained along: it is written as a model, which the configs then name. */
  readonly base?: readonly NamedTensor[];
  /** What is worth a word where it is written. */
  readonly warnings?: readonly Problem[];
}

/** A folder of the `adapters` library with the files of an adapter, or of a fusion of adapters. */
export interface SavedPart {
  readonly folder: string;
  readonly name: 'adapter' | 'fusion';
  readonly config: JsonObject;
  readonly tensors: readonly NamedTensor[];
}

/**
 * An adapter, or one for each task; where weights of the base trained, these weights (others stay as they are); or
 * nothing, for a method that only guides how others train.
 */
export type SavedMethod =
  | { readonly kind: 'nothing' }
  | SavedAdapter
  | {
      readonly kind: 'adapters';
      readonly byTask: ReadonlyMap<string, SavedAdapter>;
      readonly base?: readonly NamedTensor[];
    }
  | { readonly kind: 'model'; readonly weights: readonly NamedTensor[]; readonly labels?: readonly string[] };
