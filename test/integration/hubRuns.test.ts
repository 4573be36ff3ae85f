// Runs and commands that name their model and data by the hub's ids, against a server that speaks the hub's API.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import type { LoadedRun } from '../../src/config/loadRunFile.js';
import { embeddedEngine } from '../../src/engines/embedded.js';
import type { RunControl } from '../../src/engines/engine.js';
import { pinnedModel } from '../../src/engines/pinnedModel.js';
import { resumeNewest } from '../../src/engines/resumeRun.js';
import { openModel } from '../../src/engines/session.js';
import type { RunEvent } from '../../src/training/events.js';
import { readJson } from '../support/fixtures.js';
import { startHub } from '../support/hubServer.js';
import { document, run as cli } from '../unit/cli/support.js';
import { problem, temporaryFolder } from '../unit/models/files.js';
import { emitted, makeModel, makeRun, rows } from './engineModel.js';

const folder = temporaryFolder();
const hub = await startHub();
after(() => hub.close());
for (const name of Object.keys(process.env))
  if (/^(HF_|HUGGING|TRANSFORMERS_)/.test(name)) delete process.env[name];
process.env['HF_ENDPOINT'] = hub.url;

const MODEL = 'org/tiny';
let files: Record<string, Buffer> = {};
let commit = '';
before(async () => {
  const base = await makeModel(path.join(folder, 'base'));
  files = Object.fromEntries(readdirSync(base).map((name) => [name, readFileSync(path.join(base, name))]));
  commit = hub.put('model', MODEL, files);
  hub.put('dataset', 'org/words', { 'train.jsonl': rows(16, 1), 'validation.jsonl': rows(6, 2) });
});

let count = 0;
beforeEach(() => {
  process.env['HF_HOME'] = path.join(folder, `home-${++count}`);
  hub.fault = () => undefined;
  hub.asked.length = 0;
});

const DATA = { train: 'org/words:train', validation: 'org/words:validation' };
const TRAINING = { max_steps: 6, per_device_train_batch_size: 4, learning_rate: 1e-2, save_steps: 2 };

let runs = 0;
function newRun(sections: Record<string, unknown> = {}): Promise<LoadedRun> {
  const sectionsOfRun = { data: DATA, training: TRAINING, ...sections };
  return makeRun(path.join(folder, `run-${++runs}`), MODEL, sectionsOfRun);
}

function only<Type extends RunEvent['type']>(
  events: readonly RunEvent[],
  type: Type,
): Extract<RunEvent, { type: Type }> {
  const found = events.filter((event): event is Extract<RunEvent, { type: Type }> => event.type === type);
  assert.equal(found.length, 1, `one ${type}`);
  return found[0]!;
}

/** Runs to the end, which has to be good. */
async function finished(run: LoadedRun): Promise<{ adapter: string; events: readonly RunEvent[] }> {
  const { events, error } = await emitted(run);
  assert.equal(error, undefined);
  return { adapter: only(events, 'finished').adapter, events };
}

const weightsOf = (adapter: string): Buffer => readFileSync(path.join(adapter, 'adapter_model.safetensors'));
const configOf = (adapter: string) => readJson(path.join(adapter, 'adapter_config.json'));

test('a run trains a model and data of the hub; the adapter names the model and its commit', async () => {
  const { adapter, events } = await finished(await newRun());
  const first = events.find((event) => event.type === 'progress');
  assert.match(first?.activity ?? '', /^Downloading org\/tiny/);
  const config = await configOf(adapter);
  assert.equal(config['base_model_name_or_path'], MODEL);
  assert.equal(config['revision'], commit);
  assert.match(readFileSync(path.join(adapter, 'README.md'), 'utf8'), /^base_model: org\/tiny$/m);
  assert.deepEqual(only(events, 'coverage').warnings, []);
  const reports = events.flatMap((event) => (event.type === 'data' ? [[event.split, event.report.rows]] : []));
  assert.deepEqual(reports, [
    ['train', 16],
    ['validation', 6],
  ]);
  // From paths on this machine it is the same to the bit.
  const local = await finished(
    await makeRun(path.join(folder, 'local'), path.join(folder, 'base'), { training: TRAINING }),
  );
  assert.ok(weightsOf(adapter).equals(weightsOf(local.adapter)));
  assert.equal((await configOf(local.adapter))['revision'], null);
});

