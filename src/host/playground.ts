import * as l10n from '@vscode/l10n';
import * as vscode from 'vscode';
import { describeProblem } from '../common/problem.js';
import { startPlayground } from '../engines/playground/client.js';
import type { PlaygroundProcess } from '../engines/playground/client.js';
import { MAX_COLUMNS } from '../engines/playground/protocol.js';
import type { Answer, PlaygroundOptions, PlaygroundTold } from '../engines/playground/protocol.js';
import { restored } from '../engines/playground/restored.js';
import {
  NO_SETUP,
  hasColumn,
  loading,
  setupAfter,
  setupOf,
  withAdapter,
  withAlpha,
  withoutColumn,
} from '../engines/playground/setup.js';
import type {
  PlaygroundAdapter,
  PlaygroundBase,
  PlaygroundColumn,
  PlaygroundSetup,
} from '../engines/playground/setup.js';
import { GENERATE_DEFAULTS } from '../generation/options.js';
import { pageHtml, pageOptions } from './pageHtml.js';
import type { AnswerEvent, FromPlayground, ToPlayground } from './playgroundProtocol.js';
import type { Settle } from './settle.js';
import { isTrusted } from './trust.js';

/** What the playground asks whoever knows the workspace. */
export interface PlaygroundChoices {
  /** A base model to open; undefined: cancelled. */
  base(): Promise<PlaygroundBase | undefined>;
  /** An adapter of the open base, or one of a small model that is to steer it; undefined: cancelled. */
  adapter(setup: PlaygroundSetup, base: PlaygroundBase): Promise<PlaygroundAdapter | undefined>;
}

/** The playground: one per window, with one process while its page is open. */
export interface Playground {
  /** Opens it on a base model; an adapter becomes a column. With nothing named, what is open is shown, or asked for. */
  open(base?: PlaygroundBase, adapter?: PlaygroundAdapter): Promise<void>;
  /** Writes a prompt into the open page and runs it. */
  ask(prompt: string, options: PlaygroundOptions): void;
  /** The answers of the last request whose page has drawn them all, by column. */
  answers(): ReadonlyMap<string, Answer> | undefined;
  /** How many errors the page has reported. */
  errors(): number;
  dispose(): void;
}

const VIEW_TYPE = 'peftStudio.playground';

/** Tokens come faster than a page is worth drawing: they are posted together. */
const POST_EVERY_MS = 30;

const DEFAULTS: Required<PlaygroundOptions> = {
  max_new_tokens: GENERATE_DEFAULTS.max_new_tokens,
  temperature: GENERATE_DEFAULTS.temperature,
  top_p: GENERATE_DEFAULTS.top_p,
  top_k: GENERATE_DEFAULTS.top_k,
  repetition_penalty: GENERATE_DEFAULTS.repetition_penalty,
  seed: GENERATE_DEFAULTS.seed,
};

