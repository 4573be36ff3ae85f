import { readFile } from 'node:fs/promises';
import os from 'node:os';
import * as vscode from 'vscode';
import packageJson from '../../package.json' with { type: 'json' };
import { isJsonObject } from '../common/json.js';
import type { Json } from '../common/json.js';
import type { Problem } from '../common/problem.js';
import { SETTING_NAMES } from '../config/settings.js';
import { diagnosticsText } from '../engines/diagnostics.js';
import { secretsOf } from '../engines/redact.js';
import { RUN_FILE } from './runFiles.js';
import type { Runs } from './runs.js';

/** Registers Collect Diagnostics: one document, not saved anywhere, for a report. */
export function registerCollectDiagnostics(extensionUri: vscode.Uri, runs: Runs): vscode.Disposable {
  return vscode.commands.registerCommand('peftStudio.collectDiagnostics', async () => {
    const configuration = vscode.workspace.getConfiguration();
    const [processor] = os.cpus();
    const content = diagnosticsText({
      time: new Date(),
      versions: [
        ['PEFT Studio', packageJson.version],
        [vscode.env.appName, vscode.version],
        ['Node', process.versions.node],
        ['Electron', process.versions['electron'] ?? 'none'],
        ['onnxruntime-node', await versionOf(extensionUri, 'onnxruntime-node')],
        ['Remote', vscode.env.remoteName ?? 'none'],
        ['Workspace', vscode.workspace.isTrusted ? 'trusted' : 'not trusted'],
      ],
      machine: {
        system: `${os.platform()} ${os.release()} ${os.arch()}`,
        processor: processor?.model ?? 'unknown',
        cores: os.availableParallelism(),
        memory: os.totalmem(),
        free: os.freemem(),
      },
      settings: Object.fromEntries(SETTING_NAMES.map((name) => [name, configuration.get<unknown>(name)])),
      run: runs.state(),
      events: runs.events(),
      problems: problemsShown(),
      home: os.homedir(),
      secrets: secretsOf(process.env),
    });
    await vscode.window.showTextDocument(
      await vscode.workspace.openTextDocument({ language: 'markdown', content }),
    );
  });
}

/** What the editor shows of run files. */
function problemsShown(): Problem[] {
  return vscode.languages
    .getDiagnostics()
    .filter(([uri]) => RUN_FILE.test(uri.path))
    .flatMap(([uri, diagnostics]) =>
      diagnostics.map(({ message, severity, range, code }) => ({
        code: typeof code === 'object' ? String(code.value) : String(code ?? 'none'),
        message,
        severity: severity === vscode.DiagnosticSeverity.Error ? ('error' as const) : ('warning' as const),
        where: { file: uri.fsPath, line: range.start.line + 1 },
      })),
    );
}

/** A package's version; the package itself is not loaded. */
async function versionOf(extensionUri: vscode.Uri, name: string): Promise<string> {
  const file = vscode.Uri.joinPath(extensionUri, 'node_modules', name, 'package.json').fsPath;
  try {
    const found = JSON.parse(await readFile(file, 'utf8')) as Json;
    return isJsonObject(found) ? String(found['version']) : 'unknown';
  } catch {
    return 'not found';
  }
}