test('a resumed run has the commit that it was started with, though the branch moved, and asks for it no more', async () => {
  const whole = await finished(await newRun());
  const run = await newRun();
  const events: RunEvent[] = [];
  const control = (more: Partial<RunControl> = {}): RunControl => ({
    emit: (event) => events.push(event),
    stopRequested: () => false,
    ...more,
  });
  await embeddedEngine(run, control({ stopRequested: () => events.some(({ type }) => type === 'checkpoint') }));
  assert.equal(only(events, 'finished').reason, 'stopped');
  const point = await resumeNewest(run);
  assert.equal(await pinnedModel(point.folder), `${MODEL}@${commit}`);

  const moved = Buffer.from(files['model.safetensors']!);
  for (let at = moved.length - 4096; at < moved.length; at += 4) moved[at + 3]! ^= 0x80;
  const other = hub.put('model', MODEL, { ...files, 'model.safetensors': moved });
  try {
    events.length = 0;
    hub.asked.length = 0;
    await embeddedEngine(run, control({ resume: point }));
    assert.deepEqual(
      hub.asked.filter((asked) => asked.path.includes(MODEL)),
      [],
    );
    const { adapter, steps } = only(events, 'finished');
    assert.equal(steps, 6);
    assert.ok(weightsOf(adapter).equals(weightsOf(whole.adapter)));

    const anew = await finished(await newRun());
    assert.equal((await configOf(anew.adapter))['revision'], other);
    assert.ok(!weightsOf(anew.adapter).equals(weightsOf(whole.adapter)), 'or nothing would tell the two apart');
  } finally {
    hub.put('model', MODEL, files);
  }
  writeFileSync(path.join(point.folder, 'base-model.txt'), '../../etc');
  await assert.rejects(embeddedEngine(run, control({ resume: point })), problem('resume.base-model'));
});

test('a stop during the download ends the run before its folder is made', async () => {
  hub.fault = ({ host }) => (host === 'files' ? { slow: 5 } : undefined);
  const run = await newRun();
  const { events, error } = await emitted(run, {
    stopRequested: () => hub.asked.some(({ host }) => host === 'files'),
  });
  assert.ok(problem('run.stopped-early')(error));
  assert.ok(!events.some(({ type }) => type === 'started'));
  assert.ok(!existsSync(run.config.output.dir));
});

test('a refusal ends the run; a hub that is away leaves the copy and a warning; offline asks for nothing', async () => {
  const { error } = await emitted(await newRun({ model: 'org/none' }));
  assert.ok(problem('hub.repo-not-found', 'org/none')(error));

  const run = await newRun();
  await finished(run);
  hub.fault = () => ({ status: 404, headers: { 'x-error-code': 'RepoNotFound' } });
  const { events } = await finished(run);
  const warnings = only(events, 'coverage').warnings.filter(({ code }) => code === 'hub.cached-copy');
  assert.deepEqual(
    warnings.map(({ message }) => /(model|data set) org\/\w+/.exec(message)?.[0]),
    ['model org/tiny', 'data set org/words', 'data set org/words'],
  );
  process.env['HF_HUB_OFFLINE'] = '1';
  try {
    hub.asked.length = 0;
    await finished(run);
    assert.deepEqual(hub.asked, []);
  } finally {
    delete process.env['HF_HUB_OFFLINE'];
  }
});

test('commands take ids, and a merge takes the commit that the adapter names', async () => {
  const { adapter } = await finished(await newRun());
  const rowsOf = ['--data', 'org/words:validation'];
  const evaluated = await cli(['evaluate', MODEL, ...rowsOf, '--adapter', adapter, '--json']);
  assert.equal(evaluated.code, 0, evaluated.err);
  assert.equal(document(evaluated)['model'], `${MODEL}@${commit}`);
  assert.equal(document(evaluated)['rows'], 6);
  const prompt = ['--prompt', 'Say red: ', '--max-new-tokens', '2', '--json'];
  const continued = await cli(['generate', `${MODEL}@main`, ...prompt]);
  assert.equal(continued.code, 0, continued.err);
  assert.equal(typeof document(continued)['text'], 'string');
  const misspelt = await cli(['generate', 'org/tyni', ...prompt]);
  assert.equal(misspelt.code, 2);
  assert.match(misspelt.out + misspelt.err, /hub\.repo-not-found/);

  hub.put('model', MODEL, { ...files, 'config.json': '{}' });
  try {
    const out = path.join(folder, 'merged');
    const merged = await cli(['merge', adapter, '--out', out, '--dtype', 'F32', '--json']);
    assert.equal(merged.code, 0, merged.err);
    assert.equal(document(merged)['base'], `${MODEL}@${commit}`);
  } finally {
    hub.put('model', MODEL, files);
  }
});

test('paths start at the folder that is given, and ids are known from there', async () => {
  const place = path.join(folder, 'beside');
  mkdirSync(path.join(place, 'org'), { recursive: true });
  await assert.rejects(
    openModel(MODEL, 0, { folder: place }),
    problem('checkpoint.folder-not-found', path.join(place, MODEL), `${MODEL}@main`),
  );
  const { pinned, context } = await openModel(MODEL, 0, { folder });
  assert.deepEqual([pinned, context.modelName, context.modelRevision], [`${MODEL}@${commit}`, MODEL, commit]);
  const local = await openModel('base', 0, { folder });
  assert.deepEqual([local.pinned, local.context.modelName], [undefined, path.join(folder, 'base')]);
});
