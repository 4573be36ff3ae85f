import * as vscode from 'vscode';
import { runName } from '../config/runName.js';
import { isGoing } from '../engines/runState.js';
import { createProgressView } from './progressView.js';
import type { Runs } from './runs.js';

/** Shows a progress notification for each run; its Cancel button asks the run to stop. */
export function notifyProgress(runs: Runs): vscode.Disposable {
  return runs.onDidChange(({ state, fresh }) => {
    if (!fresh || state.kind !== 'starting') return;
    const options = {
      location: vscode.ProgressLocation.Notification,
      title: `Training ${runName(state.file)}`,
      cancellable: true,
    };
    void vscode.window.withProgress(options, async (report, token) => follow(runs, report, token));
  });
}

async function follow(
  runs: Runs,
  report: vscode.Progress<{ message?: string; increment?: number }>,
  token: vscode.CancellationToken,
): Promise<void> {
  const view = createProgressView();
  let shown = 0;
  // A run with a mistake in its file may be over before the notification is up.
  if (!isGoing(runs.state())) return;
  await new Promise<void>((resolve) => {
    const following = runs.onDidChange(({ state, event }) => {
      if (!isGoing(state)) {
        following.dispose();
        cancelling.dispose();
        resolve();
        return;
      }
      if (state.kind === 'stopping') report.report({ message: 'finishing the present step' });
      else if (event && view.take(event)) {
        const percent = view.share() * 100;
        report.report({ message: view.text(), increment: percent - shown });
        shown = percent;
      }
    });
    const cancelling = token.onCancellationRequested(() => runs.stop());
  });
}
