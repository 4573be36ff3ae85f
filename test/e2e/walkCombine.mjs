// Combines adapters in the explorer as a person would, with a picture at each stop:
// `node test/e2e/walkCombine.mjs FOLDER`, after `node build.mjs`; CS_DIR as for the shim.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { copyExamples, trainBefore, walkThrough } from './workbench.mjs';

const [pictures] = process.argv.slice(2);
if (!pictures) throw new Error('usage: node test/e2e/walkCombine.mjs FOLDER');

await walkThrough({ pictures, settings: {}, fill }, walk);

/** Two LoRAs of different ranks, and a language's and a task's adapter of differences. */
function fill(workspace) {
  copyExamples(workspace);
  for (const [name, method] of [
    ['sql', 'lora, r: 8'],
    ['news', 'lora, r: 4'],
    ['language', 'lt_sft'],
    ['task', 'pafi'],
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

async function walk({ page, shoot, pageOf }, { workspace }) {
  const row = (text) => page.locator('.pane-body .monaco-list-row', { hasText: text }).first();
  const choices = page.locator('.quick-input-list .monaco-list-row');
  const menu = page.locator('.monaco-menu .action-label', { hasText: 'Combine Adapters' });
  const summary = (combine) => combine.locator('.combine-head .summary');

  await page.locator('.activitybar .action-label[aria-label^="PEFT Studio"]').click();
  await row('pafi').waitFor();
  await shoot('explorer');
  await row('lora r 8').click({ button: 'right' });
  await menu.waitFor();
  await page.waitForTimeout(600);
  await menu.click();
  await choices.first().waitFor();
  assert.equal(await choices.count(), 3, 'all others of the base');
  await choices.filter({ hasText: 'lora r 4' }).click();
  await shoot('pick');
  await page.keyboard.press('Enter');

  const combine = await pageOf('Combine Adapters');
  await summary(combine).filter({ hasText: 'r 12 · lost 0 %' }).waitFor();
  await shoot('preview');

  // By keys: a weight, then a way, and its density.
  const weight = combine.locator('.part .number-field').nth(1);
  await weight.fill('-0.5');
  await combine.locator('.command', { hasText: '--weights=1,-0.5' }).waitFor();
  const ways = combine.locator('vscode-dropdown[aria-label="Way"]');
  await ways.focus();
  for (let times = 0; times < 3; times += 1) await page.keyboard.press('ArrowDown');
  await combine.locator('.command', { hasText: '--how=ties --density=0.2' }).waitFor();
  await combine.locator('.results:not(.stale) dt', { hasText: 'Pruned' }).waitFor();
  await shoot('ties');

  // What cannot be computed says why, above the last preview.
  await combine.locator('vscode-checkbox').click();
  await combine.locator('[role=alert]', { hasText: 'the adapters have ranks 8 and 4' }).waitFor();
  assert.equal(await combine.locator('.results.stale').count(), 1);
  await shoot('failed');
  await combine.locator('vscode-checkbox').click();
  await summary(combine).filter({ hasText: 'r 12' }).waitFor();

  // The map is walked through by keys.
  await combine.locator('.results vscode-dropdown').click();
  await combine.locator('.results vscode-option', { hasText: 'Signs opposed' }).click();
  // What the mouse points at is told before what has the focus.
  await page.mouse.move(0, 0);
  await combine.locator('.heat-cell').first().focus();
  await page.keyboard.press('ArrowDown');
  await combine.locator('.readout', { hasText: 'self_attn.q_proj, layer 0: Signs opposed' }).waitFor();
  await shoot('signs');

  // Hidden behind another tab and shown again, it is as it was; a shortcut is no letter that chooses from the list it is pressed on.
  const before = await summary(combine).textContent();
  await combine.locator('.results vscode-dropdown').focus();
  await page.keyboard.press('Control+n');
  await page.waitForTimeout(1000);
  await page.locator('.tab', { hasText: 'Combine Adapters' }).click();
  const again = await pageOf('Combine Adapters');
  await summary(again).filter({ hasText: before }).waitFor();
  await again.locator('.results .muted', { hasText: 'push in opposite ways' }).waitFor();
  assert.equal(await again.locator('.part .number-field').nth(1).inputValue(), '-0.5');

  // Over a reload of the window, too: in a browser the workbench keeps what is open every five seconds only.
  await page.waitForTimeout(6500);
  await page.reload();
  const restored = await pageOf('Combine Adapters');
  await summary(restored).filter({ hasText: before }).waitFor();
  await restored.locator('.results .muted', { hasText: 'push in opposite ways' }).waitFor();
  assert.equal(await restored.locator('.part .number-field').nth(1).inputValue(), '-0.5');
  await shoot('reloaded');

  await restored.locator('vscode-button', { hasText: 'Write Adapter' }).click();
  await page.locator('.quick-input-title', { hasText: 'folder for the adapter' }).waitFor();
  await shoot('folder');
  await page.keyboard.press('Enter');
  await page.locator('.notification-toast', { hasText: 'the combined adapter is in' }).waitFor();
  await shoot('written');
  const runs = path.join(workspace, 'runs/sql');
  const name = readdirSync(runs).find((each) => each.endsWith('-combined'));
  const config = JSON.parse(readFileSync(path.join(runs, name, 'adapter_config.json'), 'utf8'));
  assert.deepEqual([config.peft_type, config.r], ['LORA', 12]);
}
