// Models from a server that speaks the hub's API, on two origins, and fails in every way that a network does.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { ProblemError } from '../../src/common/problem.js';
import type { Problem } from '../../src/common/problem.js';
import { withHub } from '../../src/models/hub/context.js';
import type { HubOptions, HubProgress } from '../../src/models/hub/context.js';
import { resolveModel } from '../../src/models/hub/resolveModel.js';
import type { HubSettings } from '../../src/models/hub/settings.js';
import { bringFiles } from '../../src/models/hub/snapshot.js';
import { loadTokenizer } from '../../src/models/loadTokenizer.js';
import { openCheckpoint } from '../../src/models/openCheckpoint.js';
import { ROOT } from '../support/fixtures.js';
import type { Asked, Fault } from '../support/hubServer.js';
import { gitHash, sha256, startHub } from '../support/hubServer.js';
import { problem, temporaryFolder } from '../unit/models/files.js';

const folder = temporaryFolder();
const hub = await startHub();
after(() => hub.close());

const MODEL = 'org/small-model';
const WEIGHTS = Buffer.from(Array.from({ length: 5000 }, (_, at) => (at * 7) % 251));
const FILES = {
  'README.md': 'a model',
  'config.json': '{"model_type":"llama"}',
  'generation_config.json': '{}',
  'tokenizer.json': '{"version":"1.0"}',
  'tokenizer_config.json': '{}',
  'chat_template.jinja': '{{ messages }}',
  'model.safetensors': WEIGHTS,
  'pytorch_model.bin': 'never',
  'onnx/model.onnx': 'never',
  '.gitattributes': 'never',
};
const UNWEIGHED = Object.fromEntries(Object.entries(FILES).filter(([name]) => name !== 'model.safetensors'));
const COMMIT = hub.put('model', MODEL, FILES);
const NEEDED = [
  'chat_template.jinja',
  'config.json',
  'generation_config.json',
  'model.safetensors',
  'tokenizer.json',
  'tokenizer_config.json',
];

let cache = '';
let caches = 0;
beforeEach(() => {
  cache = path.join(folder, `cache-${++caches}`);
  hub.fault = () => undefined;
  hub.guarded.clear();
  hub.asked.length = 0;
});

function settings(more: Partial<HubSettings> = {}): HubSettings {
  return { endpoint: hub.url, cache, offline: false, token: () => undefined, ...more };
}

function resolve(source: string, more: HubOptions = {}): Promise<string> {
  return resolveModel(source, {
    folder,
    settings: settings(),
    retryDelays: [1, 1, 1],
    stallMilliseconds: 2000,
    ...more,
  });
}

/** A fault at requests for the weights, at the origin that holds them; the how-manieth from 0 on. */
function atWeights(fault: (time: number, asked: Asked) => Fault | undefined): void {
  let times = 0;
  hub.fault = (asked) => (asked.host === 'files' ? fault(times++, asked) : undefined);
}

const blobs = (repo = MODEL): string => path.join(cache, `models--${repo.replace('/', '--')}`, 'blobs');
const partials = (): string[] =>
  existsSync(blobs()) ? readdirSync(blobs()).filter((name) => name.endsWith('.incomplete')) : [];

test('a model is brought in the layout of the cache, only what is read, and not again', async () => {
  const seen: HubProgress[] = [];
  const place = await resolve(MODEL, { progress: (progress) => seen.push(progress) });
  assert.equal(place, path.join(cache, 'models--org--small-model/snapshots', COMMIT));
  assert.deepEqual(readdirSync(place).sort(), NEEDED);
  assert.equal(readlinkSync(path.join(place, 'model.safetensors')), path.join('../../blobs', sha256(WEIGHTS)));
  assert.equal(
    readlinkSync(path.join(place, 'config.json')),
    path.join('../../blobs', gitHash(Buffer.from(FILES['config.json']))),
  );
  assert.deepEqual(readFileSync(path.join(place, 'model.safetensors')), WEIGHTS);
  assert.equal(readFileSync(path.join(cache, 'models--org--small-model/refs/main'), 'utf8'), COMMIT);
  assert.deepEqual(partials(), []);
  assert.deepEqual({ ...seen.at(-1) }, { activity: 'Downloading org/small-model (MiB)', done: 0.1, total: 0.1 });

  hub.asked.length = 0;
  assert.equal(await resolve(MODEL), place);
  assert.deepEqual([...new Set(hub.asked.map((asked) => asked.path.split('/')[1]))], ['api']);
  hub.asked.length = 0;
  assert.equal(await resolve(`${MODEL}@${COMMIT}`), place);
  assert.deepEqual(hub.asked, [], 'a commit that is in the cache needs no network');
});

