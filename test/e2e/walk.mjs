// Walks through the workbench as a person would, and takes a picture at each stop:
// `node test/e2e/walk.mjs FOLDER [--theme NAME]`, after `node build.mjs`; CS_DIR as for the shim.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { copyExamples, walkThrough } from './workbench.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { theme: { type: 'string', default: 'Default Dark Modern' } },
});
const [pictures] = positionals;
if (!pictures) throw new Error('usage: node test/e2e/walk.mjs FOLDER [--theme NAME]');

await walkThrough(
  {
    pictures,
    settings: { 'workbench.colorTheme': values.theme },
    fill(workspace) {
      copyExamples(workspace);
      const file = path.join(workspace, 'examples/quickstart/quickstart.peft.yaml');
      const broken = readFileSync(file, 'utf8').replace('lora_alpha:', 'lora_alpa:');
      writeFileSync(path.join(path.dirname(file), 'broken.peft.yaml'), broken);
    },
  },
  walk,
);

async function walk({ page, shoot, openFile, command, panel: panelOf }) {
  const panel = panelOf();
  await openFile('quickstart.peft.yaml');
  await command('PEFT Studio: Train');
  await panel.locator('h1', { hasText: 'quickstart' }).waitFor({ timeout: 30_000 });
  await panel.locator('.plot canvas').first().waitFor({ timeout: 120_000 });
  await shoot('training');
  await panel.locator('.state-finished').waitFor({ timeout: 200_000 });
  await page.locator('.notification-toast', { hasText: 'finished' }).waitFor();
  await shoot('finished');
  await command('Notifications: Clear All Notifications');
  await panel
    .locator('.plot')
    .first()
    .hover({ position: { x: 200, y: 100 } });
  await shoot('hover');
  // The same by keyboard: the chart takes the focus, and its read-out follows the keys.
  await panel.locator('.plot').first().focus();
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
}
