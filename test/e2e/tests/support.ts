import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as vscode from 'vscode';
import type { PeftStudioApi } from '../../../src/extension.js';

/** A test by its name. */
export type EndToEndTest = readonly [name: string, test: () => Promise<void>];

/** Generous: a machine that runs other things too trains slowly. */
const RUN_LIMIT_MS = 200_000;

/** Our entries of the Problems view for a file. */
export function marks(file: vscode.Uri): vscode.Diagnostic[] {
  return vscode.languages.getDiagnostics(file).filter(({ source }) => source === 'PEFT Studio');
}

/** The extension, active. */
export async function studio(): Promise<PeftStudioApi> {
  const extension = vscode.extensions.getExtension<PeftStudioApi>('peft-studio.peft-studio');
  assert.ok(extension, 'the extension is installed');
  return extension.activate();
}

/** The example's run file in the workspace. */
export function quickstart(): vscode.Uri {
  const folder = vscode.workspace.workspaceFolders?.[0];
  assert.ok(folder, 'a folder is open');
  return vscode.Uri.joinPath(folder.uri, 'examples', 'quickstart', 'quickstart.peft.yaml');
}

/** Runs the command; it settles when the worker's process has ended. */
export async function train(): Promise<void> {
  const late = sleep(RUN_LIMIT_MS, 'late', { ref: false });
  const ended = await Promise.race([vscode.commands.executeCommand('peftStudio.train').then(() => 'ended'), late]);
  assert.equal(ended, 'ended', `the run did not end within ${RUN_LIMIT_MS / 1000} s`);
}

/** Trains the example for two steps with each seed; the adapters' folders. */
export async function trainedWithSeeds(seeds: readonly number[]): Promise<string[]> {
  const { runs } = await studio();
  const folder = path.dirname(quickstart().fsPath);
  const text = await readFile(quickstart().fsPath, 'utf8');
  const adapters: string[] = [];
  for (const seed of seeds) {
    const file = path.join(folder, `seed-${seed}.peft.yaml`);
    await writeFile(
      file,
      text.replace(/num_train_epochs: .*/, 'max_steps: 2').replace(/seed: .*/, `seed: ${seed}`),
    );
    await vscode.window.showTextDocument(vscode.Uri.file(file));
    await train();
    const state = runs.state();
    assert.ok(state.kind === 'finished' && state.result.adapter !== undefined);
    adapters.push(state.result.adapter);
  }
  return adapters;
}

/** The open tabs that hold pages of a kind. */
export function pages(viewType: string): vscode.Tab[] {
  return vscode.window.tabGroups.all
    .flatMap(({ tabs }) => tabs)
    .filter(({ input }) => input instanceof vscode.TabInputWebview && input.viewType.endsWith(viewType));
}

/** Waits until something holds, so many milliseconds at most. */
export async function until(holds: () => boolean | Promise<boolean>, what: string, limit = 20_000): Promise<void> {
  const end = Date.now() + limit;
  while (!(await holds())) {
    if (Date.now() > end) assert.fail(`waited ${limit / 1000} s for ${what}`);
    await sleep(50);
  }
}
