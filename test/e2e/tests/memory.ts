import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as vscode from 'vscode';
import { marks, quickstart, studio, until } from './support.js';
import type { EndToEndTest } from './support.js';

/** Memory: what is told of a run before it starts. */
export const MEMORY: readonly EndToEndTest[] = [
  ['a run that needs more than the limit is marked, asked about, and mended by a quick fix', warnsAsksAndMends],
];

const TEXT = [
  'model: ../base-model/peft-studio-tiny',
  'data: { train: train.jsonl, max_length: 512 }',
  'method: { type: lora, target_modules: [q_proj] }',
  'training:',
  '  per_device_train_batch_size: 64 # large',
  '',
].join('\n');

/** Between what the run needs with a batch of 64 and with one of 1. */
const LIMIT_GB = 0.6;

async function warnsAsksAndMends(): Promise<void> {
  const { runs } = await studio();
  const file = vscode.Uri.file(path.join(path.dirname(quickstart().fsPath), 'memory.peft.yaml'));
  await writeFile(file.fsPath, TEXT);
  const settings = vscode.workspace.getConfiguration('peftStudio');
  await settings.update('memoryLimit', LIMIT_GB, vscode.ConfigurationTarget.Global);
  try {
    const editor = await vscode.window.showTextDocument(file);
    const ours = (): vscode.Diagnostic | undefined => marks(file).find(({ code }) => code === 'memory.too-large');
    await until(() => ours() !== undefined, 'the run to be marked as too large');
    assert.equal(editor.document.getText(ours()!.range), '64');

    await until(
      async () => (await lensTitles(file)).some((title) => /GiB at the peak .* allowed$/.test(title)),
      'the lens',
    );

    // Where tests run, the editor refuses to show a dialog, and says what it would have shown.
    await assert.rejects(
      Promise.resolve(vscode.commands.executeCommand('peftStudio.train', file)),
      /dialog.*memory may run out of memory/is,
    );
    assert.notEqual(runs.state().kind, 'starting');

    const actions = await vscode.commands.executeCommand<vscode.CodeAction[]>(
      'vscode.executeCodeActionProvider',
      file,
      ours()!.range,
      vscode.CodeActionKind.QuickFix.value,
    );
    const fixes = actions.filter(({ title }) => / saves \S+ [GMK]iB: /.test(title));
    assert.ok(fixes.length > 1, actions.map(({ title }) => title).join('\n'));
    const preferred = fixes.find(({ isPreferred }) => isPreferred);
    assert.ok(preferred?.edit);
    assert.match(preferred.title, /^Batch \d+ × \d+ saves .*then it fits/);
    assert.ok(await vscode.workspace.applyEdit(preferred.edit));
    assert.match(editor.document.getText(), /batch_size: \d # large\n {2}gradient_accumulation_steps: \d+\n$/);
    await until(() => ours() === undefined, 'the mark to go');
    await vscode.workspace.saveAll();
  } finally {
    await settings.update('memoryLimit', undefined, vscode.ConfigurationTarget.Global);
  }
}

async function lensTitles(file: vscode.Uri): Promise<readonly string[]> {
  const lenses = await vscode.commands.executeCommand<vscode.CodeLens[]>(
    'vscode.executeCodeLensProvider',
    file,
    100,
  );
  return lenses.map(({ command }) => command?.title ?? '');
}
