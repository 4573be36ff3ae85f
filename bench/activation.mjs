// How long the packaged extension takes to activate, as VS Code itself tells it ("Developer: Show Running Extensions"), on
// a folder with run files, in a clean profile: `node bench/activation.mjs VSIX [TIMES]`; CS_DIR as for test/e2e.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { copyExamples, startWorkbench } from '../test/e2e/workbench.mjs';

const [vsix, times = '5'] = process.argv.slice(2);
if (!vsix) throw new Error('usage: node bench/activation.mjs VSIX [TIMES]');
const pictures = mkdtempSync(path.join(tmpdir(), 'peft-activation-'));
const workbench = await startWorkbench({ pictures, vsix, settings: {}, fill: copyExamples });
const measured = [];
let failed = true;
try {
  for (let at = 0; at < Number(times); at += 1) {
    const { page, command } = await workbench.open();
    await page.waitForTimeout(3000);
    await command('Developer: Show Running Extensions');
    const row = page.locator('.runtime-extensions-editor .extension', { hasText: 'PEFT Studio' }).first();
    await row.waitFor({ timeout: 30_000 });
    const time = row.locator('.activation-time');
    await page.waitForFunction((element) => /\d+ms/.test(element.textContent), await time.elementHandle());
    const text = await time.textContent();
    measured.push(Number(/(\d+)ms/.exec(text)[1]));
    console.log(`${text.trim()}`);
    await page.context().close();
  }
  const sorted = [...measured].sort((a, b) => a - b);
  console.log(`median ${sorted[Math.floor(sorted.length / 2)]} ms of ${sorted.join(', ')}`);
  failed = false;
} catch (error) {
  console.error(error);
}
if (!(await workbench.close(failed)) || failed) process.exitCode = 1;
rmSync(pictures, { recursive: true, force: true });
