import * as l10n from '@vscode/l10n';
import path from 'node:path';
import * as vscode from 'vscode';
import { runName } from '../../config/runName.js';
import type { ComposeChoices } from '../composePage.js';
import type { WantedMixture } from '../composeProtocol.js';
import { reveal } from '../places.js';
import { findRunFiles } from '../runFiles.js';
import { baseArgument } from './baseArgument.js';
import type { Entry } from './library.js';
import { askOutFolder } from './outFolder.js';
import { isRow } from './pick.js';
import { isMixable, lookOf } from './present.js';
import { nameOf } from './tryAction.js';
import type { ExplorerView } from './view.js';

/** LoRAHub's number of mixtures. */
const BUDGET = 40;

/** As many files as anybody picks from. */
const MAX_FILES = 200;
const DATA_FILES = '**/*.{jsonl,csv}';
const EXCLUDED = '**/{node_modules,.git,runs}/**';

/** What the page of a mixture asks the explorer. */
export function composeChoices(explorer: ExplorerView): ComposeChoices {
  return {
    target: async ({ search, wanted }) => {
      const data = search?.data[0] ?? wanted?.data ?? '';
      const root = vscode.workspace.workspaceFolders?.[0]?.uri.fsPath ?? path.dirname(data);
      return askOutFolder(
        l10n.t`Compose Adapters: folder for the mixture`,
        path.join(root, 'runs', `${path.basename(data, path.extname(data))}-mixture`),
        l10n.t`It must not exist yet. The adapters stay as they are.`,
      );
    },
    written: async (folder) => {
      await explorer.refresh([{ kind: 'adapter', folder }]);
    },
    reveal,
  };
}

/**
 * Asks for what is to be searched for: adapters of one base, the examples, how rows become text, how long.
 * @param argument a row of the explorer: of a base, or of one of its adapters
 * @returns undefined: cancelled, or there is nothing to mix (that was said)
 */
export async function askForMixture(
  explorer: ExplorerView,
  argument: unknown,
): Promise<WantedMixture | undefined> {
  const candidates = await candidatesFor(explorer, argument);
  const [first] = candidates ?? [];
  if (candidates === undefined || first === undefined) return undefined;
  const runFiles = await findRunFiles();
  const steps = runFiles.length === 0 ? 4 : 5;
  const titleOf = (step: number): string => l10n.t`Compose Adapters (${step} of ${steps})`;
  const adapters = await askAdapters(candidates, titleOf(1));
  if (adapters === undefined) return undefined;
  const data = await askFile(titleOf(2), l10n.t`Which file has the few examples of the new task?`, []);
  if (data?.file === undefined) return undefined;
  const heldOut = await askFile(titleOf(3), l10n.t`Measure on rows that the search does not see, too?`, [
    { label: `$(circle-slash) ${l10n.t`No`}`, detail: l10n.t`The examples alone are measured.` },
  ]);
  if (heldOut === undefined) return undefined;
  const form = runFiles.length === 0 ? {} : await askForm(runFiles, titleOf(4));
  if (form === undefined) return undefined;
  const budget = await askBudget(adapters.length, titleOf(steps));
  if (budget === undefined) return undefined;
  const model = form.model === undefined ? await baseArgument(first) : form;
  return model && { adapters, data: data.file, budget, ...model, ...(heldOut.file && { heldOut: heldOut.file }) };
}

/** The adapters of the base that the command is about; of one that is picked where there are several. */
async function candidatesFor(explorer: ExplorerView, argument: unknown): Promise<readonly Entry[] | undefined> {
  const groups = new Map<string, Entry[]>();
  for (const entry of (await explorer.all()).filter(isMixable)) {
    const { key } = entry.base;
    groups.set(key, [...(groups.get(key) ?? []), entry]);
  }
  const key = isRow(argument)
    ? argument.kind === 'base'
      ? argument.key
      : explorer.at(argument.folder)?.base.key
    : undefined;
  const enough = [...groups].filter(([base, entries]) => entries.length > 1 && (key ?? base) === base);
  if (enough.length > 1) {
    const choices = enough.map(([, entries]) => ({
      label: entries[0]!.base.label,
      description: l10n.t`${entries.length} LoRA adapters`,
      entries,
    }));
    const title = l10n.t`Compose Adapters: of which base model?`;
    return (await vscode.window.showQuickPick(choices, { title }))?.entries;
  }
  if (enough[0] !== undefined) return enough[0][1];
  void vscode.window.showInformationMessage(
    l10n.t`PEFT Studio: there are no two LoRA adapters of one base model in this workspace to be mixed.`,
  );
  return undefined;
}

