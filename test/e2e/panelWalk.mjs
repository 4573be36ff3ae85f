// A run watched, looked into and tried, as a person does it in a real workbench: AdaLoRA trained from the palette, its
// curves followed, paused and continued, its ranks gone back through; a FISH mask opened down to single weights; both runs
// compared; base and adapter chatted with; the theme changed under an open panel, and the display language around a run that
// is paused. What the pages show is held against what the runs left on disk.
//
//   node test/e2e/panelWalk.mjs PICTURES [--vsix FILE]        after `node build.mjs`; CS_DIR as for the shim
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { eventsOf, runFolder, settingsOf, tensorOf, until } from './runRecords.mjs';
import { copyExamples, retry, trainBefore, walkThrough } from './workbench.mjs';

const { values, positionals } = parseArgs({ allowPositionals: true, options: { vsix: { type: 'string' } } });
const [pictures] = positionals;
if (!pictures) throw new Error('usage: node test/e2e/panelWalk.mjs PICTURES [--vsix FILE]');
rmSync(pictures, { recursive: true, force: true });

const STEPS = 120;
const at = (name) => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const chinese = JSON.parse(readFileSync(at('l10n/bundle.l10n.zh-cn.json'), 'utf8'));
// Nobody else's runs, and a socket's path is short.
const live = mkdtempSync(path.join(tmpdir(), 'peft-live-'));
process.env.PEFT_STUDIO_RUNTIME_DIR = live;

const began = performance.now();
function done(what) {
  console.log(`✔ ${what}  (${((performance.now() - began) / 1000).toFixed(0)} s)`);
}

await walkThrough({ pictures, vsix: values.vsix, settings: {}, fill }, walk);
// A walk that fails leaves its run behind.
for (const name of readdirSync(live).filter((each) => each.endsWith('.json'))) {
  const { pid } = JSON.parse(readFileSync(path.join(live, name), 'utf8'));
  if (pid !== undefined) process.kill(pid, 'SIGKILL');
}
rmSync(live, { recursive: true, force: true });

/** The gallery's examples, made short; the FISH mask has been trained before. */
function fill(workspace) {
  copyExamples(workspace);
  shorten(workspace, 'adalora', 'ranks', STEPS);
  shorten(workspace, 'quickstart', 'endless', 100_000);
  trainBefore(shorten(workspace, 'fish-mask', 'mask', 20));
}

function shorten(workspace, example, name, steps) {
  const folder = path.join(workspace, 'examples', example);
  const text = readFileSync(path.join(folder, `${example}.peft.yaml`), 'utf8');
  const file = path.join(folder, `${name}.peft.yaml`);
  // A step of several batches: long enough that a run is not over before somebody has looked at it.
  const long = `max_steps: ${steps}\n  gradient_accumulation_steps: 4`;
  writeFileSync(file, text.replace(/num_train_epochs: .*/, long));
  return file;
}

async function walk(window, { workspace, restart }) {
  const adalora = path.join(workspace, 'examples/adalora/ranks.peft.yaml');
  const fishMask = await runFolder(path.join(workspace, 'examples/fish-mask/mask.peft.yaml'));
  await window.openFile('ranks.peft.yaml');
  await window.command('PEFT Studio: Train');
  const panel = await window.pageOf('ranks');
  const run = await runFolder(adalora);
  await pauseAndGoOn(window, panel, run);
  await goBackInRanks(window, panel, run);
  await openMask(window, fishMask);
  await changeTheme(window);
  await compare(window, [run, fishMask]);
  const said = await chat(window, path.join(run, 'adapter'));
  await changeLanguage(window, path.join(workspace, 'examples/quickstart/endless.peft.yaml'), restart, said);
}

/** A number as the pages write it. */
function numberIn(text) {
  return Number(text.replaceAll(',', '').replace('−', '-'));
}

