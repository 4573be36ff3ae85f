// What the extension costs in a real VS Code: activation, memory of the extension host, completion and diagnostics while
// the machine is idle and while a run uses every core.
//
//   node build.mjs --production && node test/e2e/run.mjs bench/editor.ts       (PEFT_STUDIO_VSCODE, CS_DIR as for the tests)
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import * as vscode from 'vscode';
import type { PeftStudioApi } from '../src/extension.js';
import { isGoing } from '../src/engines/runState.js';

const REPETITIONS = 100;
const LINES = 300;
const MIB = 2 ** 20;

/** Called by VS Code in its extension host. */
export async function run(): Promise<void> {
  const before = process.memoryUsage();
  const extension = vscode.extensions.getExtension<PeftStudioApi>('peft-studio.peft-studio');
  if (extension === undefined) throw new Error('the extension is not installed');
  // A workspace with run files activates it when the window opens; otherwise this does.
  const wasActive = extension.isActive;
  const began = performance.now();
  const { runs } = await extension.activate();
  console.log(
    wasActive
      ? 'activation: done before the bench began; see “Developer: Show Running Extensions”'
      : `activation: ${(performance.now() - began).toFixed(1)} ms (load and activate)`,
  );
  memory('after activation', before);

  const folder = vscode.workspace.workspaceFolders![0]!.uri.fsPath;
  const file = vscode.Uri.file(path.join(folder, 'examples/quickstart/bench.peft.yaml'));
  await writeFile(file.fsPath, runFile());
  const editor = await vscode.window.showTextDocument(file);
  const first = performance.now();
  await complete(editor);
  console.log(`first completion, what knows run files loaded: ${(performance.now() - first).toFixed(0)} ms`);
  await measure(editor, 'idle');
  memory('with a run file open', before);

  const quickstart = vscode.Uri.file(path.join(folder, 'examples/quickstart/long.peft.yaml'));
  const text = await vscode.workspace.fs.readFile(
    vscode.Uri.file(path.join(folder, 'examples/quickstart/quickstart.peft.yaml')),
  );
  const long = Buffer.from(text)
    .toString('utf8')
    .replace(/num_train_epochs: .*/, 'num_train_epochs: 500');
  await writeFile(quickstart.fsPath, long);
  const training = vscode.commands.executeCommand('peftStudio.train', quickstart);
  while (!runs.events().some(({ type }) => type === 'step')) await sleep(50);
  await vscode.window.showTextDocument(editor.document);
  await measure(
    await vscode.window.showTextDocument(editor.document, vscode.ViewColumn.One),
    'while a run trains',
  );
  memory('while a run trains', before);
  if (isGoing(runs.state())) await vscode.commands.executeCommand('peftStudio.stop');
  await training;
}

async function complete(editor: vscode.TextEditor): Promise<void> {
  const at = new vscode.Position(11, 2);
  const { items } = await vscode.commands.executeCommand<vscode.CompletionList>(
    'vscode.executeCompletionItemProvider',
    editor.document.uri,
    at,
  );
  if (items.length === 0) throw new Error('no suggestions came');
}

/** Time until what was typed is known to be wrong, or right again: debounced, as a person sees it. */
async function diagnose(editor: vscode.TextEditor, wrong: boolean): Promise<void> {
  const { document } = editor;
  const isWrong = (): boolean =>
    vscode.languages.getDiagnostics(document.uri).some(({ code }) => code === 'config.unknown-key');
  const line = document.lineAt(document.lineCount - 2);
  const seen = new Promise<void>((resolve) => {
    const following = vscode.languages.onDidChangeDiagnostics(({ uris }) => {
      if (!uris.some((uri) => uri.toString() === document.uri.toString()) || isWrong() !== wrong) return;
      following.dispose();
      resolve();
    });
  });
  await editor.edit((edit) => edit.replace(line.range, wrong ? '  seeed: 1' : '  seed: 1'));
  await seen;
}

async function measure(editor: vscode.TextEditor, when: string): Promise<void> {
  const completions: number[] = [];
  const diagnostics: number[] = [];
  for (let at = 0; at < REPETITIONS; at++) {
    const began = performance.now();
    await complete(editor);
    completions.push(performance.now() - began);
  }
  for (let at = 0; at < REPETITIONS; at++) {
    const began = performance.now();
    await diagnose(editor, at % 2 === 0);
    diagnostics.push(performance.now() - began);
  }
  if (REPETITIONS % 2 === 1) await diagnose(editor, false);
  console.log(`${when}: completion ${quantiles(completions)}; from typing to the marks ${quantiles(diagnostics)}`);
}

function quantiles(times: readonly number[]): string {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number): string => sorted[Math.floor(share * (sorted.length - 1))]!.toFixed(0);
  return `p50 ${at(0.5)} ms, p95 ${at(0.95)} ms`;
}

function memory(when: string, before: NodeJS.MemoryUsage): void {
  const { rss, heapUsed } = process.memoryUsage();
  const since = (now: number, then: number): string =>
    `${now >= then ? '+' : ''}${((now - then) / MIB).toFixed(0)}`;
  console.log(
    `extension host ${when}: ${(rss / MIB).toFixed(0)} MiB resident (${since(rss, before.rss)}), heap ${(heapUsed / MIB).toFixed(0)} MiB (${since(heapUsed, before.heapUsed)})`,
  );
}

/** A run file of so many lines, with a rank for many modules. */
function runFile(): string {
  const lines = [
    'model: ../base-model/peft-studio-tiny',
    'data:',
    '  train: train.jsonl',
    'method:',
    '  type: lora',
  ];
  lines.push(
    '  r: 8',
    '  lora_alpha: 16',
    '  target_modules: all-linear',
    '  lora_dropout: 0',
    '  bias: none',
    '  ',
    '  ',
  );
  lines.push('  rank_pattern:');
  for (let at = 0; lines.length < LINES - 3; at++) {
    lines.push(
      `    ${at < 5 ? `model.layers.${at}.self_attn.q_proj` : `'layers\\.${at % 5}\\..*q_proj(|${at})'`}: ${(at % 8) + 1}`,
    );
  }
  lines.push('training:', '  max_steps: 10', '  seed: 1', '');
  return lines.join('\n');
}
