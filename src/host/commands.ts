import * as vscode from 'vscode';
import { runName } from '../config/runName.js';
import { isGoing, isStillGoing } from '../engines/runState.js';
import type { Panel } from './panel.js';
import { RUN_FILE } from './runFiles.js';
import type { Runs } from './runs.js';
import { targetRunFile } from './targetRunFile.js';

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
      begin(runs, panel, 'Train which run file?', target, (file) => runs.start(file)),
    ),
    vscode.commands.registerCommand('peftStudio.resume', async (target?: unknown) =>
      begin(runs, panel, 'Resume the newest unfinished run of which run file?', target, (file) =>
        runs.resume(RUN_FILE.test(file) ? { file } : { folder: file }),
      ),
    ),
    vscode.commands.registerCommand('peftStudio.stop', async () => stop(runs)),
    vscode.commands.registerCommand('peftStudio.openPanel', () => panel.open()),
    vscode.commands.registerCommand('peftStudio.showLog', () => output.show(true)),
  );
}

/** Starts or resumes a run, after what stands against it is out of the way. */
async function begin(
  runs: Runs,
  panel: Panel,
  question: string,
  target: unknown,
  start: (file: string) => Promise<boolean>,
): Promise<void> {
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
  const file = await targetRunFile(target, question);
  if (file === undefined) return;
  panel.open();
  if (!(await start(file))) {
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
      { modal: true, detail: 'Killing it loses what it has learned since its last checkpoint.' },
      'Kill Now',
    );
    // While the question stood there, the run may have ended and another begun.
    if (chosen === 'Kill Now' && isStillGoing(state, runs.state())) runs.kill();
  }
}
