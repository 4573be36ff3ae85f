import * as vscode from 'vscode';
import { messageOf } from '../common/problem.js';

/** Takes work that nobody waits for; what it throws is said, not lost. */
export type Settle = (work: Thenable<unknown>) => void;

/** Says failures in a message and in the log. */
export function createSettle(output: vscode.LogOutputChannel): Settle {
  return (work) => {
    work.then(undefined, (error: unknown) => {
      const message = messageOf(error);
      output.error(message);
      void vscode.window.showErrorMessage(`PEFT Studio: ${message}`);
    });
  };
}