/** All are picked already. */
async function askAdapters(entries: readonly Entry[], title: string): Promise<readonly string[] | undefined> {
  const items = [...entries]
    .sort((a, b) => b.item.modified - a.item.modified)
    .map((entry) => ({
      label: nameOf(entry.item.folder),
      description: lookOf(entry).description,
      detail: vscode.workspace.asRelativePath(entry.item.folder),
      folder: entry.item.folder,
      // A mixture of before holds its parts already.
      picked: entry.item.kind === 'adapter' && entry.item.mixture !== true,
    }));
  for (;;) {
    const chosen = await vscode.window.showQuickPick(items, {
      title,
      placeHolder: l10n.t`Which adapters may be in the mixture? Two or more`,
      canPickMany: true,
      matchOnDescription: true,
      matchOnDetail: true,
      ignoreFocusOut: true,
    });
    if (chosen === undefined || chosen.length > 1) return chosen?.map(({ folder }) => folder);
  }
}

interface FileItem extends vscode.QuickPickItem {
  readonly file?: string;
}

/** A file with rows, of the workspace or another. */
async function askFile(
  title: string,
  placeHolder: string,
  before: readonly FileItem[],
): Promise<{ readonly file?: string } | undefined> {
  const found = await vscode.workspace.findFiles(DATA_FILES, EXCLUDED, MAX_FILES);
  const files = found
    .map(({ fsPath }) => ({
      label: `$(file) ${path.basename(fsPath)}`,
      description: vscode.workspace.asRelativePath(fsPath),
      file: fsPath,
    }))
    .sort((a, b) => a.file.localeCompare(b.file));
  const other: FileItem = { label: `$(folder-opened) ${l10n.t`Another file…`}` };
  const chosen = await vscode.window.showQuickPick([...before, ...files, other], {
    title,
    placeHolder,
    matchOnDescription: true,
    ignoreFocusOut: true,
  });
  if (chosen !== other) return chosen && { ...(chosen.file === undefined ? {} : { file: chosen.file }) };
  const [uri] =
    (await vscode.window.showOpenDialog({
      title: placeHolder,
      openLabel: l10n.t`Use`,
      filters: { [l10n.t`Rows`]: ['jsonl', 'json', 'csv', 'txt'], [l10n.t`All files`]: ['*'] },
    })) ?? [];
  return uri && { file: uri.fsPath };
}

interface FormItem extends vscode.QuickPickItem {
  readonly model?: string;
}

/** How rows become text: by their columns, or as a run file says it. */
async function askForm(
  runFiles: readonly vscode.Uri[],
  title: string,
): Promise<{ readonly model?: string } | undefined> {
  const items: FormItem[] = [
    {
      label: l10n.t`By the names of their columns`,
      detail: l10n.t`prompt and completion, instruction and output, messages, text`,
    },
    ...runFiles.map((uri) => ({
      label: l10n.t`As ${runName(uri.path)} reads its rows, on its base model`,
      description: vscode.workspace.asRelativePath(uri),
      model: uri.fsPath,
    })),
  ];
  const chosen = await vscode.window.showQuickPick(items, {
    title,
    placeHolder: l10n.t`How do rows become text?`,
    matchOnDescription: true,
    ignoreFocusOut: true,
  });
  return chosen && { ...(chosen.model === undefined ? {} : { model: chosen.model }) };
}

async function askBudget(count: number, title: string): Promise<number | undefined> {
  const around = count + 1;
  const answer = await vscode.window.showInputBox({
    title,
    prompt: l10n.t`How many mixtures are tried? Each costs a forward pass over the examples; the first ${around} only look around.`,
    value: String(Math.max(BUDGET, 2 * around)),
    ignoreFocusOut: true,
    validateInput: (text) =>
      /^\s*\d+\s*$/.test(text) && Number(text) > around
        ? undefined
        : l10n.t`A whole number above ${around} is needed.`,
  });
  return answer === undefined ? undefined : Number(answer);
}
