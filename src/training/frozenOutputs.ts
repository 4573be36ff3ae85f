import * as l10n from '@vscode/l10n';
import path from 'node:path';
import { formatBytes, formatCount } from '../common/format.js';
import { messageOf } from '../common/problem.js';
import { makeBatch } from '../data/batches.js';
import type { Batch, Example } from '../data/example.js';
import type { Value } from '../runtime/runtime.js';
import { frozenLayers } from './frozenLayers.js';
import { storeInFile, storeInMemory } from './frozenStore.js';
import type { FrozenStore } from './frozenStore.js';
import { breathe, longest, longestRow } from './job.js';
import type { TrainingJob } from './job.js';
import { FROZEN_OUTPUTS, batchFeeds, lossGraph } from './lossGraph.js';
import { plannedSteps, stepsOfEpoch } from './steps.js';

/** Outputs of frozen layers for the rows of a data set. */
export interface FrozenRows {
  /** The lowest layer that is computed at each step: what it reads is kept. */
  readonly layer: number;
  /** What it reads of a batch of these rows, as the graph's input. */
  feeds(batch: Batch): Record<string, Value>;
}

/** Outputs of frozen layers that are kept while a run lasts. */
export interface FrozenOutputs {
  readonly layer: number;
  readonly train: FrozenRows;
  readonly validation: FrozenRows;
  close(): Promise<void>;
}

/** What of a job decides whether outputs are kept. */
export type FrozenJob = Pick<
  TrainingJob,
  'model' | 'methods' | 'options' | 'masking' | 'train' | 'validation' | 'packing' | 'maxLength'
>;

/** Which outputs are to be kept, and how much that is; or why none are. */
export type FrozenChoice =
  | { readonly layer: number; readonly tokens: number; readonly bytes: number; readonly inMemory: boolean }
  | { readonly reason: string };

const FLOAT = 4;

/**
 * Whether the outputs of frozen layers are worth keeping and may be: the same for every step of a run, so that one that
 * is resumed decides alike. Undefined where the options do not ask for it.
 *
 * @param job with virtual tokens before its rows
 */
export function frozenChoice(job: FrozenJob): FrozenChoice | undefined {
  const { model, methods, options, masking, train, validation } = job;
  if (!options.cache_frozen_layers) return undefined;
  if (masking !== undefined)
    return { reason: l10n.t`tokens are masked anew in each epoch, so that no row comes again` };
  if (model.encoder !== undefined) {
    return { reason: l10n.t`the model has an encoder and a decoder, whose layers are not one stack` };
  }
  const hooks = methods.map((method) => method.hooks);
  const layer = frozenLayers(model, hooks, longestRow(job));
  if (layer === 0) return { reason: l10n.t`something trains, or is drawn anew, in the first layer or before it` };
  if (plannedSteps(job) <= stepsOfEpoch(job)) {
    return { reason: l10n.t`no row comes twice: the run ends within its first epoch` };
  }
  const tokens = [...train, ...validation].reduce((sum, { ids }) => sum + ids.length, 0);
  const bytes = FLOAT * tokens * model.hiddenSize;
  return { layer, tokens, bytes, inMemory: bytes <= options.cache_memory_mib * 2 ** 20 };
}

/**
 * Computes the outputs of a job's frozen layers, each row once, and says so. Rows are computed in batches that depend on
 * the data alone, and not on an epoch's order: a run that is resumed has the same numbers as one that ran through.
 *
 * @returns undefined where none are kept, or a stop broke it off
 */
