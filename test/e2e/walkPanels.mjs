// Two runs side by side, as a person has them: paused and continued from the panel, from the palette and from the status
// bar, and both panels there again after the window loads anew; with a picture at each stop:
// `node test/e2e/walkPanels.mjs FOLDER [--theme NAME] [--steps N]`, after `node build.mjs`; CS_DIR as for the shim.
// With --steps, also how long the panel of a finished run of so many steps takes to draw.
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { copyExamples, retry, walkThrough } from './workbench.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { theme: { type: 'string', default: 'Default Dark Modern' }, steps: { type: 'string' } },
});
const [pictures] = positionals;
if (!pictures) throw new Error('usage: node test/e2e/walkPanels.mjs FOLDER [--theme NAME] [--steps N]');

// Nobody else's runs, and a socket's path is short.
const live = mkdtempSync(path.join(tmpdir(), 'peft-live-'));
process.env.PEFT_STUDIO_RUNTIME_DIR = live;

await walkThrough({ pictures, settings: { 'workbench.colorTheme': values.theme }, fill }, walk);
// A walk that fails leaves its run behind.
for (const name of readdirSync(live).filter((each) => each.endsWith('.json'))) {
  const { pid } = JSON.parse(readFileSync(path.join(live, name), 'utf8'));
  if (pid !== undefined) process.kill(pid, 'SIGKILL');
}
rmSync(live, { recursive: true, force: true });

function fill(workspace) {
  copyExamples(workspace);
  const folder = path.join(workspace, 'examples/quickstart');
  const text = readFileSync(path.join(folder, 'quickstart.peft.yaml'), 'utf8');
  const write = (name, steps) =>
    writeFileSync(
      path.join(folder, `${name}.peft.yaml`),
      text.replace(/num_train_epochs: .*/, `max_steps: ${steps}`),
    );
  write('short', 3);
  write('endless', 100_000);
  if (values.steps) longRun(path.join(workspace, 'runs/long/2026-01-01T00-00-00'), Number(values.steps));
}

