import * as l10n from '@vscode/l10n';
import { formatBytes } from '../common/format.js';
import type { RunConfig } from '../config/schema.js';
import { chosenCount } from '../data/masking.js';
import { DEFAULT_MAX_LENGTH } from '../data/options.js';
import type { MemoryPlan } from '../memory/plan.js';
import type { LanguageModel } from '../models/architecture.js';
import { keysInFrontCount } from '../models/keysInFront.js';
import type { Hooks } from '../models/site.js';
import { virtualTokenCount } from '../models/virtualTokens.js';
import { frozenLayers } from '../training/frozenLayers.js';
import type { FrozenChoice } from '../training/frozenOutputs.js';
import { planOf, takingApart } from '../training/stepMemoryPlan.js';
import { UNKNOWN_STEPS, attachedOf, numbersOf } from './estimatedMethods.js';
import type { EstimatedMethod, ModelHeader } from './estimatedMethods.js';
import { resultOf } from './estimateResults.js';
import { rememberedMemory } from './graphMemory.js';
import { weightWorkOf } from './standIns.js';
import { steering } from './steeringMemory.js';

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
