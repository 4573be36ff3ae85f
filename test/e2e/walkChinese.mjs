// Walks through the workbench with the display language zh-cn, and reads what is shown where a person meets it: palette,
// views, walkthrough, settings, and what the editor says of a run file and of a run; with a picture at each stop:
// `node test/e2e/walkChinese.mjs FOLDER [--theme NAME]`, after `node build.mjs`; CS_DIR as for the shim.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { copyExamples, retry, walkThrough } from './workbench.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { theme: { type: 'string', default: 'Default Dark Modern' } },
});
const [pictures] = positionals;
if (!pictures) throw new Error('usage: node test/e2e/walkChinese.mjs FOLDER [--theme NAME]');

const read = (name) => JSON.parse(readFileSync(fileURLToPath(new URL(`../../${name}`, import.meta.url)), 'utf8'));
const texts = read('package.nls.zh-cn.json');
const CHINESE = /\p{Script=Han}/u;

await walkThrough({ pictures, language: 'zh-cn', settings: { 'workbench.colorTheme': values.theme }, fill }, walk);

function fill(workspace) {
  copyExamples(workspace);
  const file = path.join(workspace, 'examples/quickstart/quickstart.peft.yaml');
  const text = readFileSync(file, 'utf8');
  writeFileSync(
    path.join(path.dirname(file), 'broken.peft.yaml'),
    text.replace(/lora_alpha: .*/, 'lora_alpha: -3'),
  );
}

async function walk(window) {
  await palette(window);
  await welcome(window);
  await walkthrough(window);
  await settings(window);
  await gallery(window);
  await newRunFile(window);
  await runFile(window);
  await run(window);
}

async function palette({ page, shoot, quickInput }) {
  const row = page.locator('.quick-input-list .monaco-list-row', {
    hasText: `PEFT Studio: ${texts['command.estimate']}`,
  });
  await retry(async () => {
    await page.keyboard.press('Escape');
    await page.keyboard.press('F1');
    await quickInput().fill('>PEFT Studio', { timeout: 5000 });
    await row.first().waitFor({ timeout: 5000 });
  });
  // Below each title stands its English, by which it is found too.
  const labels = await page.locator('.quick-input-list .monaco-list-row').allTextContents();
  const ours = labels.filter((label) => label.includes('PEFT Studio: '));
  assert.ok(ours.length > 5, `the palette lists ${labels.join(', ')}`);
  for (const label of ours) assert.match(label, CHINESE);
  await shoot('palette');
  await page.keyboard.press('Escape');
}

async function welcome({ page, shoot }) {
  await page.locator('.activitybar .action-label[aria-label="PEFT Studio"]').click();
  const view = page.locator('.welcome-view-content');
  await view.waitFor({ timeout: 60_000 });
  const [first] = texts['welcome.noAdapters'].split('\n');
  assert.ok((await view.textContent()).includes(first));
  assert.ok(await page.locator('.sidebar .title-label', { hasText: texts['view.adapters'] }).isVisible());
  await shoot('welcome');
}

async function walkthrough({ page, shoot, command, quickInput }) {
  await command('Welcome: Open Walkthrough...');
  await retry(async () => {
    await quickInput().fill(texts['walkthrough.title'], { timeout: 5000 });
    await page
      .locator('.quick-input-list .monaco-list-row', { hasText: texts['walkthrough.title'] })
      .first()
      .click();
  });
  const guide = page.locator('.gettingStartedContainer');
  for (const step of ['example', 'read', 'train', 'try', 'own']) {
    await guide
      .locator('.step-title', { hasText: texts[`walkthrough.${step}.title`] })
      .first()
      .waitFor();
  }
  // Its picture shows a Chinese window.
  await guide.locator('img[srcset*=".zh-cn.png"]').first().waitFor();
  await page.waitForTimeout(800);
  await shoot('walkthrough');
  await page.keyboard.press('Control+F4');
}

async function settings({ page, shoot, command }) {
  await command('Preferences: Open Settings (UI)');
  await page.keyboard.type('peftStudio');
  await page.locator('.setting-item-description', { hasText: texts['setting.run.endsWithWindow'] }).waitFor();
  await shoot('settings');
  await page.keyboard.press('Escape');
}

async function gallery({ page, shoot, command }) {
  await command(texts['command.openExample']);
  const detail = page.locator('.quick-input-list .monaco-list-row', { hasText: 'quickstart' }).first();
  await detail.waitFor();
  assert.match(await detail.textContent(), CHINESE);
  await shoot('gallery');
  await page.keyboard.press('Escape');
}

