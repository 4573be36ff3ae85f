import assert from 'node:assert/strict';
import { readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as vscode from 'vscode';
import { runFolderOf } from '../../../src/engines/runState.js';
import type { RunState } from '../../../src/engines/runState.js';
import type { RunEvent } from '../../../src/training/events.js';
import { marks, quickstart, studio, train, until } from './support.js';
import type { EndToEndTest } from './support.js';

/** Runs, from the command to their end. */
export const RUNS: readonly EndToEndTest[] = [
  ['the quickstart trains to the end and leaves a LoRA adapter', trainsToTheEnd],
  ['the panel draws the run, and draws it again when it is reopened', panelShowsTheRun],
  ['a run that is stopped leaves the adapter of its steps so far', stopLeavesAnAdapter],
  ['a run is paused, writes a checkpoint meanwhile, and goes on', pausesAndGoesOn],
  ['each run has a panel of its own, also one of the past', panelsOfTwoRuns],
  ['a mistake in the run file is shown at its line', mistakeIsShown],
  ['what is typed but not saved is saved before the run', unsavedTextIsSaved],
];

async function trainsToTheEnd(): Promise<void> {
  const { runs } = await studio();
  await vscode.window.showTextDocument(quickstart());
  await train();

  const state = finishedState(runs.state());
  assert.equal(state.result.reason, 'completed');
  await assertAdapter(state.result.adapter);

  const events = runs.events();
  const kinds = new Set(events.map(({ type }) => type));
  for (const kind of [
    'started',
    'coverage',
    'data',
    'sample',
    'step',
    'evaluation',
    'memory',
    'finished',
  ] as const) {
    assert.ok(kinds.has(kind), `no event "${kind}" came`);
  }
  const kindsInOrder = events.map(({ type }) => type);
  assert.ok(
    kindsInOrder.indexOf('coverage') < kindsInOrder.indexOf('step'),
    'coverage comes before the first step',
  );
  assert.ok(kindsInOrder.indexOf('sample') < kindsInOrder.indexOf('step'), 'samples come before the first step');

  const losses = events.flatMap((event) => (event.type === 'step' ? [event.loss] : []));
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  assert.ok(losses.length >= 10, `only ${losses.length} steps came`);
  assert.ok(
    mean(losses.slice(-5)) < 0.8 * mean(losses.slice(0, 5)),
    `the loss did not fall: ${losses.slice(0, 5).join(', ')} … ${losses.slice(-5).join(', ')}`,
  );
  const memory = events.flatMap((event) => (event.type === 'memory' ? [event] : [])).at(-1);
  assert.ok(memory && memory.resident > 10 * 1024 ** 2, 'measured memory is more than nothing');

  const started = events.find((event) => event.type === 'started');
  assert.ok(started?.type === 'started');
  assert.ok((await stat(path.join(started.folder, 'events.jsonl'))).size > 0, 'the events are recorded');
}

async function panelShowsTheRun(): Promise<void> {
  const { runs, panel } = await studio();
  assert.ok(runs.events().length > 10, 'the run before this test told something to draw');
  // Superseded progress is drawn too, so the page may have seen more than is kept.
  await until(() => (panel.drawn() ?? 0) >= runs.events().length, 'the panel to draw every event');
  await vscode.window.tabGroups.close(panelTabs());
  await until(() => panel.drawn() === undefined, 'the panel to close');
  await vscode.commands.executeCommand('peftStudio.openPanel');
  await until(() => panel.drawn() === runs.events().length, 'the reopened panel to draw every event');
  assert.equal(panelTabs().length, 1);

  // Each tab says that it was drawn, and nothing in the page went wrong: no exception, nothing refused by its policy.
  for (const tab of ['coverage', 'data', 'memory', 'log', 'curves']) {
    panel.showTab(tab);
    await until(() => panel.shownTab() === tab, `the tab "${tab}" to be drawn`);
  }
  assert.equal(panel.errors(), 0, 'the page reported errors: see the output channel');
}

async function stopLeavesAnAdapter(): Promise<void> {
  const { runs } = await studio();
  await vscode.window.showTextDocument(quickstart());
  const following = runs.onDidChange(({ event }) => {
    if (event?.type !== 'step') return;
    following.dispose();
    void vscode.commands.executeCommand('peftStudio.stop');
  });
  await train();

  const state = finishedState(runs.state());
  assert.equal(state.result.reason, 'stopped');
  await assertAdapter(state.result.adapter);
  const started = runs.events().find((event) => event.type === 'started');
  assert.ok(started?.type === 'started');
  assert.ok(
    state.result.steps >= 1 && state.result.steps < started.totalSteps,
    `${state.result.steps} steps were taken`,
  );
}

async function pausesAndGoesOn(): Promise<void> {
  const { runs, panel } = await studio();
  await vscode.window.showTextDocument(await shortened('paused', 8));
  let waited = false;
  const following = runs.onDidChange(({ event }) => {
    if (event?.type === 'step' && event.step === 2) void vscode.commands.executeCommand('peftStudio.pause');
    if (event?.type === 'paused') waited = true;
  });
  const training = train();
  await until(() => runs.state().kind === 'paused', 'the run to pause', 60_000);
  following.dispose();
  assert.ok(waited);
  const taken = steps(runs.events());
  await vscode.commands.executeCommand('peftStudio.checkpointNow');
  const checkpoint = (): boolean => runs.events().some(({ type }) => type === 'checkpoint');
  await until(checkpoint, 'the checkpoint in the pause');
  assert.equal(runs.state().kind, 'paused', 'the checkpoint ends nothing');
  assert.deepEqual(steps(runs.events()), taken, 'no step is taken in a pause');
  // Superseded progress is drawn too.
  await until(() => (panel.drawn() ?? 0) >= runs.events().length, 'the panel to draw the pause');
  await vscode.commands.executeCommand('peftStudio.continueRun');
  await training;
  const state = finishedState(runs.state());
  assert.equal(state.result.reason, 'completed');
  const continued = runs.events().find((event) => event.type === 'continued');
  assert.ok(continued?.type === 'continued' && continued.seconds > 0);
  const all = steps(runs.events());
  assert.deepEqual(
    all,
    all.map((_, at) => at + 1),
    'every step once',
  );
  assert.equal(steps(runs.events()).length, 8);
  assert.equal(panel.errors(), 0);
}

async function panelsOfTwoRuns(): Promise<void> {
  const { runs, panel } = await studio();
  await vscode.window.tabGroups.close(panelTabs());
  await until(() => panel.all().length === 0, 'the panels to close');
  // The run before this test is one of the past as soon as another begins.
  const past = folderOf(runs.events());
  await vscode.commands.executeCommand('peftStudio.openPanel');
  await until(() => panel.drawn() === runs.events().length, 'the panel of the first run');
  const pastEvents = runs.events().length;
  await vscode.window.showTextDocument(await shortened('second', 2));
  await train();
  const present = folderOf(runs.events());
  assert.notEqual(present, past);
  assert.deepEqual(
    panel.all().map(({ folder }) => folder),
    [past, present],
    'the new run opened its own panel and left the old',
  );
  assert.equal(panel.folderInFront(), present);
  await until(() => (panel.drawn() ?? 0) >= runs.events().length, 'the panel of the second run');

  // The explorer has to know the run.
  await vscode.commands.executeCommand('peftStudio.refreshAdapters');
  // Opening a run whose panel is there brings that to the front; it shows what it showed.
  await vscode.commands.executeCommand('peftStudio.openRunPanel', { kind: 'item', folder: past });
  assert.equal(panelTabs().length, 2);
  assert.equal(panel.folderInFront(), past);
  await until(() => panel.drawn() === pastEvents, 'the first run to be drawn again');

  // Closed, it is read from its record.
  const [pastTab] = panelTabs().filter(({ isActive }) => isActive);
  assert.ok(pastTab);
  await vscode.window.tabGroups.close(pastTab);
  await until(() => panel.all().length === 1, 'the panel to close');
  await vscode.commands.executeCommand('peftStudio.openRunPanel', { kind: 'item', folder: past });
  await until(() => (panel.drawn() ?? 0) > 10, 'the record of the first run to be drawn');
  assert.equal(panel.folderInFront(), past);
  assert.equal(panel.errors(), 0, 'the page reported errors: see the output channel');
}

/** The example as another run file, of so many steps. */
async function shortened(name: string, maxSteps: number): Promise<vscode.Uri> {
  const text = await readFile(quickstart().fsPath, 'utf8');
  const short = text.replace(/num_train_epochs: .*/, `max_steps: ${maxSteps}`);
  assert.notEqual(short, text);
  const file = vscode.Uri.file(path.join(path.dirname(quickstart().fsPath), `${name}.peft.yaml`));
  await writeFile(file.fsPath, short);
  return file;
}

function folderOf(events: readonly RunEvent[]): string {
  const folder = runFolderOf(events);
  assert.ok(folder !== undefined);
  return folder;
}

function steps(events: readonly RunEvent[]): number[] {
  return events.flatMap((event) => (event.type === 'step' ? [event.step] : []));
}

async function mistakeIsShown(): Promise<void> {
  const { runs } = await studio();
  const text = await readFile(quickstart().fsPath, 'utf8');
  const wrong = text.replace('lora_alpha:', 'lora_alpa:');
  const line = wrong.split('\n').findIndex((each) => each.includes('lora_alpa:'));
  assert.ok(line > 0);
  const broken = vscode.Uri.file(path.join(path.dirname(quickstart().fsPath), 'broken.peft.yaml'));
  await writeFile(broken.fsPath, wrong);
  await vscode.window.showTextDocument(broken);
  await train();

  assert.equal(runs.state().kind, 'failed');
  const found = marks(broken);
  assert.equal(found.length, 1);
  assert.equal(found[0]?.range.start.line, line);
  assert.equal(found[0]?.severity, vscode.DiagnosticSeverity.Error);
  assert.match(found[0]?.message ?? '', /lora_alpa/);
  assert.match(found[0]?.message ?? '', /lora_alpha/, 'the nearest name is suggested');

  // What was said of the text is not said of another text: the mark goes with its line, and with the mistake.
  const edit = new vscode.WorkspaceEdit();
  edit.insert(broken, new vscode.Position(0, 0), '# mended\n');
  assert.ok(await vscode.workspace.applyEdit(edit));
  await until(() => marks(broken)[0]?.range.start.line === line + 1, 'the mark to go with its line');
  assert.equal(marks(broken).length, 1);
  const document = await vscode.workspace.openTextDocument(broken);
  const at = document.getText().indexOf('lora_alpa');
  const mend = new vscode.WorkspaceEdit();
  mend.insert(broken, document.positionAt(at + 'lora_alp'.length), 'h');
  assert.ok(await vscode.workspace.applyEdit(mend));
  await until(() => marks(broken).length === 0, 'the mark to go with the mistake');
  await vscode.workspace.saveAll();
}

async function unsavedTextIsSaved(): Promise<void> {
  const { runs } = await studio();
  const file = vscode.Uri.file(path.join(path.dirname(quickstart().fsPath), 'typed.peft.yaml'));
  await writeFile(file.fsPath, await readFile(quickstart().fsPath, 'utf8'));
  const editor = await vscode.window.showTextDocument(file);
  await editor.edit((edit) => edit.insert(new vscode.Position(0, 0), 'not_a_key: 1\n'));
  assert.ok(editor.document.isDirty);
  await train();
  assert.equal(editor.document.isDirty, false);
  const state = runs.state();
  assert.ok(state.kind === 'failed' && state.problem.message.includes('not_a_key'), JSON.stringify(state));
  const [found] = marks(file);
  assert.equal(found?.range.start.line, 0);
}

function finishedState(state: RunState): Extract<RunState, { kind: 'finished' }> {
  if (state.kind !== 'finished') assert.fail(`the run is ${JSON.stringify(state)}`);
  return state;
}

async function assertAdapter(folder: string): Promise<void> {
  const config: unknown = JSON.parse(await readFile(path.join(folder, 'adapter_config.json'), 'utf8'));
  assert.ok(typeof config === 'object' && config !== null && 'peft_type' in config);
  assert.equal(config.peft_type, 'LORA');
  assert.ok((await stat(path.join(folder, 'adapter_model.safetensors'))).size > 1000);
}

function panelTabs(): vscode.Tab[] {
  return vscode.window.tabGroups.all
    .flatMap(({ tabs }) => tabs)
    .filter(({ input }) => input instanceof vscode.TabInputWebview && input.viewType.endsWith('peftStudio.panel'));
}
