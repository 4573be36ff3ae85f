import * as l10n from '@vscode/l10n';
import path from 'node:path';
import * as vscode from 'vscode';
import { ADAPTER_CONFIG, ADAPTER_SETUP } from '../adapters/adapterFiles.js';
import { adaptersWithin } from '../adapters/taskFolders.js';
import { pathKind } from '../common/files.js';
import { RESOLVED_CONFIG } from '../engines/runFiles.js';
import { hasColumn } from '../engines/playground/setup.js';
import type { PlaygroundAdapter, PlaygroundBase } from '../engines/playground/setup.js';
import { baseArgument } from './explorer/baseArgument.js';
import type { Explorer } from './explorer/explorer.js';
import type { Entry } from './explorer/library.js';
import { createLibrary } from './explorer/library.js';
import { isRow } from './explorer/pick.js';
import { nameOf } from './explorer/tryAction.js';
import { createPlayground } from './playground.js';
import { steeringAdapter } from './playgroundSteering.js';
import type { Playground, PlaygroundChoices } from './playground.js';
import type { Settle } from './settle.js';

/** Models listed of a workspace: more than anybody keeps in one. */
const MAX_MODELS = 200;
const EXCLUDED = '**/{node_modules,.git,checkpoint-*}/**';

/** Makes the window's playground and registers its command. */
export function registerPlayground(parts: {
  readonly extensionUri: vscode.Uri;
  readonly output: vscode.LogOutputChannel;
  readonly settle: Settle;
  readonly explorer: Explorer;
}): Playground {
  const { explorer } = parts;
  const playground = createPlayground({ ...parts, choices: choicesOf(explorer) });
  const command = vscode.commands.registerCommand('peftStudio.openPlayground', async (argument?: unknown) => {
    if (isRow(argument) && argument.kind === 'base') {
      const base = (await explorer.adapters()).find((entry) => entry.base.key === argument.key)?.base;
      await playground.open(base?.place === undefined ? undefined : baseAt(base.place));
      return;
    }
    if (argument === undefined) {
      await playground.open();
      return;
    }
    const folder = argument instanceof vscode.Uri ? argument.fsPath : undefined;
    const entry =
      (await explorer.adapterAt(argument)) ?? (folder === undefined ? undefined : await entryIn(folder));
    const base = entry && (await baseOf(entry));
    if (entry !== undefined && base !== undefined) await playground.open(base, adapterOf(entry));
    // What a run of all weights leaves is a model itself.
    if (entry === undefined && folder !== undefined) await playground.open(baseAt(folder));
  });
  return {
    ...playground,
    dispose() {
      command.dispose();
      playground.dispose();
    },
  };
}

function choicesOf(explorer: Explorer): PlaygroundChoices {
  return {
    async base() {
      const adapters = await explorer.adapters();
      const known = new Map<string, Choice<() => Promise<PlaygroundBase | undefined>>>();
      for (const place of await modelsInWorkspace()) {
        known.set(place, {
          label: `$(database) ${path.basename(place)}`,
          detail: vscode.workspace.asRelativePath(place),
          take: () => Promise.resolve(baseAt(place)),
        });
      }
      for (const entry of adapters) {
        const { key, label, place } = entry.base;
        if (key === '' || known.has(key)) continue;
        known.set(key, { label: `$(database) ${label}`, detail: place ?? key, take: () => baseOf(entry) });
      }
      known.set('', {
        label: `$(folder-opened) ${l10n.t`Another model…`}`,
        detail: l10n.t`A model folder or GGUF file`,
        take: askForModel,
      });
      const [only] = known.size === 1 ? known.values() : [];
      const title = l10n.t`Playground: which base model?`;
      const chosen =
        only ?? (await vscode.window.showQuickPick([...known.values()], { title, matchOnDetail: true }));
      return chosen?.take();
    },
    async adapter(setup, base) {
      const isOfBase = (entry: Entry): boolean => entry.base.key === base.key;
      const all = await explorer.adapters();
      const adapters = all
        .filter((entry) => !hasColumn(setup, adapterOf(entry)))
        // A base has many names: adapters that name another one come last, but are not hidden.
        .sort((a, b) => Number(isOfBase(b)) - Number(isOfBase(a)) || b.item.modified - a.item.modified)
        .map((entry): Choice<() => Promise<PlaygroundAdapter | undefined>> => ({
          label: `$(layers) ${nameOf(entry.item.folder)}`,
          description: isOfBase(entry) ? '' : l10n.t`names another base: ${entry.base.place ?? entry.base.label}`,
          detail: vscode.workspace.asRelativePath(entry.item.folder),
          take: () => Promise.resolve(adapterOf(entry)),
        }));
      const other = {
        label: `$(folder-opened) ${l10n.t`Another adapter…`}`,
        detail: l10n.t`A folder with an adapter_config.json`,
        take: askForAdapter,
      };
      const small = {
        label: `$(arrow-both) ${l10n.t`A small model that steers this one…`}`,
        detail: l10n.t`Proxy-tuning: what an adapter changed in another model is added to this model's logits`,
        take: () => steeringAdapter(setup, base, all, baseOf),
      };
      const title = l10n.t`Playground: which adapter of ${base.label}?`;
      const chosen = await vscode.window.showQuickPick([...adapters, other, small], {
        title,
        matchOnDetail: true,
      });
      return chosen?.take();
    },
  };
}

