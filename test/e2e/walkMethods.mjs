// Compares methods in a real workbench as a person would, with a picture at each stop:
// `node test/e2e/walkMethods.mjs FOLDER`, after `node build.mjs`; CS_DIR as for the shim.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { copyExamples, walkThrough } from './workbench.mjs';

const [pictures] = process.argv.slice(2);
if (!pictures) throw new Error('usage: node test/e2e/walkMethods.mjs FOLDER');

await walkThrough({ pictures, settings: {}, fill }, walk);

function fill(workspace) {
  copyExamples(workspace);
  const folder = path.join(workspace, 'examples/quickstart');
  const text = readFileSync(path.join(folder, 'quickstart.peft.yaml'), 'utf8');
  writeFileSync(path.join(folder, 'news.peft.yaml'), text.replace(/num_train_epochs: .*/, 'max_steps: 10'));
}

async function walk({ page, shoot, openFile, command, pageOf }, { workspace }) {
  const choices = page.locator('.quick-input-list .monaco-list-row');
  const title = (step) => page.locator('.quick-input-title', { hasText: `Compare Methods (${step} of 4)` });
  await openFile('news.peft.yaml');
  await page.locator('.codelens-decoration a', { hasText: 'Compare methods' }).waitFor();
  await command('PEFT Studio: Compare Methods');
  await title(1).waitFor();
  await shoot('methods');
  const input = page.locator('.quick-input-widget:visible .quick-input-box input').first();
  const isTicked = (row) =>
    row.evaluate((element) => {
      const box = element.matches('[aria-checked]') ? element : element.querySelector('[aria-checked]');
      return box?.getAttribute('aria-checked') === 'true';
    });
  await input.fill('bitfit');
  const bitfit = choices.filter({ hasText: 'no biases' }).first();
  assert.equal(await isTicked(bitfit), false, 'what does not fit the model is not picked');
  // All, then none, then three of them.
  await input.fill('');
  const all = page.locator('.quick-input-widget:visible .quick-input-header [role=checkbox]').first();
  for (let times = 0; times < 2; times += 1) await all.click();
  for (const name of ['lora', 'ia3', 'full']) {
    await input.fill(name);
    const row = choices.filter({ hasText: new RegExp(`^${name}[0-9,]* numbers`) }).first();
    await row.click();
    assert.equal(await isTicked(row), true, name);
  }
  await page.keyboard.press('Enter');
  await title(2).waitFor();
  await shoot('size');
  await page.keyboard.press('Enter');
  await title(3).waitFor();
  await page.keyboard.press('Enter');
  await title(4).waitFor();
  await page.keyboard.press('ArrowDown');
  await shoot('seeds');
  await page.keyboard.press('Enter');
  const methods = await pageOf('Methods compared on news');
  await methods.locator('[role=status]', { hasText: /^Running: [1-9]/ }).waitFor();
  await shoot('grows');
  await methods.locator('[role=status]', { hasText: 'All 9 runs have ended.' }).waitFor({ timeout: 200_000 });
  await shoot('all');
  const results = path.join(workspace, 'examples/quickstart/runs/news-compare-methods/results.json');
  const told = JSON.parse(readFileSync(results, 'utf8'));
  const losses = new Map(told.methods.map(({ method, results: { loss } }) => [method, loss.mean]));
  const names = async () => methods.locator('tbody th .open-run').allTextContents();
  assert.deepEqual(
    await names(),
    [...losses.keys()].sort((one, other) => losses.get(one) - losses.get(other)),
  );
  // By keys: another order, and back.
  await methods.locator('[data-sort=name]').focus();
  await page.keyboard.press('Enter');
  assert.deepEqual(await names(), ['full', 'ia3', 'lora']);
  await page.keyboard.press('Enter');
  assert.deepEqual(await names(), ['lora', 'ia3', 'full']);
  await methods.locator('svg.methods-picture').scrollIntoViewIfNeeded();
  await shoot('picture');
  await methods.locator('.open-run', { hasText: 'ia3' }).click();
  const run = await pageOf('news');
  await run.locator('.subject', { hasText: /^ia3 on .*seed 42/ }).waitFor();
  await shoot('run');
}
