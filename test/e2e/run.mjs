// Runs the end-to-end tests in a real VS Code: `node test/e2e/run.mjs [ENTRY]`, after `node build.mjs`; or another entry
// that exports `run`, such as bench/editor.ts.
// PEFT_STUDIO_VSCODE names the executable (test/e2e/vscodeShim.mjs where no desktop VS Code can be had); without it
// @vscode/test-electron downloads one. E2E_ONLY: a pattern of the names of the tests to run.
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { runTests } from '@vscode/test-electron';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), 'peft-e2e-'));
const workspace = path.join(folder, 'workspace');

// The workspace is a copy of the example, so that its runs do not end up in the repository.
mkdirSync(workspace);
cpSync(path.join(root, 'examples'), path.join(workspace, 'examples'), {
  recursive: true,
  filter: (source) => path.basename(source) !== 'runs',
});

// The tests run in the extension host, which loads CommonJS.
const tests = path.join(folder, 'tests.cjs');
await build({
  entryPoints: [path.resolve(process.argv[2] ?? path.join(root, 'test/e2e/tests/all.ts'))],
  outfile: tests,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  external: ['vscode'],
  logLevel: 'warning',
  // The extension host of a server does not get our environment.
  define: { E2E_ONLY: JSON.stringify(process.env.E2E_ONLY ?? '') },
});

let failed = true;
try {
  await runTests({
    extensionDevelopmentPath: root,
    extensionTestsPath: tests,
    vscodeExecutablePath: process.env.PEFT_STUDIO_VSCODE,
    launchArgs: [workspace, '--disable-workspace-trust', '--disable-extensions'],
  });
  failed = false;
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
}
if (failed) console.error(`The workspace is kept: ${workspace}`);
else rmSync(folder, { recursive: true, force: true });
process.exit(failed ? 1 : 0);
