import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { problemOf } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { LanguageModel } from '../models/architecture.js';
import type { Checkpoint } from '../models/checkpoint.js';
import { openCheckpoint } from '../models/openCheckpoint.js';
import { readModel } from '../models/readModel.js';
import type { TaskType } from '../models/task.js';
import { keptByVersion } from './modelCache.js';

/** A base model as its config and header describe it; no weight is read. */
export interface ModelFacts {
  /** The folder or GGUF file, absolute. */
  readonly place: string;
  readonly checkpoint: Checkpoint;
  readonly model: LanguageModel;
  /** Elements of the parameters that the model uses, a shared one counted once. */
  readonly parameters: number;
  /** Types of the tensors, the one with the most numbers first. */
  readonly dtypes: readonly string[];
  /** Of the files with weights. */
  readonly bytes: number;
  /** `LlamaForCausalLM`: what the config says that the weights are for. */
  readonly task: string | undefined;
}

/** A model, or why none can be read at the place. */
export type ModelReading = { readonly facts: ModelFacts } | { readonly problem: Problem };

/** So many models are remembered: those of the open run files and of a list of suggestions. */
const KEPT = 64;

const readings = keptByVersion<ModelReading>(KEPT);

/**
 * Reads a model's config and header, or gives what was read when the files had the same times and sizes. Nothing on
 * disk: undefined.
 * @param task what it is to do; default: the usual task of its type
 */
export async function modelFacts(
  place: string,
  signal?: AbortSignal,
  task?: TaskType,
): Promise<ModelReading | undefined> {
  const files = await weightFiles(place);
  signal?.throwIfAborted();
  if (files === undefined) return undefined;
  const version = files.map(({ name, size, time }) => `${name}:${size}:${time}`).join('|');
  return readings(`${place}|${task ?? ''}`, version, async () => {
    try {
      const checkpoint = await openCheckpoint(place);
      const bytes = files.filter(({ name }) => !name.endsWith('.json')).reduce((sum, { size }) => sum + size, 0);
      return { facts: factsOf(place, checkpoint, readModel(checkpoint, { type: task }), bytes) };
    } catch (error) {
      return { problem: problemOf(error) };
    }
  });
}

/** What there is to know of a model that was read. @param bytes of its files with weights */
export function factsOf(place: string, checkpoint: Checkpoint, model: LanguageModel, bytes: number): ModelFacts {
  const { tensors, config } = checkpoint;
  const used = new Set(model.sites.flatMap(({ weight, bias }) => [weight, bias].filter(isName)));
  const counts = new Map<string, number>();
  let parameters = 0;
  for (const name of used) {
    const info = tensors.get(name);
    if (info === undefined) continue;
    const size = info.shape.reduce((product, length) => product * length, 1);
    parameters += size;
    counts.set(info.dtype, (counts.get(info.dtype) ?? 0) + size);
  }
  const [task] = Array.isArray(config['architectures']) ? config['architectures'] : [];
  return {
    place,
    checkpoint,
    model,
    parameters,
    dtypes: [...counts].sort(([, a], [, b]) => b - a).map(([dtype]) => dtype),
    bytes,
    task: typeof task === 'string' ? task : undefined,
  };
}

function isName(name: string | undefined): name is string {
  return name !== undefined;
}

interface FileState {
  readonly name: string;
  readonly size: number;
  readonly time: number;
}

/** The files that a model's facts come from; undefined where there is nothing. */
async function weightFiles(place: string): Promise<readonly FileState[] | undefined> {
  const whole = await stat(place).catch(() => undefined);
  if (whole === undefined) return undefined;
  if (!whole.isDirectory()) return [{ name: path.basename(place), size: whole.size, time: whole.mtimeMs }];
  const names = await readdir(place).catch(() => []);
  const states = names
    .filter((name) => name === 'config.json' || /\.safetensors(\.index\.json)?$/.test(name))
    .sort()
    .map(async (name): Promise<FileState> => {
      const found = await stat(path.join(place, name)).catch(() => undefined);
      return { name, size: found?.size ?? 0, time: found?.mtimeMs ?? 0 };
    });
  return Promise.all(states);
}
