import type { AdapterOnDisk } from '../adapters/readAdapter.js';
import { fail } from '../common/problem.js';
import { openAdapters } from '../engines/openAdapters.js';

/**
 * The one adapter that a folder stands for: an adapter's own, or a run's.
 * @throws ProblemError `adapter.several`, and those of the adapter's files
 */
export async function openOneAdapter(named: string): Promise<AdapterOnDisk> {
  const { adapters } = await openAdapters(named);
  const [adapter, ...others] = adapters;
  if (others.length === 0) return adapter;
  return fail({
    code: 'adapter.several',
    message: `${named} stands for ${adapters.length} adapters`,
    expected: 'the folder of one adapter',
    mend: `Name one of them: ${adapters.map((each) => each.folder).join(', ')}`,
  });
}
