import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as vscode from 'vscode';
import { marks, quickstart, studio, train, until } from './support.js';
import type { EndToEndTest } from './support.js';

const MODEL = '../base-model/peft-studio-tiny';

/** What the editor knows of run files, through its own commands. */
export const LANGUAGE: readonly EndToEndTest[] = [
  ['a run file completes: methods, options, modules of its model; in YAML, braces and JSON', completes],
  ['a suggestion that is accepted is written where it belongs', accepts],
  ['hovers tell an option, a method and what a pattern matches', hovers],
  ['mistakes are marked while they are typed, and mended by their quick fix', marksAndMends],
  ['a failed run says no mistake twice', saysNothingTwice],
  ['lenses: the actions, and how much the method trains', lenses],
  ['outline, folding and layout', laysOut],
];

/** A run file that is open in the editor, with the cursor's mark `|` taken out. */
async function opened(name: string, marked: string): Promise<{ editor: vscode.TextEditor; at: vscode.Position }> {
  await studio();
  const file = vscode.Uri.file(path.join(path.dirname(quickstart().fsPath), name));
  await writeFile(file.fsPath, marked.replace('|', ''));
  const editor = await vscode.window.showTextDocument(file);
  const at = editor.document.positionAt(Math.max(0, marked.indexOf('|')));
  editor.selection = new vscode.Selection(at, at);
  return { editor, at };
}

const labelOf = ({ label }: vscode.CompletionItem): string => (typeof label === 'string' ? label : label.label);

async function suggestions(name: string, marked: string): Promise<readonly vscode.CompletionItem[]> {
  const { editor, at } = await opened(name, marked);
  const list = await vscode.commands.executeCommand<vscode.CompletionList>(
    'vscode.executeCompletionItemProvider',
    editor.document.uri,
    at,
  );
  return list.items;
}

async function completes(): Promise<void> {
  const head = `model: ${MODEL}\ndata: { train: train.jsonl }\n`;
  const methods = await suggestions('methods.peft.yaml', `${head}method:\n  type: |\n`);
  const lora = methods.find((item) => labelOf(item) === 'lora');
  assert.ok(lora && typeof lora.label !== 'string', 'lora is offered, with a description in its row');
  assert.equal(lora.label.description, 'low-rank › plain: LoRA');
  for (const [name, marked] of [
    ['block.peft.yaml', `${head}method:\n  type: lora\n  |\n  r: 8\n`],
    ['braces.peft.yaml', `${head}method: { type: lora, |, r: 8 }\n`],
    ['keys.peft.json', `{ "model": "${MODEL}", "method": { "type": "lora", "|", "r": 8 } }`],
  ] as const) {
    const labels = (await suggestions(name, marked)).map(labelOf);
    assert.ok(labels.includes('target_modules'), `${name}: ${labels.join(', ')}`);
    assert.ok(!labels.includes('r') && !labels.includes('init_r'), `${name}: ${labels.join(', ')}`);
    assert.equal(new Set(labels).size, labels.length, `${name}: nothing is offered twice`);
  }
  const modules = await suggestions('modules.peft.yaml', `${head}method: { type: lora, target_modules: [|] }\n`);
  const query = modules.find((item) => labelOf(item) === 'q_proj');
  assert.ok(query && typeof query.label !== 'string' && query.label.description !== undefined);
}

async function accepts(): Promise<void> {
  const { editor } = await opened(
    'accept.peft.yaml',
    'model: a\nmethod:\n  - type: lora\n    rank_p|\n    r: 8\n',
  );
  await vscode.commands.executeCommand('editor.action.triggerSuggest');
  await until(async () => {
    await vscode.commands.executeCommand('acceptSelectedSuggestion');
    return editor.document.getText().includes('rank_pattern');
  }, 'the suggestion to be accepted');
  assert.match(editor.document.getText(), /\n {4}rank_pattern:\n {6}\n {4}r: 8\n/);
  await vscode.workspace.saveAll();
}

async function hovers(): Promise<void> {
  const text = `model: ${MODEL}\nmethod: { type: lora, r: 8, target_modules: [q_proj] }\n`;
  for (const [word, expected] of [
    [' r:', /Rank of the update.*Default.*Hu et al/s],
    ['lora', /LoRA.*arxiv/s],
    ['q_proj', /q_proj/],
  ] as const) {
    const { editor, at } = await opened('hover.peft.yaml', text.replace(word, `${word[0]}|${word.slice(1)}`));
    const found = await vscode.commands.executeCommand<vscode.Hover[]>(
      'vscode.executeHoverProvider',
      editor.document.uri,
      at,
    );
    const shown = found.flatMap(({ contents }) =>
      contents.map((content) => (typeof content === 'string' ? content : content.value)),
    );
    assert.match(shown.join('\n'), expected, word);
  }
}

