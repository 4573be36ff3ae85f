import * as l10n from '@vscode/l10n';
import * as vscode from 'vscode';
import { isJsonObject } from '../common/json.js';
import { shellWord } from '../common/shellWord.js';
import { combineArguments, formFault, freshForm, partsAdded, restoredForm } from '../engines/combination/form.js';
import type { CombinationForm, CombinationKind } from '../engines/combination/form.js';
import type { CombinationPreview } from '../engines/combination/preview.js';
import { createPreviews } from './combinePreviews.js';
import type { CombinedAdapter, FromCombine, PreviewState, ToCombine } from './combineProtocol.js';
import type { Jobs } from './job.js';
import { openPage } from './page.js';
import type { Page } from './page.js';
import type { Settle } from './settle.js';

/** What the page asks whoever knows the workspace. */
export interface CombineChoices {
  /** What is known of the form's adapters: their form of differences, the name of their base model, each of them. */
  about(folders: readonly string[]): Promise<{
    readonly kind: CombinationKind;
    readonly base: string;
    readonly adapters: readonly CombinedAdapter[];
  }>;
  /** Adapters to add to those that are there; undefined: cancelled, or there are none (that was said). */
  others(folders: readonly string[]): Promise<readonly string[] | undefined>;
  /** Where the base model is; undefined: cancelled. */
  base(): Promise<string | undefined>;
  /** The folder to write, which does not exist yet; undefined: cancelled. */
  target(first: string): Promise<string | undefined>;
  /** An adapter was written. */
  written(target: string, report: unknown): Promise<void>;
}

/** The page on which adapters are combined: one per window. */
export interface CombinePage {
  /** @param model the base model, where it is not the one that the adapters name */
  open(folders: readonly string[], model?: string): Promise<void>;
  /** What the page has drawn; undefined while it is closed. */
  drawn(): Drawn | undefined;
  /** The form as it is; undefined while the page is closed. */
  form(): CombinationForm | undefined;
  /** Sets the form, as a person would. */
  change(form: CombinationForm): void;
  /** Writes the adapter into a folder, without asking for it. */
  write(target: string): Promise<void>;
  dispose(): void;
}

/** A preview that is drawn, and the weights that it is of. */
export interface Drawn {
  readonly number: number;
  readonly modules: number;
}

const VIEW_TYPE = 'peftStudio.combine';

