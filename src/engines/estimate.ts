import * as l10n from '@vscode/l10n';
import { formatBytes } from '../common/format.js';
import type { MethodConfig, RunConfig, TrainingOptions } from '../config/schema.js';
import { chosenCount } from '../data/masking.js';
import { DEFAULT_MAX_LENGTH } from '../data/options.js';
import type { MemoryPart, MemoryPlan } from '../memory/plan.js';
import { startRank } from '../methods/doraRank.js';
import type { Attached } from '../methods/method.js';
import { prefixNumbers } from '../methods/prefixTuning.js';
import type { LanguageModel } from '../models/architecture.js';
import type { Checkpoint } from '../models/checkpoint.js';
import type { Hooks } from '../models/site.js';
import { keysInFrontCount } from '../models/keysInFront.js';
import { virtualTokenCount } from '../models/virtualTokens.js';
import { fixedSize } from '../tensor/dims.js';
import type { Variable } from '../tensor/tensor.js';
import { frozenLayers } from '../training/frozenLayers.js';
import type { FrozenChoice } from '../training/frozenOutputs.js';
import { rowPassMemory } from '../training/rowPassMemory.js';
import { preparationMemory, stepMemory } from '../training/stepMemory.js';
import type { PreparationMemory, StepMemory } from '../training/stepMemory.js';
import { steering, steeringMemory } from './steeringMemory.js';
import type { SteeringMemory } from './steeringMemory.js';
import { planOf, takingApart } from '../training/stepMemoryPlan.js';
import { addedByMerges, afterLastMerge, mergesOf, passesOf, standInFor, weightWorkOf } from './standIns.js';

/** Everything of the arithmetic is float32. */
const BYTES = 4;

/** What a run needs, as it follows from the run file and the checkpoint's header. Exact, but for `notes`. */
export interface Estimate {
  readonly engine: 'embedded' | 'huggingface';
  readonly plan: MemoryPlan;
  /** A copy of the weights in float32 that is made in the cache once; 0 where the file is mapped as it is. */
  readonly converted: number;
  /** What is written in the end; headers, config and tokenizer come on top. */
  readonly results: readonly {
    readonly method: string;
    readonly what: 'adapter' | 'model';
    readonly bytes: number;
  }[];
  /** What is not in it, or not exact; sentences. */
  readonly notes: readonly string[];
}

/** A base model, as its config and header describe it. */
export interface ModelHeader {
  readonly checkpoint: Pick<Checkpoint, 'tensors' | 'format'>;
  readonly model: LanguageModel;
  /** Numbers of the model's parameters, a shared one counted once. */
  readonly parameters: number;
}

/** A method, attached to the header of a checkpoint. */
export interface EstimatedMethod {
  readonly config: MethodConfig;
  /** Absent for one that first has to see the data: one of the same sizes stands for it. */
  readonly attached: Attached | undefined;
}

/** Rows as they will come; without it every row is data.max_length (+ virtual tokens) tokens, all supervised. */
export interface BatchShape {
  readonly rows: number;
  /** Tokens of each row, padding and virtual tokens included. */
  readonly length: number;
  /** Supervised tokens of the whole batch. */
  readonly supervised: number;
  /** Encoder-decoders: tokens of each source; `length` is that of an answer. */
  readonly source?: number;
}

/** What is known of a run beside its file and its model. */
export interface KnownOfRun {
  /** The largest batch of a step. */
  readonly batch?: BatchShape;
  /** The largest batch of an evaluation; without it, rows are as in `batch`. */
  readonly heldOut?: BatchShape;
  /** The larger base of `proxy_tuning`. */
  readonly steered?: ModelHeader;
  /** Which outputs of frozen layers will be kept for its rows; without it, that follows from the methods alone. */
  readonly frozen?: FrozenChoice;
  /** Its optimizer steps; without it, as the file says them, or so many that they are no matter. */
  readonly steps?: number;
}

/**
 * The memory of a run on the embedded engine, counted on the graphs that it will execute (stepMemory.ts). Many calls a
 * second are possible: the graphs are kept, a call for another batch binds their lengths anew.
 */
