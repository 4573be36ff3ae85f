import type { AdapterOnDisk } from '../adapters/readAdapter.js';
import type { Problem } from '../common/problem.js';

/** Warnings of adapters that are named more than once: what each changes counts as often. */
export function namedTwice(adapters: readonly Pick<AdapterOnDisk, 'folder'>[]): readonly Problem[] {
  const folders = adapters.map(({ folder }) => folder);
  return [...new Set(folders.filter((folder, at) => folders.indexOf(folder) !== at))].map((folder) => ({
    code: 'adapter.twice',
    severity: 'warning',
    message: `${folder} is named more than once: what it changes is added as often`,
    mend: 'Nothing to do, if that is meant; else name it once.',
  }));
}
