import { fail, isError } from '../../common/problem.js';
import type { Problem } from '../../common/problem.js';
import { diagnose } from './diagnose.js';
import type { About, Fault } from './fault.js';
import { withRepair } from './repairMend.js';
import { readAdapter } from '../readAdapter.js';
import type { AdapterOnDisk } from '../readAdapter.js';

/** An adapter as it is after all that can be mended by its files, and what was wrong with them. */
export interface Mended {
  readonly adapter: AdapterOnDisk;
  readonly faults: readonly Fault[];
}

/** The base model of an adapter, as far as it is known. */
export type Base = Pick<About, 'model' | 'modelName'>;

/**
 * Reads an adapter folder whatever is wrong with its form. Nothing on disk changes.
 *
 * @param base the base model, where it is known: names, targets and shapes are then compared with it
 * @throws ProblemError where the folder or its files cannot be read at all (see {@link readAdapter}), or hold no floats
 */
export async function readMended(folder: string, base: Base = {}): Promise<Mended> {
  let faults: readonly Fault[] = [];
  const adapter = await readAdapter(folder, (form, about) => {
    const found = diagnose(form, { ...about, ...base });
    faults = found.faults;
    return found.mended;
  });
  const unreadable = faults.find(
    ({ problem, repair }) => problem.code === 'adapter.dtype' && isError(problem) && repair === undefined,
  );
  if (unreadable !== undefined) fail(unreadable.problem);
  return { adapter, faults };
}

/** A fault as a problem that names the command which mends it. */
export function faultProblem({ problem, repair }: Fault, folder: string): Problem {
  if (repair === undefined) return problem;
  return withRepair(problem, folder);
}
