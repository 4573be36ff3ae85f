import * as l10n from '@vscode/l10n';
import type * as vscode from 'vscode';
import { isJsonObject } from '../common/json.js';
import type { RunComparison } from '../engines/runComparison.js';
import type { FromCompare, ToCompare } from './compareProtocol.js';
import type { Jobs } from './job.js';
import { openPage } from './page.js';
import type { Page } from './page.js';
import { createReader } from './reader.js';
import type { Settle } from './settle.js';

/** The page that lays runs side by side: one per window. */
export interface ComparePage {
  /** @param folders of runs; read anew each time */
  open(folders: readonly string[]): void;
  dispose(): void;
}

/** Makes the window's comparison; nothing is shown yet. */
export function createComparePage(parts: {
  readonly extensionUri: vscode.Uri;
  readonly jobs: Jobs;
  readonly output: vscode.LogOutputChannel;
  readonly settle: Settle;
  /** Opens the panel of the run in a folder. */
  readonly openPanel: (folder: string) => Promise<void>;
}): ComparePage {
  const { extensionUri, jobs, output, settle } = parts;
  const reader = createReader(jobs);
  let page: Page<ToCompare> | undefined;
  let folders: readonly string[] = [];

  function read(): Promise<void> {
    page?.show({ type: 'reading' });
    return reader.read({
      title: l10n.t`Comparing ${folders.length} runs`,
      args: ['compare', ...folders],
      isDocument: isComparison,
      found: (comparison) => page?.show({ type: 'comparison', comparison }),
      failed: (message) => page?.show({ type: 'failed', message }),
    });
  }

  function take(message: FromCompare): void {
    switch (message.type) {
      case 'again':
        settle(read());
        break;
      case 'drawn':
        output.debug(`The comparison has drawn ${message.runs} runs.`);
        break;
      case 'openPanel':
        settle(parts.openPanel(message.folder));
        break;
    }
  }

  return {
    open(chosen) {
      folders = chosen;
      page ??= openPage<ToCompare, FromCompare>({
        extensionUri,
        name: 'compare',
        title: l10n.t`Compare Runs`,
        output,
        settle,
        take,
        closed: () => {
          reader.cancel();
          page = undefined;
        },
      });
      page.reveal(l10n.t`Compare ${chosen.length} Runs`);
      settle(read());
    },
    dispose: () => page?.dispose(),
  };
}

/** The command line is our own program: its runs are enough to know the document. */
function isComparison(value: unknown): value is RunComparison {
  return isJsonObject(value) && Array.isArray(value['runs']) && Array.isArray(value['settings']);
}
