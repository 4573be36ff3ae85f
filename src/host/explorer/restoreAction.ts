import * as l10n from '@vscode/l10n';
import path from 'node:path';
import * as vscode from 'vscode';
import { ORIGINAL_WEIGHTS } from '../../adapters/merging/keptOriginal.js';
import { ORIGINAL_FOLDER } from '../../adapters/merging/mergeRecord.js';
import { pathKind } from '../../common/files.js';
import { isJsonObject } from '../../common/json.js';
import type { Jobs } from '../job.js';
import { reveal } from '../places.js';
import { baseArgument } from './baseArgument.js';
import type { Entry } from './library.js';
import { askOutFolder } from './outFolder.js';
import { nameOf } from './tryAction.js';

/** Asks where to, then restores the base of a merged model as a job. Where the base is, is asked if nothing of it was kept. */
export async function restoreBase(jobs: Jobs, merged: Entry): Promise<void> {
  const { folder } = merged.item;
  const isKept = (await pathKind(path.join(folder, ORIGINAL_FOLDER, ORIGINAL_WEIGHTS))) === 'file';
  const base = isKept ? {} : await baseArgument(merged);
  if (base === undefined) return;
  const target = await askOutFolder(
    l10n.t`Restore Base Model: folder for the base model`,
    `${folder}-base`,
    l10n.t`It must not exist yet. The merged model stays as it is.`,
  );
  if (target === undefined) return;
  const report = await jobs.run({
    title: l10n.t`Restoring the base of ${nameOf(folder)}`,
    args: ['unmerge', folder, '--out', target, ...(base.model === undefined ? [] : ['--model', base.model])],
  });
  if (report === undefined) return;
  const isCopy = isJsonObject(report) && report['from'] === 'base';
  const place = vscode.workspace.asRelativePath(target);
  const text = isCopy
    ? l10n.t`PEFT Studio: the base model is in ${place}, bit for bit: a copy of the one that was merged, each file checked.`
    : l10n.t`PEFT Studio: the base model is in ${place}, bit for bit: restored from what the merge kept, each tensor checked.`;
  const reveals = l10n.t`Reveal`;
  if ((await vscode.window.showInformationMessage(text, reveals)) === reveals) await reveal(target);
}
