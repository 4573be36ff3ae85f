import assert from 'node:assert/strict';
import { cp, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as vscode from 'vscode';
import { quickstart, studio, train, until } from './support.js';
import type { EndToEndTest } from './support.js';

/** Adapters that do not load, mended in the editor. */
export const REPAIR: readonly EndToEndTest[] = [
  ['the faults of an adapter are shown, and a repaired copy of it is written', repairs],
];

async function repairs(): Promise<void> {
  const { runs } = await studio();
  const folder = path.dirname(quickstart().fsPath);
  const file = path.join(folder, 'sound.peft.yaml');
  const text = await readFile(quickstart().fsPath, 'utf8');
  await writeFile(file, text.replace(/num_train_epochs: .*/, 'max_steps: 2'));
  await vscode.window.showTextDocument(vscode.Uri.file(file));
  await train();
  const state = runs.state();
  assert.ok(state.kind === 'finished' && state.result.adapter !== undefined);
  const faulty = path.join(folder, 'runs/faulty');
  await cp(state.result.adapter, faulty, { recursive: true });
  const { r, ...others } = await configOf(faulty);
  assert.equal(typeof r, 'number');
  await writeFile(path.join(faulty, 'adapter_config.json'), JSON.stringify({ ...others, r: Number(r) + 1 }));

  await vscode.commands.executeCommand('peftStudio.refreshAdapters');
  await vscode.commands.executeCommand('notifications.clearAll');
  // It ends when its last message is gone.
  void vscode.commands.executeCommand('peftStudio.repairAdapter', { kind: 'item', folder: faulty });
  await until(() => faults() !== undefined, 'the faults to be shown');
  assert.match(faults()!, new RegExp(`adapter\\.rank[^]*q_proj: r ${Number(r) + 1} → ${String(r)}`));

  // Its button is pressed once: the next message is that of the work, whose button cancels it.
  await sleep(1500);
  await vscode.commands.executeCommand('notification.acceptPrimaryAction');
  const copy = `${faulty}-repaired`;
  await until(async () => {
    await vscode.commands.executeCommand('workbench.action.acceptSelectedQuickOpenItem');
    return stat(copy).then(
      () => true,
      () => false,
    );
  }, 'the copy to be written');
  assert.equal((await configOf(copy))['r'], r);
  assert.equal((await configOf(faulty))['r'], Number(r) + 1);
  await vscode.commands.executeCommand('notifications.clearAll');
}

async function configOf(folder: string): Promise<Readonly<Record<string, unknown>>> {
  return JSON.parse(await readFile(path.join(folder, 'adapter_config.json'), 'utf8')) as Record<string, unknown>;
}

function faults(): string | undefined {
  return vscode.workspace.textDocuments.find(({ uri }) => uri.path.endsWith('Faults of faulty.txt'))?.getText();
}
