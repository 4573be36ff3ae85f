// Walks through the adapter explorer as a person would, with a picture at each stop:
// `node test/e2e/walkExplorer.mjs FOLDER [--theme NAME]`, after `node build.mjs`; CS_DIR as for the shim.
import { cpSync, mkdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { copyExamples, walkThrough } from './workbench.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { theme: { type: 'string', default: 'Default Dark Modern' } },
});
const [pictures] = positionals;
if (!pictures) throw new Error('usage: node test/e2e/walkExplorer.mjs FOLDER [--theme NAME]');
const foreign = fileURLToPath(new URL('../fixtures/lora-reference/peft-adapter', import.meta.url));

await walkThrough({ pictures, settings: { 'workbench.colorTheme': values.theme }, fill }, walk);

/** The examples, an adapter of another tool, one whose config is broken, one of pickles, and a run that was killed. */
function fill(workspace) {
  copyExamples(workspace);
  const at = (...names) => path.join(workspace, ...names);
  const write = (file, text) => {
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
  };
  cpSync(foreign, at('downloads/foreign'), { recursive: true });
  const config = at('downloads/foreign/adapter_config.json');
  writeFileSync(config, readFileSync(config, 'utf8').replace('"tiny-llama"', '"meta-llama/Llama-3.2-1B"'));
  write(at('downloads/broken/adapter_config.json'), '{ "peft_type": ');
  const pickled = { peft_type: 'LORA', r: 8, base_model_name_or_path: '/models/nowhere.gguf' };
  write(at('downloads/pickled/adapter_config.json'), JSON.stringify(pickled));
  write(at('downloads/pickled/adapter_model.bin'), 'a pickle');
  const run = at('runs/killed/2026-01-01T00-00-00');
  mkdirSync(path.join(run, 'checkpoint-20'), { recursive: true });
  const events = [started(workspace, run), ...Array.from({ length: 23 }, (_, index) => step(index + 1))];
  write(path.join(run, 'events.jsonl'), events.map((event) => `${JSON.stringify(event)}\n`).join(''));
  utimesSync(path.join(run, 'events.jsonl'), new Date('2026-01-01'), new Date('2026-01-01'));
}

function started(workspace, folder) {
  const places = { config: path.join(workspace, 'killed.peft.yaml'), folder };
  const model = path.join(workspace, 'examples/base-model/peft-studio-tiny');
  const about = { time: '2026-01-01T00:00:00Z', version: '0', engine: 'embedded', method: 'lora', seed: 1 };
  return { type: 'started', ...about, ...places, model, totalSteps: 50 };
}

function step(at) {
  const measures = { loss: 3 / at, learningRate: 1e-3, gradientNorm: 1, tokens: 10, supervisedTokens: 5 };
  return { type: 'step', step: at, epoch: 0, ...measures, rows: 2, seconds: 0.1 };
}

async function walk({ page, shoot, openFile, command, quickInput, panel: panelOf }, { workspace }) {
  const panel = panelOf();
  const row = (text) => page.locator('.pane-body .monaco-list-row', { hasText: text }).first();
  const settled = () => page.waitForTimeout(800);
  async function menu(of, entry) {
    await row(of).click({ button: 'right' });
    await settled();
    await page.locator('.monaco-menu .action-label', { hasText: entry }).click();
    await page.locator('.monaco-menu').waitFor({ state: 'detached' });
  }

  await page.locator('.activitybar .action-label[aria-label^="PEFT Studio"]').click();
  await row('foreign').waitFor({ timeout: 30_000 });
  await shoot('explorer');
  await openFile('quickstart.peft.yaml');
  await command('PEFT Studio: Train');
  await row('running, step').waitFor({ timeout: 60_000 });
  await settled();
  await shoot('running');
  await row('finished').waitFor({ timeout: 200_000 });
  await command('Notifications: Clear All Notifications');
  for (const text of ['finished', 'broken']) {
    await row(text).hover();
    await page.waitForTimeout(1500);
    await shoot(`hover-${text}`);
  }

  await menu('finished', 'Inspect Adapter');
  await page.locator('.tab', { hasText: 'Inspection' }).waitFor({ timeout: 30_000 });
  await settled();
  await shoot('inspection');

  await command('PEFT Studio: Try Adapter');
  await page.locator('.quick-input-list .monaco-list-row', { hasText: 'quickstart' }).first().waitFor();
  await shoot('pick');
  await page.locator('.quick-input-list .monaco-list-row', { hasText: 'quickstart' }).first().click();
  await settled();
  await quickInput().fill('question: How many products are there?\\nsql:');
  await page.keyboard.press('Enter');
  await page.locator('.tab', { hasText: 'Try ' }).waitFor({ timeout: 60_000 });
  await settled();
  await shoot('answer');

  await menu('finished', 'Merge Adapter');
  await settled();
  await shoot('merge-folder');
  await page.keyboard.press('Enter');
  await settled();
  await page.keyboard.press('Enter');
  await page.locator('.notification-toast', { hasText: 'merged model in' }).waitFor({ timeout: 60_000 });
  await shoot('merged');
  await command('Notifications: Clear All Notifications');

  await menu('killed', 'Open Panel');
  await panel.locator('h1', { hasText: 'killed' }).waitFor({ timeout: 30_000 });
  await settled();
  await shoot('past-run');

  rmSync(path.join(workspace, 'downloads/pickled'), { recursive: true });
  await row('pickled').waitFor({ state: 'detached', timeout: 20_000 });
  await row('broken').click();
  await page.keyboard.press('Delete');
  await page.locator('.monaco-dialog-box', { hasText: 'to the trash' }).waitFor();
  await shoot('delete');
}
