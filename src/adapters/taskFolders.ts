import { readdir } from 'node:fs/promises';
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

/** Names of the folders within a folder that hold an adapter each, as those of tasks do. */
export async function adaptersWithin(folder: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const name of (await readdir(folder).catch(() => [])).sort()) {
    if ((await pathKind(path.join(folder, name, ADAPTER_CONFIG))) === 'file') found.push(name);
  }
  return found;
}

/**
 * The adapter of a task: the task's own folder within the given one, or the given one itself where that is the task's
 * own. A fusion of the task's adapter with others is left whole.
 *
 * @param task undefined: none is asked for
 * @returns the folder, and whether what it holds is of the task
 */
export async function adapterOfTask(
  folder: string,
  task: string | undefined,
): Promise<{ readonly folder: string; readonly isTasks: boolean }> {
  const isTasksOwn =
    task !== undefined && path.resolve(taskFolder(path.dirname(folder), task)) === path.resolve(folder);
  if (task === undefined || isTasksOwn) return { folder, isTasks: isTasksOwn };
  const own = taskFolder(folder, task);
  if ((await pathKind(path.join(folder, ADAPTER_SETUP))) === 'file') {
    const fused = path.join(folder, adapterNames([task])[0]!, ADAPTER_CONFIG);
    return { folder, isTasks: (await pathKind(fused)) === 'file' };
  }
  const isOwn = (await pathKind(path.join(own, ADAPTER_CONFIG))) === 'file';
  return { folder: isOwn ? own : folder, isTasks: isOwn };
}