/** Makes the window's playground; nothing runs yet. */
export function createPlayground(parts: {
  readonly extensionUri: vscode.Uri;
  readonly output: vscode.LogOutputChannel;
  readonly settle: Settle;
  readonly choices: PlaygroundChoices;
}): Playground {
  const { extensionUri, output, settle, choices } = parts;
  let view: vscode.WebviewPanel | undefined;
  let ready = false;
  let setup: PlaygroundSetup = NO_SETUP;
  let process: PlaygroundProcess | undefined;
  let running: number | undefined;
  let unsent: AnswerEvent[] = [];
  let sending: NodeJS.Timeout | undefined;
  let asked: ToPlayground | undefined;
  let answers = new Map<string, Answer>();
  let drawn = false;
  let errors = 0;

  function post(message: ToPlayground): void {
    if (view && ready) settle(view.webview.postMessage(message));
  }

  function show(next: PlaygroundSetup): void {
    if (next === setup) return;
    setup = next;
    post({ type: 'setup', setup, defaults: DEFAULTS });
    if (view) view.title = titleOf(setup);
  }

  function flush(): void {
    clearTimeout(sending);
    sending = undefined;
    if (unsent.length === 0) return;
    const events = unsent;
    unsent = [];
    post({ type: 'answers', events });
  }

  function told(event: PlaygroundTold): void {
    show(setupAfter(setup, event));
    if ('problem' in event) output.error(`Playground: ${event.problem.code}: ${describeProblem(event.problem)}`);
    if (event.type === 'ended' || (event.type === 'refused' && !('request' in event) && !('column' in event))) {
      endProcess();
      return;
    }
    if (!('request' in event) || event.request === undefined) return;
    if (event.type === 'answered') answers.set(event.column, event.answer);
    if (event.type === 'done') running = undefined;
    unsent.push(event);
    if (event.type === 'done') flush();
    else sending ??= setTimeout(flush, POST_EVERY_MS);
  }

  function endProcess(): void {
    process?.close();
    process = undefined;
    if (running !== undefined) unsent.push({ type: 'done', request: running });
    running = undefined;
    flush();
  }

  /** Starts the process with all columns, unless it runs. */
  function start(): void {
    if (process !== undefined || setup.base === undefined) return;
    const { base, columns } = setup;
    show(
      loading(
        setup,
        columns.map(({ id }) => id),
      ),
    );
    output.info(`Playground: opening ${base.model}`);
    process = startPlayground({
      program: vscode.Uri.joinPath(extensionUri, 'dist', 'playground.js').fsPath,
      base: base.model,
      folder: base.folder,
      tell: told,
      print: (line) => output.info(`playground: ${line}`),
    });
    for (const column of columns) attach(column);
  }

  function attach({ id: column, folder, steering }: PlaygroundColumn): void {
    if (folder !== undefined) process?.send({ type: 'attach', column, folder, steering });
  }

  async function addAdapter(adapter: PlaygroundAdapter): Promise<void> {
    if (hasColumn(setup, adapter)) return;
    const next = withAdapter(setup, adapter);
    if (next === undefined) {
      await vscode.window.showInformationMessage(
        l10n.t`PEFT Studio: ${MAX_COLUMNS} columns are open, as many as can be read side by side. Remove an adapter first.`,
      );
      return;
    }
    const column = next.columns.at(-1)!;
    if (process === undefined) {
      show(next);
      return;
    }
    show({ ...loading(next, [column.id]), activity: l10n.t`Attaching ${adapter.name}` });
    attach(column);
  }

  async function chooseAdapter(): Promise<void> {
    if (setup.base === undefined) return;
    const adapter = await choices.adapter(setup, setup.base);
    if (adapter !== undefined) await addAdapter(adapter);
  }

  async function steer(column: string, alpha: number): Promise<void> {
    const next = withAlpha(setup, column, alpha);
    if (next !== undefined) {
      process?.send({ type: 'steer', column, alpha });
      show(next);
      return;
    }
    // The page shows the factor that holds again.
    post({ type: 'setup', setup, defaults: DEFAULTS });
    await vscode.window.showInformationMessage(l10n.t`PEFT Studio: there is a column with α = ${alpha} already.`);
  }

  async function chooseBase(): Promise<void> {
    const base = await choices.base();
    if (base !== undefined) await open(base);
  }

  function take(message: FromPlayground): void {
    switch (message.type) {
      case 'ready':
        ready = true;
        post({ type: 'setup', setup, defaults: DEFAULTS });
        if (asked) post(asked);
        asked = undefined;
        break;
      case 'generate':
        // A page of a window that was loaded anew may stand in a workspace that is not trusted.
        if (!isTrusted()) {
          post({ type: 'answers', events: [{ type: 'done', request: message.request }] });
          break;
        }
        start();
        running = message.request;
        answers = new Map();
        drawn = false;
        process?.send(message);
        break;
      case 'stop':
        process?.send(message);
        break;
      case 'chooseBase':
        settle(chooseBase());
        break;
      case 'addAdapter':
        settle(chooseAdapter());
        break;
      case 'removeAdapter':
        process?.send({ type: 'detach', column: message.column });
        show(withoutColumn(setup, message.column));
        break;
      case 'steer':
        settle(steer(message.column, message.alpha));
        break;
      case 'copy':
        settle(vscode.env.clipboard.writeText(message.text));
        break;
      case 'drawn':
        drawn = true;
        break;
      case 'pageError':
        errors += 1;
        output.error(`The playground's page: ${message.message}`);
        break;
    }
  }

  function fill(made: vscode.WebviewPanel): void {
    view = made;
    ready = false;
    made.title = titleOf(setup);
    made.iconPath = {
      light: vscode.Uri.joinPath(extensionUri, 'media', 'panel-light.svg'),
      dark: vscode.Uri.joinPath(extensionUri, 'media', 'panel-dark.svg'),
    };
    made.webview.onDidReceiveMessage(take);
    made.onDidDispose(() => {
      if (view !== made) return;
      view = undefined;
      ready = false;
      unsent = [];
      running = undefined;
      endProcess();
      setup = NO_SETUP;
    });
    made.webview.html = pageHtml(made.webview, extensionUri, 'playground');
  }

  const restoring = vscode.window.registerWebviewPanelSerializer(VIEW_TYPE, {
    deserializeWebviewPanel(made, kept: unknown) {
      view?.dispose();
      made.webview.options = pageOptions(extensionUri);
      setup = restored(kept);
      fill(made);
      return Promise.resolve();
    },
  });

  async function open(base?: PlaygroundBase, adapter?: PlaygroundAdapter): Promise<void> {
    if (!isTrusted()) return;
    if (base === undefined && view === undefined) {
      const chosen = await choices.base();
      if (chosen !== undefined) await open(chosen);
      return;
    }
    if (base !== undefined && base.key !== setup.base?.key) {
      endProcess();
      show(setupOf(base));
    }
    if (view === undefined) {
      // An answer that streams goes on while the page is behind another tab, and a conversation is not lost.
      const options = { ...pageOptions(extensionUri), retainContextWhenHidden: true };
      fill(vscode.window.createWebviewPanel(VIEW_TYPE, titleOf(setup), vscode.ViewColumn.Active, options));
    } else view.reveal();
    if (adapter !== undefined) await addAdapter(adapter);
    start();
  }

  return {
    open,
    ask(prompt, options) {
      const message: ToPlayground = { type: 'ask', prompt, options };
      if (ready) post(message);
      else asked = message;
    },
    answers: () => (drawn ? answers : undefined),
    errors: () => errors,
    dispose() {
      restoring.dispose();
      process?.close();
    },
  };
}

function titleOf({ base }: PlaygroundSetup): string {
  return base === undefined ? l10n.t`Playground` : l10n.t`Playground: ${base.label}`;
}
