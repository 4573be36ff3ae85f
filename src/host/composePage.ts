import * as l10n from '@vscode/l10n';
import path from 'node:path';
import * as vscode from 'vscode';
import { HUB_RECORD } from '../adapters/adapterFiles.js';
import { placedSentences, sentences } from '../common/sentences.js';
import { problemOf } from '../common/problem.js';
import { hubEvent } from '../engines/composition/hubEvent.js';
import { recordAfter } from '../engines/composition/record.js';
import { MAX_RECORD_BYTES, readRecord } from '../engines/composition/readRecord.js';
import { readBoundedText } from '../models/boundedJson.js';
import { composeArguments, restoredMixture } from './composeState.js';
import type { FromCompose, MixtureState, ShownMixture, ToCompose, WantedMixture } from './composeProtocol.js';
import type { Jobs } from './job.js';
import { openPage } from './page.js';
import type { Page } from './page.js';
import { saveFile } from './saveFile.js';
import type { Settle } from './settle.js';

/** What the page asks whoever knows the workspace. */
export interface ComposeChoices {
  /** The folder to write, which does not exist yet; undefined: cancelled. */
  target(wanted: ShownMixture): Promise<string | undefined>;
  /** An adapter was written. */
  written(folder: string): Promise<void>;
  reveal(folder: string): Promise<void>;
}

/** The page that shows a search for a mixture: one per window, and one search runs at a time. */
export interface ComposePage {
  /** Searches and shows it as it goes; settles at its end. */
  run(wanted: WantedMixture): Promise<void>;
  /** Shows the search that is recorded beside an adapter. */
  open(folder: string): Promise<void>;
  /** Writes the mixture into a folder, without asking for it. */
  write(target: string): Promise<void>;
  /** What the page has drawn; undefined while it is closed. */
  drawn(): DrawnMixture | undefined;
  /** Ends the search that runs. */
  stop(): void;
  dispose(): void;
}

export interface DrawnMixture {
  readonly trials: number;
  readonly state: MixtureState['kind'];
  readonly out: string | undefined;
}

const VIEW_TYPE = 'peftStudio.compose';

/** The page is told at most so often while a search runs. */
const TELL_MS = 100;

