// Adds two adapters of differences in the explorer as a person would, with a picture at each stop:
// `node test/e2e/walkCombine.mjs FOLDER`, after `node build.mjs`; CS_DIR as for the shim.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { copyExamples, trainBefore, walkThrough } from './workbench.mjs';

const [pictures] = process.argv.slice(2);
if (!pictures) throw new Error('usage: node test/e2e/walkCombine.mjs FOLDER');

await walkThrough({ pictures, settings: {}, fill }, walk);

/** A language's and a task's adapter, and one of factors, which is not offered. */
function fill(workspace) {
  copyExamples(workspace);
  for (const [name, method] of [
    ['language', 'lt_sft'],
    ['task', 'pafi'],
    ['factors', 'lora'],
  ]) {
    const file = path.join(workspace, `${name}.peft.yaml`);
    writeFileSync(
      file,
      `model: examples/base-model/peft-studio-tiny
data: { train: examples/quickstart/train.jsonl, max_length: 64 }
method: { type: ${method} }
training: { max_steps: 2, per_device_train_batch_size: 4 }
`,
    );
    trainBefore(file);
  }
}

async function walk({ page, shoot }, { workspace }) {
  const row = (text) => page.locator('.pane-body .monaco-list-row', { hasText: text }).first();
  const choices = page.locator('.quick-input-list .monaco-list-row');
  await page.locator('.activitybar .action-label[aria-label^="PEFT Studio"]').click();
  await row('pafi').waitFor();
  await shoot('explorer');
  await row('factors').click({ button: 'right' });
  await page.locator('.monaco-menu .action-label', { hasText: 'Merge Adapter' }).waitFor();
  assert.equal(await page.locator('.monaco-menu .action-label', { hasText: 'Add Adapters' }).count(), 0);
  await page.keyboard.press('Escape');
  await row('lt_sft').click({ button: 'right' });
  await page.locator('.monaco-menu .action-label', { hasText: 'Add Adapters' }).click();
  await choices.first().waitFor();
  assert.equal(await choices.count(), 1, 'the other one of differences');
  await choices.first().click();
  await shoot('pick');
  await page.keyboard.press('Enter');
  await page.locator('.quick-input-title', { hasText: 'folder for the sum' }).waitFor();
  await shoot('folder');
  await page.keyboard.press('Enter');
  await page.locator('.notification-toast', { hasText: 'the sum is in' }).waitFor();
  await row('-sum').waitFor();
  await shoot('sum');
  const runs = path.join(workspace, 'runs/language');
  const sum = path.join(
    runs,
    readdirSync(runs).find((name) => name.endsWith('-sum')),
  );
  const { combined_from: from } = JSON.parse(readFileSync(path.join(sum, 'adapter_config.json'), 'utf8'));
  assert.deepEqual(
    from.map((each) => [each.peft_type, each.weight]),
    [
      ['LT_SFT', 1],
      ['PAFI', 1],
    ],
  );
}
