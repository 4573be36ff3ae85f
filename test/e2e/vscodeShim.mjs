#!/usr/bin/env node
// Stands in for the VS Code executable where no desktop VS Code can be had: @vscode/test-electron's
// `vscodeExecutablePath`. Takes the arguments that it passes, starts the VS Code server, opens its workbench in
// Chromium with the extension and its tests, relays what the extension host prints, and exits with its code.
// Environment: CS_DIR (install.sh's folder), E2E_TIMEOUT_S (default 300), E2E_SCREENSHOT (a PNG).
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { format } from 'node:util';
import { startBrowser, startServer } from './server.mjs';

const given = process.argv.slice(2);
const option = (name) =>
  given.filter((argument) => argument.startsWith(`--${name}=`)).map((argument) => argument.slice(name.length + 3));
const toPath = (text) => (text.startsWith('file:') ? fileURLToPath(text) : path.resolve(text));

/** What the workbench says about itself when it runs from a server without a marketplace. */
const NOISE =
  /^(Resolv(ing|ed) connection token|Creating a socket|\[reconnection-grace|Updating additional builtin|\[Service Worker\]|\[A(gentHost|ccountPolicy)|.*(ENOTFOUND|Could not locate the bindings|native-watchdog|build\/Release\/watchdog|ERR_NAME_NOT_RESOLVED))/;

const folder = mkdtempSync(path.join(tmpdir(), 'peft-vscode-'));
const opened = given.find((argument) => !argument.startsWith('-'));
const workspace = opened ? toPath(opened) : path.join(folder, 'workspace');
mkdirSync(workspace, { recursive: true });

let code = 1;
let server;
let browser;
try {
  server = await startServer(folder, {
    args: ['--enable-smoke-test-driver'],
    extensions: option('extensions-dir')[0],
  });
  browser = await startBrowser();
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
  await page.exposeFunction('codeAutomationLog', (type, words) => {
    const text = format(...words);
    if (!NOISE.test(text)) (type === 'error' ? process.stderr : process.stdout).write(`${text}\n`);
  });
  let exited = () => undefined;
  const exit = new Promise((resolve) => (exited = resolve));
  await page.exposeFunction('codeAutomationExit', (result) => exited(result));
  const remote = (target) => `vscode-remote://127.0.0.1:${server.port}${target}`;
  const payload = [
    ...option('extensionDevelopmentPath').map((target) => ['extensionDevelopmentPath', remote(toPath(target))]),
    ...option('extensionTestsPath').map((target) => ['extensionTestsPath', remote(toPath(target))]),
  ];
  const query = new URLSearchParams({ folder: workspace, payload: JSON.stringify(payload) });
  await page.goto(`${server.origin}/?${query.toString()}`);
  const limit = Number(process.env.E2E_TIMEOUT_S ?? 300);
  code = await Promise.race([
    exit,
    sleep(limit * 1000, undefined, { ref: false }).then(() => {
      console.error(`The tests did not end within ${limit} s.`);
      return 124;
    }),
  ]);
  if (process.env.E2E_SCREENSHOT) await page.screenshot({ path: process.env.E2E_SCREENSHOT });
} catch (error) {
  console.error(error);
} finally {
  await browser?.close();
  await server?.stop();
  if (code === 0) rmSync(folder, { recursive: true, force: true });
  else console.error(`Logs are kept in ${folder}`);
}
process.exit(code);
