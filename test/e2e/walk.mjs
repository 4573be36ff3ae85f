// Walks through the workbench as a person would, and takes a picture at each stop:
// `node test/e2e/walk.mjs FOLDER [--theme NAME]`, after `node build.mjs`; CS_DIR as for the shim.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startBrowser, startServer } from './server.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { theme: { type: 'string', default: 'Default Dark Modern' } },
});
const [pictures] = positionals;
if (!pictures) throw new Error('usage: node test/e2e/walk.mjs FOLDER [--theme NAME]');
mkdirSync(pictures, { recursive: true });

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), 'peft-walk-'));
const workspace = path.join(folder, 'workspace');
cpSync(path.join(root, 'examples'), path.join(workspace, 'examples'), {
  recursive: true,
  filter: (source) => path.basename(source) !== 'runs',
});
const quickstart = readFileSync(path.join(workspace, 'examples/quickstart/quickstart.peft.yaml'), 'utf8');
writeFileSync(
  path.join(workspace, 'examples/quickstart/broken.peft.yaml'),
  quickstart.replace('lora_alpha:', 'lora_alpa:'),
);
const { name, publisher, version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
const extensions = path.join(folder, 'extensions');
mkdirSync(extensions);
symlinkSync(root, path.join(extensions, `${publisher}.${name}-${version}`));

const messages = [];
let picture = 0;
let server;
let browser;
let page;
try {
  server = await startServer(folder, { extensions, settings: { 'workbench.colorTheme': values.theme } });
  browser = await startBrowser();
  page = await (await browser.newContext({ viewport: { width: 1500, height: 950 } })).newPage();
  page.on('console', (message) => messages.push(`[${message.type()}] ${message.text()}`));
  page.on('pageerror', (error) => messages.push(`[error] ${error.message}`));
  await page.goto(`${server.origin}/?folder=${encodeURIComponent(workspace)}`);
  await page.locator('.explorer-folders-view .monaco-list-row').first().waitFor({ timeout: 60_000 });

  await openFile('quickstart.peft.yaml');
  await command('PEFT Studio: Train');
  const panel = page.frameLocator('iframe.webview.ready').frameLocator('iframe#active-frame');
  await panel.locator('h1', { hasText: 'quickstart' }).waitFor({ timeout: 30_000 });
  await panel.locator('.curve-main').waitFor({ timeout: 120_000 });
  await shoot('training');
  await panel.locator('.state-finished').waitFor({ timeout: 200_000 });
  await page.locator('.notification-toast', { hasText: 'finished' }).waitFor();
  await shoot('finished');
  await command('Notifications: Clear All Notifications');
  await panel
    .locator('.chart')
    .first()
    .hover({ position: { x: 200, y: 100 } });
  await shoot('hover');
  // The same by keyboard: the chart takes the focus, and its read-out follows the keys.
  await panel.locator('.chart').first().focus();
  await page.keyboard.press('Home');
  await panel.locator('.readout', { hasText: /^step 1 / }).waitFor({ timeout: 5000 });
  for (const tab of ['Coverage', 'Data', 'Memory']) {
    await panel.locator('vscode-panel-tab', { hasText: tab }).click();
    await page.waitForTimeout(400);
    await shoot(tab.toLowerCase());
  }

  await openFile('quickstart.peft.yaml');
  await command('PEFT Studio: Train');
  await panel.locator('.state-running').waitFor({ timeout: 60_000 });
  await panel.locator('vscode-button', { hasText: 'Stop' }).first().click();
  await panel.locator('.state', { hasText: 'stopped' }).waitFor({ timeout: 60_000 });
  await shoot('stopped');

  await openFile('broken.peft.yaml');
  await command('PEFT Studio: Train');
  await panel.locator('.state-failed').waitFor({ timeout: 60_000 });
  await page.locator('.notification-toast', { hasText: 'broken failed' }).waitFor();
  await shoot('failed');
  const lingering = await page.locator('.notification-toast', { hasText: 'Training broken' }).count();
  if (lingering > 0) throw new Error('The progress of the failed run is still shown beside its failure.');
  await command('PEFT Studio: Show Log');
  await page.waitForTimeout(1000);
  await shoot('log');
  console.log(`${picture} pictures in ${pictures}`);
} catch (error) {
  console.error(error);
  if (page) await shoot('stuck');
  process.exitCode = 1;
} finally {
  const refused = messages.filter(
    (message) => /Content.Security.Policy/i.test(message) && /webview|panel/i.test(message),
  );
  for (const message of new Set(refused)) console.error(message.slice(0, 300));
  if (refused.length > 0) process.exitCode = 1;
  writeFileSync(path.join(pictures, 'browser.log'), messages.join('\n'));
  await browser?.close();
  await server?.stop();
  if (process.exitCode === undefined) rmSync(folder, { recursive: true, force: true });
  else console.error(`Logs are kept in ${folder}`);
}

async function shoot(stop) {
  picture += 1;
  await page.screenshot({ path: path.join(pictures, `${String(picture).padStart(2, '0')}-${stop}.png`) });
}

async function openFile(file) {
  // The first group of editors, so that the file does not cover the panel.
  await page.keyboard.press('Control+1');
  await retry(async () => {
    await page.keyboard.press('Escape');
    await page.keyboard.press('Control+p');
    await quickInput().fill(file, { timeout: 2000 });
    await page.locator('.quick-input-list .monaco-list-row', { hasText: file }).first().click({ timeout: 2000 });
  });
  await page.locator(`.editor-instance .monaco-editor[data-uri$="${file}"]`).waitFor();
}

/** An open palette never lists commands that are registered later, so it is opened again until the command is there. */
async function command(title) {
  await retry(async () => {
    await page.keyboard.press('Escape');
    await page.keyboard.press('F1');
    await quickInput().fill(`>${title}`, { timeout: 2000 });
    await page.locator('.quick-input-list .monaco-list-row', { hasText: title }).first().click({ timeout: 2000 });
  });
}

/** Keys go astray while the focus moves between the workbench and a webview. */
async function retry(attempt) {
  for (let left = 15; ; left -= 1) {
    try {
      return await attempt();
    } catch (error) {
      if (left === 0) throw error;
    }
  }
}

function quickInput() {
  return page.locator('.quick-input-widget:visible .quick-input-box input').first();
}
