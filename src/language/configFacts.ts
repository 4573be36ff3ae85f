import path from 'node:path';
import type { JsonObject } from '../common/json.js';
import { pathKind } from '../common/files.js';
import { fail } from '../common/problem.js';
import { headerOf } from '../memory/headerOf.js';
import { readModelShape } from '../memory/readShape.js';
import { openCheckpoint } from '../models/openCheckpoint.js';
import { readModel } from '../models/readModel.js';
import type { TaskType } from '../models/task.js';
import { readConfig } from '../models/safetensorsFolder.js';
import { factsOf, modelFacts } from './modelFacts.js';
import type { ModelFacts, ModelReading } from './modelFacts.js';

/** The name of a model's config, by which the model can be named, too. */
export const CONFIG_FILE = 'config.json';

/**
 * A model's config: of a folder or a GGUF file. Weights need not be there.
 * @throws ProblemError `checkpoint.*`, `gguf.*`
 */
export async function configAt(place: string): Promise<JsonObject> {
  // Of a place where nothing is, opening it tells.
  const isFolder = (await pathKind(place)) === 'folder';
  return isFolder ? readConfig(path.resolve(place)) : (await openCheckpoint(place)).config;
}

/** The type that a config says its weights have, as PyTorch names it; undefined where it says none. */
export function dtypeOf(config: JsonObject): string | undefined {
  // Transformers 5 writes `dtype`, versions before it `torch_dtype`.
  const named = config['dtype'] ?? config['torch_dtype'];
  return typeof named === 'string' ? named.replace('torch.', '') : undefined;
}

/** Why a folder with a config has no header that could be read. */
const WITHOUT_WEIGHTS: ReadonlySet<string> = new Set([
  'checkpoint.no-weights',
  'checkpoint.pickle',
  'checkpoint.shard-missing',
]);

/**
 * A model from its config and header, or from its config alone where the weights are not there (yet).
 * @throws ProblemError `checkpoint.*`, `model.*`
 */
export async function factsWithoutWeights(
  place: string,
  signal?: AbortSignal,
  task?: TaskType,
): Promise<{ readonly facts: ModelFacts; readonly weights: 'there' | 'absent' }> {
  const reading = await modelFacts(place, signal, task);
  if (reading === undefined)
    return { facts: factsFromConfig(place, await configAt(place), task), weights: 'absent' };
  if ('facts' in reading) return { facts: reading.facts, weights: 'there' };
  if (!WITHOUT_WEIGHTS.has(reading.problem.code)) fail(reading.problem);
  const known = fromConfig.get(reading);
  if (known !== undefined) return { facts: known, weights: 'absent' };
  const facts = factsFromConfig(place, await configAt(place), task);
  fromConfig.set(reading, facts);
  return { facts, weights: 'absent' };
}

/** Facts by the failed reading of the weights, which stays the same while the files do: what is remembered of a model is by its facts. */
const fromConfig = new WeakMap<ModelReading, ModelFacts>();

const HEADER_DTYPES: ReadonlyMap<string, string> = new Map([
  ['float16', 'F16'],
  ['bfloat16', 'BF16'],
]);

/**
 * A model of which only the config is there, as if its header had been read, too. Reading a weight fails.
 * @param place what names the model, for messages
 * @throws ProblemError `model.*` for one that the embedded engine does not train
 */
export function factsFromConfig(place: string, config: JsonObject, task?: TaskType): ModelFacts {
  const dtype = HEADER_DTYPES.get(dtypeOf(config) ?? '') ?? 'F32';
  const shape = readModelShape(config, place);
  const absent = (): Promise<never> => Promise.reject(new Error(`Only the config of ${place} was read.`));
  const checkpoint = {
    source: place,
    format: 'safetensors' as const,
    config,
    tensors: headerOf(shape, dtype),
    read: absent,
    mapped: absent,
  };
  return factsOf(place, checkpoint, readModel(checkpoint, { type: task }), 0);
}
