import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { dropLeftOver, freePartial, takePartial } from '../../../../src/models/hub/partial.js';
import { temporaryFolder } from '../files.js';

const folder = temporaryFolder();
let count = 0;

function blobPath(): string {
  const blobs = path.join(folder, `blobs-${++count}`);
  mkdirSync(blobs);
  return path.join(blobs, 'ab12');
}

test('two downloads of a blob write to two files', async () => {
  const blob = blobPath();
  const one = await takePartial(blob);
  writeFileSync(one, 'one');
  const two = await takePartial(blob);
  assert.notEqual(one, two);
  assert.equal(existsSync(two), false);
  assert.equal(readFileSync(one, 'utf8'), 'one');
});

test('what was given free is taken over, by one only, and the longest first', async () => {
  const blob = blobPath();
  const first = await takePartial(blob);
  writeFileSync(first, 'some bytes');
  await freePartial(blob, first);
  const [one, two] = await Promise.all([takePartial(blob), takePartial(blob)]);
  const taken = [one, two].filter((file) => existsSync(file));
  assert.equal(taken.length, 1);
  assert.equal(readFileSync(taken[0]!, 'utf8'), 'some bytes');
});

test('the file of a process that is gone is taken over, of another machine only after a while', async () => {
  const blob = blobPath();
  const mine = await takePartial(blob);
  const { pid } = spawnSync(process.execPath, ['-e', '']);
  const gone = mine.replace(`-${process.pid}-`, `-${pid}-`);
  writeFileSync(gone, 'left');
  assert.equal(readFileSync(await takePartial(blob), 'utf8'), 'left');

  const other = blobPath();
  const elsewhere = `${other}.00000000-${pid}-abcdef.incomplete`;
  writeFileSync(elsewhere, 'there');
  // As huggingface_hub names its own, new and old.
  writeFileSync(`${other}.0a1b2c3d.incomplete`, 'python');
  writeFileSync(`${other}.incomplete`, 'old python');
  assert.equal(existsSync(await takePartial(other)), false);
  const past = new Date(Date.now() - 3_600_000);
  utimesSync(elsewhere, past, past);
  assert.equal(readFileSync(await takePartial(other), 'utf8'), 'there');
});

test('leftovers are removed, what lives and what belongs to other blobs is not', async () => {
  const blob = blobPath();
  const mine = await takePartial(blob);
  writeFileSync(mine, '');
  for (const name of [`${blob}.free.incomplete`, `${blob}34.free.incomplete`, `${blob}.incomplete`])
    writeFileSync(name, '');
  await dropLeftOver(blob);
  const kept = readdirSync(path.dirname(blob)).sort();
  assert.deepEqual(kept, [path.basename(mine), 'ab12.incomplete', 'ab1234.free.incomplete'].sort());
});