export function estimateRun(
  header: ModelHeader,
  methods: readonly EstimatedMethod[],
  config: RunConfig,
  { batch, heldOut, steered, frozen: chosen, steps }: KnownOfRun = {},
): Estimate {
  const { training, data } = config;
  const totalSteps = steps ?? training.max_steps ?? UNKNOWN_STEPS;
  const attached = attachedOf(header, methods, totalSteps);
  const hooks = attached.map((method) => method.hooks);
  const virtual = virtualTokenCount(hooks);
  const longest = (data.max_length ?? DEFAULT_MAX_LENGTH) + virtual;
  const shape = batch ?? batchOf(training.per_device_train_batch_size, longest, virtual, header.model);
  const evaluates = data.validation !== undefined || (data.validation_split ?? 0) > 0;
  const positionLimit = positionBucket(
    Math.max(shape.length, shape.source ?? 0, heldOut?.length ?? 0, heldOut?.source ?? 0),
    header.model.maxPositions - keysInFrontCount(hooks),
  );
  const frozen = chosen ?? (training.cache_frozen_layers ? unknownRows(header.model, hooks, positionLimit) : NONE);
  const found = rememberedMemory(header, methods, attached, training, {
    positionLimit,
    evaluates,
    frozenBelow: 'reason' in frozen ? undefined : frozen.layer,
    // It is evaluated on held-out rows alone.
    steered: evaluates ? steered?.model : undefined,
    totalSteps,
  });
  const evaluated = heldOut ?? {
    ...shape,
    rows: training.per_device_eval_batch_size,
    supervised: Math.ceil((shape.supervised / shape.rows) * training.per_device_eval_batch_size),
  };
  const results = methods.flatMap((method, at) => resultOf(method.config, attached[at]!, header, totalSteps));
  const run = {
    batch: shape,
    evaluated,
    steps: training.max_steps,
    kept: 'reason' in frozen || !frozen.inMemory ? undefined : frozen.bytes,
    parameters: header.parameters,
    trainable: numbersOf(attached),
    adapterFileBytes: results.reduce((sum, { bytes }) => sum + bytes, 0),
    assumptions: [
      ...(batch === undefined
        ? [
            header.model.kind === 'encoder'
              ? l10n.t`Every row has ${shape.length} tokens.`
              : virtual > 0
                ? l10n.t`Every row has ${shape.length} tokens (${virtual} of them virtual), all of them supervised.`
                : l10n.t`Every row has ${shape.length} tokens, all of them supervised.`,
          ]
        : []),
      ...found.assumptions,
      ...(chosen === undefined && 'layer' in frozen
        ? [
            l10n.t`Kept outputs of the first ${frozen.layer} layers (cache_frozen_layers) come on top: ${formatBytes(BYTES * header.model.hiddenSize)} for each token of the data, up to ${training.cache_memory_mib} MiB.`,
          ]
        : []),
    ],
  };
  const after = found.steering === undefined ? [] : [steering(found.steering, evaluated)];
  const before = methods.flatMap(({ config: method }, at) => {
    const work = weightWorkOf(method, header.model, attached.slice(0, at));
    return work === undefined ? [] : [takingApart(work, found.memory.vocabulary)];
  });
  const plan = planOf(found.memory, found.preparations, run, after, before);
  return {
    engine: 'embedded',
    plan,
    converted: convertedBytes(header) + (evaluates && steered ? convertedBytes(steered) : 0),
    results,
    notes: [rowsNote(), ...(evaluates && training.eval_generations > 0 ? [answersNote()] : [])],
  };
}

/** How many numbers the methods of a run train: those of its plan, without planning. */
export function trainableNumbers(header: ModelHeader, methods: readonly EstimatedMethod[]): number {
  return numbersOf(attachedOf(header, methods));
}

function numbersOf(attached: readonly Attached[]): number {
  return attached
    .flatMap(({ trainables }) => trainables.filter(({ readAtRest }) => readAtRest !== true))
    .reduce((sum, { variable }) => sum + fixedSize(variable.shape), 0);
}

const NONE: FrozenChoice = { reason: '' };

/** What is kept of rows that nobody has counted: it is in no plan. */
function unknownRows(model: LanguageModel, hooks: readonly Hooks[], positionLimit: number): FrozenChoice {
  const layer = model.task === 'MASKED_LM' ? 0 : frozenLayers(model, hooks, positionLimit);
  return layer === 0 ? NONE : { layer, tokens: 0, bytes: 0, inMemory: true };
}

function convertedBytes({ checkpoint, parameters }: ModelHeader): number {
  const isMapped =
    checkpoint.format === 'safetensors' && [...checkpoint.tensors.values()].every(({ dtype }) => dtype === 'F32');
  return isMapped ? 0 : parameters * BYTES;
}

