import * as l10n from '@vscode/l10n';
import * as vscode from 'vscode';
import { isJsonObject } from '../../common/json.js';
import type { Jobs } from '../job.js';
import { reveal } from '../places.js';
import type { Entry } from './library.js';
import { askOutFolder } from './outFolder.js';
import { nameOf } from './tryAction.js';

/** Asks for a rank and where to, then writes the first components of a LoRA as an adapter of its own. */
export async function cutToRank(jobs: Jobs, adapter: Entry): Promise<void> {
  const { item } = adapter;
  const { folder } = item;
  const most = item.kind === 'adapter' ? item.rank : undefined;
  const answer = await vscode.window.showInputBox({
    title: l10n.t`Cut ${nameOf(folder)} to a Rank (1/2): the rank`,
    prompt: l10n.t`Its first components stay. Adapters that were trained with dylora are made for it; in others what is cut off is lost.`,
    ignoreFocusOut: true,
    validateInput: (value) => {
      const rank = Number(value);
      const fits = Number.isInteger(rank) && rank >= 1 && rank <= (most ?? Infinity);
      if (fits) return undefined;
      return most === undefined
        ? l10n.t`A whole number from 1 up is needed.`
        : l10n.t`A whole number from 1 to ${most} is needed.`;
    },
  });
  if (answer === undefined) return;
  const rank = String(Number(answer));
  const target = await askOutFolder(
    l10n.t`Cut ${nameOf(folder)} to a Rank (2/2): folder for the adapter of rank ${rank}`,
    `${folder}-rank-${rank}`,
    l10n.t`It must not exist yet. The adapter stays as it is.`,
  );
  if (target === undefined) return;
  const report = await jobs.run({
    title: l10n.t`Cutting ${nameOf(folder)} to rank ${rank}`,
    args: ['convert', folder, '--rank', rank, '--out', target],
  });
  if (!isJsonObject(report)) return;
  const { warnings } = report;
  const reveals = l10n.t`Reveal`;
  const chosen = await vscode.window.showInformationMessage(
    [
      l10n.t`PEFT Studio: the adapter of rank ${rank} is in ${vscode.workspace.asRelativePath(target)}.`,
      ...(Array.isArray(warnings) && warnings.length > 0
        ? [l10n.t`It was not trained to be cut: measure it before you use it.`]
        : []),
    ].join(' '),
    reveals,
  );
  if (chosen === reveals) await reveal(target);
}
