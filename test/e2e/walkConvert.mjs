// Converts adapters in the explorer as a person would, with a picture at each stop:
// `node test/e2e/walkConvert.mjs FOLDER`, after `node build.mjs`; CS_DIR as for the shim.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { copyExamples, trainBefore, walkThrough } from './workbench.mjs';

const [pictures] = process.argv.slice(2);
if (!pictures) throw new Error('usage: node test/e2e/walkConvert.mjs FOLDER');

await walkThrough({ pictures, settings: {}, fill }, walk);

function fill(workspace) {
  copyExamples(workspace);
  for (const [name, method] of [
    ['pruned', 'adalora'],
    ['plain', 'lora'],
  ]) {
    const file = path.join(workspace, `${name}.peft.yaml`);
    writeFileSync(
      file,
      `model: examples/base-model/peft-studio-tiny
data: { train: examples/quickstart/train.jsonl, max_length: 64 }
method: { type: ${method} }
training: { max_steps: 3, per_device_train_batch_size: 4 }
`,
    );
    trainBefore(file);
  }
}

async function walk({ page, shoot }, { workspace }) {
  const row = (text) => page.locator('.pane-body .monaco-list-row', { hasText: text }).first();
  const choice = (text) => page.locator('.quick-input-list .monaco-list-row', { hasText: text }).first();
  const toast = (text) => page.locator('.notification-toast', { hasText: text }).first();
  const titled = (text) => page.locator('.quick-input-title', { hasText: text }).waitFor();
  const convert = async (text, picture) => {
    await row(text).click({ button: 'right' });
    const entry = page.locator('.monaco-menu .action-label', { hasText: 'Convert Adapter' });
    await entry.waitFor();
    // A menu takes no click while it fades in.
    await page.waitForTimeout(500);
    if (picture !== undefined) await shoot(picture);
    await entry.click();
    await choice('A delta file').waitFor();
  };
  await page.locator('.activitybar .action-label[aria-label^="PEFT Studio"]').click();
  await row('pruned').waitFor();
  await convert('pruned', 'menu');
  await shoot('kinds');
  await choice('The same as plain LoRA').click();
  await titled('folder for the adapter');
  await shoot('folder');
  await page.keyboard.press('Enter');
  await toast('Nothing of what was learned is lost').waitFor();
  await shoot('exact');

  await convert('plain');
  await choice('The nearest LoRA of a rank').click();
  await titled('the rank');
  await page.keyboard.type('0');
  await page.locator('.quick-input-message', { hasText: 'A whole number from 1 to' }).waitFor();
  await page.keyboard.press('Backspace');
  await page.keyboard.type('2');
  await page.keyboard.press('Enter');
  await titled('folder for the adapter');
  await page.keyboard.press('Enter');
  await toast('of the change of all matrices together').waitFor();
  await shoot('rank');

  await convert('plain');
  await choice('A delta file').click();
  await titled('the file to write');
  await shoot('file');
  await page.keyboard.press('Enter');
  await toast('tensors of the base').waitFor();
  await shoot('delta');

  const made = (name, ending) => {
    const runs = path.join(workspace, 'runs', name);
    return readdirSync(runs, { recursive: true })
      .map(String)
      .filter((each) => each.endsWith(ending))
      .map((each) => path.join(runs, each));
  };
  const [exact] = made('pruned', '-lora');
  const { peft_type: type, rank_pattern: ranks } = JSON.parse(
    readFileSync(path.join(exact, 'adapter_config.json'), 'utf8'),
  );
  assert.equal(type, 'LORA');
  assert.ok(Object.keys(ranks).length > 0);
  assert.equal(made('plain', '-rank-2').length, 1);
  assert.ok(existsSync(made('plain', 'delta.safetensors')[0]));
}
