// Makes the pictures of every view, in a dark, a light and a high-contrast theme, for README, docs and walkthrough:
// `node test/e2e/pictures.mjs [--theme dark] [--language zh-cn]`, after `node build.mjs`; CS_DIR as for the shim. Writes
// media/views/ and media/walkthrough/; in another language media/views/STOP-THEME-LANGUAGE.png and, for the walkthrough,
// STEP.LANGUAGE.png.
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { THEMES, copyExamples, walkThrough } from './workbench.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** The pictures that the walkthrough shows, by the stop that they were made at. */
const WALKTHROUGH = {
  examples: 'example',
  preview: 'preview',
  curves: 'train',
  playground: 'playground',
  completion: 'own',
};

const { values } = parseArgs({
  options: { theme: { type: 'string', multiple: true }, language: { type: 'string' } },
});
const { language } = values;
const bundle = language === undefined ? undefined : path.join(root, `l10n/bundle.l10n.${language}.json`);
const texts = bundle === undefined ? {} : JSON.parse(readFileSync(bundle, 'utf8'));
// What runs say of themselves is in the language of who started them.
const env = bundle === undefined ? process.env : { ...process.env, PEFT_STUDIO_L10N: bundle };
const work = mkdtempSync(path.join(tmpdir(), 'peft-pictures-'));
process.env.PEFT_STUDIO_RUNTIME_DIR = path.join(work, 'live');

const trained = path.join(work, 'trained');
mkdirSync(trained);
copyExamples(trained);
for (const name of ['quickstart', 'adalora', 'fish-mask']) {
  const file = path.join(trained, 'examples', name, `${name}.peft.yaml`);
  execFileSync(process.execPath, [path.join(root, 'dist/cli.js'), 'train', file, '--json'], {
    stdio: 'ignore',
    env,
  });
}

writeFileSync(
  path.join(trained, 'examples/quickstart/own.peft.yaml'),
  'model: ../base-model/peft-studio-tiny\ndata:\n  train: train.jsonl\nmethod:\n  type: lora\n  target_modules: [q_proj, ',
);

for (const [theme, title] of Object.entries(THEMES)) {
  if (values.theme !== undefined && !values.theme.includes(theme)) continue;
  const pictures = path.join(work, theme);
  const settings = { 'workbench.colorTheme': title, 'window.zoomLevel': 0 };
  await walkThrough({ pictures, settings, fill, language }, walk);
  keep(pictures, theme);
}
rmSync(work, { recursive: true, force: true });

/** The runs as if they had been trained in the workspace. */
function fill(workspace) {
  cpSync(trained, workspace, { recursive: true });
  for (const name of readdirSync(workspace, { recursive: true })) {
    const file = path.join(workspace, name);
    if (!/runs.*(events\.jsonl|adapter_config\.json|run\.peft\.yaml)$/.test(name)) continue;
    writeFileSync(file, readFileSync(file, 'utf8').replaceAll(trained, workspace));
  }
}

/** Moves the pictures to where they belong, under their names without a number. */
function keep(pictures, theme) {
  const [views, walkthrough] = ['views', 'walkthrough'].map((name) => path.join(root, 'media', name));
  for (const folder of [views, walkthrough]) mkdirSync(folder, { recursive: true });
  for (const file of readdirSync(pictures).filter((name) => name.endsWith('.png'))) {
    const stop = /^\d+-(.*)\.png$/.exec(file)[1];
    const shown = WALKTHROUGH[stop];
    if (theme === 'dark' && shown !== undefined) {
      const name = language === undefined ? shown : `${shown}.${language}`;
      cpSync(path.join(pictures, file), path.join(walkthrough, `${name}.png`));
    }
    const name = [stop, theme, language].filter((part) => part !== undefined).join('-');
    renameSync(path.join(pictures, file), path.join(views, `${name}.png`));
  }
}

