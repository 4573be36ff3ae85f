import path from 'node:path';
import { pathKind } from '../common/files.js';
import { tasksOf } from '../models/readModel.js';
import { readConfig } from '../models/safetensorsFolder.js';
import type { TaskType } from '../models/task.js';

/**
 * What a model at a place learns to do: what the run file says, else the usual task of its type, for which its config is
 * read and no weight. GGUF files hold decoders.
 * @throws ProblemError `checkpoint.*` where the config cannot be read
 */
export async function taskOfModel(place: string, wanted: TaskType | undefined): Promise<TaskType> {
  if (wanted !== undefined) return wanted;
  if ((await pathKind(path.join(place, 'config.json'))) !== 'file') return 'CAUSAL_LM';
  return tasksOf(String((await readConfig(place))['model_type']))[0] ?? 'CAUSAL_LM';
}
