import * as l10n from '@vscode/l10n';
import * as vscode from 'vscode';
import { runName } from '../config/runName.js';
import { isGoing, isStillGoing } from '../engines/runState.js';
import { createProgressView } from './progressView.js';
import type { Runs } from './runs.js';

/**
 * A run with a mistake in its file is over before this, and so is one that is stopped at once: the editor would show
 * their progress for most of a second all the same, beside the message how they ended.
 */
const DELAY_MS = 1000;

/** Shows a progress notification for each run; its Cancel button asks the run to stop. */
export function notifyProgress(runs: Runs): vscode.Disposable {
  let timer: NodeJS.Timeout | undefined;
  const following = runs.onDidChange(({ state, fresh }) => {
    if (!fresh || state.kind !== 'starting') return;
    const options = {
      location: vscode.ProgressLocation.Notification,
      title: l10n.t`Training ${runName(state.file)}`,
      cancellable: true,
    };
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (!isStillGoing(state, runs.state())) return;
      void vscode.window.withProgress(options, async (report, token) => follow(runs, report, token));
    }, DELAY_MS);
  });
  return {
    dispose() {
      clearTimeout(timer);
      following.dispose();
    },
  };
}

async function follow(
  runs: Runs,
  report: vscode.Progress<{ message?: string; increment?: number }>,
  token: vscode.CancellationToken,
): Promise<void> {
  const view = createProgressView();
  for (const event of runs.events()) view.take(event);
  let shown = 0;
  const show = (): void => {
    const percent = view.share() * 100;
    report.report({ message: view.text(), increment: percent - shown });
    shown = percent;
  };
  // The run may have ended before the notification was up.
  if (!isGoing(runs.state())) return;
  show();
  await new Promise<void>((resolve) => {
    const following = runs.onDidChange(({ state, event }) => {
      if (!isGoing(state)) {
        following.dispose();
        cancelling.dispose();
        resolve();
        return;
      }
      if (state.kind === 'stopping') report.report({ message: l10n.t`finishing the present step` });
      else if (event && view.take(event)) show();
    });
    const cancelling = token.onCancellationRequested(() => runs.stop());
  });
}