test('listings of several pages; a new commit of a branch takes over what did not change', async () => {
  hub.pageSize = 3;
  const first = await resolve(MODEL);
  hub.asked.length = 0;
  hub.put('model', MODEL, FILES, 'next');
  const changed = hub.put('model', MODEL, { ...FILES, 'config.json': '{"model_type":"qwen2"}' }, 'refs/pr/1');
  const second = await resolve(`${MODEL}@refs/pr/1`);
  hub.pageSize = 1000;
  assert.notEqual(second, first);
  assert.equal(second, path.join(cache, 'models--org--small-model/snapshots', changed));
  assert.equal(hub.asked.filter(({ host }) => host === 'files').length, 0, 'the weights are there');
  assert.equal(readFileSync(path.join(cache, 'models--org--small-model/refs/refs/pr/1'), 'utf8'), changed);
  assert.equal(readFileSync(path.join(second, 'config.json'), 'utf8'), '{"model_type":"qwen2"}');
});

test('shards of an index; an index that names what is not there', async () => {
  const index = (names: string[]): string =>
    JSON.stringify({ weight_map: Object.fromEntries(names.map((name, at) => [`t${at}`, name])) });
  const names = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
  const parts = { [names[0]!]: 'one', [names[1]!]: 'two', 'model-00003-of-00003.safetensors': 'not named' };
  hub.put('model', 'org/shards', { ...UNWEIGHED, ...parts, 'model.safetensors.index.json': index(names) });
  const place = await resolve('org/shards');
  assert.deepEqual(
    readdirSync(place).filter((name) => name.startsWith('model')),
    [...names, 'model.safetensors.index.json'],
  );
  for (const wrong of [['model-9.safetensors'], ['../../etc/passwd'], []]) {
    hub.put('model', 'org/bad-index', { ...UNWEIGHED, ...parts, 'model.safetensors.index.json': index(wrong) });
    await assert.rejects(resolve('org/bad-index'), problem('hub.index', 'org/bad-index'));
  }
});

test('what cannot be used says so before anything big is downloaded', async () => {
  hub.put('model', 'org/pickled', UNWEIGHED);
  await assert.rejects(
    resolve('org/pickled'),
    problem('hub.pickle', 'pytorch_model.bin', 'from_pretrained("org/pickled")'),
  );
  hub.put('model', 'org/ggufs', { 'a-Q4_0.gguf': 'a', 'b.gguf': 'b' });
  await assert.rejects(resolve('org/ggufs'), problem('hub.gguf-file', 'org/ggufs/a-Q4_0.gguf'));
  hub.put('model', 'org/adapter', { 'adapter_config.json': '{}', 'adapter_model.safetensors': 'a' });
  await assert.rejects(resolve('org/adapter'), problem('hub.adapter', 'base_model_name_or_path'));
  hub.put('model', 'org/empty', { 'README.md': 'soon' });
  await assert.rejects(resolve('org/empty'), problem('hub.no-weights', 'README.md'));
  hub.put('model', 'org/untokenized', { 'config.json': '{}', 'model.safetensors': 'a', 'tokenizer.model': 'b' });
  await assert.rejects(resolve('org/untokenized'), problem('hub.no-tokenizer', 'org/untokenized'));
  assert.equal(
    hub.asked.some(({ path: asked }) => asked.includes('/resolve/')),
    false,
  );
});

test('one GGUF file of a repository', async () => {
  hub.put('model', 'org/ggufs', { 'a.gguf': 'GGUFa', 'q8/b.gguf': 'GGUFb' });
  const place = await resolve('org/ggufs/q8/b.gguf');
  assert.equal(readFileSync(place, 'utf8'), 'GGUFb');
  assert.equal(readdirSync(blobs('org/ggufs')).length, 1);
  await assert.rejects(resolve('org/ggufs/c.gguf'), problem('hub.file-not-found', 'c.gguf', 'a.gguf, q8/b.gguf'));
});

