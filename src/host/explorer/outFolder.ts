import * as l10n from '@vscode/l10n';
import path from 'node:path';
import * as vscode from 'vscode';
import { pathKind } from '../../common/files.js';
import { freeName } from './freeName.js';

/**
 * Asks for a folder or file that is to be written; it must not exist yet. Undefined: that was cancelled.
 * @param wanted what is offered, or a name like it that is free
 */
export async function askOutFolder(title: string, wanted: string, prompt: string): Promise<string | undefined> {
  const out = await vscode.window.showInputBox({
    title,
    value: await freeName(wanted),
    prompt,
    ignoreFocusOut: true,
    validateInput: async (value) => {
      if (!path.isAbsolute(value.trim())) return l10n.t`An absolute path is needed.`;
      return (await pathKind(value.trim())) === 'nothing'
        ? undefined
        : l10n.t`This exists already: choose another name.`;
    },
  });
  return out?.trim();
}
