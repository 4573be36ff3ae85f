import path from 'node:path';
import { ProblemError, fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { loraConfigFromPeft } from '../methods/loraConfig.js';
import type { AttachContext, Attached, Values } from '../methods/method.js';
import { attachMethod } from '../methods/registry.js';
import type { AdapterOnDisk } from './readAdapter.js';
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS } from './readAdapter.js';

export interface AttachedAdapter {
  readonly method: Attached;
  readonly values: Values;
  /** What was passed over: unknown keys that are switched off, copies of the base's matrices. */
  readonly warnings: readonly Problem[];
}

/**
 * An adapter's method on a model, with the adapter's numbers.
 *
 * @throws ProblemError `adapter.config` (a key that changes the arithmetic, a start from a changed base),
 *   `targets.*` (a module that the model lacks), `adapter.keys` (with the prefix map where only a prefix differs),
 *   `adapter.shape` (both sizes), `adapter.non-finite`
 */
export async function attachAdapter(adapter: AdapterOnDisk, context: AttachContext): Promise<AttachedAdapter> {
  const configFile = path.join(adapter.folder, ADAPTER_CONFIG);
  const weightsFile = path.join(adapter.folder, ADAPTER_WEIGHTS);
  const { options, warnings } = loraConfigFromPeft(adapter.config, configFile);
  const method = inFile(configFile, () => attachMethod(options, context));
  const loaded = method.load(await adapter.loadTensors(), weightsFile);
  for (const [name, values] of loaded.values) {
    const at = values.findIndex((value) => !Number.isFinite(value));
    if (at >= 0) {
      fail({
        code: 'adapter.non-finite',
        message: `the adapter's tensor ${name} holds ${values[at]} at position ${at}`,
        where: { file: weightsFile },
        mend: 'The run that made it diverged: use an earlier checkpoint, or train again with a lower learning rate.',
      });
    }
  }
  return { method, values: loaded.values, warnings: [...warnings, ...loaded.warnings] };
}

/** Methods know no files: problems that name no place get the config's. */
function inFile<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof ProblemError) || error.problem.where !== undefined) throw error;
    return fail({ ...error.problem, where: { file } }, error);
  }
}
