// huggingface_hub finds what we download, and we what it downloads, in one cache. Needs Python (install.sh); run with
// PEFT_STUDIO_PYTHON=VENV/bin/python node test/run.mjs test/reference/hub.test.ts
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { dataFiles } from '../../src/data/hubData.js';
import { resolveModel } from '../../src/models/hub/resolveModel.js';
import type { HubSettings } from '../../src/models/hub/settings.js';
import { openCheckpoint } from '../../src/models/openCheckpoint.js';
import { ROOT } from '../support/fixtures.js';
import { startHub } from '../support/hubServer.js';
import { temporaryFolder } from '../unit/models/files.js';

const python = process.env['PEFT_STUDIO_PYTHON'];
const skip =
  python === undefined && 'set PEFT_STUDIO_PYTHON to a Python with huggingface_hub (test/reference/install.sh)';

const folder = temporaryFolder();
const hub = await startHub();
after(() => hub.close());
const TINY = path.join(ROOT, 'examples/base-model/peft-studio-tiny');
const FILES = Object.fromEntries(readdirSync(TINY).map((name) => [name, readFileSync(path.join(TINY, name))]));
const COMMIT = hub.put('model', 'org/tiny', { ...FILES, 'pytorch_model.bin': 'never' });

/** What a Python program prints, with a cache of its own and the local hub. */
async function run(cache: string, program: string, environment: Record<string, string> = {}): Promise<string> {
  const env = { ...process.env, HF_ENDPOINT: hub.url, HF_HUB_CACHE: cache, HF_TOKEN: '', ...environment };
  return (await promisify(execFile)(python!, ['-c', program], { env })).stdout.trim();
}

function settings(cache: string, offline = false): HubSettings {
  return { endpoint: hub.url, cache, offline, token: () => undefined };
}

test('Python, offline, loads what we downloaded', { skip }, async () => {
  const cache = path.join(folder, 'ours');
  const place = await resolveModel('org/tiny', { folder, settings: settings(cache) });
  const snapshot = 'import huggingface_hub as h; print(h.snapshot_download("org/tiny", local_files_only=True))';
  assert.equal(await run(cache, snapshot), place);
  assert.equal(await run(cache, snapshot, { HF_HUB_OFFLINE: '1' }), place);
  const one =
    'import huggingface_hub as h; print(h.hf_hub_download("org/tiny", "model.safetensors", local_files_only=True))';
  assert.equal(await run(cache, one), path.join(place, 'model.safetensors'));
  const scan = `import huggingface_hub as h; c = h.scan_cache_dir()
print([(r.repo_id, [(v.commit_hash, sorted(v.refs), v.nb_files) for v in r.revisions]) for r in c.repos], c.warnings)`;
  assert.equal(
    await run(cache, scan),
    `[('org/tiny', [('${COMMIT}', ['main'], ${readdirSync(place).length})])] []`,
  );
  const load = `from transformers import AutoModelForCausalLM, AutoTokenizer
m = AutoModelForCausalLM.from_pretrained("org/tiny"); t = AutoTokenizer.from_pretrained("org/tiny")
print(sum(p.numel() for p in m.parameters()) > 0 and t.decode(t("SELECT 1")["input_ids"]))`;
  assert.equal(await run(cache, load, { HF_HUB_OFFLINE: '1' }), 'SELECT 1');
});

test('we, offline, open what Python downloaded; online we take nothing twice', { skip }, async () => {
  const cache = path.join(folder, 'theirs');
  const download = 'import huggingface_hub as h; print(h.snapshot_download("org/tiny"))';
  const place = await run(cache, download, { HF_HUB_DISABLE_PROGRESS_BARS: '1' });
  assert.equal(await resolveModel('org/tiny', { folder, settings: settings(cache, true) }), place);
  assert.ok((await openCheckpoint(place)).tensors.size > 0);
  hub.asked.length = 0;
  assert.equal(await resolveModel('org/tiny', { folder, settings: settings(cache) }), place);
  assert.deepEqual(
    hub.asked.filter(({ path: asked }) => asked.includes('/resolve')),
    [],
  );
});

test('what Python has in part we complete, and Python what we have in part', { skip }, async () => {
  const cache = path.join(folder, 'both');
  await run(cache, 'import huggingface_hub as h; h.hf_hub_download("org/tiny", "config.json")');
  const place = await resolveModel('org/tiny', { folder, settings: settings(cache) });
  assert.ok(readdirSync(place).includes('model.safetensors'));
  hub.asked.length = 0;
  assert.equal(await run(cache, 'import huggingface_hub as h; print(h.snapshot_download("org/tiny"))'), place);
  const loaded = hub.asked.filter(
    ({ method, path: asked }) => method === 'GET' && asked.includes('/resolve-cache/'),
  );
  assert.deepEqual(
    loaded.map(({ path: asked }) => path.basename(asked)).filter((name) => name !== 'README.md'),
    [],
  );
  assert.ok(readdirSync(place).includes('pytorch_model.bin'));
});

test('data sets, both ways', { skip }, async () => {
  const parquet = readFileSync(path.join(ROOT, 'test/fixtures/parquet/zstd.parquet'));
  const names = ['README.md', 'data/train-00000-of-00001.parquet', 'data/test-00000-of-00001.parquet'];
  hub.put('dataset', 'org/set', { [names[0]!]: '# rows', [names[1]!]: parquet, [names[2]!]: parquet });
  const cache = path.join(folder, 'data');
  const bring = (entry: string, offline = false) =>
    dataFiles(entry, 'train', { folder, settings: settings(cache, offline) });
  const [train] = await bring('org/set:train');
  const snapshot = (more: string): string =>
    `import huggingface_hub as h; print(h.snapshot_download("org/set", repo_type="dataset", ${more}))`;
  const place = await run(cache, snapshot('local_files_only=True'));
  assert.equal(train, path.join(place, names[1]!));
  assert.equal(await run(cache, snapshot('allow_patterns="data/test*"')), place);
  assert.deepEqual(await bring('org/set:test', true), [path.join(place, names[2]!)]);
  assert.ok(readFileSync(train!).equals(parquet));

  const theirs = path.join(folder, 'their-data');
  const whole = await run(theirs, snapshot('max_workers=2'));
  const offline = await dataFiles('org/set:test', 'train', { folder, settings: settings(theirs, true) });
  assert.deepEqual(offline, [path.join(whole, names[2]!)]);
});
