import * as l10n from '@vscode/l10n';
import * as vscode from 'vscode';
import { describeProblem, isError } from '../common/problem.js';
import { wasStoppedEarly } from '../engines/runState.js';
import { describeEvent } from '../training/describeEvent.js';
import type { Runs } from './runs.js';

/** The output channel `PEFT Studio`. */
export function createOutput(): vscode.LogOutputChannel {
  return vscode.window.createOutputChannel('PEFT Studio', { log: true });
}

/** Writes every event and every end of a run to the channel. */
export function logRuns(output: vscode.LogOutputChannel, runs: Runs): vscode.Disposable {
  return runs.onDidChange(({ state, event, fresh }) => {
    if (fresh && state.kind === 'starting') output.info(l10n.t`Training ${state.file}`);
    // A failure is told once, when its process has ended.
    if (event?.type === 'failed') return;
    if (event) {
      for (const { level, text } of describeEvent(event)) output[level === 'warning' ? 'warn' : level](text);
      return;
    }
    if (state.kind === 'finished') output.info(state.note ?? l10n.t`The worker has exited.`);
    if (state.kind === 'failed') {
      const level = wasStoppedEarly(state) ? 'info' : 'error';
      for (const problem of [state.problem, ...state.others]) {
        output[isError(problem) ? level : 'warn'](`${problem.code}: ${describeProblem(problem)}`);
      }
    }
    if (state.kind === 'stopping') output.info(l10n.t`Stop requested: the present step is finished first.`);
  });
}
