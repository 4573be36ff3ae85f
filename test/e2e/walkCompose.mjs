// Composes three adapters for a new task in a real workbench as a person would, with a picture at each stop:
// `node test/e2e/walkCompose.mjs FOLDER [--theme dark|light|contrast] [--language zh-cn]`, after `node build.mjs`; CS_DIR as for the shim.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { mixtureBefore } from './mixtureBefore.mjs';
import { THEMES, retry, walkThrough } from './workbench.mjs';

const { values, positionals } = parseArgs({
  options: { theme: { type: 'string', default: 'dark' }, language: { type: 'string' } },
  allowPositionals: true,
});
const [pictures] = positionals;
if (!pictures) throw new Error('usage: node test/e2e/walkCompose.mjs FOLDER [--theme THEME] [--language zh-cn]');

const isChinese = values.language !== undefined;
const settings = { 'workbench.colorTheme': THEMES[values.theme], 'window.zoomLevel': 0 };
await walkThrough({ pictures, settings, fill: mixtureBefore, language: values.language }, walk);

async function walk({ page, shoot, command, pageOf }, { workspace }) {
  const said = (english, chinese) => (isChinese ? chinese : english);
  const row = (text) => page.locator('.pane-body .monaco-list-row', { hasText: text }).first();
  const choices = page.locator('.quick-input-list .monaco-list-row');
  const title = (step) => page.locator('.quick-input-title', { hasText: new RegExp(`${step}.*5`) });
  const button = (frame, english, chinese) => frame.locator('vscode-button', { hasText: said(english, chinese) });
  await page.locator('.activitybar .action-label[aria-label^="PEFT Studio"]').click();
  await row('peft-studio-tiny').waitFor();
  await row('peft-studio-tiny').click({ button: 'right' });
  const entry = page.locator('.monaco-menu .action-label', { hasText: 'LoRAHub' });
  await entry.waitFor();
  await shoot('menu');
  await entry.click();
  await title(1).waitFor();
  assert.equal(await choices.count(), 3, 'the three adapters');
  await shoot('adapters');
  await page.keyboard.press('Enter');
  await title(2).waitFor();
  await shoot('examples');
  await choices.filter({ hasText: 'five-rows.jsonl' }).first().click();
  await title(3).waitFor();
  await choices.filter({ hasText: 'held-out.jsonl' }).first().click();
  await title(4).waitFor();
  await shoot('rows');
  await page.keyboard.press('Enter');
  await title(5).waitFor();
  await shoot('budget');
  await page.keyboard.press('Enter');
  const mixture = await pageOf(said('Mixture for five-rows.jsonl', 'five-rows.jsonl 的混合'));
  await mixture.locator('.plot').first().waitFor();
  await shoot('searches');
  const write = button(mixture, 'Write Adapter', '写入适配器');
  await write.waitFor({ timeout: 200_000 });
  await page.waitForTimeout(800);
  await shoot('found');
  // The map goes by keys.
  await mixture.locator('.heat-cell').first().focus();
  for (const key of ['End', 'ArrowDown', 'ArrowLeft']) await page.keyboard.press(key);
  await mixture.locator('.heat .readout', { hasText: '39' }).waitFor();
  await shoot('map');
  await write.click();
  await page.locator('.quick-input-widget:visible').waitFor();
  await shoot('folder');
  await page.keyboard.press('Enter');
  const reveal = button(mixture, 'Reveal', '显示');
  await reveal.waitFor({ timeout: 60_000 });
  const out = path.join(workspace, 'runs/five-rows-mixture');
  const record = JSON.parse(readFileSync(path.join(out, 'lorahub.json'), 'utf8'));
  assert.equal(record.trials.length, 40);
  assert.equal(record.heldOut.rows, 40);
  await shoot('written');
  // A window that loads anew shows it again.
  await command(said('Developer: Reload Window', 'Reload Window'));
  await page.waitForTimeout(5000);
  const restored = await pageOf(said('Mixture for five-rows.jsonl', 'five-rows.jsonl 的混合'));
  await button(restored, 'Reveal', '显示').waitFor();
  await shoot('reloaded');
  await page.locator('.tab', { hasText: 'five-rows' }).locator('.action-label').first().click();
  await row('five-rows-mixture').waitFor();
  await shoot('closed');
  await retry(async () => {
    await page.keyboard.press('Escape');
    await row('five-rows-mixture').click({ button: 'right' });
    const menu = page.locator('.monaco-menu');
    await menu.locator('.action-label', { hasText: said('Show Search', '搜索过程') }).click({ delay: 100 });
    await menu.waitFor({ state: 'hidden', timeout: 3000 });
  });
  const again = await pageOf(said('Mixture for five-rows.jsonl', 'five-rows.jsonl 的混合'));
  await button(again, 'Reveal', '显示').waitFor();
  assert.equal(await button(again, 'Write Adapter', '写入适配器').isVisible(), false);
  await shoot('past');
  writeFileSync(path.join(pictures, 'texts.txt'), await again.locator('main').innerText());
}