export async function openFrozenOutputs(job: TrainingJob): Promise<FrozenOutputs | undefined> {
  const choice = frozenChoice(job);
  if (choice === undefined) return undefined;
  const unused = (reason: string): undefined =>
    void job.emit({
      type: 'log',
      level: 'warning',
      message: l10n.t`cache_frozen_layers does nothing: ${reason}.`,
    });
  if ('reason' in choice) return unused(choice.reason);
  const { layer, tokens, bytes, inMemory } = choice;
  const folder = job.checkpoints?.runFolder;
  if (!inMemory && folder === undefined) {
    return unused(
      l10n.t`${formatBytes(bytes)} are more than cache_memory_mib allows, and there is no folder for a file`,
    );
  }
  let store: FrozenStore | undefined;
  try {
    store = inMemory ? storeInMemory(bytes / FLOAT) : storeInFile(path.join(folder!, FILE));
    const parts = await computed(job, layer, store);
    if (parts === undefined) {
      await store.close();
      return undefined;
    }
    const counted = [formatCount(tokens), formatBytes(bytes), layer] as const;
    job.emit({
      type: 'log',
      level: 'info',
      message: inMemory
        ? l10n.t`The outputs of the first ${counted[2]} layers are kept in memory: ${counted[0]} tokens, ${counted[1]}.`
        : l10n.t`The outputs of the first ${counted[2]} layers are kept in ${FILE} of the run’s folder: ${counted[0]} tokens, ${counted[1]}.`,
    });
    const [train, validation] = parts;
    return { layer, train, validation, close: store.close };
  } catch (error) {
    await store?.close();
    // What could not be kept is computed at each step, as without it.
    if (!inMemory && isOfFiles(error))
      return unused(l10n.t`${FILE} of the run’s folder could not be written (${messageOf(error)})`);
    throw error;
  }
}

function isOfFiles(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}

/** Its file in the run's folder. */
const FILE = 'frozen-outputs.f32';

/** The same for methods that have changed since: undefined where what is kept is no longer what they would give. */
export function stillFrozen(frozen: FrozenOutputs | undefined, job: TrainingJob): FrozenOutputs | undefined {
  if (frozen === undefined) return undefined;
  const hooks = job.methods.map((method) => method.hooks);
  return frozenLayers(job.model, hooks, longestRow(job)) >= frozen.layer ? frozen : undefined;
}

/** Where the outputs of each row begin in the store; all of them behind one another. */
function startsOf(rows: readonly Example[], width: number): number[] {
  let next = 0;
  return rows.map(({ ids }) => {
    const own = next;
    next += ids.length * width;
    return own;
  });
}

/** Batches of rows of about the same length. */
function byLength(rows: readonly Example[], size: number): number[][] {
  const order = [...rows.keys()].sort((a, b) => rows[b]!.ids.length - rows[a]!.ids.length || a - b);
  return Array.from({ length: Math.ceil(order.length / size) }, (_, at) =>
    order.slice(at * size, (at + 1) * size),
  );
}

async function computed(
  job: TrainingJob,
  layer: number,
  store: FrozenStore,
): Promise<readonly [FrozenRows, FrozenRows] | undefined> {
  const { model, methods, runtime, weights, train, validation } = job;
  const all = [...train, ...validation];
  const { scope } = lossGraph(
    model,
    methods.map((method) => method.hooks),
    { training: false, positionLimit: longest(all) },
  );
  const program = await runtime.compile({ [FROZEN_OUTPUTS]: scope.layerInputs.get(layer)! }, weights);
  const width = model.hiddenSize;
  const starts = startsOf(all, width);
  const batches = byLength(all, job.options.per_device_eval_batch_size);
  try {
    for (const [done, rows] of batches.entries()) {
      job.emit({
        type: 'progress',
        activity: l10n.t`Computing the outputs of the frozen layers`,
        done,
        total: batches.length,
      });
      await breathe();
      if (job.stopRequested()) return undefined;
      const batch = makeBatch(
        all,
        rows.map((row) => [row]),
      );
      const found = await program.run(batchFeeds(batch));
      const numbers = found[FROZEN_OUTPUTS]!.data as Float32Array;
      for (const { example, start } of batch.places) {
        const end = start + all[example]!.ids.length;
        store.write(starts[example]!, numbers.subarray(start * width, end * width));
      }
    }
  } finally {
    await program.dispose();
  }
  const part = (rows: readonly Example[], first: number): FrozenRows => ({
    layer,
    feeds(batch) {
      const numbers = new Float32Array(batch.rows * batch.length * width);
      for (const { example, start } of batch.places) {
        const end = start + rows[example]!.ids.length;
        store.read(starts[first + example]!, numbers.subarray(start * width, end * width));
      }
      return {
        [FROZEN_OUTPUTS]: { dtype: 'float32', shape: [batch.rows, batch.length, width], data: numbers },
      };
    },
  });
  return [part(train, 0), part(validation, train.length)];
}
