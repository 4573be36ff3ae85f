import * as l10n from '@vscode/l10n';
import path from 'node:path';
import * as vscode from 'vscode';
import { problemOf } from '../common/problem.js';
import type { MethodChoice, NewRunFiles } from '../language/newRun.js';
import type { LoadLanguage } from './language/load.js';
import { activeRunFile } from './runFiles.js';
import { sentences } from '../common/sentences.js';
import { setting } from './settings.js';
import type { Settle } from './settle.js';
import { pickStep, textStep } from './steps.js';
import type { Choice, StepEnd, StepPlace } from './steps.js';
import { isTrusted } from './trust.js';

/** What was chosen so far. */
interface Draft {
  model?: string;
  data?: string;
  method?: MethodChoice['type'];
  name?: string;
}

type Step = (draft: Draft, place: StepPlace) => Promise<StepEnd<Draft>>;

/** Registers New Run File: model, data, method, name; then the file is written and opened. Cancelled: nothing is. */
export function registerNewRunFile(load: LoadLanguage, settle: Settle): vscode.Disposable {
  return vscode.commands.registerCommand('peftStudio.newRunFile', async (target?: unknown) => {
    if (!isTrusted()) return;
    const folder = await folderFor(target);
    if (folder === undefined) return;
    const { newRunFiles } = await load();
    const draft = await goThrough(stepsOf(newRunFiles, folder));
    if (draft === undefined) return;
    settle(write(newRunFiles, folder, draft));
  });
}

/** The folder that the command was called on, else that of the run file in front, else one of the workspace. */
async function folderFor(target: unknown): Promise<string | undefined> {
  if (target instanceof vscode.Uri && target.scheme === 'file') {
    const { type } = await vscode.workspace.fs.stat(target);
    return (type & vscode.FileType.Directory) !== 0 ? target.fsPath : path.dirname(target.fsPath);
  }
  const active = activeRunFile();
  if (active?.scheme === 'file') return path.dirname(active.fsPath);
  const folders = (vscode.workspace.workspaceFolders ?? []).filter(({ uri }) => uri.scheme === 'file');
  if (folders.length > 1) {
    const picked = await vscode.window.showWorkspaceFolderPick({ placeHolder: l10n.t`In which folder?` });
    return picked?.uri.fsPath;
  }
  const [only] = folders;
  if (only === undefined) {
    void vscode.window.showErrorMessage(
      l10n.t`PEFT Studio: open a folder first; the run file is written into it.`,
    );
  }
  return only?.uri.fsPath;
}

/** Goes from step to step, and back; undefined: cancelled. */
async function goThrough(steps: readonly Step[]): Promise<Required<Draft> | undefined> {
  let draft: Draft = {};
  for (let at = 0; at < steps.length;) {
    const end = await steps[at]!(draft, { title: l10n.t`New Run File`, step: at + 1, total: steps.length });
    if (end.kind === 'cancelled') return undefined;
    if (end.kind === 'chosen') draft = { ...draft, ...end.value };
    at += end.kind === 'back' ? -1 : 1;
  }
  const { model, data, method, name } = draft;
  if (model === undefined || data === undefined || method === undefined || name === undefined) return undefined;
  return { model, data, method, name };
}

/** An engine or device is not asked for: there is one of each. */
function stepsOf(files: NewRunFiles, folder: string): readonly Step[] {
  const roots = (vscode.workspace.workspaceFolders ?? []).map(({ uri }) => uri.fsPath);
  return [
    (draft, place) => modelStep(files, folder, roots, draft, place),
    (draft, place) => dataStep(files, folder, roots, draft, place),
    (draft, place) => methodStep(files, draft, place),
    async (draft, place) => {
      const name = draft.name ?? (await files.freeName(draft.method ?? 'lora', folder));
      const end = await textStep(place, l10n.t`Name of the run file in ${folder}`, name, (text) =>
        files.checkName(text.trim(), folder),
      );
      return end.kind === 'chosen' ? { kind: 'chosen', value: { name: end.value } } : end;
    },
  ];
}

/** What leads to another question. */
const BROWSE = '\0browse';
const BROWSE_FILE = '\0file';
const HUB = '\0hub';

async function modelStep(
  files: NewRunFiles,
  folder: string,
  roots: readonly string[],
  draft: Draft,
  place: StepPlace,
): Promise<StepEnd<Draft>> {
  const others: readonly Choice<string>[] = [
    { label: '', kind: vscode.QuickPickItemKind.Separator },
    { label: `$(folder-opened) ${l10n.t`Browse for a model folder…`}`, value: BROWSE, alwaysShow: true },
    { label: `$(file) ${l10n.t`Browse for a GGUF file…`}`, value: BROWSE_FILE, alwaysShow: true },
    {
      label: `$(cloud-download) ${l10n.t`Hub id…`}`,
      description: l10n.t`downloaded when it is first used`,
      value: HUB,
      alwaysShow: true,
    },
  ];
  for (;;) {
    const end = await pickStep(
      place,
      l10n.t`Base model`,
      others,
      async (signal) => {
        const found = await files.models(
          folder,
          { folders: roots, modelFolders: setting('peftStudio.modelFolders') },
          signal,
        );
        return found.map(({ text, detail = '' }) => ({ label: text, description: detail, value: text }));
      },
      (value) => value === draft.model,
    );
    if (end.kind !== 'chosen') return end;
    const model = await modelOf(end.value, files, folder, place);
    if (model === 'cancelled') return { kind: 'cancelled' };
    // Left without an answer, the further question leads back to the list.
    if (model !== undefined) return { kind: 'chosen', value: { model } };
  }
}

