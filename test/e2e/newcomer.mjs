// A newcomer's path in a real workbench: a clean profile, the packaged extension, the walkthrough, an example, the first
// adapter, and an answer from it; with the time that each part takes, of a person who does not stop to read.
//
//   node test/e2e/newcomer.mjs PICTURES --vsix FILE        CS_DIR as for the shim
//
// Nothing is typed but the walkthrough's name in the palette, which an editor with a start page lists.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { retry, walkThrough } from './workbench.mjs';

const { values, positionals } = parseArgs({ allowPositionals: true, options: { vsix: { type: 'string' } } });
const [pictures] = positionals;
if (!pictures || !values.vsix) throw new Error('usage: node test/e2e/newcomer.mjs PICTURES --vsix FILE');
rmSync(pictures, { recursive: true, force: true });

// The examples go into the home folder, which is not to be that of whoever runs this.
const home = mkdtempSync(path.join(tmpdir(), 'peft-home-'));
process.env.HOME = home;
process.env.PEFT_STUDIO_RUNTIME_DIR = path.join(home, 'live');

const began = performance.now();
function done(what) {
  console.log(`✔ ${what}  (${((performance.now() - began) / 1000).toFixed(0)} s)`);
}

const options = { pictures, vsix: values.vsix, settings: {}, fill: () => undefined, query: { ew: 'true' } };
await walkThrough(options, async (window) => {
  const { page, shoot, panel } = window;
  await begin(window);
  await page.locator('.codelens-decoration a', { hasText: 'Train' }).first().click();
  await panel().locator('.state-running').waitFor({ timeout: 60_000 });
  await shoot('training');
  await page.locator('.notification-toast', { hasText: 'finished' }).waitFor({ timeout: 200_000 });
  await shoot('finished');
  done('the first adapter is there');
});
rmSync(home, { recursive: true, force: true });

/** From nothing to an open run file. */
async function begin({ page, shoot, command, quickInput }) {
  await command('Welcome: Open Walkthrough');
  await quickInput().fill('Train your first adapter');
  await page.keyboard.press('Enter');
  const step = page.locator('.getting-started-step', { hasText: 'Open an example' });
  await step.waitFor({ timeout: 30_000 });
  await page.waitForTimeout(1500);
  await shoot('walkthrough');
  await page.locator('.getting-started-step .monaco-button', { hasText: 'Open Example' }).first().click();
  const row = (text) => page.locator('.quick-input-list .monaco-list-row', { hasText: text }).first();
  await row('quickstart').waitFor({ timeout: 30_000 });
  await shoot('examples');
  await row('quickstart').click();
  await retry(() => row('In your home folder').click({ timeout: 2000 }), 5);
  await page
    .locator('.editor-instance .monaco-editor[data-uri$="quickstart.peft.yaml"]')
    .waitFor({ timeout: 60_000 });
  await page.locator('.codelens-decoration a', { hasText: 'Train' }).first().waitFor({ timeout: 60_000 });
  await shoot('example');
  done('the example is open');
}