test('a path is never an id, and what is missing says how to mean one', async () => {
  mkdirSync(path.join(folder, 'here/model'), { recursive: true });
  assert.equal(await resolve('here/model'), path.join(folder, 'here/model'));
  await assert.rejects(
    resolve('here/modle'),
    problem('checkpoint.folder-not-found', path.join(folder, 'here/modle'), 'here/modle@main'),
  );
  await assert.rejects(resolve('./org/small-model'), problem('checkpoint.folder-not-found', 'org/name'));
  await assert.rejects(resolve('gpt2'), problem('checkpoint.folder-not-found', 'org/name'));
  assert.deepEqual(hub.asked, []);
});

test('connections that break are taken up where they ended', async () => {
  atWeights((time) => (time < 3 ? { cutAfter: 1000 } : undefined));
  const place = await resolve(MODEL);
  assert.deepEqual(readFileSync(path.join(place, 'model.safetensors')), WEIGHTS);
  const ranges = hub.asked.filter(({ host }) => host === 'files').map(({ range }) => range);
  assert.deepEqual(ranges, [undefined, 'bytes=1000-', 'bytes=2000-', 'bytes=3000-']);
});

test('a download that was cut off for good is resumed by the next, also by a server without ranges', async () => {
  // Each connection brings something, the fourth nothing any more.
  const broken = (time: number): Fault => (time === 0 ? { cutAfter: 2000 } : { drop: true });
  atWeights(broken);
  await assert.rejects(resolve(MODEL), problem('hub.unreachable', MODEL, 'what has arrived is kept'));
  assert.deepEqual(partials(), [`${sha256(WEIGHTS)}.free.incomplete`]);
  assert.equal(existsSync(path.join(cache, 'models--org--small-model/snapshots')), false, 'nothing half is shown');
  cpSync(cache, `${cache}-copy`, { recursive: true });

  hub.asked.length = 0;
  atWeights(() => undefined);
  const place = await resolve(MODEL);
  assert.deepEqual(readFileSync(path.join(place, 'model.safetensors')), WEIGHTS);
  assert.deepEqual(
    hub.asked.filter(({ host }) => host === 'files').map(({ range }) => range),
    ['bytes=2000-'],
  );
  assert.deepEqual(partials(), []);

  cache = `${cache}-copy`;
  atWeights(() => ({ noRange: true }));
  const other = await resolve(MODEL, { settings: settings() });
  assert.deepEqual(readFileSync(path.join(other, 'model.safetensors')), WEIGHTS);
});

test('leftovers that are wrong or too long do no harm', async () => {
  for (const left of [
    Buffer.from('something else'),
    Buffer.alloc(WEIGHTS.length),
    Buffer.alloc(WEIGHTS.length + 9),
  ]) {
    cache = path.join(folder, `cache-${++caches}`);
    mkdirSync(blobs(), { recursive: true });
    writeFileSync(path.join(blobs(), `${sha256(WEIGHTS)}.free.incomplete`), left);
    const place = await resolve(MODEL, { settings: settings() });
    assert.deepEqual(readFileSync(path.join(place, 'model.safetensors')), WEIGHTS);
    assert.deepEqual(partials(), []);
  }
});

test('checksums: once wrong is loaded again, wrong again is a problem', async () => {
  atWeights((time) => (time === 0 ? { corrupt: true } : undefined));
  const place = await resolve(MODEL);
  assert.deepEqual(readFileSync(path.join(place, 'model.safetensors')), WEIGHTS);

  cache = path.join(folder, `cache-${++caches}`);
  atWeights(() => ({ corrupt: true }));
  await assert.rejects(
    resolve(MODEL, { settings: settings() }),
    problem('hub.checksum', 'model.safetensors', sha256(WEIGHTS)),
  );
  assert.equal(existsSync(path.join(blobs(), sha256(WEIGHTS))), false);

  cache = path.join(folder, `cache-${++caches}`);
  hub.fault = ({ path: asked }) =>
    asked.includes('resolve-cache') && asked.includes('tokenizer.json') ? { corrupt: true } : undefined;
  await assert.rejects(
    resolve(MODEL, { settings: settings() }),
    problem('hub.checksum', 'tokenizer.json', 'sha1'),
  );
});

