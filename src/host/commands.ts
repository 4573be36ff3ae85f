import * as l10n from '@vscode/l10n';
import * as vscode from 'vscode';
import { messageOf } from '../common/problem.js';
import { runName } from '../config/runName.js';
import { isGoing, isStillGoing } from '../engines/runState.js';
import type { LoadLanguage } from './language/load.js';
import { mayTrain } from './memoryQuestion.js';
import type { Panels } from './panels.js';
import { reveal } from './places.js';
import { RUN_FILE } from './runFiles.js';
import type { Runs } from './runs.js';
import { targetRunFile } from './targetRunFile.js';

/** A message in the status bar is shown so long. */
const SHOWN_MS = 5000;

/** Registers the commands that the manifest contributes. */
export function registerCommands(
  runs: Runs,
  panels: Panels,
  load: LoadLanguage,
  output: vscode.LogOutputChannel,
): vscode.Disposable {
  const report = (error: unknown): void => output.error(`Memory: ${messageOf(error)}`);
  let told: string | undefined;
  let checkpointAsked = false;
  const following = runs.onDidChange(({ state, event }) => {
    if (state.kind !== told) {
      told = state.kind;
      void vscode.commands.executeCommand('setContext', 'peftStudio.running', isGoing(state));
      void vscode.commands.executeCommand('setContext', 'peftStudio.runState', state.kind);
    }
    if (event?.type !== 'checkpoint' || !checkpointAsked) return;
    checkpointAsked = false;
    vscode.window.setStatusBarMessage(`$(check) ${l10n.t`Checkpoint after step ${event.step} written`}`, SHOWN_MS);
  });

  return vscode.Disposable.from(
    following,
    vscode.commands.registerCommand('peftStudio.train', async (target?: unknown) =>
      begin(
        runs,
        panels,
        l10n.t`Train which run file?`,
        target,
        (file) => runs.start(file),
        (file) => mayTrain(load, file, report),
      ),
    ),
    vscode.commands.registerCommand('peftStudio.resume', async (target?: unknown) =>
      begin(runs, panels, l10n.t`Resume the newest unfinished run of which run file?`, target, (file) =>
        runs.resume(RUN_FILE.test(file) ? { file } : { folder: file }),
      ),
    ),
    vscode.commands.registerCommand('peftStudio.stop', async () => stop(runs)),
    vscode.commands.registerCommand('peftStudio.pause', () => runs.pause()),
    vscode.commands.registerCommand('peftStudio.continueRun', () => runs.goOn()),
    vscode.commands.registerCommand('peftStudio.checkpointNow', () => {
      checkpointAsked = isGoing(runs.state());
      runs.checkpointNow();
    }),
    vscode.commands.registerCommand('peftStudio.openRunFolder', async () => {
      const folder = panels.folderInFront() ?? runs.present()?.about().folder;
      if (folder !== undefined) await reveal(folder);
      else void vscode.window.showInformationMessage(l10n.t`PEFT Studio: no run has a folder yet.`);
    }),
    vscode.commands.registerCommand('peftStudio.openPanel', () => panels.open()),
    vscode.commands.registerCommand('peftStudio.showLog', () => output.show(true)),
  );
}

/** Starts or resumes a run, after what stands against it is out of the way. */
async function begin(
  runs: Runs,
  panels: Panels,
  question: string,
  target: unknown,
  start: (file: string) => Promise<boolean>,
  may: (file: string) => Promise<boolean> = () => Promise.resolve(true),
): Promise<void> {
  const state = runs.state();
  if (isGoing(state)) {
    const name = runName(state.file);
    const [openPanel, stopIt] = [l10n.t`Open Panel`, l10n.t`Stop It`];
    const chosen = await vscode.window.showWarningMessage(
      l10n.t`${name} is training; one run at a time. Stop it first, or wait for its end.`,
      openPanel,
      stopIt,
    );
    if (chosen === openPanel) panels.open();
    if (chosen === stopIt) {
      if (isStillGoing(state, runs.state())) await stop(runs);
      else void vscode.window.showInformationMessage(l10n.t`${name} has ended meanwhile.`);
    }
    return;
  }
  const file = await targetRunFile(target, question);
  if (file === undefined || !(await may(file))) return;
  panels.openNext();
  if (!(await start(file))) {
    void vscode.window.showWarningMessage(l10n.t`PEFT Studio: another run began meanwhile; one run at a time.`);
  }
}

async function stop(runs: Runs): Promise<void> {
  const state = runs.state();
  if (isGoing(state) && state.kind !== 'stopping') {
    runs.stop();
  } else if (state.kind === 'stopping') {
    const killNow = l10n.t`Kill Now`;
    const chosen = await vscode.window.showWarningMessage(
      l10n.t`${runName(state.file)} is finishing its present step, then writes its adapter.`,
      { modal: true, detail: l10n.t`Killing it loses what it has learned since its last checkpoint.` },
      killNow,
    );
    // While the question stood there, the run may have ended and another begun.
    if (chosen === killNow && isStillGoing(state, runs.state())) runs.kill();
  }
}
