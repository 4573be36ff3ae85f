import * as l10n from '@vscode/l10n';
import path from 'node:path';
import * as vscode from 'vscode';
import type { Entry } from './library.js';

/**
 * The base model as commands take it; `model` is undefined where the adapter's own config says it well enough. Where
 * it is not found, it is asked for. Undefined: that was cancelled.
 */
export async function baseArgument({ item, base }: Entry): Promise<{ readonly model?: string } | undefined> {
  // An id of the hub may name a revision: only the config has it.
  if (item.base !== undefined && (base.remote || base.key === item.base)) return {};
  if (base.key !== '' && !path.isAbsolute(base.key) && (base.remote || base.place !== undefined)) {
    return item.base?.startsWith(base.key) === true ? {} : { model: base.key };
  }
  if (base.place !== undefined) return { model: base.place };
  const model = await askForBase(
    item.base === undefined
      ? l10n.t`The base model is not named: where is it?`
      : l10n.t`The base model "${item.base}" is not found: where is it?`,
  );
  return model === undefined ? undefined : { model };
}

/** Asks for a base model: a folder, or a GGUF file. Undefined: that was cancelled. */
export async function askForBase(title: string): Promise<string | undefined> {
  const chosen = await vscode.window.showOpenDialog({
    title,
    openLabel: l10n.t`Use as Base Model`,
    canSelectFiles: true,
    canSelectFolders: true,
    filters: { [l10n.t`GGUF model`]: ['gguf'], [l10n.t`All files`]: ['*'] },
  });
  const [uri] = chosen ?? [];
  return uri?.fsPath;
}