/** Makes the window's page: none yet, but the one that the editor restores. */
export function createCombinePage(parts: {
  readonly extensionUri: vscode.Uri;
  readonly jobs: Jobs;
  readonly output: vscode.LogOutputChannel;
  readonly settle: Settle;
  readonly choices: CombineChoices;
}): CombinePage {
  const { jobs, settle, choices } = parts;
  let page: Page<ToCombine> | undefined;
  let form = freshForm([]);
  let about: Awaited<ReturnType<CombineChoices['about']>> = { kind: 'factors', base: '', adapters: [] };
  let seen = 0;
  let state: PreviewState = { kind: 'settled' };
  let preview: { readonly number: number; readonly found: CombinationPreview } | undefined;
  let drawn: Drawn | undefined;
  let writing = false;
  /** What the preview is of, or is being computed of. */
  let asked = '';

  const previews = createPreviews(jobs, (next, found) => {
    state = next;
    if (found !== undefined) preview = { number: (preview?.number ?? 0) + 1, found };
    show();
  });

  function show(): void {
    const { kind, base, adapters } = about;
    const command = formFault(form, kind) === undefined ? commandText() : undefined;
    page?.show({ type: 'combination', seen, form, kind, adapters, base, command, state, preview, writing });
  }

  /** What does the same in a terminal: folders of the workspace as one that starts in it takes them. */
  function commandText(): string {
    const placeOf = new Map(about.adapters.map(({ folder, place }) => [folder, place]));
    return ['peft-studio', ...combineArguments(form, about.kind), '--out=combined']
      .map((word) => shellWord(placeOf.get(word) ?? word))
      .join(' ');
  }

  /** Computes the preview of the present form, unless it is there. */
  function compute(again = false): void {
    const fault = formFault(form, about.kind);
    if (fault !== undefined || !vscode.workspace.isTrusted) {
      previews.cancel();
      asked = '';
      state = fault === undefined ? { kind: 'untrusted' } : { kind: 'settled' };
      show();
      return;
    }
    const args = combineArguments(form, about.kind);
    if (!again && JSON.stringify(args) === asked) show();
    else previews.wish(args);
    asked = JSON.stringify(args);
  }

  /** Shows a form, with what is known of its adapters. */
  async function take(next: CombinationForm): Promise<void> {
    form = next;
    about = await choices.about(form.parts.map(({ folder }) => folder));
    compute();
  }

  async function addAdapters(): Promise<void> {
    const added = await choices.others(form.parts.map(({ folder }) => folder));
    if (added === undefined || page === undefined) return;
    await take({ ...form, parts: [...form.parts, ...added.map((folder) => ({ folder, weight: 1 }))] });
  }

  async function chooseBase(): Promise<void> {
    const model = await choices.base();
    if (model !== undefined && page !== undefined) await take({ ...form, model });
  }

  async function askAndWrite(): Promise<void> {
    const [first] = partsAdded(form);
    const target = first && (await choices.target(first.folder));
    if (target !== undefined) await write(target);
  }

  async function write(target: string): Promise<void> {
    if (writing || formFault(form, about.kind) !== undefined) return;
    const args = combineArguments(form, about.kind);
    writing = true;
    show();
    const report = await jobs
      .run({ title: l10n.t`Combining adapters`, args: [...args, `--out=${target}`] })
      .finally(() => {
        writing = false;
        show();
      });
    if (report !== undefined) await choices.written(target, report);
  }

  function hear(message: FromCombine): void {
    switch (message.type) {
      case 'change': {
        ({ number: seen } = message);
        const before = form.parts.map(({ folder }) => folder).join('\n');
        form = message.form;
        if (form.parts.map(({ folder }) => folder).join('\n') === before) compute();
        else settle(take(form));
        break;
      }
      case 'addAdapter':
        settle(addAdapters());
        break;
      case 'chooseBase':
        settle(chooseBase());
        break;
      case 'write':
        settle(askAndWrite());
        break;
      case 'again':
        compute(true);
        break;
      case 'copy':
        settle(vscode.env.clipboard.writeText(message.text));
        break;
      case 'drawn':
        drawn = { number: message.number, modules: message.modules };
        break;
    }
  }

  function reveal(restored?: vscode.WebviewPanel): void {
    const title = l10n.t`Combine Adapters`;
    page ??= openPage<ToCombine, FromCombine>({
      extensionUri: parts.extensionUri,
      name: 'combine',
      title,
      output: parts.output,
      settle,
      take: hear,
      closed() {
        previews.cancel();
        page = undefined;
        preview = undefined;
        drawn = undefined;
        asked = '';
      },
      ...(restored === undefined ? {} : { restored }),
    });
    if (restored === undefined) page.reveal(title);
  }

  const restoring = vscode.window.registerWebviewPanelSerializer(VIEW_TYPE, {
    async deserializeWebviewPanel(view, kept: unknown) {
      page?.dispose();
      reveal(view);
      await take(restoredForm(isJsonObject(kept) ? kept['form'] : undefined) ?? freshForm([]));
    },
  });
  const trusting = vscode.workspace.onDidGrantWorkspaceTrust(() => {
    if (page !== undefined) compute();
  });

  return {
    async open(folders, model) {
      reveal();
      preview = undefined;
      await take(freshForm(folders, model));
    },
    drawn: () => drawn,
    form: () => (page === undefined ? undefined : form),
    change: (next) => settle(take(next)),
    write,
    dispose() {
      restoring.dispose();
      trusting.dispose();
      previews.cancel();
      // The page stays: a window that loads anew shows it again.
    },
  };
}