async function modelOf(
  value: string,
  files: NewRunFiles,
  folder: string,
  place: StepPlace,
): Promise<string | undefined> {
  if (value === BROWSE || value === BROWSE_FILE) {
    const isFolder = value === BROWSE;
    const picked = await browse(isFolder ? l10n.t`Use as Base Model` : l10n.t`Use GGUF File`, folder, isFolder, {
      [l10n.t`GGUF models`]: ['gguf'],
    });
    return picked === undefined ? undefined : files.written('model', picked, folder);
  }
  if (value !== HUB) return value;
  const id = await textStep(
    { ...place, within: true },
    l10n.t`Model of the Hugging Face hub: org/name, org/name@revision or org/name/file.gguf`,
    '',
    (text) => Promise.resolve(files.checkId(text)),
  );
  if (id.kind === 'cancelled') return 'cancelled';
  return id.kind === 'chosen' ? id.value : undefined;
}

async function dataStep(
  files: NewRunFiles,
  folder: string,
  roots: readonly string[],
  draft: Draft,
  place: StepPlace,
): Promise<StepEnd<Draft>> {
  const others: readonly Choice<string>[] = [
    { label: '', kind: vscode.QuickPickItemKind.Separator },
    { label: `$(folder-opened) ${l10n.t`Browse…`}`, value: BROWSE, alwaysShow: true },
  ];
  for (;;) {
    const end = await pickStep(
      place,
      l10n.t`Training data`,
      others,
      async (signal) => {
        const found = await files.data(folder, roots, signal);
        return found.map(({ text, detail = '' }) => ({ label: text, description: detail, value: text }));
      },
      (value) => value === draft.data,
    );
    if (end.kind !== 'chosen') return end;
    if (end.value !== BROWSE) return { kind: 'chosen', value: { data: end.value } };
    const picked = await browse(l10n.t`Use as Training Data`, folder, false, {
      [l10n.t`Rows`]: ['jsonl', 'ndjson', 'json', 'csv', 'tsv', 'txt', 'parquet'],
    });
    if (picked !== undefined) return { kind: 'chosen', value: { data: files.written('data', picked, folder) } };
  }
}

async function methodStep(files: NewRunFiles, draft: Draft, place: StepPlace): Promise<StepEnd<Draft>> {
  const items: Choice<MethodChoice['type']>[] = [];
  let group = '';
  for (const method of files.methods()) {
    if (method.group !== group) {
      group = method.group;
      items.push({ label: group, kind: vscode.QuickPickItemKind.Separator });
    }
    items.push({
      label: method.title,
      description: method.paper,
      detail: method.summary,
      value: method.type,
    });
  }
  const end = await pickStep(
    place,
    l10n.t`Fine-tuning method`,
    [],
    () => Promise.resolve(items),
    (value) => value === draft.method,
  );
  if (end.kind !== 'chosen') return end;
  // A name that was offered for another method is offered anew.
  const name = end.value === draft.method ? draft.name : undefined;
  return { kind: 'chosen', value: { method: end.value, name } };
}

async function browse(
  openLabel: string,
  folder: string,
  isFolder: boolean,
  filters: Record<string, string[]>,
): Promise<string | undefined> {
  const picked = await vscode.window.showOpenDialog({
    openLabel,
    defaultUri: vscode.Uri.file(folder),
    canSelectFiles: !isFolder,
    canSelectFolders: isFolder,
    ...(isFolder ? {} : { filters }),
  });
  return picked?.[0]?.fsPath;
}

async function write(files: NewRunFiles, folder: string, choice: Required<Draft>): Promise<void> {
  const file = path.join(folder, choice.name);
  let text: string;
  try {
    text = await files.text(file, { model: choice.model, train: choice.data, method: choice.method });
  } catch (error) {
    void vscode.window.showErrorMessage(
      l10n.t`PEFT Studio: no run file was written: ${sentences(problemOf(error))}`,
    );
    return;
  }
  const uri = vscode.Uri.file(file);
  const edit = new vscode.WorkspaceEdit();
  // Refused where something of that name came meanwhile.
  edit.createFile(uri, { overwrite: false, ignoreIfExists: false, contents: new TextEncoder().encode(text) });
  if (!(await vscode.workspace.applyEdit(edit))) {
    void vscode.window.showErrorMessage(l10n.t`PEFT Studio: ${file} could not be written.`);
    return;
  }
  await vscode.window.showTextDocument(uri);
}
