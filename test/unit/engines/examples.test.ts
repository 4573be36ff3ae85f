import assert from 'node:assert/strict';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { loadRunFile } from '../../../src/config/loadRunFile.js';
import { EXAMPLES, copyExamples, listExamples } from '../../../src/engines/examples.js';

const gallery = path.resolve('examples');
let place: string;

before(async () => {
  place = await mkdtemp(path.join(tmpdir(), 'peft-examples-'));
});
after(() => rm(place, { recursive: true, force: true }));

test('every example says what it is', async () => {
  const found = await listExamples(gallery);
  assert.deepEqual(
    found.map(({ name }) => name),
    [...EXAMPLES],
  );
  for (const { description } of found) assert.match(description, /^\w.{20,}\.$/);
});

test('a copy of the gallery stands on its own, and is not written over', async () => {
  const folder = await copyExamples(gallery, place);
  for (const { file } of await listExamples(gallery)) {
    const { run, problems } = await loadRunFile(path.join(folder, file));
    assert.deepEqual(problems, []);
    assert.ok(run?.config.model.startsWith(folder));
  }
  const own = path.join(folder, 'quickstart', 'quickstart.peft.yaml');
  await writeFile(own, 'mine');
  assert.equal(await copyExamples(gallery, place), folder);
  assert.equal(await readFile(own, 'utf8'), 'mine');
});

test('no source of the gallery is copied', async () => {
  const names = await readdir(await copyExamples(gallery, place), { recursive: true });
  assert.deepEqual(
    names.filter((name) => /\.m?ts$|\.mjs$|(^|\/)runs(\/|$)/.test(name)),
    [],
  );
});

test('the package carries the gallery', async () => {
  const ignore = await readFile('.vscodeignore', 'utf8');
  assert.ok(ignore.includes(`!examples/{${EXAMPLES.join(',')}}/*.{yaml,jsonl}`));
});
