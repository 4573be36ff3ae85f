import * as l10n from '@vscode/l10n';
import * as vscode from 'vscode';
import type { Json } from '../common/json.js';
import { describeProblem } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { runCommandJob } from '../engines/commandJob.js';
import type { CommandProgress } from '../engines/commandJob.js';
import { sentences } from '../common/sentences.js';
import { isTrusted } from './trust.js';

/** Commands that read the named folders, with headers of models, and nothing else; all others need a trusted workspace. */
const ONLY_READING: ReadonlySet<string | undefined> = new Set(['inspect', 'compare-adapters', 'masks']);

function onlyReads(args: readonly string[]): boolean {
  return ONLY_READING.has(args[0]) || (args[0] === 'repair' && !args.includes('--out'));
}

/** One heavy piece of work, as a command of `peft-studio`. */
export interface Job {
  /** What the progress notification says: `Merging sql into its base`. */
  readonly title: string;
  /** The command's name and its arguments, without `--json`. */
  readonly args: readonly string[];
  /** Where relative paths start. */
  readonly cwd?: string;
  /** Ends it from outside, as its Cancel button does. */
  readonly signal?: AbortSignal;
  /** For the command's standard input. */
  readonly input?: string;
  /** Called for each line printed beside the result, warnings among them; they are in the log already. */
  readonly print?: (line: string) => void;
  /** Told why it failed, instead of a message: where a page of its own shows it. Progress is then in the status bar. */
  readonly onFailure?: (problem: Problem) => void;
  /** Told how far it is, beside the notification or the status bar. */
  readonly onProgress?: (progress: CommandProgress) => void;
  /** Of a command that tells events: told each of them. */
  readonly onEvent?: (event: Json) => void;
}

/** Runs heavy work in processes of their own. */
export interface Jobs {
  /**
   * Runs a job with a progress notification; its Cancel button interrupts the process.
   * @returns the document that the command prints; undefined when it failed or may not run
   *   (that was told), or was cancelled
   */
  run(job: Job): Promise<Json | undefined>;
  /** Interrupts what is at work: its window closes, and nobody would see the result. */
  dispose(): void;
}

/** Makes the jobs of a window. */
export function createJobs(extensionUri: vscode.Uri, output: vscode.LogOutputChannel): Jobs {
  const cli = vscode.Uri.joinPath(extensionUri, 'dist', 'cli.js').fsPath;
  const closing = new AbortController();
  return {
    dispose: () => closing.abort(),
    async run({ title, args, cwd, input, print, onFailure, onProgress, onEvent, signal }) {
      if (!onlyReads(args) && !isTrusted()) return undefined;
      output.info(`${title}: peft-studio ${args.join(' ')}`);
      const outcome = await vscode.window.withProgress(
        {
          location: onFailure ? vscode.ProgressLocation.Window : vscode.ProgressLocation.Notification,
          title,
          cancellable: true,
        },
        async (report, token) => {
          const abort = new AbortController();
          const cancelling = token.onCancellationRequested(() => {
            report.report({ message: l10n.t`stopping` });
            abort.abort();
          });
          let shown = 0;
          let activityShown = '';
          try {
            return await runCommandJob({
              cli,
              args,
              cwd,
              input,
              signal: AbortSignal.any([abort.signal, closing.signal, ...(signal ? [signal] : [])]),
              onProgress(progress) {
                const { activity, done, total } = progress;
                onProgress?.(progress);
                // Each activity counts from its own beginning; the bar only grows.
                const percent = total > 0 && activity === activityShown ? (done / total) * 100 : 0;
                report.report({
                  message: total > 0 ? l10n.t`${activity}: ${done} of ${total}` : activity,
                  increment: Math.max(0, percent - shown),
                });
                shown = activity === activityShown ? Math.max(shown, percent) : 0;
                activityShown = activity;
              },
              ...(onEvent === undefined ? {} : { onEvent }),
              print(line) {
                output.info(line);
                print?.(line);
              },
            });
          } finally {
            cancelling.dispose();
          }
        },
      );
      switch (outcome.kind) {
        case 'done':
          return outcome.document;
        case 'cancelled':
          output.info(l10n.t`${title}: cancelled`);
          return undefined;
        case 'failed':
          for (const problem of [outcome.problem, ...outcome.others]) {
            output.error(`${problem.code}: ${describeProblem(problem)}`);
          }
          if (onFailure) onFailure(outcome.problem);
          else void tell(title, outcome.problem, outcome.others.length);
          return undefined;
      }
    },
  };
}

async function tell(title: string, problem: Problem, others: number): Promise<void> {
  const more = others > 0 ? ` ${l10n.t`(And ${others} more: see the log.)`}` : '';
  const [said, showLog, repair] = [`${sentences(problem)}${more}`, l10n.t`Show Log`, l10n.t`Repair Adapter…`];
  const { repairable } = problem;
  const buttons = repairable === undefined ? [showLog] : [repair, showLog];
  const chosen = await vscode.window.showErrorMessage(l10n.t`${title}: ${said}`, ...buttons);
  if (chosen === showLog) await vscode.commands.executeCommand('peftStudio.showLog');
  if (chosen === repair && repairable !== undefined) {
    await vscode.commands.executeCommand('peftStudio.repairAdapter', vscode.Uri.file(repairable));
  }
}