async function marksAndMends(): Promise<void> {
  for (const [name, text, mended] of [
    ['mend.peft.yaml', 'training:\n  sed: 1 # why\n', 'training:\n  seed: 1 # why\n'],
    ['mend.peft.json', '{ "training": { "sed": 1 } }', '{ "training": { "seed": 1 } }'],
  ] as const) {
    const { editor } = await opened(name, text.replace('sed', 'seed'));
    const { uri } = editor.document;
    const word = (): number => editor.document.getText().indexOf('se');
    await until(() => marks(uri).length > 0, 'the keys that are missing to be marked');
    assert.ok(!marks(uri).some(({ message }) => message.includes('sed`')));
    // What is typed is marked without being saved.
    await editor.edit((edit) => {
      const at = editor.document.positionAt(word() + 1);
      edit.delete(new vscode.Range(at, at.translate(0, 1)));
    });
    const ours = (): vscode.Diagnostic | undefined => marks(uri).find(({ code }) => code === 'config.unknown-key');
    await until(() => ours() !== undefined, 'the mistake to be marked');
    const actions = await vscode.commands.executeCommand<vscode.CodeAction[]>(
      'vscode.executeCodeActionProvider',
      uri,
      ours()!.range,
      vscode.CodeActionKind.QuickFix.value,
    );
    const preferred = actions.find(({ isPreferred }) => isPreferred);
    assert.ok(preferred?.edit, actions.map(({ title }) => title).join(', '));
    assert.ok(await vscode.workspace.applyEdit(preferred.edit));
    assert.equal(editor.document.getText(), mended);
    await until(() => ours() === undefined, 'the mark to go');
    await vscode.workspace.saveAll();
  }
}

async function saysNothingTwice(): Promise<void> {
  const { runs } = await studio();
  const { editor } = await opened(
    'twice.peft.yaml',
    `model: ${MODEL}\ndata: { train: train.jsonl }\nmethod: { type: lora, rnk: 1 }\n`,
  );
  const { uri } = editor.document;
  await until(() => marks(uri).length > 0, 'the mistake to be marked');
  await train();
  assert.equal(runs.state().kind, 'failed');
  const places = marks(uri).map(({ message, range }) => `${range.start.line}:${range.start.character} ${message}`);
  assert.equal(new Set(places).size, places.length, places.join('\n'));
  assert.equal(places.filter((each) => each.includes('rnk')).length, 1, places.join('\n'));
}

async function lenses(): Promise<void> {
  const { editor } = await opened(
    'lens.peft.yaml',
    `model: ${MODEL}\ndata: { train: train.jsonl }\nmethod: { type: lora, target_modules: [q_proj] }\n`,
  );
  const found = await vscode.commands.executeCommand<vscode.CodeLens[]>(
    'vscode.executeCodeLensProvider',
    editor.document.uri,
    100,
  );
  const titles = found.map(({ command, range }) => `${range.start.line} ${command?.title}`);
  for (const action of ['Train', 'Estimate', 'Preview data', 'Open panel']) {
    assert.ok(
      titles.some((title) => title.startsWith('0 ') && title.endsWith(action)),
      titles.join('\n'),
    );
  }
  assert.ok(
    titles.some((title) => /^2 [\d,]+ of [\d,]+ parameters train \(.*%\)$/.test(title)),
    titles.join('\n'),
  );
  const commands = new Set(await vscode.commands.getCommands(true));
  for (const { command } of found) assert.ok(command && commands.has(command.command), command?.command);
}

async function laysOut(): Promise<void> {
  const { editor } = await opened('layout.peft.yaml', 'model:   a # why\nmethod:\n    - type:   lora\n');
  const { uri } = editor.document;
  const symbols = await vscode.commands.executeCommand<vscode.DocumentSymbol[]>(
    'vscode.executeDocumentSymbolProvider',
    uri,
  );
  assert.deepEqual(
    symbols.map(({ name, children }) => [name, children.map((child) => child.name)]),
    [
      ['model', []],
      ['method', ['lora']],
    ],
  );
  const folds = await vscode.commands.executeCommand<vscode.FoldingRange[]>(
    'vscode.executeFoldingRangeProvider',
    uri,
  );
  assert.ok(folds.some(({ start }) => start === 1));
  const edits = await vscode.commands.executeCommand<vscode.TextEdit[]>(
    'vscode.executeFormatDocumentProvider',
    uri,
    {
      tabSize: 2,
      insertSpaces: true,
    },
  );
  const all = new vscode.WorkspaceEdit();
  all.set(uri, edits);
  assert.ok(await vscode.workspace.applyEdit(all));
  assert.equal(editor.document.getText(), 'model: a # why\nmethod:\n  - type: lora\n');
  await vscode.workspace.saveAll();
}
