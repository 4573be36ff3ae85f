import * as l10n from '@vscode/l10n';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as vscode from 'vscode';
import { problemOf } from '../common/problem.js';
import { placedSentences } from '../common/sentences.js';
import { runName } from '../config/runName.js';
import { RESULTS, isComparison, readComparison } from '../engines/compareMethods/comparisonFiles.js';
import type { Jobs } from './job.js';
import type { FromMethods, ToMethods } from './methodsProtocol.js';
import { openPage } from './page.js';
import type { Page } from './page.js';
import { saveFile } from './saveFile.js';
import type { Settle } from './settle.js';

/** A comparison to be run: of a run file, kept in a folder, with the arguments of `compare-methods`. */
export interface WantedComparison {
  readonly file: string;
  readonly folder: string;
  readonly args: readonly string[];
}

/** The page that shows compared methods: one per window, and one comparison runs at a time. */
export interface MethodsPage {
  /** Runs a comparison and shows it as it grows; settles at its end. */
  run(wanted: WantedComparison): Promise<void>;
  /** Shows what the folder of a comparison holds. */
  open(folder: string): Promise<void>;
  /** What the page has drawn; undefined while it is closed. */
  drawn(): Extract<FromMethods, { type: 'drawn' }> | undefined;
  dispose(): void;
}

/** How often results are looked at while they grow. */
const LOOK_MS = 400;

/** Makes the window's page; nothing is shown yet. */
export function createMethodsPage(parts: {
  readonly extensionUri: vscode.Uri;
  readonly jobs: Pick<Jobs, 'run'>;
  readonly output: vscode.LogOutputChannel;
  readonly settle: Settle;
  /** Opens the panel of the run in a folder. */
  readonly openPanel: (folder: string) => Promise<void>;
}): MethodsPage {
  const { extensionUri, jobs, output, settle } = parts;
  let page: Page<ToMethods> | undefined;
  let drawn: Extract<FromMethods, { type: 'drawn' }> | undefined;
  let shown: string | undefined;
  let present: { readonly folder: string; readonly stop: AbortController } | undefined;

  /** Shows what a folder holds by now. */
  async function show(folder: string): Promise<void> {
    try {
      const comparison = await readComparison(folder);
      if (comparison === undefined || shown !== folder) return;
      page?.show({ type: 'comparison', comparison, running: present?.folder === folder });
    } catch (error) {
      page?.show({ type: 'failed', message: placedSentences(problemOf(error)) });
    }
  }

  async function follow(folder: string, signal: AbortSignal): Promise<void> {
    let seen = '';
    while (!signal.aborted) {
      const { mtimeMs, ino } = await stat(path.join(folder, RESULTS)).catch(() => ({ mtimeMs: 0, ino: 0 }));
      const stamp = `${mtimeMs} ${ino}`;
      if (stamp !== seen) await show(folder);
      seen = stamp;
      await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  function reveal(folder: string, title: string): void {
    shown = folder;
    page ??= openPage<ToMethods, FromMethods>({
      extensionUri,
      name: 'methods',
      title,
      output,
      settle,
      take,
      closed: () => {
        page = undefined;
        drawn = undefined;
      },
    });
    page.reveal(title);
  }

  async function run({ file, folder, args }: WantedComparison): Promise<void> {
    if (present !== undefined) {
      void vscode.window.showInformationMessage(
        l10n.t`PEFT Studio: methods are being compared already; one comparison runs at a time.`,
      );
      return;
    }
    const own = { folder, stop: new AbortController() };
    const ended = new AbortController();
    present = own;
    reveal(folder, titleOf(file));
    const following = follow(folder, ended.signal);
    try {
      const document = await jobs.run({
        title: l10n.t`Comparing methods on ${runName(file)}`,
        args: ['compare-methods', file, `--out=${folder}`, ...args],
        signal: own.stop.signal,
      });
      if (isComparison(document)) output.info(`Methods compared: ${document.done} runs.`);
    } finally {
      present = undefined;
      ended.abort();
      await following;
      await show(folder);
    }
  }

  async function goOn(folder: string): Promise<void> {
    const comparison = await readComparison(folder);
    if (comparison !== undefined) await run({ file: comparison.file, folder, args: comparison.args });
  }

  function take(message: FromMethods): void {
    switch (message.type) {
      case 'drawn':
        drawn = message;
        break;
      case 'stop':
        present?.stop.abort();
        break;
      case 'goOn':
        if (shown !== undefined) settle(goOn(shown));
        break;
      case 'openPanel':
        settle(parts.openPanel(message.folder));
        break;
      case 'save':
        settle(saveFile({ name: message.name, content: { text: message.text } }, shown));
        break;
    }
  }

  return {
    run,
    async open(folder) {
      const comparison = await readComparison(folder);
      if (comparison === undefined) return;
      reveal(folder, titleOf(comparison.file));
      await show(folder);
    },
    drawn: () => drawn,
    dispose() {
      present?.stop.abort();
      page?.dispose();
    },
  };
}

function titleOf(file: string): string {
  return l10n.t`Methods: ${runName(file)}`;
}