const rowsNote = (): string =>
  l10n.t`Rows kept as tokens take memory by their number (about 9 bytes per token), which the header of a model does not tell.`;

const answersNote = (): string =>
  l10n.t`Answers to validation rows (training.eval_generations) come on top: a graph of their own, its keys and values.`;

/** An estimate as `estimate --json` prints it, in bytes and counts. */
export interface EstimateDocument {
  readonly total: number;
  readonly weights: number;
  readonly activations: number;
  readonly gradients: number;
  readonly optimizer: number;
  readonly other: number;
  readonly trainable: number;
  readonly parameters: number;
  /** Pages of mapped files, which the system can take back; the rest of the total is anonymous. */
  readonly fileBacked: number;
  readonly anonymous: number;
  readonly assumptions: readonly string[];
  readonly parts: readonly MemoryPart[];
  readonly moments: MemoryPlan['moments'];
  readonly converted: number;
  readonly results: Estimate['results'];
  readonly notes: readonly string[];
}

export function contractOf({ plan, converted, results, notes }: Estimate): EstimateDocument {
  const bytesOf = (wanted: (part: MemoryPart) => boolean): number =>
    plan.parts.filter(wanted).reduce((sum, { bytes }) => sum + bytes, 0);
  const named = (...names: readonly MemoryPart['name'][]): number => bytesOf(({ name }) => names.includes(name));
  const fileBacked = bytesOf((part) => part.fileBacked === true);
  return {
    total: plan.total,
    weights: named('weights'),
    activations: named('activations'),
    gradients: named('gradients'),
    optimizer: named('optimizer'),
    other: plan.total - named('weights', 'activations', 'gradients', 'optimizer'),
    trainable: plan.trainable,
    parameters: plan.parameters,
    fileBacked,
    anonymous: plan.total - fileBacked,
    assumptions: plan.assumptions,
    parts: plan.parts,
    moments: plan.moments,
    converted,
    results,
    notes,
  };
}

/**
 * All supervised: each token but the first of a text is predicted. A source is as long as its answer. An encoder predicts
 * the class of a row, or the share of its tokens that are masked.
 */
function batchOf(rows: number, length: number, virtual: number, { task, encoder }: LanguageModel): BatchShape {
  if (task === 'SEQ_CLS') return { rows, length, supervised: rows };
  if (task === 'MASKED_LM') return { rows, length, supervised: rows * chosenCount(length - virtual) };
  const supervised = (before: number): number => rows * Math.max(1, length - Math.max(1, before));
  if (encoder === undefined) return { rows, length, supervised: supervised(virtual) };
  return { rows, length: length - virtual, supervised: supervised(virtual + 1), source: length };
}

/**
 * Position tables are a small part: lengths of one power of two share a graph, unless the model has not so many.
 * @param most positions of the model
 */
function positionBucket(length: number, most: number): number {
  return Math.max(length, Math.min(2 ** Math.ceil(Math.log2(Math.max(128, length))), most));
}

function attachedOf(
  { model }: ModelHeader,
  methods: readonly EstimatedMethod[],
  totalSteps = UNKNOWN_STEPS,
): readonly Attached[] {
  const attached: Attached[] = [];
  for (const { config, attached: own } of methods) {
    const each = afterLastMerge(config, model, attached, totalSteps) ?? own ?? standInFor(config, model, attached);
    if (each === undefined) throw new Error(`${config.type} is not attached`);
    attached.push(each);
  }
  return attached;
}

/** Models are told apart by a number of their own. */
const identities = new WeakMap<LanguageModel, number>();
let models = 0;

function identityOf(model: LanguageModel): number {
  const known = identities.get(model) ?? models++;
  identities.set(model, known);
  return known;
}

interface Remembered {
  readonly memory: StepMemory;
  readonly preparations: readonly PreparationMemory[];
  readonly steering: SteeringMemory | undefined;
  readonly assumptions: readonly string[];
}

/** What graphs are built for, beside the methods. */
interface Graphs {
  readonly positionLimit: number;
  readonly evaluates: boolean;
  readonly steered: LanguageModel | undefined;
  /** The layer that they begin at, where what is below is kept. */
  readonly frozenBelow: number | undefined;
  /** Of the run. */
  readonly totalSteps: number;
}

/** Graphs remembered per model: tens of megabytes while they are planned, little after. */
const KEPT = 8;

const ROW_PASSES: ReadonlySet<string> = new Set(['fish_mask', 'fish_dip', 'sam']);

