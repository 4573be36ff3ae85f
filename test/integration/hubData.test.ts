// Data sets from a server that speaks the hub's API, down to rows.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, beforeEach, test } from 'node:test';
import type { Problem } from '../../src/common/problem.js';
import { dataFiles } from '../../src/data/hubData.js';
import { loadDataset } from '../../src/data/loadDataset.js';
import type { HubOptions } from '../../src/models/hub/context.js';
import type { HubSettings } from '../../src/models/hub/settings.js';
import { loadTokenizer } from '../../src/models/loadTokenizer.js';
import { ROOT, fixture } from '../support/fixtures.js';
import { startHub } from '../support/hubServer.js';
import { problem, temporaryFolder } from '../unit/models/files.js';

const folder = temporaryFolder();
const hub = await startHub();
after(() => hub.close());

const PARQUET = readFileSync(fixture('parquet/zstd.parquet'));
const ROW = '{"prompt":"a","completion":"b"}\n';
hub.put('dataset', 'org/plain', {
  'train.jsonl': ROW,
  'test.jsonl': ROW.repeat(2),
  'README.md': '# data',
  'x.py': 'no',
});
const CARD =
  '---\nconfigs:\n- config_name: main\n  data_files:\n  - split: train\n    path: main/*\n- config_name: other\n  data_files: other.csv\n---\n';
hub.put('dataset', 'org/card', {
  'README.md': CARD,
  'main/0.parquet': PARQUET,
  'other.csv': 'prompt,completion\nc,d\n',
});
hub.put('dataset', 'org/script', { 'script.py': 'no', 'data.jsonl.gz': 'no', 'LICENSE.txt': 'mit' });
hub.put(
  'dataset',
  'org/script',
  { 'default/train/0000.parquet': PARQUET, 'big/partial-train/0000.parquet': PARQUET },
  'refs/convert/parquet',
);

let cache = '';
let caches = 0;
beforeEach(() => {
  cache = path.join(folder, `cache-${++caches}`);
  hub.fault = () => undefined;
  hub.asked.length = 0;
});

function settings(more: Partial<HubSettings> = {}): HubSettings {
  return { endpoint: hub.url, cache, offline: false, token: () => undefined, ...more };
}

