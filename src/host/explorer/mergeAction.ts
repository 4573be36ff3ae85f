import * as l10n from '@vscode/l10n';
import * as vscode from 'vscode';
import { formatBytes } from '../../common/format.js';
import { isJsonObject } from '../../common/json.js';
import type { Jobs } from '../job.js';
import { reveal } from '../places.js';
import { baseArgument } from './baseArgument.js';
import type { Entry } from './library.js';
import { askOutFolder } from './outFolder.js';
import { nameOf } from './tryAction.js';

const dtypes = (): readonly (vscode.QuickPickItem & { readonly dtype?: string })[] => [
  { label: l10n.t`As the base`, description: l10n.t`the type that most of its weights have` },
  { label: 'F32', description: l10n.t`exact, the largest`, dtype: 'F32' },
  { label: 'BF16', description: l10n.t`half of the size`, dtype: 'BF16' },
  { label: 'F16', description: l10n.t`half of the size, no numbers above 65,504`, dtype: 'F16' },
];

/** Asks where to and as what, then merges an adapter into its base as a job. */
export async function mergeIntoBase(jobs: Jobs, adapter: Entry): Promise<void> {
  const { folder } = adapter.item;
  const base = await baseArgument(adapter);
  if (base === undefined) return;
  const target = await askOutFolder(
    l10n.t`Merge into Base (1/2): folder for the merged model`,
    `${folder}-merged`,
    l10n.t`It must not exist yet. The base model stays as it is.`,
  );
  if (target === undefined) return;
  const dtype = await vscode.window.showQuickPick(dtypes(), {
    title: l10n.t`Merge into Base (2/2): type of the weights`,
    ignoreFocusOut: true,
  });
  if (dtype === undefined) return;
  const report = await jobs.run({
    title:
      adapter.base.label === ''
        ? l10n.t`Merging ${nameOf(folder)} into its base`
        : l10n.t`Merging ${nameOf(folder)} into ${adapter.base.label}`,
    args: [
      'merge',
      folder,
      '--out',
      target,
      ...(base.model === undefined ? [] : ['--model', base.model]),
      ...(dtype.dtype === undefined ? [] : ['--dtype', dtype.dtype]),
    ],
  });
  if (report === undefined) return;
  const [revealIt, showLog] = [l10n.t`Reveal`, l10n.t`Show Log`];
  const chosen = await vscode.window.showInformationMessage(
    [l10n.t`PEFT Studio: merged model in ${vscode.workspace.asRelativePath(target)}.`, ...summary(report)].join(
      ' ',
    ),
    revealIt,
    showLog,
  );
  if (chosen === revealIt) await reveal(target);
  if (chosen === showLog) await vscode.commands.executeCommand('peftStudio.showLog');
}

/** What the command reported, as far as it can be told in sentences. */
function summary(report: unknown): string[] {
  if (!isJsonObject(report)) return [];
  const { bytes, dtype, verifiedDifference: difference, warnings } = report;
  const count = Array.isArray(warnings) ? warnings.length : 0;
  return [
    ...(typeof bytes === 'number' ? [l10n.t`${formatBytes(bytes)} in ${String(dtype)}.`] : []),
    ...(typeof difference === 'number'
      ? [l10n.t`Its logits differ by at most ${difference.toExponential(1)} from those of base + adapter.`]
      : []),
    ...(count === 1 ? [l10n.t`1 warning: see the log.`] : []),
    ...(count > 1 ? [l10n.t`${count} warnings: see the log.`] : []),
  ];
}