/** What is shown is what was told, but for its rounding to four digits. */
function close(shown, told, what) {
  assert.ok(Math.abs(numberIn(shown) - told) <= 1e-3 * Math.abs(told), `${what}: shown ${shown}, told ${told}`);
}

/** A table's cells, head first. */
function cellsOf(table) {
  return table.evaluate((element) =>
    [...element.rows].map((row) => [...row.cells].map((cell) => cell.textContent.trim())),
  );
}

async function openTab(panel, title) {
  await panel.locator('vscode-panel-tab', { hasText: title }).click({ timeout: 90_000 });
}

/** Opens the table of the curves; tells how many rows it has, whenever it is asked. */
async function openTable(panel) {
  const table = panel.locator('.curve-table');
  await retry(async () => {
    if (await table.isVisible()) return;
    await panel.locator('vscode-checkbox', { hasText: 'Table' }).click({ timeout: 10_000 });
    await table.waitFor({ timeout: 5000 });
  });
  return async () => numberIn(/of ([\d,]+)$/.exec(await table.locator('.position').textContent())?.[1] ?? '0');
}

/** The table of the curves has the losses that were told, up to the last step. */
async function compareCurves(panel, run, last) {
  const [head, ...shown] = await until('the last step in the table', async () => {
    const cells = await cellsOf(panel.locator('.curve-table table'));
    return numberIn(cells.at(-1)[0]) === last && cells;
  });
  const steps = new Map(eventsOf(run, 'step').map((event) => [event.step, event]));
  const column = head.indexOf('training loss, task alone');
  assert.ok(column > 0 && shown.length > 0, `columns of the table: ${head}`);
  for (const row of shown.filter((each) => each[column] !== '–')) {
    const { loss } = steps.get(numberIn(row[0])) ?? assert.fail(`step ${row[0]} is shown and was never told`);
    close(row[column], loss, `loss at step ${row[0]}`);
  }
}

async function pauseAndGoOn({ page, shoot }, panel, run) {
  await panel.locator('.plot canvas').first().waitFor({ timeout: 120_000 });
  await panel.locator('.title-row vscode-button', { hasText: 'Pause' }).click();
  await panel.locator('.state-paused').waitFor({ timeout: 200_000 });
  const { step } = await until('the pause', () => eventsOf(run, 'paused').at(-1));
  assert.ok(step < STEPS, 'the run was over before it was paused');
  const tile = panel.locator('.tile', { hasText: 'Step' }).first().locator('dd');
  const shown = `${step} of ${STEPS}`;
  assert.equal(await tile.textContent(), shown);
  await page.waitForTimeout(2500);
  assert.equal(await tile.textContent(), shown, 'steps were taken in a pause');
  assert.equal(eventsOf(run, 'step').at(-1).step, step, 'steps were told in a pause');
  const rows = await openTable(panel);
  await compareCurves(panel, run, step);
  const before = await rows();
  await shoot('paused');
  await page.locator('.statusbar-item', { hasText: 'ranks: paused after step' }).click();
  await page.locator('.quick-input-list .monaco-list-row', { hasText: 'Continue' }).click({ timeout: 20_000 });
  const grown = await until('more points', async () => (await rows()) > before && rows());
  await panel.locator('.state-finished').waitFor({ timeout: 200_000 });
  await compareCurves(panel, run, STEPS);
  assert.equal(eventsOf(run, 'continued').length, 1);
  const told = eventsOf(run, 'step').map((event) => event.step);
  assert.deepEqual(
    told,
    Array.from({ length: STEPS }, (_, at) => at + 1),
  );
  done(`it rests after step ${step}, goes on (${before} points, then ${grown}) and ends after ${STEPS} steps`);
}

