import * as l10n from '@vscode/l10n';
import path from 'node:path';
import * as vscode from 'vscode';
import { describeProblem } from '../common/problem.js';
import { isGoing, wasStoppedEarly } from '../engines/runState.js';
import type { RunState } from '../engines/runState.js';
import { describeEvent } from '../training/describeEvent.js';
import { findRunFiles } from './runFiles.js';
import type { Runs } from './runs.js';

/** The type of our tasks in tasks.json. */
const TYPE = 'peft-studio';

/** What a task of ours says in tasks.json. */
interface TrainTask extends vscode.TaskDefinition {
  /** The run file, from the workspace folder on. */
  readonly file: string;
}

/** Exit codes as those of the command line: done, failed, stopped. */
const EXIT = { done: 0, failed: 1, stopped: 130 };

/** Offers `peft-studio: train <file>` for each run file; a task ends as its run does, and its end stops the run. */
export function registerTasks(runs: Runs): vscode.Disposable {
  return vscode.tasks.registerTaskProvider(TYPE, {
    async provideTasks() {
      const tasks = (await findRunFiles()).map((uri) => {
        const folder = vscode.workspace.getWorkspaceFolder(uri);
        if (folder === undefined) return undefined;
        const file = path.relative(folder.uri.fsPath, uri.fsPath).split(path.sep).join('/');
        return trainTask({ type: TYPE, file }, folder, runs);
      });
      return tasks.filter((task) => task !== undefined);
    },
    resolveTask(task) {
      const { definition, scope } = task;
      const folder = typeof scope === 'object' ? scope : vscode.workspace.workspaceFolders?.[0];
      return isTrainTask(definition) && folder !== undefined ? trainTask(definition, folder, runs) : undefined;
    },
  });
}

function trainTask(definition: TrainTask, folder: vscode.WorkspaceFolder, runs: Runs): vscode.Task {
  const file = path.resolve(folder.uri.fsPath, definition.file);
  const execution = new vscode.CustomExecution(() => Promise.resolve(terminal(file, runs)));
  const task = new vscode.Task(definition, folder, `train ${definition.file}`, TYPE, execution);
  task.group = vscode.TaskGroup.Build;
  task.detail = l10n.t`Trains the adapter of this run file`;
  return task;
}

/** A terminal that starts a run and shows its log; Ctrl-C stops the run. */
function terminal(file: string, runs: Runs): vscode.Pseudoterminal {
  const written = new vscode.EventEmitter<string>();
  const closed = new vscode.EventEmitter<number>();
  let following: vscode.Disposable | undefined;
  /** When the run that this terminal started began. */
  let began: number | undefined;
  const say = (text: string): void => written.fire(`${text.replace(/\r?\n/g, '\r\n')}\r\n`);
  const isOwn = (state: RunState): boolean => state.kind !== 'idle' && state.began === began;

  function end(code: number): void {
    following?.dispose();
    following = undefined;
    closed.fire(code);
  }

  async function train(): Promise<void> {
    following = runs.onDidChange(({ state, event, fresh }) => {
      if (fresh && state.kind === 'starting' && state.file === file) began ??= state.began;
      if (!isOwn(state)) return;
      if (event !== undefined && event.type !== 'failed') describeEvent(event).forEach(({ text }) => say(text));
      if (state.kind === 'failed')
        [state.problem, ...state.others].forEach((problem) => say(describeProblem(problem)));
    });
    if (isGoing(runs.state()) || !(await runs.start(file))) {
      say(l10n.t`Another run is going; one run at a time. Stop it first, or wait for its end.`);
      end(EXIT.failed);
      return;
    }
    const state = runs.state();
    if (state.kind === 'finished') end(state.result.reason === 'stopped' ? EXIT.stopped : EXIT.done);
    else end(wasStoppedEarly(state) ? EXIT.stopped : EXIT.failed);
  }

  const stop = (): void => {
    const state = runs.state();
    if (isGoing(state) && isOwn(state)) runs.stop();
  };
  return {
    onDidWrite: written.event,
    onDidClose: closed.event,
    open() {
      if (!vscode.workspace.isTrusted) {
        say(l10n.t`Trust this workspace first; its run files name what is read and written.`);
        end(EXIT.failed);
        return;
      }
      train().catch((error: unknown) => {
        say(String(error));
        end(EXIT.failed);
      });
    },
    close() {
      if (following !== undefined) stop();
    },
    handleInput(data) {
      if (data.includes('\x03')) stop();
    },
  };
}

function isTrainTask(definition: vscode.TaskDefinition): definition is TrainTask {
  return definition.type === TYPE && typeof definition['file'] === 'string';
}
