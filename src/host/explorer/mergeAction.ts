import path from 'node:path';
import * as vscode from 'vscode';
import { pathKind } from '../../common/files.js';
import { formatBytes } from '../../common/format.js';
import { isJsonObject } from '../../common/json.js';
import type { Jobs } from '../job.js';
import { reveal } from '../places.js';
import { baseArgument } from './baseArgument.js';
import type { Entry } from './library.js';
import { nameOf } from './tryAction.js';

const DTYPES: readonly (vscode.QuickPickItem & { readonly dtype?: string })[] = [
  { label: 'As the base', description: 'the type that most of its weights have' },
  { label: 'F32', description: 'exact, the largest', dtype: 'F32' },
  { label: 'BF16', description: 'half of the size', dtype: 'BF16' },
  { label: 'F16', description: 'half of the size, no numbers above 65,504', dtype: 'F16' },
];

/** Asks where to and as what, then merges an adapter into its base as a job. */
export async function mergeIntoBase(jobs: Jobs, adapter: Entry): Promise<void> {
  const { folder } = adapter.item;
  const base = await baseArgument(adapter);
  if (base === undefined) return;
  const out = await vscode.window.showInputBox({
    title: 'Merge into Base (1/2): folder for the merged model',
    value: await freeName(`${folder}-merged`),
    prompt: 'It must not exist yet. The base model stays as it is.',
    ignoreFocusOut: true,
    validateInput: async (value) => {
      if (!path.isAbsolute(value.trim())) return 'An absolute path is needed.';
      return (await pathKind(value.trim())) === 'nothing'
        ? undefined
        : 'This exists already: choose another name.';
    },
  });
  if (out === undefined) return;
  const dtype = await vscode.window.showQuickPick(DTYPES, {
    title: 'Merge into Base (2/2): type of the weights',
    ignoreFocusOut: true,
  });
  if (dtype === undefined) return;
  const target = out.trim();
  const report = await jobs.run({
    title: `Merging ${nameOf(folder)} into ${adapter.base.label || 'its base'}`,
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
  const chosen = await vscode.window.showInformationMessage(
    `PEFT Studio: merged model in ${vscode.workspace.asRelativePath(target)}${summary(report)}`,
    'Reveal',
    'Show Log',
  );
  if (chosen === 'Reveal') await reveal(target);
  if (chosen === 'Show Log') await vscode.commands.executeCommand('peftStudio.showLog');
}

/** What the command reported, as far as it can be told in a sentence. */
function summary(report: unknown): string {
  if (!isJsonObject(report)) return '.';
  const { bytes, dtype, verifiedDifference, warnings } = report;
  const size = typeof bytes === 'number' ? ` ${formatBytes(bytes)} in ${String(dtype)}.` : '';
  const verified =
    typeof verifiedDifference === 'number'
      ? ` Its logits differ by at most ${verifiedDifference.toExponential(1)} from those of base + adapter.`
      : '';
  const count = Array.isArray(warnings) ? warnings.length : 0;
  return `.${size}${verified}${count > 0 ? ` ${count} ${count === 1 ? 'warning' : 'warnings'}: see the log.` : ''}`;
}

async function freeName(wanted: string): Promise<string> {
  for (let at = 1; ; at++) {
    const name = at === 1 ? wanted : `${wanted}-${at}`;
    if ((await pathKind(name)) === 'nothing') return name;
  }
}