/** What the editor says for an English text; of one with something put in, its longest part. */
function said(english) {
  const parts = (texts[english] ?? english).split(/\{\d+\}/);
  return parts.sort((one, other) => other.length - one.length)[0].trim();
}

async function walk(window) {
  const { page, shoot, openFile, command, pick } = window;
  const settled = () => page.waitForTimeout(1200);
  await page.setViewportSize({ width: 1280, height: 800 });
  await openFile('quickstart.peft.yaml');
  await page
    .locator('.codelens-decoration', { hasText: said('{0} of {1} parameters train ({2})') })
    .waitFor({ timeout: 30_000 });
  await settled();
  await shoot('run-file');
  await command('PEFT Studio: Open Example');
  await settled();
  await shoot('examples');
  await page.keyboard.press('Escape');
  await completion(window);
  await command('PEFT Studio: Preview Data');
  await window.panel().locator('.tokens').waitFor({ timeout: 60_000 });
  await settled();
  await shoot('preview');
  await command('View: Close Editor');

  const open = async (run) => {
    await command('View: Close All Editors');
    await command('PEFT Studio: Open Panel of Run');
    await pick(run);
    await window.panel().locator('h1', { hasText: run }).waitFor({ timeout: 60_000 });
    await settled();
  };
  const tab = async (id) => {
    const head = window.panel().locator(`#tab-${id}`);
    await head.click();
    await head.evaluate((element) => element.scrollIntoView({ block: 'start' }));
    await settled();
    await shoot(id);
  };
  await open('adalora');
  await shoot('panel');
  for (const name of ['curves', 'ranks', 'memory', 'coverage', 'data']) await tab(name);
  await command('View: Close Editor');
  await open('fish-mask');
  await tab('masks');
  await window.panel().locator('[role=gridcell]').nth(8).click();
  await page.waitForTimeout(2500);
  await shoot('mask');
  await command('View: Close Editor');

  await page.locator('.activitybar .action-label[aria-label^="PEFT Studio"]').click();
  await page.locator('.pane-body .monaco-list-row', { hasText: 'adalora' }).first().waitFor({ timeout: 30_000 });
  await settled();
  await shoot('explorer');
  await command('PEFT Studio: Compare Runs');
  for (const name of ['adalora', 'quickstart']) await pick(name);
  await page.locator('.quick-input-widget .monaco-button', { hasText: 'OK' }).click();
  await window
    .panel()
    .locator('h2', { hasText: said('Settings that differ') })
    .waitFor({ timeout: 60_000 });
  await settled();
  await shoot('compare');
  await command('View: Close Editor');
  await command('View: Close All Editors');
  await command('PEFT Studio: Open Playground');
  await playground(window);
}

/** Base and adapter answer a question that neither has seen. */
async function playground({ page, shoot, panel, pick }) {
  await pick('peft-studio-tiny');
  const frame = panel();
  const add = frame.locator('vscode-button', { hasText: said('Add Adapter…') });
  await add.waitFor({ timeout: 60_000 });
  await add.click();
  await pick('quickstart');
  await frame
    .locator(`textarea[aria-label="${said('Prompt')}"]`)
    .fill('table stocks(company, sector, price)\nquestion: how many stocks have price above 286?\nsql:');
  await frame.locator('vscode-button', { hasText: new RegExp(`^${said('Run')}`) }).click();
  await page.waitForTimeout(6000);
  await shoot('playground');
}

/** A list of completions over the module names of the model. */
async function completion({ page, openFile, shoot, command }) {
  await openFile('own.peft.yaml');
  await page.locator('.editor-instance .monaco-editor .view-lines').first().click();
  await page.keyboard.press('Control+End');
  await page.waitForTimeout(1000);
  await page.keyboard.press('Control+Space');
  await page.locator('.suggest-widget.visible .monaco-list-row').first().waitFor({ timeout: 15_000 });
  await page.waitForTimeout(1000);
  await shoot('completion');
  await page.keyboard.press('Escape');
  await command('View: Close Editor');
}