/** To the list of methods, which shows each with its family and what it does. */
async function newRunFile({ page, shoot, command, quickInput }) {
  await command(texts['command.newRunFile']);
  for (const step of ['基座模型', '训练数据']) {
    await page.locator(`.quick-input-box input[placeholder="${step}"]`).waitFor({ timeout: 30_000 });
    await page
      .locator(
        '.quick-input-list .monaco-list-row[aria-label*="peft-studio-tiny"], .quick-input-list .monaco-list-row[aria-label*="jsonl"]',
      )
      .first()
      .click({ timeout: 30_000 });
  }
  await page.locator('.quick-input-box input[placeholder="微调方法"]').waitFor({ timeout: 30_000 });
  const rows = page.locator('.quick-input-list .monaco-list-row');
  await rows.first().waitFor();
  for (const row of await rows.allTextContents()) assert.match(row, CHINESE);
  await shoot('methods');
  await page.keyboard.press('Escape');
  await quickInput().waitFor({ state: 'hidden' });
}

async function runFile({ page, shoot, openFile, command }) {
  await openFile('broken.peft.yaml');
  const editor = page.locator('.editor-instance .monaco-editor[data-uri$="broken.peft.yaml"]');
  await editor.locator('.codelens-decoration', { hasText: '预览数据' }).waitFor({ timeout: 60_000 });
  // The value that cannot be: the editor underlines it, and the hover on it explains the option and the problem.
  await editor.locator('.squiggly-error').first().waitFor({ timeout: 60_000 });
  await editor
    .locator('.view-line span', { hasText: /^lora_alpha$/ })
    .first()
    .hover();
  const hover = page.locator('.monaco-hover:visible').first();
  await hover.locator('.hover-contents', { hasText: '更新的缩放' }).waitFor({ timeout: 30_000 });
  await shoot('hover');
  await page.keyboard.press('Escape');
  await command('Problems: Focus on Problems View');
  const problem = page.locator('.markers-panel .monaco-list-row', { hasText: 'lora_alpha' }).first();
  await problem.waitFor();
  // What is wrong with it stands between the key and the value, and after them.
  assert.match(await problem.textContent(), /lora_alpha`[^A-Za-z]*-3[^A-Za-z]*PEFT Studio/);
  await shoot('problem');
  // What completes a key says in Chinese what the key is.
  await editor.locator('.view-line', { hasText: /^\s*lora_alpha/ }).click();
  await page.keyboard.press('End');
  await page.keyboard.press('Enter');
  await page.keyboard.type('use_');
  await page.keyboard.press('Control+Space');
  await page.locator('.suggest-widget.visible .monaco-list-row').first().waitFor({ timeout: 30_000 });
  await retry(async () => {
    const details = page.locator('.suggest-details-container:visible, .suggest-details:visible');
    if ((await details.count()) === 0) await page.keyboard.press('Control+Space');
    await details.first().waitFor({ timeout: 3000 });
    assert.match(await details.first().textContent(), /秩稳定/);
  }, 5);
  await shoot('completion');
  await page.keyboard.press('Escape');
  await command('View: Revert and Close Editor');
  await command('View: Toggle Panel Visibility');
}

async function run({ page, shoot, openFile, command }) {
  await openFile('quickstart.peft.yaml');
  await command(`PEFT Studio: ${texts['command.train']}`);
  await page.locator('.statusbar-item', { hasText: /第 \d+\/\d+ 步/ }).waitFor({ timeout: 120_000 });
  await shoot('training');
  await page.locator('.notification-toast', { hasText: '适配器位于' }).waitFor({ timeout: 200_000 });
  await shoot('finished');
  const row = page.locator('.pane-body .monaco-list-row', { hasText: 'quickstart' }).first();
  await row.waitFor({ timeout: 30_000 });
  assert.match(await row.textContent(), CHINESE);
  await shoot('explorer');
  await row.hover();
  await page.locator('.monaco-hover:visible', { hasText: '最后的损失' }).waitFor({ timeout: 30_000 });
  await shoot('tooltip');
  for (const [title, text] of [
    ['estimate', '可训练'],
    ['inspectAdapter', '有效秩'],
  ]) {
    await openFile('quickstart.peft.yaml');
    await command(`PEFT Studio: ${texts[`command.${title}`]}`);
    if (title === 'inspectAdapter') {
      await page.locator('.quick-input-list .monaco-list-row').first().click({ timeout: 30_000 });
    }
    await page.locator('.view-line', { hasText: text }).first().waitFor({ timeout: 60_000 });
    await page.waitForTimeout(500);
    await shoot(title);
    await command('View: Revert and Close Editor');
  }
  await openFile('broken.peft.yaml');
  await command(`PEFT Studio: ${texts['command.train']}`);
  const failed = page.locator('.notification-toast', { hasText: 'broken 失败' });
  await failed.waitFor({ timeout: 60_000 });
  await shoot('failed');
}
