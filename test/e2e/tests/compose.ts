import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as vscode from 'vscode';
import type { HubRecord } from '../../../src/engines/composition/record.js';
import { quickstart, studio, train, until } from './support.js';
import type { EndToEndTest } from './support.js';

/** Adapters mixed for a task in the editor. */
export const COMPOSE: readonly EndToEndTest[] = [
  ['a mixture of adapters is searched for, stopped, written, and shown again', composes],
];

async function composes(): Promise<void> {
  const { composition, panel, runs } = await studio();
  const folder = path.dirname(quickstart().fsPath);
  const text = await readFile(quickstart().fsPath, 'utf8');
  const adapters: string[] = [];
  for (const seed of [1, 2]) {
    const file = path.join(folder, `part-${seed}.peft.yaml`);
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
  const rows = (await readFile(path.join(folder, 'validation.jsonl'), 'utf8')).split('\n');
  const data = path.join(folder, 'five-rows.jsonl');
  await writeFile(data, `${rows.slice(0, 5).join('\n')}\n`);

  await vscode.commands.executeCommand('peftStudio.composeAdapters', { adapters, data, budget: 6 });
  await until(() => composition.drawn()?.trials === 6, 'the page to draw all trials');
  assert.deepEqual(composition.drawn(), { trials: 6, state: 'ended', out: undefined });
  const out = path.join(folder, 'runs/mixture');
  await composition.write(out);
  const record = JSON.parse(await readFile(path.join(out, 'lorahub.json'), 'utf8')) as HubRecord;
  assert.deepEqual(
    record.adapters.map((each) => each.folder),
    adapters,
  );
  assert.equal(composition.drawn()?.out, out);

  // One that is stopped keeps what it has tried.
  const running = vscode.commands.executeCommand('peftStudio.composeAdapters', {
    adapters,
    data,
    budget: 5000,
  });
  await until(() => (composition.drawn()?.trials ?? 0) > 10 && composition.drawn()?.state === 'running', 'trials');
  composition.stop();
  await running;
  assert.equal(composition.drawn()?.state, 'stopped');
  await composition.write(path.join(folder, 'runs/stopped-mixture'));
  const stopped = await readFile(path.join(folder, 'runs/stopped-mixture/README.md'), 'utf8');
  assert.match(stopped, /The search was stopped after \d+ of 5000 trials/);

  await vscode.window.tabGroups.close(pages());
  await until(() => composition.drawn() === undefined, 'the page to close');
  await vscode.commands.executeCommand('peftStudio.showMixture', { kind: 'item', folder: out });
  await until(() => composition.drawn()?.trials === 6, 'the page to draw the search of the past');
  assert.equal(composition.drawn()?.out, out);
  await vscode.window.tabGroups.close(pages());
  assert.equal(panel.errors(), 0);
}

function pages(): vscode.Tab[] {
  return vscode.window.tabGroups.all
    .flatMap(({ tabs }) => tabs)
    .filter(
      ({ input }) => input instanceof vscode.TabInputWebview && input.viewType.endsWith('peftStudio.compose'),
    );
}
