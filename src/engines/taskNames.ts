import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import { adapterNames } from '../methods/adapterSet.js';
import type { MethodConfig } from '../methods/registry.js';

/** Characters in a task's name: its folder's has at most three bytes for each, and systems allow 255. */
const LONGEST_NAME = 64;

/** Methods that write a folder for each task. */
const TELL_APART: ReadonlySet<string> = new Set(['prompt_tuning', 'adapter', 'ciat']);

/** Bytes in the name of a fusion's folder, which the names of all its adapters are. */
const LONGEST_FUSION = 200;

/**
 * Tasks that rows name become folders in the run's, and adapters of a fusion need steps of their own: what would not
 * work is said before the run begins.
 *
 * @param tasks those that rows name
 * @throws ProblemError `data.task-name`, `data.task-case`, `fusion.names`, `fusion.steps`
 */
export function checkTasks(
  configs: readonly MethodConfig[],
  tasks: readonly string[],
  totalSteps: number,
  file: string,
): void {
  const trainsBoth = configs.some((config) => config.type === 'adapter_fusion' && config.adapters === undefined);
  if (trainsBoth && totalSteps < 2) {
    fail({
      code: 'fusion.steps',
      message: l10n.t`the run has one step, and its adapters train before they are fused`,
      where: { file },
      expected: l10n.t`at least 2 steps`,
      mend: l10n.t`Train for more steps, or name trained adapters (adapters).`,
    });
  }
  const tellsApart = configs.some(({ type }) => TELL_APART.has(type));
  if (!trainsBoth && !tellsApart) return;
  const long = tasks.find((task) => task.length > LONGEST_NAME);
  if (long !== undefined) {
    fail({
      code: 'data.task-name',
      message: l10n.t`a task has a name of ${long.length} characters: "${long.slice(0, LONGEST_NAME)}…"`,
      where: { file },
      expected: l10n.t`names of at most ${LONGEST_NAME} characters: each task's adapter has a folder of its name`,
      mend: l10n.t`Check that data.task_column is the column of the tasks, or shorten the name.`,
    });
  }
  checkCase(tasks, file);
  if (trainsBoth && Buffer.byteLength(adapterNames(tasks).join(',')) > LONGEST_FUSION) {
    fail({
      code: 'fusion.names',
      message: l10n.t`the names of the ${tasks.length} tasks are too long together: the folder of a fusion is called by all of them`,
      where: { file },
      expected: l10n.t`names of at most ${LONGEST_FUSION} bytes in all`,
      mend: l10n.t`Check that data.task_column is the column of the tasks, or shorten their names.`,
    });
  }
}

/** Windows and macOS take two names that differ by case for one folder. */
function checkCase(tasks: readonly string[], file: string): void {
  const seen = new Map<string, string>();
  for (const task of tasks) {
    const key = task.normalize('NFC').toLowerCase();
    const other = seen.get(key);
    if (other !== undefined) {
      fail({
        code: 'data.task-case',
        message: l10n.t`the tasks "${other}" and "${task}" differ by case alone`,
        where: { file },
        expected: l10n.t`names that are different folders on every system`,
        mend: l10n.t`Write them alike if they are one task, else rename one.`,
      });
    }
    seen.set(key, task);
  }
}