async function goBackInRanks({ page, shoot }, panel, run) {
  await openTab(panel, 'Ranks');
  const slider = panel.locator('.tab:visible .time-range');
  const reports = eventsOf(run, 'ranks').filter(({ sites }) => sites.some(({ rank }) => rank !== undefined));
  await panel.locator('.tab:visible .heat-table summary').click();
  /** The shown step's ranks are those that were told after it. */
  const check = async () => {
    const said = await slider.getAttribute('aria-valuetext');
    const step = numberIn(/^step ([\d,]+)/.exec(said)[1]);
    const told = new Map(
      reports
        .filter((report) => report.step === step)
        .flatMap(({ sites }) => sites)
        .map((site) => [site.path, site.rank]),
    );
    const [head, ...rows] = await cellsOf(panel.locator('.tab:visible .heat-table table'));
    let compared = 0;
    for (const [kind, ...cells] of rows) {
      cells.forEach((cell, at) => {
        const path = `model.layers.${head[at + 1].replace('layer ', '')}.${kind}`;
        assert.equal(numberIn(cell), told.get(path), `${path} after step ${step}`);
        compared += 1;
      });
    }
    assert.equal(compared, told.size);
    const total = [...told.values()].reduce((sum, rank) => sum + rank, 0);
    assert.equal(
      numberIn(await panel.locator('.tab:visible .tile', { hasText: 'Sum of ranks' }).locator('dd').textContent()),
      total,
    );
    return { step, total };
  };
  const last = await check();
  assert.equal(last.step, STEPS);
  await slider.focus();
  for (let times = 0; times < 3; times += 1) await page.keyboard.press('ArrowLeft');
  const byKeys = await check();
  assert.ok(byKeys.step < last.step, 'the keys do not move the slider');
  const box = await slider.boundingBox();
  await page.mouse.move(box.x + box.width - 8, box.y + box.height / 2);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.5, box.y + box.height / 2, { steps: 5 });
  await page.mouse.move(box.x + box.width * 0.1, box.y + box.height / 2, { steps: 5 });
  await page.mouse.up();
  const byMouse = await check();
  assert.ok(byMouse.step < byKeys.step && byMouse.total > last.total, JSON.stringify({ byMouse, byKeys, last }));
  await shoot('ranks');
  await slider.focus();
  await page.keyboard.press('Home');
  assert.equal((await check()).step, 0);
  done(`ranks at steps ${last.step}, ${byKeys.step}, ${byMouse.step} and 0 are those that were told`);
}

async function openMask({ page, shoot, command, pick, pageOf }, run) {
  await command('PEFT Studio: Open Panel of Run');
  await pick('mask');
  const panel = await pageOf('mask');
  await openTab(panel, 'Masks');
  const site = 'model.layers.0.self_attn.v_proj';
  await panel.locator('[role=gridcell][aria-label^="self_attn.v_proj, layer 0"]').click();
  const mask = panel.locator('.mask');
  await mask.locator('h2', { hasText: site }).waitFor({ timeout: 30_000 });
  const file = path.join(run, 'adapter/adapter_model.safetensors');
  const indices = tensorOf(file, `${site}.weight.indices`);
  const deltas = tensorOf(file, `${site}.weight.values`);
  const columns = eventsOf(run, 'masks')[0].sites.find((each) => each.path === site).shape[1];
  const placeOf = (index) => [Math.floor(index / columns), index % columns];
  const about = await mask.locator('p.muted').first().textContent();
  assert.equal(numberIn(/: ([\d,]+) numbers train/.exec(about)[1]), indices.length);

  const picture = mask.locator('canvas.mask-canvas');
  await picture.focus();
  const where = mask.locator('.mask-where');
  await retry(async () => {
    if ((await where.textContent()).includes('each cell is one number')) return;
    await page.keyboard.press('+');
    throw new Error('The picture does not come down to single numbers.');
  });
  for (let times = 0; times < 4; times += 1) await page.keyboard.press('+');
  await mask.locator('.heat-table summary').click();
  const [top, bottom, left, right] = (await where.textContent()).match(/\d+/g).map(Number);
  const expected = [...indices].flatMap((index, at) => {
    const [row, column] = placeOf(index);
    const isSeen = row >= top && row <= bottom && column >= left && column <= right;
    return isSeen ? [{ row, column, delta: deltas[at] }] : [];
  });
  const [, ...shown] = await cellsOf(mask.locator('.heat-table table'));
  assert.ok(expected.length > 0, 'no number of the window trains');
  assert.equal(shown.length, expected.length);
  shown.forEach(([row, column, delta], at) => {
    const { row: y, column: x, delta: value } = expected[at];
    assert.deepEqual([Number(row), Number(column)], [y, x]);
    close(delta, value, `δ at ${y}, ${x}`);
  });
  // The numbers that train, one after the other, by keys.
  await picture.focus();
  await page.keyboard.press('n');
  const readout = mask.locator('.readout');
  const first = expected[0];
  assert.match(await readout.textContent(), new RegExp(`^Row ${first.row}, column ${first.column}: trains, δ `));
  const at = indices.indexOf(first.row * columns + first.column) + 1;
  await page.keyboard.press('n');
  const [row, column] = placeOf(indices[at]);
  assert.match(await readout.textContent(), new RegExp(`^Row ${row}, column ${column}: trains, δ `));
  await shoot('mask');
  done(`a mask is seen down to single weights: ${expected.length} of ${indices.length} compared with the adapter`);
}

