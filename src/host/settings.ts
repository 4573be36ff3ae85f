import * as vscode from 'vscode';
import { Settings } from '../config/settings.js';

/** A setting's present value; its type and default are those of the definition. */
export function setting<Name extends keyof Settings>(name: Name): Settings[Name] {
  const fallback = Settings.properties[name].default as Settings[Name];
  return vscode.workspace.getConfiguration().get<Settings[Name]>(name, fallback);
}