/** A finished run of many steps: events as a worker writes them. */
function longRun(folder, steps) {
  mkdirSync(folder, { recursive: true });
  const about = { time: '2026-01-01T00:00:00Z', version: '0', engine: 'embedded', method: 'lora', seed: 1 };
  const lines = [
    { type: 'started', ...about, config: '/work/long.peft.yaml', folder, model: '/work/tiny', totalSteps: steps },
  ];
  for (let step = 1; step <= steps; step += 1) {
    const noise = Math.sin(step * 12.9898) * 0.2;
    lines.push({
      type: 'step',
      step,
      learningRate: 1e-3 * (1 - step / steps),
      epoch: step / 1000,
      tokens: 512,
      supervisedTokens: 200,
      rows: 16,
      loss: 1 + 3 / Math.sqrt(step) + noise,
      gradientNorm: 1 + noise,
      seconds: 0.1,
    });
    if (step % 1000 === 0) lines.push(evaluation(step));
  }
  lines.push({
    type: 'finished',
    reason: 'completed',
    adapter: path.join(folder, 'adapter'),
    metrics: { eval_loss: 1 },
    steps,
    seconds: steps / 10,
    peakMemory: 2 ** 30,
  });
  writeFileSync(path.join(folder, 'events.jsonl'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
}

function evaluation(step) {
  const counts = { rows: 64, supervisedTokens: 900, seconds: 1 };
  return {
    type: 'evaluation',
    step,
    split: 'validation',
    loss: 1.2,
    tokenAccuracy: 0.8,
    rowAccuracy: 0.5,
    ...counts,
  };
}

async function walk(window, { workspace }) {
  const { page, shoot, openFile, command, panels } = window;
  const button = (panel, text) => panel.locator('.title-row vscode-button', { hasText: text });
  /** The panel of a run, wherever its iframe stands now. */
  async function panelOf(name) {
    return retry(async () => {
      for (const panel of panels()) {
        const title = await panel
          .locator('h1')
          .textContent({ timeout: 1000 })
          .catch(() => undefined);
        if (title === name) return panel;
      }
      await page.waitForTimeout(500);
      throw new Error(`No panel of ${name} is open.`);
    }, 60);
  }
  const state = (panel, text) => panel.locator('.state', { hasText: text }).waitFor({ timeout: 60_000 });

  if (values.steps) await openLong(window, panelOf);

  await openFile('short.peft.yaml');
  await command('PEFT Studio: Train');
  await state(await panelOf('short'), 'finished');

  await openFile('endless.peft.yaml');
  await command('PEFT Studio: Train');
  const endless = await panelOf('endless');
  await endless.locator('.curve-main, .uplot').first().waitFor({ timeout: 120_000 });
  await shoot('running');
  await button(endless, 'Pause').click();
  await state(endless, 'paused');
  await button(endless, 'Checkpoint Now').click();
  await endless.locator('.activity', { hasText: 'checkpoint holds' }).waitFor({ timeout: 30_000 });
  const step = () => endless.locator('.tile', { hasText: 'Step' }).first().textContent();
  const [before] = [await step(), await page.waitForTimeout(2500)];
  if ((await step()) !== before) throw new Error('Steps were taken in a pause.');
  await shoot('paused');
  await page.locator('.statusbar-item', { hasText: 'endless: paused after step' }).click();
  await page.locator('.quick-input-list .monaco-list-row', { hasText: 'Continue' }).waitFor({ timeout: 10_000 });
  await shoot('menu');
  await page.locator('.quick-input-list .monaco-list-row', { hasText: 'Continue' }).click();
  await state(endless, 'training');
  console.log('✔ a run is paused from its panel and continued from the status bar');

  await endless.locator('vscode-panel-tab', { hasText: 'Log' }).click({ timeout: 90_000 });
  await endless.locator('.log li', { hasText: 'Continued after step' }).waitFor({ timeout: 10_000 });
  await shoot('log');
  await command('PEFT Studio: Pause');
  await state(await panelOf('endless'), 'paused');

  await page.locator('.tab', { hasText: 'PEFT: endless' }).click();
  await command('View: Move Editor into Right Group');
  await panelOf('short');
  await panelOf('endless');
  await shoot('side-by-side');
  // In a browser the workbench keeps what is open every five seconds only, and not when it is left.
  await page.waitForTimeout(6500);
  await page.reload();
  await page.locator('.explorer-folders-view .monaco-list-row').first().waitFor({ timeout: 60_000 });
  await state(await panelOf('short'), 'finished');
  await state(await panelOf('endless'), 'paused');
  const again = await panelOf('endless');
  await button(again, 'Continue').waitFor({ timeout: 30_000 });
  await shoot('reloaded');
  console.log('✔ both panels are there again after the window loaded anew');
  await command('PEFT Studio: Continue');
  await state(again, 'training');
  await button(again, 'Stop').click();
  await state(again, 'stopped');
  await shoot('stopped');
  const runs = path.join(workspace, 'examples/quickstart/runs/endless');
  const [run] = readdirSync(runs);
  if (!readdirSync(path.join(runs, run)).includes('adapter')) throw new Error('No adapter was written.');
  console.log('✔ what was paused over a reload goes on, and stops with its adapter');
}

async function openLong({ page, shoot, command, quickInput }, panelOf) {
  await command('PEFT Studio: Refresh Adapters');
  await command('PEFT Studio: Open Panel of Run');
  await quickInput().fill('long', { timeout: 10_000 });
  await page.waitForTimeout(500);
  const began = Date.now();
  await page.keyboard.press('Enter');
  const panel = await panelOf('long');
  await panel.locator('.curve-main, .uplot').first().waitFor({ timeout: 120_000 });
  console.log(`a finished run of ${values.steps} steps was drawn after ${Date.now() - began} ms`);
  await shoot('long');
  await command('View: Close Editor');
}