const remembered = new WeakMap<LanguageModel, Map<string, Remembered>>();

function rememberedMemory(
  { model }: ModelHeader,
  methods: readonly EstimatedMethod[],
  attached: readonly Attached[],
  options: TrainingOptions,
  graph: Graphs,
): Remembered {
  const known = remembered.get(model) ?? new Map<string, Remembered>();
  remembered.set(model, known);
  const { optim, momentum, max_grad_norm, sam_rho, sam_adaptive, max_steps } = options;
  const adafactor = Object.entries(options).filter(([key]) => key.startsWith('adafactor'));
  const accumulates = options.gradient_accumulation_steps > 1;
  const configs = methods.map(({ config }) => config);
  const phased = attached.some(isPhased);
  const key = JSON.stringify([
    configs,
    attached.map(({ tasks }) => tasks?.length),
    [graph.positionLimit, graph.evaluates, graph.steered && identityOf(graph.steered), graph.frozenBelow],
    configs.map((config) => mergesOf(config, graph.totalSteps)),
    [optim, momentum, max_grad_norm, sam_rho, sam_adaptive, adafactor, accumulates, phased && max_steps],
    // Passes over single rows take as many at once as a batch has.
    configs.some(({ type }) => ROW_PASSES.has(type)) && options.per_device_train_batch_size,
  ]);
  const found = known.get(key) ?? buildMemory(model, configs, attached, options, graph);
  known.delete(key);
  known.set(key, found);
  const [oldest] = known.keys();
  if (known.size > KEPT && oldest !== undefined) known.delete(oldest);
  return found;
}

/** Steps of a run whose file does not tell them: so many until methods that take turns have had all of them. */
const UNKNOWN_STEPS = 1000;

/** A phase of methods that change what trains: its last step, whether graphs were built before it, and what has trained by then. */
interface PhaseAt {
  readonly step: number;
  readonly rebuilt: boolean;
  readonly rested: ReadonlySet<Variable>;
}

/** The phase in which the most numbers train, of equal ones the last, until everything has had its turn. */
function largestPhase(methods: readonly Attached[], phased: readonly Attached[], totalSteps: number): PhaseAt {
  const all = phased.reduce((sum, { trainables }) => sum + trainables.length, 0);
  const rested = new Set<Variable>();
  let largest: PhaseAt & { readonly size: number } = { step: 0, rebuilt: false, rested: new Set(), size: 0 };
  let rebuilt = false;
  for (let step = 1; step <= totalSteps && rested.size < all; step++) {
    for (const method of methods) if (method.beforeStep?.({ step, totalSteps }) === 'rebuild') rebuilt = true;
    const active = phased.flatMap((method) => [...method.active!()]);
    for (const variable of active) rested.add(variable);
    const size = active.reduce((sum, { shape }) => sum + fixedSize(shape), 0);
    if (size >= largest.size) largest = { step, rebuilt, rested: new Set(rested), size };
  }
  return largest;
}

function buildMemory(
  model: LanguageModel,
  configs: readonly MethodConfig[],
  methods: readonly Attached[],
  options: TrainingOptions,
  graph: Graphs,
): Remembered {
  const totalSteps = options.max_steps ?? UNKNOWN_STEPS;
  const phased = methods.filter(isPhased);
  const begin = (): void => methods.forEach((method) => void method.beforeStep?.({ step: 1, totalSteps }));
  begin();
  const { step: largest, ...state } = largestPhase(methods, phased, totalSteps);
  begin();
  for (let step = 1; step <= largest; step++) methods.forEach((each) => each.beforeStep?.({ step, totalSteps }));
  const rebuilt = state.rebuilt || methods.some((method) => method.turn !== undefined);
  const memory = stepMemory({ model, methods, options, ...graph, ...state, rebuilt });
  // What a run attached is its own again.
  begin();
  const preparations = configs.flatMap((config, at) => {
    const before = methods.slice(0, at);
    const request = passesOf(config, model, before);
    if (request === undefined) return [];
    return 'sums' in request
      ? rowPassMemory(model, before, request, {
          positionLimit: graph.positionLimit,
          most: options.per_device_train_batch_size,
        })
      : [preparationMemory(model, before, request, graph.positionLimit)];
  });
  const { steered, positionLimit } = graph;
  return {
    memory,
    preparations,
    steering: steered && steeringMemory(steered, model, methods, positionLimit),
    assumptions: [
      ...restAssumptions(configs, methods),
      ...methods
        .filter(({ isPassing }) => isPassing === true)
        .map(
          ({ type }) =>
            l10n.t`${type} is counted as it begins, with all targeted weights: what follows needs less.`,
        ),
      ...configs.flatMap((config) => mergeAssumptions(config, graph.totalSteps)),
      ...(phased.length === 0
        ? []
        : [
            options.max_steps === undefined
              ? l10n.t`${phased.map(({ type }) => type).join(', ')} trains a part at a time; all parts have had their turn.`
              : l10n.t`${phased.map(({ type }) => type).join(', ')} trains a part at a time; as after ${totalSteps} steps.`,
          ]),
    ],
  };
}

