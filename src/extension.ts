import * as vscode from 'vscode';
import { messageOf } from './common/problem.js';
import { useEditorsLanguage } from './host/editorsLanguage.js';
import { registerCollectDiagnostics } from './host/collectDiagnostics.js';
import { registerCommands } from './host/commands.js';
import { registerCompareMethods } from './host/compareMethods.js';
import type { CombinePage } from './host/combinePage.js';
import type { ComposePage } from './host/composePage.js';
import { createExplorer } from './host/explorer/explorer.js';
import { registerEstimate } from './host/estimate.js';
import { registerExamples } from './host/examples.js';
import { registerImportConfig } from './host/importConfig.js';
import { createJobs } from './host/job.js';
import { languageLoader } from './host/language/load.js';
import { registerLanguage } from './host/language/providers.js';
import { registerNewRunFile } from './host/newRunFile.js';
import { notifyProgress } from './host/notification.js';
import { createOutput, logRuns } from './host/output.js';
import { livenessFor } from './host/liveness.js';
import { createMethodsPage } from './host/methodsPage.js';
import type { MethodsPage } from './host/methodsPage.js';
import { createPanels } from './host/panels.js';
import type { Panels } from './host/panels.js';
import type { Playground } from './host/playground.js';
import { registerPlayground } from './host/playgroundChoices.js';
import { registerPreviewData } from './host/previewData.js';
import { createProblems } from './host/problems.js';
import { isOfWindow } from './host/runFiles.js';
import { createRuns } from './host/runs.js';
import type { Runs } from './host/runs.js';
import { memoryLimit, setting } from './host/settings.js';
import { createSettle } from './host/settle.js';
import { createStatus } from './host/status.js';
import { registerTasks } from './host/tasks.js';

/** What other extensions, and the tests, can follow. */
export interface PeftStudioApi {
  readonly runs: Pick<Runs, 'state' | 'events' | 'onDidChange'>;
  /** Of the panel that was in front last, but for `all` and `errors`. */
  readonly panel: Pick<Panels, 'drawn' | 'errors' | 'showTab' | 'shownTab' | 'folderInFront' | 'all'>;
  readonly methods: Pick<MethodsPage, 'drawn'>;
  readonly combination: Pick<CombinePage, 'drawn' | 'form' | 'change' | 'write'>;
  readonly composition: Pick<ComposePage, 'drawn' | 'stop' | 'write'>;
  readonly playground: Pick<Playground, 'ask' | 'answers' | 'errors'>;
}

/** Builds what the host needs and registers it; nothing else. */
export function activate(context: vscode.ExtensionContext): PeftStudioApi {
  useEditorsLanguage();
  const worker = vscode.Uri.joinPath(context.extensionUri, 'dist', 'worker.js').fsPath;
  const output = createOutput();
  const settle = createSettle(output);
  const runs = createRuns({
    worker,
    report: (error) => output.error(`Runs: ${messageOf(error)}`),
    isOurs: isOfWindow,
    endsWithWindow: () => setting('peftStudio.run.endsWithWindow'),
    memoryLimit,
  });
  const isAlive = livenessFor(runs);
  const jobs = createJobs(context.extensionUri, output);
  const panels = createPanels({
    extensionUri: context.extensionUri,
    runs,
    output,
    settle,
    isAlive,
    knownRuns: () => explorer.runs(),
    jobs,
  });
  const load = languageLoader(context.extensionUri, memoryLimit);
  const explorer = createExplorer({
    runs,
    panels,
    isAlive,
    jobs,
    output,
    settle,
    memory: context.workspaceState,
    extensionUri: context.extensionUri,
  });
  const methods = createMethodsPage({
    extensionUri: context.extensionUri,
    jobs,
    output,
    settle,
    openPanel: (folder) => panels.openFolder(folder),
  });
  const playground = registerPlayground({ extensionUri: context.extensionUri, output, settle, explorer });
  context.subscriptions.push(
    output,
    playground,
    panels,
    jobs,
    logRuns(output, runs),
    createStatus(runs, settle),
    createProblems(runs, settle),
    notifyProgress(runs),
    registerCommands(runs, panels, load, output),
    registerTasks(runs),
    registerNewRunFile(load, settle),
    registerExamples(context.extensionUri, context.globalState, (error) =>
      output.error(`Examples: ${messageOf(error)}`),
    ),
    registerImportConfig(load, jobs),
    registerEstimate(jobs),
    registerCollectDiagnostics(context.extensionUri, runs),
    registerLanguage(load, output, () => setting('peftStudio.modelFolders')),
    registerCompareMethods(jobs, methods),
    registerPreviewData(context.extensionUri, jobs, output, settle),
    explorer,
    runs,
  );
  return {
    runs: { state: runs.state, events: runs.events, onDidChange: runs.onDidChange },
    panel: {
      drawn: panels.drawn,
      errors: panels.errors,
      showTab: panels.showTab,
      shownTab: panels.shownTab,
      folderInFront: panels.folderInFront,
      all: panels.all,
    },
    methods: { drawn: methods.drawn },
    combination: explorer.combination,
    composition: explorer.composition,
    playground: { ask: playground.ask, answers: playground.answers, errors: playground.errors },
  };
}
