// Every page of the extension, every tab of the live panel and every state of a run, checked with axe-core where a person
// meets it, inside the real webview: `node test/e2e/accessibility.mjs [--theme dark|light|contrast]`, after `node build.mjs`; CS_DIR as
// for the shim. Each violation is printed with its page, rule and elements, and makes the exit code 1. What axe cannot
// decide by itself is decided here: contrast is computed from the colors that lie over each other, the rest is judged by
// kind, and a kind that nobody has judged is a violation.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { contrastOf } from './contrast.mjs';
import { composeBefore } from './mixtureBefore.mjs';
import { THEMES, retry, trainBefore, walkThrough } from './workbench.mjs';

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** WCAG 2.1 A and AA, and what Deque holds to be good practice. */
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'];
const TABS = ['Curves', 'Ranks', 'Masks', 'Coverage', 'Data', 'Answers', 'Memory', 'Log'];
/**
 * What axe leaves open and a person has judged, by rule and axe's words: why it is right, and what of the element proves
 * it, in the page.
 */
const JUDGED = [
  {
    rule: 'aria-input-field-name',
    says: 'Check that the <label> does not need be part of',
    holds: 'a list has the words of its label as its own name',
    proof: (element) => element.getAttribute('aria-label') === element.closest('label').firstChild.textContent,
  },
  {
    rule: 'label-content-name-mismatch',
    says: 'Unable to determine if the visible text is part of the accessible name',
    holds: 'what is seen is a sign, and its name says what it means',
    proof: (element) =>
      !/[\p{L}\p{N}]/u.test(element.textContent) && element.getAttribute('aria-label').length > 2,
  },
];

const { values } = parseArgs({ options: { theme: { type: 'string', default: 'dark' } } });
const theme = THEMES[values.theme];
// VS Code takes its default for a name that it does not know, and would be checked in that.
if (theme === undefined) throw new Error(`--theme is one of ${Object.keys(THEMES).join(', ')}`);
const work = mkdtempSync(path.join(tmpdir(), 'peft-axe-'));
process.env.PEFT_STUDIO_RUNTIME_DIR = path.join(work, 'live');

let violations = 0;
let pages = 0;
let computed = 0;
let agreed = 0;
const lowest = { ratio: Infinity, where: '' };
const judged = new Map(JUDGED.map((kind) => [kind, 0]));
const settings = { 'workbench.colorTheme': theme, 'window.zoomLevel': 0 };
await walkThrough({ pictures: path.join(work, 'pictures'), settings, fill }, walk);
for (const [{ rule, says, holds }, times] of judged) console.log(`  ${times} × ${rule}, ${says}: ${holds}`);
console.log(`  ${computed} contrasts computed, the lowest ${lowest.ratio.toFixed(2)} in ${lowest.where}`);
if (agreed === 0) throw new Error('No contrast was computed by both.');
console.log(`${theme}: ${pages} pages, ${violations} violations`);
if (violations > 0) process.exitCode = 1;
if (process.exitCode === undefined) rmSync(work, { recursive: true, force: true });

/** A mixture of adapters, two runs that have ended well, one that has failed, and one that is going to be watched. */
function fill(workspace) {
  composeBefore(workspace);
  const file = (example, name = example) => path.join(workspace, 'examples', example, `${name}.peft.yaml`);
  const change = (example, name, from, to) => {
    writeFileSync(file(example, name), readFileSync(file(example), 'utf8').replace(from, to));
    return file(example, name);
  };
  trainBefore(change('adalora', 'ranks', /num_train_epochs: .*/, 'max_steps: 90'));
  trainBefore(change('fish-mask', 'mask', /num_train_epochs: .*/, 'max_steps: 10'));
  trainBefore(change('fish-mask', 'smallest', /fish_mask(?=\n)|num_train_epochs: .*/g, pafiShort));
  trainBefore(change('quickstart', 'nested', /type: lora.*|num_train_epochs: .*/g, nestedShort));
  compareBefore(change('quickstart', 'methods', /num_train_epochs: .*/, 'max_steps: 2'));
  change('quickstart', 'endless', /num_train_epochs: .*/, 'max_steps: 100000');
  change('quickstart', 'diverging', /learning_rate: \S+/, 'learning_rate: 1e30');
}

