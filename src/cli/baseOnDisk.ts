import { fail } from '../common/problem.js';
import { modelOnDisk } from '../language/modelHub.js';

/**
 * Where the base model is that an option or the adapter names, without asking the network.
 * @throws ProblemError `adapter.base-not-found` where the option names it and it is not here
 */
export async function baseOnDisk(
  model: string | undefined,
  named: string | undefined,
): Promise<string | undefined> {
  if (model === undefined) return named === undefined ? undefined : modelOnDisk(named, '.');
  return (
    (await modelOnDisk(model, '.')) ??
    fail({
      code: 'adapter.base-not-found',
      message: `the base model "${model}" is not on this machine`,
      expected: 'a model folder, or an id of the hub whose files were downloaded',
    })
  );
}
