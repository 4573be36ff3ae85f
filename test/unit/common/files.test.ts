import assert from 'node:assert/strict';
import { mkdir, mkdtemp, open, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { cacheFolder, pathKind, writeFileWhole, writeWhole } from '../../../src/common/files.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'peft-files-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

describe('writeWhole', () => {
  test('writes a file, making its folders, and leaves nothing else', async () => {
    const file = path.join(folder, 'runs', 'first', 'adapter.safetensors');
    await writeFileWhole(file, Uint8Array.of(1, 2, 3));
    assert.deepEqual([...(await readFile(file))], [1, 2, 3]);
    assert.deepEqual(await readdir(path.dirname(file)), ['adapter.safetensors']);
  });

  test('a failure in the middle changes nothing and leaves nothing', async () => {
    const file = path.join(folder, 'state.bin');
    await writeFileWhole(file, 'old');
    for (const target of [file, path.join(folder, 'new.bin')]) {
      const failing = writeWhole(target, async (handle) => {
        await handle.write('half of it');
        throw new Error('the disk is full');
      });
      await assert.rejects(failing, /the disk is full/);
    }
    assert.deepEqual(await readdir(folder), ['state.bin']);
    assert.equal(await readFile(file, 'utf8'), 'old');
  });

  test('until it is whole, readers see the old file; afterwards the new one', async () => {
    const file = path.join(folder, 'state.json');
    await writeFileWhole(file, 'old and longer');
    const reader = await open(file);
    await writeWhole(file, async (handle) => {
      await handle.write('new');
      assert.equal(await readFile(file, 'utf8'), 'old and longer');
    });
    assert.equal(await readFile(file, 'utf8'), 'new');
    // It was replaced, not overwritten: who had it open goes on reading the old one.
    assert.equal(await reader.readFile('utf8'), 'old and longer');
    await reader.close();
  });

  test('two writers at once: one of the contents, whole', async () => {
    const file = path.join(folder, 'shared.txt');
    const contents = ['a'.repeat(100_000), 'b'.repeat(100_000)];
    await Promise.all(contents.map((content) => writeFileWhole(file, content)));
    assert.ok(contents.includes(await readFile(file, 'utf8')));
    assert.deepEqual(await readdir(folder), ['shared.txt']);
  });

  test('a target that is a folder is an error and stays as it is', async () => {
    const target = path.join(folder, 'taken');
    await mkdir(target);
    await writeFile(path.join(target, 'inside'), '');
    await assert.rejects(writeFileWhole(target, 'x'));
    assert.deepEqual(await readdir(folder), ['taken']);
    assert.deepEqual(await readdir(target), ['inside']);
  });

  test('the handle is closed, also after a failure', async () => {
    let kept: { fd: number } | undefined;
    const failing = writeWhole(path.join(folder, 'x'), async (handle) => {
      kept = handle;
      throw new Error('no');
    });
    await assert.rejects(failing, /no/);
    assert.equal(kept?.fd, -1);
  });
});

test('pathKind tells files, folders and nothing apart, through links', async () => {
  await writeFile(path.join(folder, 'file'), '');
  await symlink(path.join(folder, 'file'), path.join(folder, 'link'));
  await symlink(path.join(folder, 'gone'), path.join(folder, 'broken'));
  assert.equal(await pathKind(folder), 'folder');
  assert.equal(await pathKind(path.join(folder, 'file')), 'file');
  assert.equal(await pathKind(path.join(folder, 'link')), 'file');
  assert.equal(await pathKind(path.join(folder, 'broken')), 'nothing');
  assert.equal(await pathKind(path.join(folder, 'file', 'below')), 'nothing');
});

test('what cannot be told is not nothing: a link that goes in circles', async () => {
  const circle = path.join(folder, 'circle');
  await symlink(circle, circle);
  await assert.rejects(pathKind(circle), /ELOOP/);
  await assert.rejects(pathKind(path.join(circle, 'below')), /ELOOP/);
  assert.equal(await pathKind(path.join(folder, 'x'.repeat(5000))), 'nothing');
  assert.equal(await pathKind(path.join(folder, 'a\0b')), 'nothing');
});

test('cacheFolder is where PEFT_STUDIO_CACHE says, else in the user’s cache', () => {
  const before = process.env['PEFT_STUDIO_CACHE'];
  try {
    process.env['PEFT_STUDIO_CACHE'] = folder;
    assert.equal(cacheFolder(), folder);
    delete process.env['PEFT_STUDIO_CACHE'];
    assert.equal(path.basename(cacheFolder()), 'peft-studio');
    assert.ok(path.isAbsolute(cacheFolder()));
  } finally {
    if (before === undefined) delete process.env['PEFT_STUDIO_CACHE'];
    else process.env['PEFT_STUDIO_CACHE'] = before;
  }
});
