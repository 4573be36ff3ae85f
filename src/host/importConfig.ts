import * as l10n from '@vscode/l10n';
import path from 'node:path';
import * as vscode from 'vscode';
import { isJsonObject } from '../common/json.js';
import { importedName } from '../config/import/importedName.js';
import type { Jobs } from './job.js';
import type { LoadLanguage } from './language/load.js';
import { RUN_FILE } from './runFiles.js';
import { savedFile } from './savedFile.js';
import { textStep } from './steps.js';
import { isTrusted } from './trust.js';

/** Registers Import Config…: another tool's config becomes a run file beside it, which is opened. */
export function registerImportConfig(load: LoadLanguage, jobs: Jobs): vscode.Disposable {
  return vscode.commands.registerCommand('peftStudio.importConfig', async (target?: unknown) => {
    if (!isTrusted()) return;
    const chosen = await sourceOf(target);
    const source = chosen && (await savedFile(chosen));
    if (source === undefined) return;
    const folder = folderFor(source);
    const { newRunFiles } = await load();
    const name = await textStep(
      { title: l10n.t`Import ${path.basename(source)}`, step: 1, total: 1 },
      l10n.t`Name of the run file in ${folder}`,
      importedName(source),
      (text) => newRunFiles.checkName(text.trim(), folder),
    );
    if (name.kind !== 'chosen') return;
    const file = path.join(folder, name.value);
    const made = await jobs.run({
      title: l10n.t`Importing ${path.basename(source)}`,
      args: ['import', source, '--out', file],
    });
    if (!isJsonObject(made)) return;
    await vscode.window.showTextDocument(vscode.Uri.file(file));
    const left = Array.isArray(made['left']) ? made['left'] : [];
    const matter = left.filter((each) => isJsonObject(each) && each['kind'] === 'result').length;
    const tail =
      left.length === 0
        ? l10n.t`Everything was carried over.`
        : l10n.t`Not carried over: ${left.length}, of which ${matter} may change the result. The top of the file lists each with its line and the reason.`;
    void vscode.window.showInformationMessage(
      `${l10n.t`${name.value}: carried over ${String(made['carried'])} settings of ${String(made['tool'])}.`} ${tail}`,
    );
  });
}

/** The file that the command was called on, the config in front, or one that is chosen. */
async function sourceOf(target: unknown): Promise<vscode.Uri | undefined> {
  if (target instanceof vscode.Uri) return target;
  const active = vscode.window.activeTextEditor?.document;
  const isConfig =
    active?.uri.scheme === 'file' &&
    /(?:\.ya?ml|adapter_config\.json)$/i.test(active.fileName) &&
    !RUN_FILE.test(active.fileName);
  if (isConfig) return active.uri;
  const [root] = vscode.workspace.workspaceFolders ?? [];
  const picked = await vscode.window.showOpenDialog({
    title: l10n.t`Import the config of Hugging Face PEFT, Axolotl or LLaMA-Factory`,
    openLabel: l10n.t`Import`,
    ...(root ? { defaultUri: root.uri } : {}),
    filters: { [l10n.t`Configs`]: ['yaml', 'yml', 'json'] },
  });
  return picked?.[0];
}

/** Beside the config; an adapter's folder is not for run files: then in the workspace. */
function folderFor(source: string): string {
  const own = path.dirname(source);
  const inWorkspace = vscode.workspace.getWorkspaceFolder(vscode.Uri.file(source));
  const isAdapter = path.basename(source) === 'adapter_config.json';
  const [first] = vscode.workspace.workspaceFolders ?? [];
  const root = inWorkspace ?? first;
  return isAdapter && root ? root.uri.fsPath : own;
}
