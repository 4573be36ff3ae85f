import * as l10n from '@vscode/l10n';
import * as vscode from 'vscode';
import { runName } from '../config/runName.js';
import { isGoing, wasStoppedEarly } from '../engines/runState.js';
import type { RunState } from '../engines/runState.js';
import { createProgressView } from './progressView.js';
import type { Runs } from './runs.js';
import type { Settle } from './settle.js';

/** Shown at most so often: a fast run takes hundreds of steps a second. */
const PERIOD_MS = 250;

interface MenuItem extends vscode.QuickPickItem {
  readonly command: string;
  /** Without: whatever the run is doing. */
  readonly when?: readonly RunState['kind'][];
}

/** What the item offers while a run goes, by what it is doing. */
const menuItems = (): readonly MenuItem[] => [
  { label: `$(graph-line) ${l10n.t`Open Panel`}`, command: 'openPanel' },
  { label: `$(debug-pause) ${l10n.t`Pause`}`, command: 'pause', when: ['running'] },
  { label: `$(debug-continue) ${l10n.t`Continue`}`, command: 'continueRun', when: ['paused'] },
  {
    label: `$(save) ${l10n.t`Checkpoint Now`}`,
    command: 'checkpointNow',
    when: ['running', 'pausing', 'paused'],
  },
  { label: `$(debug-stop) ${l10n.t`Stop`}`, command: 'stop' },
  { label: `$(folder-opened) ${l10n.t`Open Run Folder`}`, command: 'openRunFolder' },
  { label: `$(output) ${l10n.t`Show Log`}`, command: 'showLog' },
];

const MENU_COMMAND = 'peftStudio.runMenu';

/** A status bar item that follows the run; a click opens the panel or, while a run goes, what can be done with it. */
export function createStatus(runs: Runs, settle: Settle): vscode.Disposable {
  const item = vscode.window.createStatusBarItem('peftStudio.run', vscode.StatusBarAlignment.Left, 10);
  item.name = l10n.t`PEFT Studio run`;
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
        item.text = `$(sync~spin) ${l10n.t`${name}: pausing`}`;
        break;
      case 'paused':
        item.text = `$(debug-pause) ${name}: ${progress.text()}`;
        break;
      case 'stopping':
        item.text = `$(sync~spin) ${l10n.t`${name}: stopping`}`;
        break;
      case 'finished':
        item.text =
          state.result.reason === 'stopped'
            ? `$(debug-stop) ${l10n.t`${name}: stopped`}`
            : `$(check) ${l10n.t`${name}: finished`}`;
        break;
      case 'failed':
        if (wasStoppedEarly(state)) {
          item.text = `$(debug-stop) ${l10n.t`${name}: stopped`}`;
          break;
        }
        item.text = `$(error) ${l10n.t`${name}: failed`}`;
        item.backgroundColor = new vscode.ThemeColor('statusBarItem.errorBackground');
        break;
    }
    item.command = isGoing(state) ? MENU_COMMAND : 'peftStudio.openPanel';
    item.tooltip = `PEFT Studio: ${state.file}\n${isGoing(state) ? l10n.t`Click to open its panel, pause or stop it` : l10n.t`Click to open its panel`}`;
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
    const items = menuItems().filter(({ when }) => when === undefined || when.includes(state.kind));
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
