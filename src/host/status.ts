import * as vscode from 'vscode';
import { runName } from '../config/runName.js';
import { isGoing, wasStoppedEarly } from '../engines/runState.js';
import type { RunState } from '../engines/runState.js';
import { createProgressView } from './progressView.js';
import type { Runs } from './runs.js';
import type { Settle } from './settle.js';

/** Shown at most so often: a fast run takes hundreds of steps a second. */
const PERIOD_MS = 250;

/** What the item offers while a run goes, by what it is doing. */
const MENU = [
  { label: '$(graph-line) Open Panel', command: 'openPanel' },
  { label: '$(debug-pause) Pause', command: 'pause', when: ['running'] },
  { label: '$(debug-continue) Continue', command: 'continueRun', when: ['paused'] },
  { label: '$(save) Checkpoint Now', command: 'checkpointNow', when: ['running', 'pausing', 'paused'] },
  { label: '$(debug-stop) Stop', command: 'stop' },
  { label: '$(folder-opened) Open Run Folder', command: 'openRunFolder' },
  { label: '$(output) Show Log', command: 'showLog' },
] as const satisfies readonly {
  readonly label: string;
  readonly command: string;
  readonly when?: readonly RunState['kind'][];
}[];

const MENU_COMMAND = 'peftStudio.runMenu';

/** A status bar item that follows the run; a click opens the panel or, while a run goes, what can be done with it. */
export function createStatus(runs: Runs, settle: Settle): vscode.Disposable {
  const item = vscode.window.createStatusBarItem('peftStudio.run', vscode.StatusBarAlignment.Left, 10);
  item.name = 'PEFT Studio run';
  let progress = createProgressView();
  let timer: NodeJS.Timeout | undefined;

  function draw(): void {
    timer = undefined;
    const state = runs.state();
    if (state.kind === 'idle') return;
    const name = runName(state.file);
    item.backgroundColor = undefined;
    switch (state.kind) {
      case 'starting':
      case 'running':
        item.text = `$(sync~spin) ${name}: ${progress.text()}`;
        break;
      case 'pausing':
        item.text = `$(sync~spin) ${name}: pausing`;
        break;
      case 'paused':
        item.text = `$(debug-pause) ${name}: ${progress.text()}`;
        break;
      case 'stopping':
        item.text = `$(sync~spin) ${name}: stopping`;
        break;
      case 'finished':
        item.text =
          state.result.reason === 'completed' ? `$(check) ${name}: finished` : `$(debug-stop) ${name}: stopped`;
        break;
      case 'failed':
        if (wasStoppedEarly(state)) {
          item.text = `$(debug-stop) ${name}: stopped`;
          break;
        }
        item.text = `$(error) ${name}: failed`;
        item.backgroundColor = new vscode.ThemeColor('statusBarItem.errorBackground');
        break;
    }
    item.command = isGoing(state) ? MENU_COMMAND : 'peftStudio.openPanel';
    item.tooltip = `PEFT Studio: ${state.file}\n${isGoing(state) ? 'Click to open its panel, pause or stop it' : 'Click to open its panel'}`;
    item.show();
  }

  const following = runs.onDidChange(({ state, event, fresh }) => {
    if (fresh) progress = createProgressView();
    if (event && !progress.take(event)) return;
    if (!isGoing(state) || state.kind === 'paused') {
      clearTimeout(timer);
      draw();
    } else {
      timer ??= setTimeout(draw, PERIOD_MS);
    }
  });
  const menu = vscode.commands.registerCommand(MENU_COMMAND, async () => {
    const state = runs.state();
    const items = MENU.filter((item) => !('when' in item) || item.when.some((kind) => kind === state.kind));
    const title = state.kind === 'idle' ? 'PEFT Studio' : runName(state.file);
    const chosen = await vscode.window.showQuickPick(items, { title, placeHolder: progress.text() });
    if (chosen) settle(vscode.commands.executeCommand(`peftStudio.${chosen.command}`));
  });
  return {
    dispose() {
      clearTimeout(timer);
      menu.dispose();
      following.dispose();
      item.dispose();
    },
  };
}
