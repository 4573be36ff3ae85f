// Every page of the extension, and every tab of the live panel, checked with axe-core where a person meets it, inside
// the real webview: `node test/e2e/accessibility.mjs [--theme NAME]`, after `node build.mjs`; CS_DIR as for the shim.
// Each violation is printed with its page, rule and elements, and makes the exit code 1. What axe cannot decide by
// itself (a color that stands over a picture) is printed with its reason.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { copyExamples, retry, walkThrough } from './workbench.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** WCAG 2.1 A and AA, and what Deque holds to be good practice. */
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'];
const TABS = ['Curves', 'Ranks', 'Masks', 'Coverage', 'Data', 'Memory', 'Log'];

const { values } = parseArgs({ options: { theme: { type: 'string', default: 'Default Dark Modern' } } });
const work = mkdtempSync(path.join(tmpdir(), 'peft-axe-'));
process.env.PEFT_STUDIO_RUNTIME_DIR = path.join(work, 'live');

const trained = path.join(work, 'trained');
mkdirSync(trained);
copyExamples(trained);
for (const name of ['adalora', 'fish-mask']) {
  const file = path.join(trained, 'examples', name, `${name}.peft.yaml`);
  execFileSync(process.execPath, [path.join(root, 'dist/cli.js'), 'train', file, '--json'], { stdio: 'ignore' });
}

let violations = 0;
let pages = 0;
const undecided = new Set();
const settings = { 'workbench.colorTheme': values.theme, 'window.zoomLevel': 0 };
await walkThrough({ pictures: path.join(work, 'pictures'), settings, fill }, walk);
for (const line of undecided) console.log(`? ${line}`);
console.log(`${values.theme}: ${pages} pages, ${violations} violations, ${undecided.size} undecided`);
if (violations > 0) process.exitCode = 1;
if (process.exitCode === undefined) rmSync(work, { recursive: true, force: true });

/** The runs as if they had been trained in the workspace. */
function fill(workspace) {
  cpSync(trained, workspace, { recursive: true });
  for (const name of readdirSync(workspace, { recursive: true })) {
    const file = path.join(workspace, name);
    if (!/runs.*(events\.jsonl|adapter_config\.json|run\.peft\.yaml)$/.test(name)) continue;
    writeFileSync(file, readFileSync(file, 'utf8').replaceAll(trained, workspace));
  }
}

/** Checks the page that is shown, and prints what is wrong with it. */
async function check(window, name) {
  await window.page.waitForTimeout(700);
  // What playwright evaluates is not subject to the page's content security policy.
  const frame = await (await window.panel().locator('body').elementHandle()).ownerFrame();
  await frame.evaluate(axeSource);
  const found = await frame.evaluate(
    (rules) => globalThis.axe.run({ runOnly: rules, resultTypes: ['violations', 'incomplete'] }),
    RULES,
  );
  if (found.passes.length === 0) throw new Error(`axe-core looked at nothing in ${name}.`);
  pages += 1;
  for (const { id, help, nodes } of found.violations) {
    violations += 1;
    console.error(`✖ ${name}: ${id}: ${help}`);
    for (const { target, failureSummary } of nodes) {
      console.error(`    ${target.join(' ')}: ${failureSummary.split('\n').slice(1).join(' ').trim()}`);
    }
  }
  for (const { id, nodes } of found.incomplete) {
    for (const { any, all, none } of nodes) {
      for (const { message } of [...any, ...all, ...none]) undecided.add(`${name}: ${id}: ${message}`);
    }
  }
  console.log(`  ${name}: ${found.passes.length} rules hold, ${found.violations.length} do not`);
}

async function walk(window) {
  const { page, openFile, command, quickInput, panel } = window;
  const pick = async (text) => {
    await quickInput().waitFor({ timeout: 30_000 });
    await page.waitForTimeout(800);
    await quickInput().fill(text);
    await page.locator('.quick-input-list .monaco-list-row', { hasText: text }).first().click({ timeout: 20_000 });
  };
  await openFile('adalora.peft.yaml');
  await command('PEFT Studio: Preview Data');
  await panel().locator('.tokens').waitFor({ timeout: 60_000 });
  await check(window, 'data preview');

  for (const run of ['adalora', 'fish-mask']) {
    await command('View: Close All Editors');
    await command('PEFT Studio: Open Panel of Run');
    await pick(run);
    await panel().locator('h1', { hasText: run }).waitFor({ timeout: 60_000 });
    await page.waitForTimeout(1000);
    const seen = await panel().locator('vscode-panel-tab:visible').allTextContents();
    for (const tab of TABS.filter((each) => seen.some((title) => title.startsWith(each)))) {
      await panel().locator('vscode-panel-tab', { hasText: tab }).click();
      await check(window, `panel of ${run}, ${tab}`);
      if (tab !== 'Masks') continue;
      await panel().locator('[role=gridcell]').nth(8).click();
      await panel().locator('.mask-image canvas, canvas').last().waitFor({ timeout: 30_000 });
      await check(window, `panel of ${run}, a mask opened`);
    }
  }

  await command('View: Close All Editors');
  await command('PEFT Studio: Compare Runs');
  for (const name of ['adalora', 'fish-mask']) await pick(name);
  await page.locator('.quick-input-widget .monaco-button', { hasText: 'OK' }).click();
  await panel().locator('h2', { hasText: 'Settings that differ' }).waitFor({ timeout: 60_000 });
  await check(window, 'comparison');

  await command('View: Close All Editors');
  await command('PEFT Studio: Open Playground');
  await pick('peft-studio-tiny');
  const add = panel().locator('vscode-button', { hasText: 'Add Adapter' });
  await add.waitFor({ timeout: 60_000 });
  await check(window, 'playground, empty');
  await retry(async () => {
    await add.click();
    await pick('adalora');
  }, 2);
  await panel().locator('textarea[aria-label="Prompt"]').fill('table stocks(company)\nquestion: how many?\nsql:');
  await panel().locator('vscode-button', { hasText: /^Run/ }).click();
  await page.waitForTimeout(4000);
  await check(window, 'playground, answered');
}
