import * as l10n from '@vscode/l10n';
import path from 'node:path';
import * as vscode from 'vscode';
import { MERGE_RECORD } from '../../adapters/merging/mergeRecord.js';
import type { Suspect } from './library.js';

/** Other people's packages are full of configs that are not this workspace's work. */
const EXCLUDED = '**/{node_modules,.git,.venv,venv,site-packages,__pycache__}/**';
/** More than anybody has; a pattern that finds more found something else. */
const MAX_FOUND = 20_000;
/** Names with an ending, which are files' as a rule; `Llama-3.2-1B` has none. */
const FILE = /\.[A-Za-z]\w*$/;
/** What changes within this is read once. */
const GATHER_MS = 400;
/** A run of another window, or one whose files are not watched, is looked at this often while it runs. */
const POLL_MS = 5000;

const PATTERNS: readonly { readonly glob: string; readonly kind: Suspect['kind'] }[] = [
  { glob: '**/adapter_config.json', kind: 'adapter' },
  { glob: '**/events.jsonl', kind: 'run' },
  { glob: `**/${MERGE_RECORD}`, kind: 'merged' },
];

/** Searches the workspace for folders of adapters and runs. */
export async function findSuspects(output: vscode.LogOutputChannel): Promise<Suspect[]> {
  const found = await Promise.all(
    PATTERNS.map(async ({ glob, kind }) => {
      const uris = await vscode.workspace.findFiles(glob, EXCLUDED, MAX_FOUND);
      if (uris.length === MAX_FOUND)
        output.warn(l10n.t`More than ${MAX_FOUND} files match ${glob}: the explorer shows so many.`);
      return uris.filter(isOnDisk).map((uri): Suspect => ({ kind, folder: path.dirname(uri.fsPath) }));
    }),
  );
  return found.flat();
}

/** Tells what changes on disk. */
export function watchSuspects(on: {
  /** Folders to look at again. */
  readonly changed: (suspects: readonly Suspect[]) => void;
  /** A file or folder is gone, with everything below it. */
  readonly deleted: (folder: string) => void;
  readonly foldersChanged: (removed: readonly string[]) => void;
  /** Runs that are going as far as is known. */
  readonly running: () => readonly Suspect[];
}): vscode.Disposable & { readonly touch: (suspect: Suspect) => void } {
  const waiting = new Map<string, Suspect>();
  let timer: NodeJS.Timeout | undefined;

  function suspect(kind: Suspect['kind'], folder: string): void {
    waiting.set(`${kind}:${folder}`, { kind, folder });
    timer ??= setTimeout(() => {
      timer = undefined;
      const suspects = [...waiting.values()];
      waiting.clear();
      on.changed(suspects);
    }, GATHER_MS);
  }

  const watchers = [...PATTERNS, { glob: '**/adapter_model.safetensors', kind: 'adapter' as const }].map(
    ({ glob, kind }) => {
      const watcher = vscode.workspace.createFileSystemWatcher(glob);
      const touch = (uri: vscode.Uri): void => {
        if (isOnDisk(uri)) suspect(kind, path.dirname(uri.fsPath));
      };
      watcher.onDidCreate(touch);
      watcher.onDidChange(touch);
      watcher.onDidDelete(touch);
      return watcher;
    },
  );
  // A folder that is deleted or moved here is told of alone, without the files in it.
  const folders = vscode.workspace.createFileSystemWatcher('**/*', false, true, false);
  folders.onDidDelete((uri) => {
    if (isOnDisk(uri)) on.deleted(uri.fsPath);
  });
  folders.onDidCreate((uri) => {
    if (!isOnDisk(uri) || FILE.test(uri.fsPath) || /[\\/](?:node_modules|\.git)[\\/]/.test(uri.fsPath)) return;
    suspect('adapter', uri.fsPath);
    suspect('run', uri.fsPath);
    suspect('merged', uri.fsPath);
  });
  const poll = setInterval(() => {
    const running = on.running();
    if (running.length > 0) on.changed(running);
  }, POLL_MS);

  const all = vscode.Disposable.from(
    ...watchers,
    folders,
    vscode.workspace.onDidChangeWorkspaceFolders(({ removed }) =>
      on.foldersChanged(removed.map(({ uri }) => uri.fsPath)),
    ),
    {
      dispose() {
        clearTimeout(timer);
        clearInterval(poll);
      },
    },
  );
  return { touch: ({ kind, folder }) => suspect(kind, folder), dispose: () => void all.dispose() };
}

function isOnDisk({ scheme }: vscode.Uri): boolean {
  return scheme === 'file';
}
