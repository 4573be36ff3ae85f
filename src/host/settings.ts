import * as vscode from 'vscode';
import { settingValue } from '../config/settings.js';
import type { Settings } from '../config/settings.js';

/** A setting's present value; its type and default are those of the definition. */
export function setting<Name extends keyof Settings>(name: Name): Settings[Name] {
  return settingValue(name, vscode.workspace.getConfiguration().get<unknown>(name));
}
