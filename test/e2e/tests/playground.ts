import assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { quickstart, studio, until } from './support.js';
import type { EndToEndTest } from './support.js';

/** The playground, from the command to drawn answers. */
export const PLAYGROUND: readonly EndToEndTest[] = [
  ['the playground lets base and adapter answer side by side', answersSideBySide],
  ['a whole model, as GaLore and LISA leave one, answers as a base', answersOfModel],
];

async function answersSideBySide(): Promise<void> {
  const { playground } = await studio();
  const runs = vscode.Uri.joinPath(quickstart(), '..', 'runs', 'quickstart');
  const adapters = await vscode.workspace.findFiles(
    new vscode.RelativePattern(runs, '*/adapter/adapter_config.json'),
  );
  assert.ok(adapters[0], 'the tests of runs before this one left an adapter');
  await vscode.commands.executeCommand('peftStudio.openPlayground', vscode.Uri.joinPath(adapters[0], '..'));
  const options = { max_new_tokens: 12, temperature: 0.8, seed: 1 };
  playground.ask('In the beginning', options);
  await until(() => playground.answers() !== undefined, 'the page to draw the answers');
  const first = playground.answers()!;
  assert.deepEqual([...first.keys()].sort(), ['A', 'base']);
  for (const { text, tokens } of first.values()) assert.ok(text.trim() !== '' && tokens > 0, JSON.stringify(text));
  assert.equal(playground.errors(), 0, 'the page reported errors: see the output channel');
}

async function answersOfModel(): Promise<void> {
  const { playground } = await studio();
  const model = vscode.Uri.joinPath(quickstart(), '../../base-model/peft-studio-mini');
  await vscode.commands.executeCommand('peftStudio.openPlayground', model);
  playground.ask('In the end', { max_new_tokens: 4, temperature: 0, seed: 1 });
  const isAnswered = (): boolean => [...(playground.answers()?.keys() ?? [])].join() === 'base';
  await until(isAnswered, 'the model to answer alone');
  assert.equal(playground.errors(), 0, 'the page reported errors: see the output channel');
}