/** The files of an entry, as they are called in the repository. */
async function names(entry: string, more: HubOptions & { usual?: 'validation' } = {}): Promise<string[]> {
  const files = await dataFiles(entry, more.usual ?? 'train', {
    folder,
    settings: settings(),
    retryDelays: [1],
    ...more,
  });
  return files.map((file) => file.replace(/^.*snapshots\/[0-9a-f]{40}\//, ''));
}

test('paths are paths, whether they exist or not', async () => {
  writeFileSync(path.join(folder, 'here.jsonl'), ROW);
  mkdirSync(path.join(folder, 'data'), { recursive: true });
  for (const entry of ['here.jsonl', 'gone.jsonl', 'data/gone.jsonl', './org/plain', 'data/set']) {
    assert.deepEqual(await names(entry), [path.join(folder, entry)]);
  }
  assert.deepEqual(hub.asked, []);
});

test('splits, configurations, and what was meant instead', async () => {
  assert.deepEqual(await names('org/plain'), ['train.jsonl']);
  assert.deepEqual(await names('org/plain:test'), ['test.jsonl']);
  assert.deepEqual(await names('org/card/main'), ['main/0.parquet']);
  assert.deepEqual(await names('org/card/other:train'), ['other.csv']);
  await assert.rejects(
    names('org/plain:tets'),
    problem('data.split', 'data set org/plain', '"train"', 'Did you mean "test"?'),
  );
  await assert.rejects(names('org/plain', { usual: 'validation' }), problem('data.split', 'no split is named'));
  await assert.rejects(names('org/card:train'), problem('data.split', '"main", "other"', 'org/card/CONFIG:train'));
  await assert.rejects(
    names('org/none:train'),
    problem('hub.repo-not-found', 'data set org/none', '/datasets/org/none'),
  );
  const brought = hub.asked.filter(({ path: asked }) => asked.includes('x.py'));
  assert.deepEqual(brought, []);
});

test('the Parquet files of the hub where its own are not read', async () => {
  const warnings: Problem[] = [];
  const warn = (warning: Problem): unknown => warnings.push(warning);
  assert.deepEqual(await names('org/script/default:train', { warn }), ['default/train/0000.parquet']);
  assert.deepEqual(warnings, []);
  assert.deepEqual(await names('org/script/big:train', { warn }), ['big/partial-train/0000.parquet']);
  assert.deepEqual(
    warnings.map(({ code }) => code),
    ['data.hub-partial'],
  );
  assert.deepEqual(await names('org/script:train'), ['default/train/0000.parquet']);
  await assert.rejects(names('org/script@main:train'), problem('data.hub-format', 'to_parquet'));
  hub.put('dataset', 'org/zip', { 'a.zip': 'no' });
  await assert.rejects(names('org/zip'), problem('data.hub-format', 'org/zip'));
});

test('offline: what was brought, and not what looks like it', async () => {
  const offline = { settings: settings({ offline: true }) };
  await assert.rejects(names('org/plain', offline), problem('hub.offline', 'org/plain'));
  await names('org/plain:test');
  hub.asked.length = 0;
  assert.deepEqual(await names('org/plain:test', offline), ['test.jsonl']);
  await assert.rejects(
    names('org/plain', offline),
    problem('hub.offline'),
    'the test rows are not taken for training rows',
  );
  await assert.rejects(names('org/plain:none', offline), problem('data.split', '"train"'));
  assert.deepEqual(hub.asked, []);
  await names('org/script/default:train');
  assert.deepEqual(await names('org/script/default:train', offline), ['default/train/0000.parquet']);
});

test('a snapshot of huggingface_hub without a listing counts with its card, and with all shards', async () => {
  const commit = 'c'.repeat(40);
  const snapshot = path.join(cache, 'datasets--org--theirs/snapshots', commit);
  mkdirSync(path.join(snapshot, 'data'), { recursive: true });
  mkdirSync(path.join(cache, 'datasets--org--theirs/refs'));
  writeFileSync(path.join(cache, 'datasets--org--theirs/refs/main'), commit);
  const shards = [0, 1].map((at) => path.join(snapshot, `data/train-0000${at}-of-00002.parquet`));
  for (const shard of shards) writeFileSync(shard, PARQUET);
  const offline = { settings: settings({ offline: true }) };
  await assert.rejects(names('org/theirs:train', offline), problem('hub.offline'));
  writeFileSync(path.join(snapshot, 'README.md'), '# theirs');
  assert.equal((await names('org/theirs:train', offline)).length, 2);
  rmSync(shards[1]!);
  await assert.rejects(names('org/theirs:train', offline), problem('hub.offline'));
  const trees = path.join(cache, 'datasets--org--theirs/trees');
  mkdirSync(trees);
  const listing = { format_version: 1, files: { 'data/train-00000-of-00002.parquet': { size: 1, blob_id: 'a' } } };
  writeFileSync(path.join(trees, `${commit}.json`), JSON.stringify(listing));
  await assert.rejects(
    names('org/theirs:train', offline),
    problem('hub.offline'),
    'a shard that the listing lacks',
  );
});

test('names of files that would leave the cache', async () => {
  hub.fault = ({ path: asked }) =>
    asked.includes('/tree/')
      ? {
          status: 200,
          body: JSON.stringify([{ type: 'file', path: 'a\\..\\..\\train.jsonl', size: 1, oid: 'a'.repeat(40) }]),
        }
      : undefined;
  await assert.rejects(names('org/plain:train'), problem('hub.unsafe-path', 'train.jsonl'));
});

test('a run trains on rows of the hub beside rows of a file', async () => {
  writeFileSync(path.join(folder, 'here.jsonl'), ROW);
  const tokenizer = await loadTokenizer(path.join(ROOT, 'examples/base-model/peft-studio-tiny'));
  const dataset = await loadDataset(
    { train: ['here.jsonl', 'org/card/main:train'], validation: 'org/plain:test', format: 'prompt_completion' },
    tokenizer,
    { folder, hub: { settings: settings() } },
  );
  // The fixture has 12 rows; two of them are null but for their id.
  assert.deepEqual(
    [dataset.train.length, dataset.validation.length, dataset.reports.train.brokenCount],
    [1 + 10, 2, 2],
  );
  assert.deepEqual(
    dataset.reports.train.broken.map(({ line }) => line),
    [5, 10],
  );
});
