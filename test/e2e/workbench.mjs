// A workbench in Chromium, driven as a person drives it; shared by the walks.
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { installExtension, startBrowser, startServer } from './server.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The themes that pages are looked at in, as VS Code's settings name them. */
export const THEMES = {
  dark: 'Default Dark Modern',
  light: 'Default Light Modern',
  contrast: 'Default High Contrast',
};

/**
 * Starts a server and a browser with the extension: the one of this checkout, or that of a package.
 * `fill(workspace)` puts files into the folder that is opened; `language` is the display language, as `zh-cn`.
 */
export async function startWorkbench({ pictures, vsix, settings, fill, language }) {
  mkdirSync(pictures, { recursive: true });
  const folder = mkdtempSync(path.join(tmpdir(), 'peft-walk-'));
  const workspace = path.join(folder, 'workspace');
  mkdirSync(workspace);
  fill(workspace);
  const extensions = path.join(folder, 'extensions');
  mkdirSync(extensions);
  if (vsix === undefined) {
    const { name, publisher, version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
    symlinkSync(root, path.join(extensions, `${publisher}.${name}-${version}`));
  } else {
    await installExtension(folder, extensions, path.resolve(vsix));
  }
  let server = await startServer(folder, { extensions, settings, language });
  const browser = await startBrowser();
  const messages = [];

  async function close(failed) {
    const refused = messages.filter(
      (message) => /Content.Security.Policy/i.test(message) && /webview|panel/i.test(message),
    );
    for (const message of new Set(refused)) console.error(message.slice(0, 300));
    writeFileSync(path.join(pictures, 'browser.log'), messages.join('\n'));
    await browser.close();
    await server.stop();
    if (!failed && refused.length === 0) rmSync(folder, { recursive: true, force: true });
    else console.error(`Logs are kept in ${folder}`);
    return refused.length === 0;
  }

  /** Another display language, for which VS Code starts anew; windows are to be loaded anew then. */
  async function restart(other) {
    await server.stop();
    server = await startServer(folder, { extensions, settings, language: other, port: server.port });
  }

  return {
    folder,
    workspace,
    close,
    restart,
    open: (query = { folder: workspace }) =>
      openWindow({ origin: server.origin, browser, query, pictures, messages }),
  };
}

/** Walks through a workbench of its own; a walk that fails leaves a picture of where it was, and the exit code 1. */
export async function walkThrough(options, walk) {
  const workbench = await startWorkbench(options);
  let window;
  let failed = true;
  try {
    window = await workbench.open(options.query);
    await walk(window, workbench);
    console.log(`The pictures are in ${options.pictures}`);
    failed = false;
  } catch (error) {
    console.error(error);
    await window?.shoot('stuck').catch(console.error);
  }
  if (!(await workbench.close(failed)) || failed) process.exitCode = 1;
}

/** Puts the examples into a workspace, without the runs of whoever works here. */
export function copyExamples(workspace) {
  cpSync(path.join(root, 'examples'), path.join(workspace, 'examples'), {
    recursive: true,
    filter: (source) => path.basename(source) !== 'runs',
  });
}

/** Trains a run file by the command line, as if somebody had done it before the window opens. */
export function trainBefore(runFile) {
  execFileSync(process.execPath, [path.join(root, 'dist/cli.js'), 'train', runFile, '--json'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

/** Opens a window, on the workspace unless the query says otherwise, and waits for its workbench. */
async function openWindow({ origin, browser, query, pictures, messages }) {
  const page = await (await browser.newContext({ viewport: { width: 1500, height: 950 } })).newPage();
  // A machine that trains and builds beside this is slow to load a page.
  page.setDefaultTimeout(120_000);
  page.on('console', (message) => messages.push(`[${message.type()}] ${message.text()}`));
  page.on('pageerror', (error) => messages.push(`[error] ${error.message}`));
  await page.goto(`${origin}/?${new URLSearchParams(query)}`);
  const there =
    query.folder === undefined ? '.activitybar .action-item' : '.explorer-folders-view .monaco-list-row';
  await page.locator(there).first().waitFor({ timeout: 60_000 });

  const quickInput = () => page.locator('.quick-input-widget:visible .quick-input-box input').first();

  async function shoot(stop) {
    const number = existsSync(pictures)
      ? readdirSync(pictures).filter((name) => name.endsWith('.png')).length + 1
      : 1;
    await page.screenshot({ path: path.join(pictures, `${String(number).padStart(2, '0')}-${stop}.png`) });
  }

  async function openFile(file) {
    const editor = page.locator(`.editor-instance .monaco-editor[data-uri$="${file}"]`);
    await retry(async () => {
      await page.keyboard.press('Escape');
      // The first group of editors, so that the file does not cover the panel.
      await page.keyboard.press('Control+1');
      await page.keyboard.press('Control+p');
      await quickInput().fill(file, { timeout: 2000 });
      await page.locator('.quick-input-list .monaco-list-row', { hasText: file }).first().click({ timeout: 2000 });
      // The list may be sorted anew under the click, and another file be opened.
      await editor.first().waitFor({ timeout: 20_000 });
    });
  }

  /** An open palette never lists commands that are registered later, so it is opened again until the command is there. */
  async function command(title) {
    await retry(async () => {
      await page.keyboard.press('Escape');
      await page.keyboard.press('F1');
      await quickInput().fill(`>${title}`, { timeout: 5000 });
      const row = page.locator('.quick-input-list .monaco-list-row', { hasText: title }).first();
      await row.waitFor({ timeout: 5000 });
      // On a busy machine the row is gone before the click is told to have been made.
      await row.click({ timeout: 5000 }).catch(async (error) => {
        if (await row.isVisible()) throw error;
      });
    });
  }

  /** Takes an entry of the list that a command has opened. */
  async function pick(text) {
    await quickInput().waitFor({ timeout: 30_000 });
    await page.waitForTimeout(800);
    await quickInput().fill(text);
    await page.locator('.quick-input-list .monaco-list-row', { hasText: text }).first().click({ timeout: 20_000 });
  }

  /** The page of the panel, where one is shown. */
  const panel = () => page.frameLocator('iframe.webview.ready').frameLocator('iframe#active-frame');
  /** The pages of all webviews that are shown, side by side. */
  const panels = () =>
    page.frames().filter((frame) => frame.name() === 'active-frame' || frame.url().includes('fake.html'));

  /** The page with this heading (the panel of a run: its name), wherever its iframe stands now. */
  async function pageOf(heading) {
    return retry(async () => {
      for (const each of panels()) {
        const title = await each
          .locator('h1')
          .textContent({ timeout: 1000 })
          .catch(() => undefined);
        if (title === heading) return each;
      }
      await page.waitForTimeout(500);
      throw new Error(`No page with the heading ${heading} is open.`);
    }, 60);
  }

  return { page, shoot, openFile, command, quickInput, pick, panel, panels, pageOf };
}

/** Keys go astray while the focus moves between the workbench and a webview. */
export async function retry(attempt, times = 15) {
  for (let left = times; ; left -= 1) {
    try {
      return await attempt();
    } catch (error) {
      if (left === 0) throw error;
    }
  }
}
