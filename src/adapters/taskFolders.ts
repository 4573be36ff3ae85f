import path from 'node:path';
import { pathKind } from '../common/files.js';
import { adapterNames } from '../methods/adapterSet.js';
import { ADAPTER_CONFIG, ADAPTER_SETUP } from './adapterFiles.js';

/**
 * What no system allows in a name, dots that stand for folders, what Windows takes off the end, and what it takes for a
 * device.
 */
const NOT_IN_NAMES = /[\\/:*?"<>|%\p{Cc}]|^\.+$|[. ]$|^(?:aux|con|nul|prn|com\d|lpt\d)(?=\.|$)/giu;

/** The folder of one task's adapter among those of all tasks. Different tasks have different folders. */
export function taskFolder(folder: string, task: string): string {
  const name = task.replace(NOT_IN_NAMES, (part) =>
    [...part].map((each) => `%${each.charCodeAt(0).toString(16).padStart(2, '0')}`).join(''),
  );
  return path.join(folder, name);
}

/**
 * The adapter of a task: the task's own folder within the given one, or the given one itself, which is the task's own or
 * may hold several tasks. A fusion of the task's adapter with others is left whole.
 *
 * @param task undefined: none is asked for
 * @returns the task where it is still to be found within the adapter
 */
export async function adapterOfTask(
  folder: string,
  task: string | undefined,
): Promise<{ readonly folder: string; readonly task: string | undefined }> {
  const isTasksOwn =
    task !== undefined && path.resolve(taskFolder(path.dirname(folder), task)) === path.resolve(folder);
  if (task === undefined || isTasksOwn) return { folder, task: undefined };
  const own = taskFolder(folder, task);
  if ((await pathKind(path.join(folder, ADAPTER_SETUP))) === 'file') {
    const fused = path.join(folder, adapterNames([task])[0]!, ADAPTER_CONFIG);
    return { folder, task: (await pathKind(fused)) === 'file' ? undefined : task };
  }
  const isOwn = (await pathKind(path.join(own, ADAPTER_CONFIG))) === 'file';
  return isOwn ? { folder: own, task: undefined } : { folder, task };
}