test('lengths: a body that ends too early is completed, one that goes on is refused', async () => {
  atWeights((time) => (time === 0 ? { short: 100 } : undefined));
  const place = await resolve(MODEL);
  assert.deepEqual(readFileSync(path.join(place, 'model.safetensors')), WEIGHTS);
  cache = path.join(folder, `cache-${++caches}`);
  atWeights(() => ({ extra: 1 }));
  await assert.rejects(resolve(MODEL, { settings: settings() }), problem('hub.length', 'more than 5000 bytes'));
  assert.equal(existsSync(path.join(blobs(), sha256(WEIGHTS))), false);
});

test('a hub that is busy or broken is asked again, a bounded number of times', async () => {
  const cases: readonly (readonly [Fault, string])[] = [
    [{ status: 429, headers: { 'retry-after': '0' } }, 'hub.rate-limit'],
    [{ status: 429, headers: { ratelimit: '"api";r=0;t=0' } }, 'hub.rate-limit'],
    [{ status: 503 }, 'hub.unavailable'],
    [{ status: 500, headers: { 'x-error-message': 'out\u009bof order' } }, 'hub.unavailable'],
    [{ drop: true }, 'hub.unreachable'],
  ];
  for (const [fault, code] of cases) {
    cache = path.join(folder, `cache-${++caches}`);
    let left = 3;
    hub.fault = () => (left-- > 0 ? fault : undefined);
    await resolve(MODEL, { settings: settings() });
    cache = path.join(folder, `cache-${++caches}`);
    hub.fault = () => fault;
    hub.asked.length = 0;
    await assert.rejects(
      resolve(MODEL, { settings: settings() }),
      (error) => problem(code, MODEL)(error) && !/[^\n\x20-\x7e]/.test(String(error)),
    );
    assert.equal(hub.asked.length, 4);
  }
});

test('a wait that is too long is told, not waited for', async () => {
  hub.fault = () => ({ status: 429, headers: { 'retry-after': '3600' } });
  await assert.rejects(resolve(MODEL), problem('hub.rate-limit', '3600 seconds', 'HF_TOKEN'));
  assert.equal(hub.asked.length, 1);
});

test('nothing there: repository, revision; private, gated, a bad token', async () => {
  await assert.rejects(
    resolve('org/none'),
    problem('hub.repo-not-found', 'model org/none', `${hub.url}/org/none`),
  );
  await assert.rejects(resolve(`${MODEL}@v9`), problem('hub.revision-not-found', MODEL, 'behind the `@`'));
  hub.guarded.set(MODEL, { tokens: ['hf_good'], gated: true });
  const asking = (token: string) => resolve(MODEL, { settings: settings({ token: () => token }) });
  await assert.rejects(
    resolve(MODEL),
    problem('hub.gated', MODEL, `Accept them at ${hub.url}/${MODEL}`, 'HF_TOKEN'),
  );
  await assert.rejects(asking('hf_other'), problem('hub.gated', 'account of your token'));
  await assert.rejects(asking('hf_bad1'), problem('hub.token-refused', 'HF_TOKEN'));
  assert.ok(existsSync(path.join(await asking('hf_good'), 'config.json')));
  cache = path.join(folder, `cache-${++caches}`);
  hub.guarded.set(MODEL, { tokens: ['hf_good'], gated: false });
  await assert.rejects(
    resolve(MODEL, { settings: settings() }),
    problem('hub.repo-not-found', 'private', 'HF_TOKEN'),
  );
  assert.ok(
    existsSync(path.join(await resolve(MODEL, { settings: settings({ token: () => 'hf_good' }) }), 'config.json')),
  );
});