async function changeTheme({ page, shoot, command, quickInput, pageOf }) {
  const panel = await pageOf('mask');
  // With the focus on the picture Escape, which the palette is opened after, would put it away.
  await panel.locator('vscode-button', { hasText: 'Zoom In' }).focus();
  await panel.evaluate(() => (globalThis.unchanged = true));
  const part = await panel.locator('.mask-where').textContent();
  const background = (root) =>
    getComputedStyle(document.querySelector(root)).getPropertyValue('--vscode-editor-background');
  const seen = new Set();
  for (const [theme, body] of [
    ['Light Modern', '.vscode-light'],
    ['Dark High Contrast', '.vscode-high-contrast'],
    ['Dark Modern', '.vscode-dark'],
  ]) {
    await command('Preferences: Color Theme');
    await quickInput().fill(theme);
    await page.waitForTimeout(500);
    await page.keyboard.press('Enter');
    await panel.locator(`body${body}`).waitFor({ timeout: 20_000 });
    await page.waitForTimeout(300);
    assert.equal(
      await panel.evaluate(background, 'html'),
      await page.evaluate(background, '.monaco-workbench'),
      theme,
    );
    seen.add(await panel.locator('canvas.mask-canvas').evaluate((canvas) => canvas.toDataURL()));
    await shoot(`theme${body}`);
  }
  assert.equal(seen.size, 3, 'the picture of the mask does not follow the theme');
  assert.equal(await panel.evaluate(() => globalThis.unchanged), true, 'the page was loaded anew');
  assert.equal(await panel.locator('.mask-where').textContent(), part);
  done('three themes: page and picture follow, and nothing is loaded anew');
}

async function compare({ page, shoot, command, pick, pageOf }, runs) {
  await command('PEFT Studio: Compare Runs');
  for (const name of ['ranks', 'mask']) await pick(name);
  await page.locator('.quick-input-widget .monaco-button', { hasText: 'OK' }).click();
  const comparison = await pageOf('Compare Runs');
  await comparison.locator('h2', { hasText: 'Settings that differ' }).waitFor({ timeout: 60_000 });
  const grid = async (title) => {
    const rows = await comparison
      .locator(`vscode-data-grid[aria-label="${title}"]`)
      .evaluate((element) =>
        [...element.querySelectorAll('vscode-data-grid-row')].map((row) =>
          [...row.children].map((cell) => cell.textContent.trim()),
        ),
      );
    return new Map(rows.slice(1).map(([name, ...cells]) => [name, cells]));
  };
  await shoot('compared');
  const [left, right] = runs.map(settingsOf);
  const differing = [...new Set([...left.keys(), ...right.keys()])].filter(
    (key) => left.get(key) !== right.get(key),
  );
  const shown = await grid('Settings that differ');
  assert.deepEqual([...shown.keys()].sort(), differing.sort());
  for (const key of differing) {
    assert.deepEqual(
      shown.get(key),
      [left, right].map((settings) => (settings.has(key) ? String(settings.get(key)) : '–')),
      key,
    );
  }
  const results = await grid('Results');
  const ends = runs.map((run) => eventsOf(run, 'finished').at(-1));
  assert.deepEqual(
    results.get('steps'),
    ends.map(({ steps }) => String(steps)),
  );
  for (const name of Object.keys(ends[0].metrics)) {
    results.get(name.replaceAll('_', ' ')).forEach((text, at) => {
      close(text, ends[at].metrics[name], name);
    });
  }
  done(`two runs compared: ${differing.length} settings differ, ${Object.keys(ends[0].metrics).length} metrics`);
}

