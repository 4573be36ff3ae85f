import * as l10n from '@vscode/l10n';
import path from 'node:path';
import * as vscode from 'vscode';
import { pathKind } from '../../common/files.js';
import { formatCount } from '../../common/format.js';
import { isJsonObject } from '../../common/json.js';
import { RUN_EVENTS } from '../../engines/runFiles.js';
import type { Jobs } from '../job.js';
import { reveal } from '../places.js';
import { baseArgument } from './baseArgument.js';
import type { Entry } from './library.js';
import { askOutFolder } from './outFolder.js';
import { addsUpWith, lookOf } from './present.js';
import { nameOf } from './tryAction.js';

/** Asks which adapters to add to one and where to, then adds them up as a job. */
export async function addAdapters(jobs: Jobs, adapter: Entry, all: readonly Entry[]): Promise<void> {
  const { folder } = adapter.item;
  const others = all.filter((other) => addsUpWith(adapter, other));
  if (others.length === 0) {
    void vscode.window.showInformationMessage(
      l10n.t`PEFT Studio: there is no other adapter of differences from the same base model in this workspace.`,
    );
    return;
  }
  const chosen = await vscode.window.showQuickPick(
    others.map((entry) => {
      const { label, description } = lookOf(entry);
      const detail = vscode.workspace.asRelativePath(entry.item.folder);
      return { label, description, detail, folder: entry.item.folder };
    }),
    {
      title: l10n.t`Add to ${nameOf(folder)} (1/2): the other adapters`,
      canPickMany: true,
      ignoreFocusOut: true,
      matchOnDescription: true,
      matchOnDetail: true,
    },
  );
  if (chosen === undefined || chosen.length === 0) return;
  const base = await baseArgument(adapter);
  if (base === undefined) return;
  const target = await askOutFolder(
    l10n.t`Add to ${nameOf(folder)} (2/2): folder for the sum`,
    `${await placeOf(folder)}-sum`,
    l10n.t`It must not exist yet. The adapters stay as they are.`,
  );
  if (target === undefined) return;
  const report = await jobs.run({
    title: l10n.t`Adding adapters to ${nameOf(folder)}`,
    args: [
      'combine',
      folder,
      ...chosen.map((each) => each.folder),
      '--out',
      target,
      ...(base.model === undefined ? [] : ['--model', base.model]),
    ],
  });
  if (!isJsonObject(report)) return;
  const { numbers, overlap } = report;
  const changed = formatCount(Number(numbers));
  const reveals = l10n.t`Reveal`;
  const answer = await vscode.window.showInformationMessage(
    [
      l10n.t`PEFT Studio: the sum is in ${vscode.workspace.asRelativePath(target)}.`,
      typeof overlap === 'number'
        ? l10n.t`It changes ${changed} numbers, ${formatCount(overlap)} of which more than one adapter changes.`
        : l10n.t`It holds ${changed} numbers, and is as exact as the adapters themselves.`,
    ].join(' '),
    reveals,
  );
  if (answer === reveals) await reveal(target);
}

/** What a sum is put beside: of a run's adapter the run, for the sum is not what the run wrote. */
async function placeOf(folder: string): Promise<string> {
  const run = path.dirname(folder);
  return (await pathKind(path.join(run, RUN_EVENTS))) === 'file' ? run : folder;
}