test('the token goes to the hub alone, and into no message', async () => {
  const token = 'hf_very_secret';
  const secret = { settings: settings({ token: () => token }) };
  await resolve(MODEL, secret);
  assert.ok(hub.asked.some(({ host }) => host === 'files'));
  for (const { host, authorization } of hub.asked) {
    assert.equal(authorization, host === 'hub' ? `Bearer ${token}` : undefined);
  }
  for (const fault of [{ status: 403 }, { status: 418 }, { drop: true }, { redirect: 'ftp://x/' }] as const) {
    cache = path.join(folder, `cache-${++caches}`);
    hub.fault = ({ host }) => (host === 'files' ? fault : undefined);
    await assert.rejects(
      resolve(MODEL, { settings: settings({ token: () => token }) }),
      (error) =>
        error instanceof ProblemError && !/secret/.test(JSON.stringify(error.problem) + String(error.stack)),
    );
  }
});

test('redirects in a circle, and a server that is no hub', async () => {
  hub.fault = ({ path: asked }) => ({ redirect: asked });
  await assert.rejects(resolve(MODEL), problem('hub.answer', 'redirects'));
  for (const body of ['<html>log in</html>', '{}', '[]', 'null', '{"sha":"../x"}']) {
    hub.fault = () => ({ status: 200, body });
    await assert.rejects(resolve(MODEL), problem('hub.answer', 'HF_ENDPOINT'));
  }
  for (const body of [
    '{}',
    '[null]',
    '[{"type":"file","path":1,"size":1,"oid":"a"}]',
    '[{"type":"file","path":"config.json","size":-1,"oid":"a"}]',
  ]) {
    hub.fault = ({ path: asked }) => (asked.includes('/tree/') ? { status: 200, body } : undefined);
    await assert.rejects(resolve(MODEL), problem('hub.answer', MODEL));
  }
  hub.fault = ({ path: asked }) =>
    asked.includes('/tree/')
      ? { status: 200, body: '[]', headers: { link: `<${hub.url}${asked}>; rel="next"` } }
      : undefined;
  await assert.rejects(resolve(MODEL), problem('hub.answer', 'pages'));
});

test('names that would leave the folder are refused', async () => {
  const names = ['../x', 'a/../../x', '/x', 'a//x', './x', 'a\\..\\x', 'C:x', 'a/x.', 'a/ ', 'a\u0000', ''];
  for (const name of names) {
    const file = { path: name, size: 1, hash: { kind: 'sha1', hex: 'a'.repeat(40) } } as const;
    const bringing = withHub('model', MODEL, { settings: settings() }, (context) =>
      bringFiles(context, COMMIT, [file]),
    );
    await assert.rejects(bringing, problem('hub.unsafe-path', JSON.stringify(name)));
  }
  assert.deepEqual(hub.asked, []);
});

test('a connection that goes silent counts as broken', async () => {
  atWeights((time) => (time === 0 ? { hang: true } : undefined));
  const place = await resolve(MODEL, { stallMilliseconds: 100 });
  assert.deepEqual(readFileSync(path.join(place, 'model.safetensors')), WEIGHTS);
});

test('a stop ends a slow download between two pieces, and the next goes on from there', async () => {
  let stop = false;
  hub.fault = ({ host }) => (host === 'files' ? { slow: 5 } : undefined);
  const stopping = resolve(MODEL, {
    progress: () => (stop = readdirSync(blobs()).some((name) => name.startsWith(sha256(WEIGHTS)))),
    stopRequested: () => stop,
  });
  await assert.rejects(stopping, problem('hub.stopped', 'goes on from there'));
  assert.deepEqual(partials(), [`${sha256(WEIGHTS)}.free.incomplete`]);
  hub.fault = () => undefined;
  hub.asked.length = 0;
  const place = await resolve(MODEL);
  assert.deepEqual(readFileSync(path.join(place, 'model.safetensors')), WEIGHTS);
  assert.match(hub.asked.find(({ host }) => host === 'files')?.range ?? '', /^bytes=\d+-$/);
});

test('a stop ends the waiting between tries, and an error of the asker is the error', async () => {
  hub.fault = () => ({ status: 503 });
  let asked = 0;
  await assert.rejects(
    resolve(MODEL, { retryDelays: [60_000], stopRequested: () => ++asked > 1 }),
    problem('hub.stopped'),
  );
  await assert.rejects(
    resolve(MODEL, {
      retryDelays: [60_000],
      stopRequested: () => {
        throw new RangeError('mine');
      },
    }),
    RangeError,
  );
});