/** Makes the window's page: none yet, but the one that the editor restores. */
export function createComposePage(parts: {
  readonly extensionUri: vscode.Uri;
  readonly jobs: Pick<Jobs, 'run'>;
  readonly output: vscode.LogOutputChannel;
  readonly settle: Settle;
  readonly choices: ComposeChoices;
}): ComposePage {
  const { jobs, settle, choices } = parts;
  let page: Page<ToCompose> | undefined;
  let mixture: ShownMixture = { state: { kind: 'ended' } };
  let drawn: number | undefined;
  let present: AbortController | undefined;
  let writing = false;
  let later: NodeJS.Timeout | undefined;
  /** The page has been told what it has not drawn yet. */
  let drawing = false;
  /** There is more than it was told. */
  let news = false;

  function show(): void {
    clearTimeout(later);
    later = undefined;
    news = false;
    drawing = page !== undefined;
    page?.show({ type: 'mixture', mixture, writing });
  }

  /** While a search runs: not before the page has drawn what it was told last. */
  function change(changed: Partial<ShownMixture>): void {
    mixture = { ...mixture, ...changed };
    news = true;
    if (!drawing) later ??= setTimeout(show, TELL_MS);
  }

  function hasDrawn(trials: number): void {
    drawn = trials;
    drawing = false;
    if (news) later ??= setTimeout(show, TELL_MS);
  }

  function reveal(title: string, restored?: vscode.WebviewPanel): void {
    page ??= openPage<ToCompose, FromCompose>({
      extensionUri: parts.extensionUri,
      name: 'compose',
      title,
      output: parts.output,
      settle,
      take,
      closed() {
        page = undefined;
        drawn = undefined;
        drawing = false;
      },
      ...(restored === undefined ? {} : { restored }),
    });
    if (restored === undefined) page.reveal(title);
  }

  /** Whether a search runs, which is shown then. */
  function isBusy(): boolean {
    if (present === undefined) return false;
    void vscode.window.showInformationMessage(
      l10n.t`PEFT Studio: a mixture is being searched for already; one search runs at a time.`,
    );
    reveal(titleOf(mixture));
    return true;
  }

  async function run(wanted: WantedMixture): Promise<void> {
    if (isBusy()) return;
    const own = new AbortController();
    present = own;
    mixture = { wanted, state: { kind: 'running', activity: '' } };
    reveal(titleOf(mixture));
    show();
    let end: MixtureState = { kind: 'stopped' };
    try {
      const ended = await jobs.run({
        title: l10n.t`Composing ${wanted.adapters.length} adapters`,
        args: composeArguments(wanted),
        signal: own.signal,
        onProgress: ({ activity }) => change({ state: { kind: 'running', activity } }),
        onEvent(told) {
          const event = hubEvent(told);
          const search = event && recordAfter(mixture.search, event);
          if (search !== undefined) change({ search });
        },
        onFailure: (problem) => (end = { kind: 'failed', message: sentences(problem) }),
      });
      if (ended !== undefined) end = { kind: 'ended' };
    } finally {
      present = undefined;
      mixture = { ...mixture, state: end };
      show();
    }
  }

  async function open(folder: string): Promise<void> {
    const file = path.join(folder, HUB_RECORD);
    const about = { out: folder, state: { kind: 'ended' as const } };
    if (isBusy()) return;
    try {
      const search = readRecord(
        await readBoundedText(file, { code: 'compose.record', maxBytes: MAX_RECORD_BYTES }),
        file,
      );
      mixture = { ...about, search };
    } catch (error) {
      mixture = { ...about, state: { kind: 'failed', message: placedSentences(problemOf(error)) } };
    }
    reveal(titleOf(mixture));
    show();
  }

  async function write(target: string): Promise<void> {
    const { search } = mixture;
    if (search === undefined || writing) return;
    writing = true;
    show();
    const written = await jobs
      .run({
        title: l10n.t`Writing the mixture`,
        args: ['compose', '-', `--out=${target}`],
        input: JSON.stringify(search),
        onEvent: () => undefined,
      })
      .finally(() => {
        writing = false;
        show();
      });
    if (written === undefined) return;
    if (mixture.search === search) change({ out: target });
    await choices.written(target);
  }

  async function askAndWrite(): Promise<void> {
    const target = await choices.target(mixture);
    if (target !== undefined) await write(target);
  }

  function take(message: FromCompose): void {
    const { out, wanted } = mixture;
    switch (message.type) {
      case 'drawn':
        hasDrawn(message.trials);
        break;
      case 'stop':
        present?.abort();
        break;
      case 'again':
        if (wanted !== undefined) settle(run(wanted));
        break;
      case 'write':
        settle(askAndWrite());
        break;
      case 'reveal':
        if (out !== undefined) settle(choices.reveal(out));
        break;
      case 'try':
        if (out !== undefined) settle(command('peftStudio.tryAdapter', { kind: 'item', folder: out }));
        break;
      case 'playground':
        if (out !== undefined) settle(command('peftStudio.openPlayground', vscode.Uri.file(out)));
        break;
      case 'save':
        settle(saveFile({ name: message.name, content: { text: message.text } }, out));
        break;
    }
  }

  const restoring = vscode.window.registerWebviewPanelSerializer(VIEW_TYPE, {
    deserializeWebviewPanel(view, kept: unknown) {
      page?.dispose();
      // A search ended with its window; what was tried is not lost.
      mixture = restoredMixture(kept);
      reveal(titleOf(mixture), view);
      show();
      return Promise.resolve();
    },
  });

  return {
    run,
    open,
    write,
    drawn: () =>
      drawn === undefined ? undefined : { trials: drawn, state: mixture.state.kind, out: mixture.out },
    stop: () => present?.abort(),
    dispose() {
      restoring.dispose();
      clearTimeout(later);
      present?.abort();
      // The page stays: a window that loads anew shows it again.
    },
  };
}

async function command(name: string, argument: unknown): Promise<void> {
  await vscode.commands.executeCommand(name, argument);
}

function titleOf({ search, wanted }: ShownMixture): string {
  const data = search?.data[0] ?? wanted?.data;
  return data === undefined ? l10n.t`Mixture` : l10n.t`Mixture: ${path.basename(data)}`;
}
