import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as vscode from 'vscode';
import type { MethodComparison } from '../../../src/engines/compareMethods/comparison.js';
import { pages, quickstart, studio, until } from './support.js';
import type { EndToEndTest } from './support.js';

/** Methods compared in the editor. */
export const METHODS: readonly EndToEndTest[] = [
  ['methods are compared on a run file, the page draws them, and draws them again', comparesMethods],
];

async function comparesMethods(): Promise<void> {
  const { methods, panel } = await studio();
  const folder = path.dirname(quickstart().fsPath);
  const file = vscode.Uri.file(path.join(folder, 'methods.peft.yaml'));
  const text = await readFile(quickstart().fsPath, 'utf8');
  await writeFile(file.fsPath, text.replace(/num_train_epochs: .*/, 'max_steps: 2'));
  await vscode.commands.executeCommand('peftStudio.compareMethods', file, [
    '--methods=lora,ia3,bitfit',
    '--seeds=2',
  ]);
  await until(() => methods.drawn()?.done === 4, 'the page to draw all runs');
  assert.equal(methods.drawn()?.methods, 3);

  const out = path.join(folder, 'runs/methods-compare-methods');
  const found = JSON.parse(await readFile(path.join(out, 'results.json'), 'utf8')) as MethodComparison;
  assert.deepEqual(
    found.methods.map(({ method, state }) => [method, state]),
    [
      ['lora', 'done'],
      ['ia3', 'done'],
      ['bitfit', 'refused'],
    ],
  );
  assert.deepEqual(found.args, ['--methods=lora,ia3,bitfit', '--seeds=2']);

  await vscode.window.tabGroups.close(pages('peftStudio.methods'));
  await until(() => methods.drawn() === undefined, 'the page to close');
  await vscode.commands.executeCommand('peftStudio.openMethodComparison');
  await until(() => methods.drawn()?.done === 4, 'the page to draw the comparison of the past');
  await vscode.window.tabGroups.close(pages('peftStudio.methods'));
  assert.equal(panel.errors(), 0);
}