test('offline: the cache is enough, or the problem says what to do; the hub is not asked', async () => {
  const offline = { settings: settings({ offline: true }) };
  await assert.rejects(resolve(MODEL, offline), problem('hub.offline', MODEL, 'HF_HUB_OFFLINE'));
  const place = await resolve(MODEL);
  hub.asked.length = 0;
  assert.equal(await resolve(MODEL, offline), place);
  assert.equal(await resolve(`${MODEL}@${COMMIT}`, offline), place);
  await assert.rejects(resolve(`${MODEL}@v1`, offline), problem('hub.offline', 'v1'));
  rmSync(path.join(place, 'model.safetensors'));
  await assert.rejects(resolve(MODEL, offline), problem('hub.offline', 'not wholly'));
  assert.deepEqual(hub.asked, []);
});

test('a hub that is away: the copy in the cache is used, with a warning', async () => {
  const place = await resolve(MODEL);
  for (const fault of [{ status: 503 }, { drop: true }, { status: 401 }] as const) {
    hub.fault = () => fault;
    const warnings: Problem[] = [];
    assert.equal(await resolve(MODEL, { warn: (warning) => warnings.push(warning) }), place);
    assert.deepEqual(
      warnings.map(({ code, severity }) => [code, severity]),
      [['hub.cached-copy', 'warning']],
    );
  }
  await assert.rejects(resolve(`${MODEL}@v9`), problem('hub.repo-not-found'));
});

test('a file of the wrong length in the cache is brought again', async () => {
  const place = await resolve(MODEL);
  writeFileSync(path.join(blobs(), sha256(WEIGHTS)), 'cut off');
  assert.equal(await resolve(MODEL), place);
  assert.deepEqual(readFileSync(path.join(place, 'model.safetensors')), WEIGHTS);
});

test('a disk that is too small is told before the download', async () => {
  hub.fault = ({ path: asked }) =>
    asked.includes('/tree/')
      ? {
          status: 200,
          body: JSON.stringify(
            Object.keys(FILES).map((name) => ({ type: 'file', path: name, size: 2 ** 52, oid: 'a'.repeat(40) })),
          ),
        }
      : undefined;
  await assert.rejects(resolve(MODEL), problem('hub.no-space', MODEL, 'HF_HOME'));
});

test('several processes that download one model do not break each other', async () => {
  hub.fault = ({ host }) => (host === 'files' ? { slow: 1 } : undefined);
  const script = path.join(ROOT, 'test/support/hubDownload.ts');
  const run = (): Promise<string> =>
    new Promise((done, failed) => {
      const child = spawn(process.execPath, ['--import', 'tsx', script, MODEL], {
        cwd: ROOT,
        env: { ...process.env, HF_ENDPOINT: hub.url, HF_HUB_CACHE: cache, HF_HUB_OFFLINE: '' },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let out = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
      child.on('close', (code) => (code === 0 ? done(out) : failed(new Error(`exit ${code}`))));
    });
  const places = await Promise.all([run(), run(), run()]);
  assert.deepEqual(new Set(places), new Set([path.join(cache, 'models--org--small-model/snapshots', COMMIT)]));
  assert.deepEqual(readFileSync(path.join(places[0]!, 'model.safetensors')), WEIGHTS);
  assert.deepEqual(readdirSync(places[0]!).sort(), NEEDED);
  assert.deepEqual(partials(), []);
  assert.ok(lstatSync(path.join(places[0]!, 'config.json')).isSymbolicLink());
});

test('a real model from the hub opens like one from a folder', async () => {
  const tiny = path.join(ROOT, 'examples/base-model/peft-studio-tiny');
  const files = Object.fromEntries(readdirSync(tiny).map((name) => [name, readFileSync(path.join(tiny, name))]));
  hub.put('model', 'peft-studio/tiny', files);
  const place = await resolve('peft-studio/tiny');
  const [ours, theirs] = [await openCheckpoint(place), await openCheckpoint(tiny)];
  assert.deepEqual([...ours.tensors], [...theirs.tensors]);
  assert.deepEqual(
    (await loadTokenizer(place)).encode('SELECT 1;'),
    (await loadTokenizer(tiny)).encode('SELECT 1;'),
  );
});
