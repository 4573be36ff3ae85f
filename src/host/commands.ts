import * as vscode from 'vscode';
import { runName } from '../config/runName.js';
import { isGoing, isStillGoing } from '../engines/runState.js';
import type { Panel } from './panel.js';
import type { Runs } from './runs.js';

const RUN_FILE = /\.peft\.(ya?ml|json)$/i;

/** Registers the commands that the manifest contributes. */
export function registerCommands(runs: Runs, panel: Panel, output: vscode.LogOutputChannel): vscode.Disposable {
  const following = runs.onDidChange(({ state }) => void setGoing(isGoing(state)));
  let going = false;
  async function setGoing(now: boolean): Promise<void> {
    if (now === going) return;
    going = now;
    await vscode.commands.executeCommand('setContext', 'peftStudio.running', now);
  }

  return vscode.Disposable.from(
    following,
    vscode.commands.registerCommand('peftStudio.train', async (target?: unknown) =>
      train(runs, panel, target instanceof vscode.Uri ? target : undefined),
    ),
    vscode.commands.registerCommand('peftStudio.stop', async () => stop(runs)),
    vscode.commands.registerCommand('peftStudio.openPanel', () => panel.open()),
    vscode.commands.registerCommand('peftStudio.showLog', () => output.show(true)),
  );
}

async function train(runs: Runs, panel: Panel, target: vscode.Uri | undefined): Promise<void> {
  const state = runs.state();
  if (isGoing(state)) {
    const chosen = await vscode.window.showWarningMessage(
      `${runName(state.file)} is training; one run at a time. Stop it first, or wait for its end.`,
      'Open Panel',
      'Stop It',
    );
    if (chosen === 'Open Panel') panel.open();
    if (chosen === 'Stop It') {
      if (isStillGoing(state, runs.state())) await stop(runs);
      else void vscode.window.showInformationMessage(`${runName(state.file)} has ended meanwhile.`);
    }
    return;
  }
  if (!vscode.workspace.isTrusted) {
    void vscode.window.showErrorMessage(
      'PEFT Studio: trust this workspace first; its run files name what is read and written.',
    );
    return;
  }
  const uri = target ?? activeRunFile() ?? (await pickRunFile());
  if (!uri) return;
  if (uri.scheme !== 'file') {
    void vscode.window.showErrorMessage(
      `PEFT Studio: ${uri.toString()} is not on this machine’s disk; save it there and train again.`,
    );
    return;
  }
  const open = vscode.workspace.textDocuments.find((document) => document.uri.toString() === uri.toString());
  if (open?.isDirty && !(await open.save())) {
    void vscode.window.showErrorMessage(
      `PEFT Studio: ${open.fileName} could not be saved, and the run reads it from disk. Save it and train again.`,
    );
    return;
  }
  panel.open();
  if (!(await runs.start(uri.fsPath))) {
    void vscode.window.showWarningMessage('PEFT Studio: another run began meanwhile; one run at a time.');
  }
}

async function stop(runs: Runs): Promise<void> {
  const state = runs.state();
  if (state.kind === 'starting' || state.kind === 'running') {
    runs.stop();
  } else if (state.kind === 'stopping') {
    const chosen = await vscode.window.showWarningMessage(
      `${runName(state.file)} is finishing its present step, then writes its adapter.`,
      { modal: true, detail: 'Killing it loses what it has learned: nothing is written.' },
      'Kill Now',
    );
    // While the question stood there, the run may have ended and another begun.
    if (chosen === 'Kill Now' && isStillGoing(state, runs.state())) runs.kill();
  }
}

/** The run file in front: of the active editor, whether text or not. */
function activeRunFile(): vscode.Uri | undefined {
  const input = vscode.window.tabGroups.activeTabGroup.activeTab?.input;
  const uri =
    vscode.window.activeTextEditor?.document.uri ?? (input instanceof vscode.TabInputText ? input.uri : undefined);
  return uri && RUN_FILE.test(uri.path) ? uri : undefined;
}

async function pickRunFile(): Promise<vscode.Uri | undefined> {
  const found = await vscode.workspace.findFiles('**/*.peft.{yaml,yml,json}', '**/{node_modules,runs}/**', 200);
  if (found.length === 0) {
    void vscode.window.showErrorMessage(
      'PEFT Studio: no run file here. Make one whose name ends in .peft.yaml, for example with `peft-studio new`.',
    );
    return undefined;
  }
  const items = found
    .map((uri) => ({ label: runName(uri.path), description: vscode.workspace.asRelativePath(uri), uri }))
    .sort((a, b) => a.description.localeCompare(b.description));
  return (await vscode.window.showQuickPick(items, { title: 'Train which run file?', matchOnDescription: true }))
    ?.uri;
}
