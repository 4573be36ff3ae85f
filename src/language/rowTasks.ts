import type { RunConfig } from '../config/schema.js';
import { isBroken } from '../data/row.js';
import { rowTask } from '../data/rowTask.js';
import { namedFiles } from './dataChecks.js';
import { startOf } from './dataRows.js';
import type { FileStart } from './dataRows.js';
import { keptByVersion } from './modelCache.js';

/** The tasks that training rows name (`data.task_column`), as far as rows are read while typing. */
export interface KnownTasks {
  /** In the order of their first rows. */
  readonly names: readonly string[];
  /** Whether all training rows were read; else there may be more tasks. */
  readonly whole: boolean;
}

/** Files remembered: those of the open run files. */
const KEPT = 32;

const starts = keptByVersion<KnownTasks>(KEPT);

/** The tasks of a run file's training rows; undefined where it names no column of them. */
export async function knownTasks(
  data: RunConfig['data'],
  folder: string,
  signal?: AbortSignal,
): Promise<KnownTasks | undefined> {
  const { task_column: column, max_rows: most = Infinity } = data;
  if (column === undefined) return undefined;
  const named = (await namedFiles(data, folder)).filter(({ path: [, key] }) => key === 'train');
  // A data set of the hub is not read.
  let whole = named.length === [data.train].flat().length;
  const names = new Set<string>();
  for (const { file } of named) {
    const start = await startOf(file, signal);
    if (start === undefined) whole = false;
    else {
      const version = `${start.version}:${column}:${most}`;
      const found = await starts(file, version, () => tasksIn(start, column, most));
      for (const name of found.names) names.add(name);
      whole &&= found.whole;
    }
  }
  return { names: [...names], whole };
}

/** @param most rows that are used */
async function tasksIn({ rows, whole }: FileStart, column: string, most: number): Promise<KnownTasks> {
  const names: string[] = [];
  let count = 0;
  try {
    for await (const row of rows) {
      if (count++ >= most) return { names, whole: true };
      if (!isBroken(row)) rowTask(row.value, column, { names, grows: true });
    }
  } catch {
    // What is wrong with the rows, the check of the data tells.
    return { names, whole: false };
  }
  return { names, whole };
}