/** Whether what trains changes from step to step. */
function isPhased({ active, beforeStep }: Attached): boolean {
  return active !== undefined && beforeStep !== undefined;
}

/** What is counted of updates that were merged. */
function mergeAssumptions(config: MethodConfig, totalSteps: number): string[] {
  const merges = mergesOf(config, totalSteps);
  if (merges === 0) return [];
  return [
    merges === 1
      ? l10n.t`${config.type} is counted as after its last merge: the merged update lies beside the weights.`
      : l10n.t`${config.type} is counted as after its last merge: ${merges} merged updates lie beside the weights.`,
  ];
}

/** What is counted of numbers that no longer train. */
function restAssumptions(configs: readonly MethodConfig[], methods: readonly Attached[]): string[] {
  return configs.flatMap((config, at) => {
    if (config.type !== 'fish_dip') return [];
    const rests = methods[at]!.trainables.some(({ readAtRest }) => readAtRest === true);
    return rests
      ? l10n.t`fish_dip chooses anew: counted with as many numbers that trained before, and rest, as train at a time.`
      : l10n.t`fish_dip chooses anew: numbers that trained before, and rest, are not counted.`;
  });
}

function resultOf(
  config: MethodConfig,
  attached: Attached,
  { model, parameters: total }: Pick<ModelHeader, 'model' | 'parameters'>,
  totalSteps: number,
): Estimate['results'] {
  const numbers = attached.trainables.reduce((sum, { variable }) => sum + fixedSize(variable.shape), 0);
  switch (config.type) {
    case 'child_tuning':
      return [];
    case 'full':
    case 'galore':
    case 'lisa':
      return [{ method: config.type, what: 'model', bytes: total * BYTES }];
    case 'fish_mask':
    case 'fish_dip':
    case 'pafi':
    case 'sam':
      // Each number with its place.
      return [{ method: config.type, what: 'adapter', bytes: numbers * 2 * BYTES }];
    case 'sltrain': {
      // Each number of the sparse part with its place.
      const sparse = attached.trainables.filter(({ variable }) => variable.name.endsWith('.weight.values'));
      const places = sparse.reduce((sum, { variable }) => sum + fixedSize(variable.shape), 0);
      return [{ method: config.type, what: 'adapter', bytes: (numbers + places) * BYTES }];
    }
    case 'relora':
    case 'cola': {
      const saved = numbersOf([attached]) + addedByMerges(config, model, totalSteps);
      return [{ method: config.type, what: 'adapter', bytes: saved * BYTES }];
    }
    case 'lt_sft':
      // All numbers train at first; those that are chosen are kept, each with its place.
      return [
        {
          method: config.type,
          what: 'adapter',
          bytes: Math.floor(config.ft_params_proportion * numbers) * 2 * BYTES,
        },
      ];
    case 'dora_rank':
      // Of each module's components so many are left on average.
      return [
        {
          method: config.type,
          what: 'adapter',
          bytes: Math.round((numbers * config.r) / startRank(config)) * BYTES,
        },
      ];
    case 'learned_mask':
      return [{ method: config.type, what: 'adapter', bytes: numbers / 8 }];
    case 'prefix_tuning':
      return [{ method: config.type, what: 'adapter', bytes: prefixNumbers(config, model) * BYTES }];
    case 'adapter_fusion':
      return config.stage1 === 'ST-A'
        ? [{ method: config.type, what: 'adapter', bytes: numbers * BYTES }]
        : [
            { method: config.type, what: 'model', bytes: total * BYTES },
            { method: config.type, what: 'adapter', bytes: (numbers - total) * BYTES },
          ];
    default:
      return [{ method: config.type, what: 'adapter', bytes: numbers * BYTES }];
  }
}
