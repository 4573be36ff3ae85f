import * as l10n from '@vscode/l10n';
import path from 'node:path';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { headKeys } from './adapterTask.js';
import type { AdapterOnDisk } from './readAdapter.js';

/**
 * Adapters that are merged into one base model were trained on one, and at most one brings a head for classes.
 *
 * @param isNamed whether the base is named beside them, which says that it is the same
 * @returns warnings where it is said to be the same though it is called otherwise
 * @throws ProblemError `merge.base` where it is not said, `merge.heads`
 */
export function checkOneBase(adapters: readonly AdapterOnDisk[], isNamed: boolean): readonly Problem[] {
  const [first, ...others] = adapters;
  const [headed, second] = adapters.filter((adapter) => headKeys(adapter).length > 0);
  if (headed !== undefined && second !== undefined) {
    fail({
      code: 'merge.heads',
      message: l10n.t`${nameOf(headed)} and ${nameOf(second)} each have a head for classes, and a model has one`,
      where: { file: second.folder },
      expected: l10n.t`at most one adapter with a head`,
    });
  }
  const baseOf = ({ baseModel, config }: AdapterOnDisk): string =>
    JSON.stringify([baseModel ?? null, config['revision'] ?? null]);
  const other = first && others.find((adapter) => baseOf(adapter) !== baseOf(first));
  if (first === undefined || other === undefined) return [];
  const problem: Problem = {
    code: 'merge.base',
    message: l10n.t`${nameOf(first)} is of the base model ${first.baseModel ?? '?'}, ${nameOf(other)} of ${other.baseModel ?? '?'}`,
    where: { file: other.configFile },
    expected: l10n.t`adapters of one base model`,
    mend: l10n.t`If it is the same one in another place, name it with --model.`,
  };
  return isNamed ? [{ ...problem, severity: 'warning' }] : fail(problem);
}

function nameOf({ folder }: AdapterOnDisk): string {
  return folder.split(path.sep).slice(-3).join('/');
}
