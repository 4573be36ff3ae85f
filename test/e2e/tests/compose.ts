import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as vscode from 'vscode';
import type { HubRecord } from '../../../src/engines/composition/record.js';
import { pages, quickstart, studio, trainedWithSeeds, until } from './support.js';
import type { EndToEndTest } from './support.js';

/** Adapters mixed for a task in the editor. */
export const COMPOSE: readonly EndToEndTest[] = [
  ['a mixture of adapters is searched for, stopped, written, and shown again', composes],
];

async function composes(): Promise<void> {
  const { composition, panel } = await studio();
  const folder = path.dirname(quickstart().fsPath);
  const adapters = await trainedWithSeeds([1, 2]);
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

  await vscode.window.tabGroups.close(pages('peftStudio.compose'));
  await until(() => composition.drawn() === undefined, 'the page to close');
  await vscode.commands.executeCommand('peftStudio.showMixture', { kind: 'item', folder: out });
  await until(() => composition.drawn()?.trials === 6, 'the page to draw the search of the past');
  assert.equal(composition.drawn()?.out, out);
  await vscode.window.tabGroups.close(pages('peftStudio.compose'));
  assert.equal(panel.errors(), 0);
}
