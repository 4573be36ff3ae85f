import * as l10n from '@vscode/l10n';
import * as vscode from 'vscode';
import { formatBytes } from '../../common/format.js';
import { isJsonObject } from '../../common/json.js';
import type { Jobs } from '../job.js';
import { reveal } from '../places.js';
import { baseArgument } from './baseArgument.js';
import type { Entry } from './library.js';
import { askMergeForm } from './mergeForm.js';
import { lookOf, mergesWith } from './present.js';
import { nameOf } from './tryAction.js';

/** Asks what else, where to and as what, then merges adapters into their base as a job. */
export async function mergeIntoBase(jobs: Jobs, adapter: Entry, all: readonly Entry[]): Promise<void> {
  const { folder } = adapter.item;
  const others = all.filter((other) => mergesWith(adapter, other));
  const then = others.length === 0 ? [] : await pickOthers(adapter, others);
  if (then === undefined) return;
  const base = await baseArgument(adapter);
  if (base === undefined) return;
  const form = await askMergeForm(folder, base.model ?? adapter.base.place ?? adapter.base.key);
  if (form === undefined) return;
  const target = form.out;
  const report = await jobs.run({
    title: titleOf(nameOf(folder), then.length, adapter.base.label),
    args: [
      'merge',
      folder,
      ...then,
      '--out',
      target,
      ...(base.model === undefined ? [] : ['--model', base.model]),
      ...form.args,
    ],
  });
  if (report === undefined) return;
  const [revealIt, showLog] = [l10n.t`Reveal`, l10n.t`Show Log`];
  const chosen = await vscode.window.showInformationMessage(
    [
      l10n.t`PEFT Studio: merged model in ${vscode.workspace.asRelativePath(target)}.`,
      ...summary(report, then.length),
    ].join(' '),
    revealIt,
    showLog,
  );
  if (chosen === revealIt) await reveal(target);
  if (chosen === showLog) await vscode.commands.executeCommand('peftStudio.showLog');
}

/** Further adapters of the base, in the order of the list; none is an answer, too. Undefined: that was cancelled. */
async function pickOthers(adapter: Entry, others: readonly Entry[]): Promise<readonly string[] | undefined> {
  const latest = [...others].sort((a, b) => b.item.modified - a.item.modified);
  const picked = await vscode.window.showQuickPick(
    latest.map((other) => ({
      label: nameOf(other.item.folder),
      description: lookOf(other).description,
      detail: vscode.workspace.asRelativePath(other.item.folder),
      folder: other.item.folder,
    })),
    {
      title: l10n.t`Merge into Base: further adapters, merged after ${nameOf(adapter.item.folder)}`,
      placeHolder: l10n.t`They are merged in the order of this list. None is needed.`,
      canPickMany: true,
      matchOnDetail: true,
      ignoreFocusOut: true,
    },
  );
  return picked?.map((each) => each.folder);
}

function titleOf(name: string, others: number, base: string): string {
  if (others === 0) {
    return base === '' ? l10n.t`Merging ${name} into its base` : l10n.t`Merging ${name} into ${base}`;
  }
  return base === ''
    ? l10n.t`Merging ${others + 1} adapters into their base`
    : l10n.t`Merging ${others + 1} adapters into ${base}`;
}

/** What the command reported, as far as it can be told in sentences, of one adapter and so many others. */
function summary(report: unknown, others: number): string[] {
  if (!isJsonObject(report)) return [];
  const { bytes, dtype, verifiedDifference: difference, total, warnings } = report;
  const survived = isJsonObject(total) ? total['survived'] : undefined;
  const count = Array.isArray(warnings) ? warnings.length : 0;
  return [
    ...(typeof bytes === 'number' && typeof dtype === 'string'
      ? [l10n.t`${formatBytes(bytes)} in ${dtype}.`]
      : []),
    ...(typeof survived === 'number'
      ? [l10n.t`${(100 * survived).toFixed(0)} % of the update survives the rounding.`]
      : []),
    ...(typeof difference === 'number'
      ? [
          others === 0
            ? l10n.t`Its logits differ by at most ${difference.toExponential(1)} from those of base + adapter.`
            : l10n.t`Its logits differ by at most ${difference.toExponential(1)} from those of the base with its adapters.`,
        ]
      : []),
    ...(count === 1 ? [l10n.t`1 warning: see the log.`] : []),
    ...(count > 1 ? [l10n.t`${count} warnings: see the log.`] : []),
  ];
}