async function chat({ shoot, command, pick, pageOf }, adapter) {
  await command('PEFT Studio: Open Playground');
  await pick('peft-studio-tiny');
  const page = await pageOf('Playground: peft-studio-tiny');
  const add = page.locator('vscode-button', { hasText: 'Add Adapter' });
  await add.waitFor({ timeout: 60_000 });
  await retry(async () => {
    await add.click();
    await pick('ranks');
  }, 2);
  await page.locator('.column').nth(1).waitFor({ timeout: 30_000 });
  await page.locator('.modes label', { hasText: 'Chat' }).click();
  const ask = async (prompt, options) => {
    for (const [name, value] of Object.entries(options))
      await page.locator('.option', { hasText: name }).locator('input').fill(String(value));
    await page.locator('textarea[aria-label="Your message"]').fill(prompt);
    // What is seen of the answers while they come.
    await page.evaluate(() => {
      globalThis.seen = new Set();
      new MutationObserver(() => {
        for (const { textContent } of document.querySelectorAll('.answer-status'))
          globalThis.seen.add(textContent);
      }).observe(document.body, { subtree: true, childList: true, characterData: true });
    });
    await page.locator('vscode-button', { hasText: /^\s*Run\s*$/ }).click();
  };
  const question = 'How many rows are there?';
  await ask(question, { max_new_tokens: 100, temperature: 0 });
  const statuses = page.locator('.answer-status');
  await page.locator('vscode-button', { hasText: /^\s*Run\s*$/ }).waitFor({ timeout: 60_000 });
  const model = path.join(path.dirname(adapter), '../../../../base-model/peft-studio-tiny');
  const told = [[], ['--adapter', adapter]].map((words) =>
    JSON.parse(
      execFileSync(
        process.execPath,
        [
          at('dist/cli.js'),
          'generate',
          model,
          '--chat',
          '--prompt',
          question,
          '--max-new-tokens',
          '100',
          '--json',
          ...words,
        ],
        { encoding: 'utf8' },
      ),
    ),
  );
  const texts = (await answersIn(page)).map((pieces) => pieces.join('').replace(/■$/, ''));
  assert.deepEqual(
    texts,
    told.map(({ text }) => text),
  );
  const counts = await statuses.evaluateAll((each) =>
    each.map(({ textContent }) => Number.parseInt(textContent, 10)),
  );
  assert.deepEqual(
    counts,
    told.map(({ tokens }) => tokens),
  );
  const sofar = await page.evaluate(() => [...globalThis.seen].filter((text) => text.endsWith('so far')));
  assert.ok(sofar.length >= 3, `the answers did not stream: ${sofar}`);
  await shoot('chat');

  // At this temperature every token is about as likely, the end among thousands.
  const stopping = page.evaluate(
    () =>
      new Promise((resolve) => {
        const timer = setInterval(() => {
          if (
            ![...document.querySelectorAll('.answer-status')].some(({ textContent }) =>
              textContent.endsWith('so far'),
            )
          )
            return;
          clearInterval(timer);
          resolve();
          [...document.querySelectorAll('vscode-button')]
            .find(({ textContent }) => textContent === 'Stop')
            .click();
        }, 1);
      }),
  );
  await ask('Go on.', { max_new_tokens: 300, temperature: 20 });
  await stopping;
  await page.locator('vscode-button', { hasText: /^\s*Run\s*$/ }).waitFor({ timeout: 60_000 });
  const ends = (await statuses.allTextContents()).filter((_, at) => at % 2 === 1);
  for (const end of ends) assert.match(end, /^\d+ tokens?, stopped/);
  done(`base and adapter answer what the command line says, ${counts.join(' and ')} tokens, and stop when told`);
  return answersIn(page);
}

