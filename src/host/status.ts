import * as vscode from 'vscode';
import { runName } from '../config/runName.js';
import { isGoing, wasStoppedEarly } from '../engines/runState.js';
import { createProgressView } from './progressView.js';
import type { Runs } from './runs.js';

/** Shown at most so often: a fast run takes hundreds of steps a second. */
const PERIOD_MS = 250;

/** A status bar item that follows the run; a click opens the panel. */
export function createStatus(runs: Runs): vscode.Disposable {
  const item = vscode.window.createStatusBarItem('peftStudio.run', vscode.StatusBarAlignment.Left, 10);
  item.name = 'PEFT Studio run';
  item.command = 'peftStudio.openPanel';
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
    item.tooltip = `PEFT Studio: ${state.file}\nClick to open the panel`;
    item.show();
  }

  const following = runs.onDidChange(({ state, event, fresh }) => {
    if (fresh) progress = createProgressView();
    if (event && !progress.take(event)) return;
    if (!isGoing(state)) {
      clearTimeout(timer);
      draw();
    } else {
      timer ??= setTimeout(draw, PERIOD_MS);
    }
  });
  return {
    dispose() {
      clearTimeout(timer);
      following.dispose();
      item.dispose();
    },
  };
}
