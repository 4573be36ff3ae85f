import path from 'node:path';
import * as l10n from '@vscode/l10n';
import { ADAPTER_CONFIG } from '../adapters/adapterFiles.js';
import { attachAdapter } from '../adapters/attachAdapter.js';
import { readAdapter } from '../adapters/readAdapter.js';
import type { AdapterOnDisk } from '../adapters/readAdapter.js';
import { adapterOfTask } from '../adapters/taskFolders.js';
import { pathKind } from '../common/files.js';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { readResolvedRun } from '../config/readResolvedRun.js';
import type { AttachContext, Attached, Values } from '../methods/method.js';
import { RESOLVED_CONFIG, resultName } from './runFiles.js';
import { guides } from './session.js';

/** Adapters that are applied together, in their order; none is attached yet. */
export interface AdaptersOnDisk {
  readonly adapters: readonly [AdapterOnDisk, ...AdapterOnDisk[]];
  readonly warnings: readonly Problem[];
}

/**
 * Opens the adapters that a folder stands for: the adapter that it holds; or, of a run's folder, all that its methods
 * wrote, in the order in which the run file lists the methods.
 *
 * @param task of adapters that were trained on several
 * @throws ProblemError `adapter.task` where none of them is of the task; as {@link readAdapter} does
 */
export async function openAdapters(named: string, task?: string): Promise<AdaptersOnDisk> {
  const folders = (await runAdapters(named)) ?? [named];
  const adapters: AdapterOnDisk[] = [];
  let isTasks = false;
  for (const folder of folders) {
    const own = await adapterOfTask(folder, task);
    // One folder of the task's own is enough: other methods of the run may know no tasks.
    isTasks ||= own.isTasks;
    adapters.push(await readAdapter(own.folder));
  }
  if (task !== undefined && !isTasks) return noAdapterOf(task);
  return {
    adapters: adapters as [AdapterOnDisk, ...AdapterOnDisk[]],
    warnings: folders.length > 1 ? [] : await othersOfRun(named),
  };
}

/** @throws ProblemError `adapter.task` */
export function noAdapterOf(task: string): never {
  return fail({
    code: 'adapter.task',
    message: l10n.t`there is no adapter of the task "${task}" here`,
    mend: l10n.t`Name the folder of an adapter that was trained with data.task_column.`,
  });
}

/** Attaches adapters one after the other, each to what those before it make of the model. */
export async function attachAdapters(
  { adapters }: AdaptersOnDisk,
  context: AttachContext,
): Promise<{
  readonly methods: readonly Attached[];
  readonly values: Values;
  readonly warnings: readonly Problem[];
}> {
  const methods: Attached[] = [];
  const values = new Map<string, Float32Array>();
  const warnings: Problem[] = [];
  for (const [index, adapter] of adapters.entries()) {
    const instance = index === 0 ? '' : `${index}:`;
    const found = await attachAdapter(adapter, { ...context, instance, before: [...methods] });
    methods.push(found.method);
    for (const [name, numbers] of found.values) values.set(name, numbers);
    warnings.push(...found.warnings);
  }
  return { methods, values, warnings };
}

/** The adapters of a run, in the order of its methods; undefined for a folder that is no run's, or has none of its own. */
async function runAdapters(folder: string): Promise<readonly string[] | undefined> {
  if ((await pathKind(path.join(folder, ADAPTER_CONFIG))) === 'file') return undefined;
  const config = path.join(folder, RESOLVED_CONFIG);
  if ((await pathKind(config)) !== 'file') return undefined;
  const { method } = await readResolvedRun(config);
  const found: string[] = [];
  for (const { type } of method.filter((each) => !guides(each))) {
    const own = path.join(folder, resultName('adapter', type, found.length === 0));
    if ((await pathKind(own)) === 'folder') found.push(own);
  }
  return found.length === 0 ? undefined : found;
}

/** Says that an adapter is one of several that a run trained together. */
async function othersOfRun(named: string): Promise<readonly Problem[]> {
  const run = path.dirname(path.resolve(named));
  const all = (await runAdapters(run).catch(() => undefined)) ?? [];
  if (all.length < 2 || !all.includes(path.resolve(named))) return [];
  const others = all.filter((each) => each !== path.resolve(named)).map((each) => path.basename(each));
  return [
    {
      code: 'adapter.one-of-several',
      severity: 'warning',
      message: l10n.t`the run trained it together with ${others.join(', ')}, which is not applied`,
      where: { file: named },
      mend: l10n.t`Name the run's folder to apply them all: ${run}`,
    },
  ];
}