interface Choice<Take> extends vscode.QuickPickItem {
  readonly take: Take;
}

/** A model on this machine, found or chosen. */
function baseAt(place: string): PlaygroundBase {
  return { model: place, label: path.basename(place), key: place };
}

/** The base of an adapter; asked for where it is not found. */
async function baseOf(entry: Entry): Promise<PlaygroundBase | undefined> {
  const found = await baseArgument(entry);
  const model = found && (found.model ?? entry.item.base);
  if (model === undefined) return undefined;
  const { key, label } = entry.base;
  return { model, label: key === '' ? path.basename(model) : label, key: key === '' ? model : key };
}

function adapterOf({ item }: Entry): PlaygroundAdapter {
  return { folder: item.folder, name: nameOf(item.folder) };
}

/** An adapter outside of what the explorer shows. */
async function entryIn(folder: string): Promise<Entry | undefined> {
  const roots = (): string[] => (vscode.workspace.workspaceFolders ?? []).map(({ uri }) => uri.fsPath);
  const library = createLibrary({ roots, isAlive: () => Promise.resolve(false) });
  const { changed } = await library.look([{ kind: 'adapter', folder }]);
  return changed[0];
}

/** Folders with a config and weights beside it, and GGUF files; adapters are no models. */
async function modelsInWorkspace(): Promise<string[]> {
  const [configs, files] = await Promise.all([
    vscode.workspace.findFiles('**/config.json', EXCLUDED, MAX_MODELS),
    vscode.workspace.findFiles('**/*.gguf', EXCLUDED, MAX_MODELS),
  ]);
  const folders = await Promise.all(
    configs.map(async ({ fsPath }) => {
      const folder = path.dirname(fsPath);
      const weights = ['model.safetensors', 'model.safetensors.index.json'].map((name) => path.join(folder, name));
      const kinds = await Promise.all(weights.map((file) => pathKind(file)));
      return kinds.includes('file') ? [folder] : [];
    }),
  );
  return [...folders.flat(), ...files.map(({ fsPath }) => fsPath)].sort();
}

async function askForModel(): Promise<PlaygroundBase | undefined> {
  const [uri] =
    (await vscode.window.showOpenDialog({
      title: l10n.t`Base model: a folder in the Hugging Face layout, or a GGUF file`,
      openLabel: l10n.t`Open in Playground`,
      canSelectFiles: true,
      canSelectFolders: true,
      filters: { [l10n.t`GGUF model`]: ['gguf'], [l10n.t`All files`]: ['*'] },
    })) ?? [];
  return uri && baseAt(uri.fsPath);
}

async function askForAdapter(): Promise<PlaygroundAdapter | undefined> {
  const [uri] =
    (await vscode.window.showOpenDialog({
      title: l10n.t`Adapter: a folder with an adapter_config.json`,
      openLabel: l10n.t`Add`,
      canSelectFiles: false,
      canSelectFolders: true,
    })) ?? [];
  const folder = uri && (await oneOfTasks(uri.fsPath));
  return folder === undefined ? undefined : { folder, name: nameOf(folder) };
}

/** Of a folder with an adapter for each task, or of a run that wrote them, the one that is chosen; others as they are. */
async function oneOfTasks(named: string): Promise<string | undefined> {
  for (const folder of [named, path.join(named, 'adapter')]) {
    const holds = async (name: string): Promise<boolean> =>
      (await pathKind(path.join(folder, name))) !== 'nothing';
    if ((await holds(ADAPTER_CONFIG)) || (await holds(ADAPTER_SETUP))) return named;
    const tasks = await adaptersWithin(folder);
    // The folders of a run that trained with several methods stand side by side as well, and are applied together.
    if (tasks.length === 0 || (await holds(RESOLVED_CONFIG))) continue;
    const title = l10n.t`Playground: the folder holds an adapter for each task. Which one?`;
    const chosen = await vscode.window.showQuickPick(tasks, { title });
    return chosen === undefined ? undefined : path.join(folder, chosen);
  }
  return named;
}