/** Compares methods by the command line, one of which does not fit the model. */
function compareBefore(runFile) {
  const args = ['compare-methods', runFile, '--methods=lora,ia3,full,fish_mask,bitfit', '--json'];
  const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
  execFileSync(process.execPath, [cli, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** PaFi instead of FISH Mask, for a few steps: another mask of the same model. */
function pafiShort(found) {
  return found === 'fish_mask' ? 'pafi' : 'max_steps: 10';
}

/** DyLoRA instead of LoRA, for a few steps: its Ranks have the loss at each rank. */
function nestedShort(found) {
  return found.startsWith('type') ? 'type: dylora\n  eval_ranks: [1, 2]' : 'max_steps: 4';
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
  const before = violations;
  for (const { id, help, nodes } of found.violations) {
    complain(`${name}: ${id}: ${help}`, nodes);
  }
  for (const { nodes } of found.passes.filter(({ id }) => id === 'color-contrast')) {
    for (const { target, any } of nodes) await agree(frame, target.flat(), any[0].data.contrastRatio);
  }
  for (const { id, nodes } of found.incomplete) {
    for (const node of nodes) await decide(frame, name, id, node);
  }
  console.log(`  ${name}: ${found.passes.length} rules hold, ${violations - before} do not`);
}

function complain(what, nodes) {
  violations += 1;
  console.error(`✖ ${what}`);
  for (const { target, failureSummary } of nodes) {
    console.error(`    ${target.flat().join(' ')}: ${failureSummary.split('\n').slice(1).join(' ').trim()}`);
  }
}

/** Where axe knows the contrast, ours is the same. */
async function agree(frame, target, known) {
  const { ratio } = await frame.evaluate(contrastOf, target);
  if (Math.abs(ratio - known) > 0.02 * known) {
    throw new Error(`The contrast of ${target.join(' ')} is ${known} to axe, ${ratio} to us.`);
  }
  agreed += 1;
}

/** Decides what axe left open about an element. */
async function decide(frame, name, rule, node) {
  const says = [...node.any, ...node.all, ...node.none].map(({ message }) => message).join(' ');
  if (rule === 'color-contrast') {
    const { ratio, wanted, unknown } = await frame.evaluate(contrastOf, node.target.flat());
    if (unknown === undefined) {
      computed += 1;
      if (ratio < lowest.ratio)
        Object.assign(lowest, { ratio, where: `${name}: ${node.target.flat().join(' ')}` });
      if (ratio < wanted) complain(`${name}: contrast of ${ratio.toFixed(2)}, wanted ${wanted}`, [node]);
      return;
    }
    console.log(`    ${unknown}`);
  }
  const kind = JUDGED.find((each) => each.rule === rule && says.startsWith(each.says));
  if (kind === undefined) complain(`${name}: ${rule}, not judged yet: ${says} ${node.html}`, [node]);
  else if (await frame.locator(node.target.flat().join(' ')).evaluate(kind.proof)) {
    judged.set(kind, judged.get(kind) + 1);
  } else complain(`${name}: ${rule}: not ${kind.holds}: ${node.html}`, [node]);
}

async function walk(window) {
  const { page, openFile, command, pick, panel } = window;
  await openFile('adalora.peft.yaml');
  await command('PEFT Studio: Preview Data');
  await panel().locator('.tokens').waitFor({ timeout: 60_000 });
  await check(window, 'data preview');

  for (const run of ['ranks', 'mask']) {
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
      await panel().locator('.mask-canvas').waitFor({ timeout: 30_000 });
      await check(window, `panel of ${run}, a mask opened`);
      for (const summary of await panel().locator('#view-masks summary').all()) await summary.click();
      await panel().locator('.mask-compare vscode-button').first().click();
      await panel().locator('.mask-compare vscode-dropdown').waitFor({ timeout: 30_000 });
      await panel().locator('.mask-compare vscode-dropdown').click();
      await panel().locator('.mask-compare vscode-option', { hasText: 'smallest' }).click();
      await panel().locator('.mask-compare .tiles dd').first().waitFor({ timeout: 60_000 });
      await check(window, `panel of ${run}, shares and the overlap with another mask`);
    }
  }
  await nested(window);
  await states(window);

  await command('View: Close All Editors');
  await command('PEFT Studio: Compare Runs');
  for (const name of ['ranks', 'mask']) await pick(name);
  await page.locator('.quick-input-widget .monaco-button', { hasText: 'OK' }).click();
  await panel().locator('h2', { hasText: 'Settings that differ' }).waitFor({ timeout: 60_000 });
  await check(window, 'comparison');
  await command('View: Close All Editors');
  await command('PEFT Studio: Open Comparison of Methods');
  await panel().locator('svg.methods-picture').waitFor({ timeout: 60_000 });
  await check(window, 'compared methods');
  await command('View: Close All Editors');
  await command('PEFT Studio: Show Search for the Mixture');
  await pick('five-rows-mixture');
  await panel().locator('.heat-cell').first().waitFor({ timeout: 60_000 });
  await panel().locator('.heat-table summary').click();
  await check(window, 'a search for a mixture');
  await combination(window);
  await playground(window);
}

/** LoRAs as they are combined, with all that the page can show, and where it cannot be computed. */
async function combination({ command, pick, panel, ...window }) {
  const { page } = window;
  await command('View: Close All Editors');
  await command('PEFT Studio: Combine Adapters');
  await pick('nested');
  await pick('smallest');
  await page.locator('.quick-input-widget .monaco-button', { hasText: 'OK' }).click();
  await panel().locator('[role=alert]').waitFor({ timeout: 60_000 });
  await check({ panel, ...window }, 'adapters that cannot be combined so');
  const keep = panel().locator('vscode-dropdown[aria-label="Kept of each sum"]');
  await keep.focus();
  await page.keyboard.press('ArrowDown');
  await panel().locator('.heat-cell').first().waitFor({ timeout: 60_000 });
  await panel().locator('.layer-weights > vscode-button').click();
  await panel().locator('.layers-field').fill('0');
  await panel().locator('.heat-table summary').click();
  await panel().locator('.results:not(.stale)').waitFor({ timeout: 60_000 });
  await check({ panel, ...window }, 'combined adapters');
}

/** Ranks of a run that measured its loss at several. */
async function nested({ command, pick, panel, ...window }) {
  await command('View: Close All Editors');
  await command('PEFT Studio: Open Panel of Run');
  await pick('nested');
  await panel().locator('vscode-panel-tab', { hasText: 'Ranks' }).click({ timeout: 60_000 });
  await panel().locator('h2.rank-loss').waitFor();
  await check({ panel, ...window }, 'panel of nested, Ranks');
}

/** A run that works, one that rests, one that was stopped and one that failed. */
async function states(window) {
  const { openFile, command, panel } = window;
  await command('View: Close All Editors');
  await openFile('endless.peft.yaml');
  await command('PEFT Studio: Train');
  await panel().locator('.plot canvas').first().waitFor({ timeout: 120_000 });
  await check(window, 'a run that works');
  const compare = panel().locator('vscode-button', { hasText: 'Compare with' });
  for (const expanded of ['false', 'true']) {
    if ((await compare.locator('button').getAttribute('aria-expanded')) !== expanded) {
      complain(`a run that works: "Compare with…" does not say aria-expanded="${expanded}"`, []);
    }
    await compare.click();
  }
  await panel().locator('vscode-button', { hasText: 'Pause' }).click();
  await panel().locator('.state-paused').waitFor({ timeout: 60_000 });
  await check(window, 'a run that is paused');
  await panel().locator('vscode-button', { hasText: 'Stop' }).click();
  await panel().locator('.state', { hasText: 'stopped' }).waitFor({ timeout: 60_000 });
  await check(window, 'a run that was stopped');
  await command('View: Close All Editors');
  await openFile('diverging.peft.yaml');
  await command('PEFT Studio: Train');
  await panel().locator('.state-failed').waitFor({ timeout: 120_000 });
  await check(window, 'a run that failed');
  await panel().locator('vscode-panel-tab', { hasText: 'Log' }).click();
  await check(window, 'the log of a run that failed');
}

async function playground(window) {
  const { page, command, pick, panel } = window;
  await command('View: Close All Editors');
  await command('PEFT Studio: Open Playground');
  await pick('peft-studio-tiny');
  const add = panel().locator('vscode-button', { hasText: 'Add Adapter' });
  await add.waitFor({ timeout: 60_000 });
  await check(window, 'playground, empty');
  await retry(async () => {
    await add.click();
    await pick('ranks');
  }, 2);
  await panel().locator('textarea[aria-label="Prompt"]').fill('table stocks(company)\nquestion: how many?\nsql:');
  await panel()
    .locator('vscode-button', { hasText: /^\s*Run/ })
    .click();
  await page.waitForTimeout(4000);
  await check(window, 'playground, answered');
}
