import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as vscode from 'vscode';
import { pages, quickstart, studio, trainedWithSeeds, until } from './support.js';
import type { EndToEndTest } from './support.js';

/** Adapters combined in the editor. */
export const COMBINE: readonly EndToEndTest[] = [
  ['adapters are combined: the page draws a preview, another with another weight, and writes', combines],
];

async function combines(): Promise<void> {
  const { combination, panel } = await studio();
  const folder = path.dirname(quickstart().fsPath);
  const adapters = await trainedWithSeeds([3, 4]);
  const rows = adapters.map((each) => ({ kind: 'item', folder: each }));
  await vscode.commands.executeCommand('peftStudio.refreshAdapters');
  await vscode.commands.executeCommand('peftStudio.combineAdapters', rows[0], rows);
  await until(() => combination.drawn() !== undefined, 'the page to draw a preview');
  const first = combination.drawn()!;
  assert.ok(first.modules > 0);
  const form = combination.form()!;
  assert.deepEqual(form.parts, [
    { folder: adapters[0], weight: 1 },
    { folder: adapters[1], weight: 1 },
  ]);

  const parts = form.parts.map((part, at) => ({ ...part, weight: at === 0 ? 1 : -0.5 }));
  combination.change({ ...form, parts, keep: 'rank', rank: 2 });
  await until(() => combination.drawn()!.number > first.number, 'the page to draw a preview of the other weight');
  assert.equal(combination.drawn()!.modules, first.modules);

  const out = path.join(folder, 'runs/combined');
  // It asks what to do with the adapter when that is there.
  void combination.write(out);
  const config = path.join(out, 'adapter_config.json');
  const written = async (): Promise<boolean> =>
    vscode.workspace.fs.stat(vscode.Uri.file(config)).then(
      () => true,
      () => false,
    );
  await until(written, 'the adapter to be written');
  const { r } = JSON.parse(await readFile(config, 'utf8')) as { readonly r: number };
  assert.equal(r, 2);
  assert.match(await readFile(path.join(out, 'README.md'), 'utf8'), /^- -0\.5 × /m);

  await vscode.window.tabGroups.close(pages('peftStudio.combine'));
  await until(() => combination.drawn() === undefined, 'the page to close');
  assert.equal(panel.errors(), 0);
}
