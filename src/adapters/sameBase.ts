import * as l10n from '@vscode/l10n';
import path from 'node:path';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { headKeys } from './adapterTask.js';
import type { AdapterOnDisk } from './readAdapter.js';

/**
 * What several adapters change adds up on one base model only.
 *
 * @param isNamed whether the base is named beside them, which says that it is the same
 * @returns warnings where it is said to be the same though it is called otherwise
 * @throws ProblemError `adapter.several-bases` where it is not said
 */
export function checkSameBase(adapters: readonly AdapterOnDisk[], isNamed: boolean): readonly Problem[] {
  const [first, ...others] = adapters;
  const baseOf = ({ baseModel, config }: AdapterOnDisk): string =>
    JSON.stringify([baseModel ?? null, config['revision'] ?? null]);
  const other = first && others.find((adapter) => baseOf(adapter) !== baseOf(first));
  if (first === undefined || other === undefined) return [];
  const problem: Problem = {
    code: 'adapter.several-bases',
    message: l10n.t`${adapterName(first)} is of the base model ${first.baseModel ?? '?'}, ${adapterName(other)} of ${other.baseModel ?? '?'}`,
    where: { file: other.configFile },
    expected: l10n.t`adapters of one base model`,
    mend: l10n.t`If it is the same one in another place, name it with --model.`,
  };
  return isNamed ? [{ ...problem, severity: 'warning' }] : fail(problem);
}

/**
 * The one adapter that brings a head for classes, by whose task their base is read; undefined: none does.
 * @throws ProblemError `adapter.several-heads`
 */
export function headedAdapter<T extends AdapterOnDisk>(adapters: readonly T[]): T | undefined {
  const [headed, second] = adapters.filter((adapter) => headKeys(adapter).length > 0);
  if (headed === undefined || second === undefined) return headed;
  return fail({
    code: 'adapter.several-heads',
    message: l10n.t`${adapterName(headed)} and ${adapterName(second)} each have a head for classes, and a model has one`,
    where: { file: second.folder },
    expected: l10n.t`at most one adapter with a head`,
  });
}

/** The end of its path: a run's adapters are all called alike. */
export function adapterName({ folder }: Pick<AdapterOnDisk, 'folder'>): string {
  return folder.split(path.sep).slice(-3).join('/');
}