/** In Chinese, as our translations have it. */
function zh(text) {
  return chinese[text] ?? assert.fail(`${text} has no translation`);
}

async function changeLanguage({ page, shoot, openFile, command, pageOf }, runFile, restart, said) {
  const tab = (title) => page.locator('.tab', { hasText: title }).click();
  await openFile('endless.peft.yaml');
  await command('PEFT Studio: Train');
  const first = await pageOf('endless');
  await first.locator('.plot canvas').first().waitFor({ timeout: 120_000 });
  await command('PEFT Studio: Pause');
  await first.locator('.state-paused').waitFor({ timeout: 60_000 });
  const run = await runFolder(runFile);
  const { step } = eventsOf(run, 'step').at(-1);
  const tabs = await first.locator('vscode-panel-tab:visible').allTextContents();
  await tab('PEFT: endless');
  await command('View: Move Editor into Right Group');
  await tab('PEFT: ranks');
  await pageOf('ranks');
  await pageOf('endless');
  await shoot('side-by-side');
  // In a browser the workbench keeps what is open every five seconds only, and not when it is left.
  await page.waitForTimeout(6500);
  await restart('zh-cn');
  await page.reload();
  await page.locator('.explorer-folders-view .monaco-list-row').first().waitFor({ timeout: 60_000 });
  const panel = await pageOf('endless');
  await panel.locator('.state-paused', { hasText: zh('paused') }).waitFor({ timeout: 60_000 });
  await (
    await pageOf('ranks')
  )
    .locator('.state-finished', { hasText: zh('finished') })
    .waitFor({ timeout: 60_000 });
  assert.equal(await panel.locator('html').getAttribute('lang'), 'zh-cn');
  assert.deepEqual(await panel.locator('vscode-panel-tab:visible').allTextContents(), tabs.map(zh));
  await shoot('chinese');
  await panel.locator('.title-row vscode-button', { hasText: zh('Continue') }).click();
  await until('the run to go on', () => eventsOf(run, 'step').at(-1).step > step);
  await panel.locator('.title-row vscode-button', { hasText: zh('Stop') }).click();
  await panel.locator('.state', { hasText: zh('stopped') }).waitFor({ timeout: 60_000 });
  const { reason, adapter } = await until('the end', () => eventsOf(run, 'finished').at(-1));
  assert.equal(reason, 'stopped');
  assert.ok(existsSync(path.join(adapter, 'adapter_model.safetensors')), 'no adapter was written');
  done('in Chinese two panels are there again; the run that was paused goes on and stops with its adapter');

  await tab('peft-studio-tiny');
  const playground = await pageOf(zh('Playground: {0}').replace('{0}', 'peft-studio-tiny'));
  await playground.locator('.answer-text').first().waitFor({ timeout: 30_000 });
  assert.deepEqual(await answersIn(playground), said);
  await shoot('conversation');
  done('the conversation is there again, token by token');
}

/** The answers of a playground's page: of each the text of its tokens. */
function answersIn(page) {
  return page
    .locator('.answer-text')
    .evaluateAll((each) => each.map(({ children }) => [...children].map(({ textContent }) => textContent)));
}
