import * as vscode from 'vscode';
import { settingValue } from '../config/settings.js';
import type { Settings } from '../config/settings.js';

/** A setting's present value; its type and default are those of the definition. */
export function setting<Name extends keyof Settings>(name: Name): Settings[Name] {
  return settingValue(name, vscode.workspace.getConfiguration().get<unknown>(name));
}

/** Bytes that a run may take at most; undefined where the user sets no limit. */
export function memoryLimit(): number | undefined {
  const gigabytes = setting('peftStudio.memoryLimit');
  return gigabytes === null ? undefined : gigabytes * 1024 ** 3;
}
