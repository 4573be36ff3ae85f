import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { HOST, temporaryBeside } from '../../../src/common/halfWritten.js';
import { makeFileWhole } from '../../../src/common/wholeFile.js';
import { writeFolderWhole } from '../../../src/common/wholeFolder.js';
import { problem } from '../../support/adapters.js';

const folder = await mkdtemp(path.join(tmpdir(), 'peft-half-written-'));
after(() => rm(folder, { recursive: true }));
const at = (name: string): string => path.join(folder, name);

/** The number of a process that has ended. */
const ended = spawnSync(process.execPath, ['--version']).pid;

test('what a killed process had half-written is swept by the next try, and nothing else', async () => {
  const swept = [`model.${HOST}-${ended}-0a1b2c.tmp`, `model.gguf.${HOST}-${ended}-0a1b2c.tmp`];
  const others = [
    path.basename(temporaryBeside(at('model'))),
    `model.0123abcd-${ended}-0a1b2c.tmp`,
    `other.${HOST}-${ended}-0a1b2c.tmp`,
    `model.${HOST}-${ended}-0a1b2c.tmp.txt`,
    'model.notes.tmp',
  ];
  for (const name of [...swept, ...others]) {
    await mkdir(path.join(at(name), 'content'), { recursive: true });
    await writeFile(path.join(at(name), 'content', 'config.json'), '{}');
  }
  await writeFolderWhole(at('model'), 0, (content) => writeFile(path.join(content, 'a'), ''));
  await makeFileWhole(at('model.gguf'), 0, (temporary) => writeFile(temporary, 'b'));
  assert.deepEqual((await readdir(folder)).sort(), ['model', 'model.gguf', ...others].sort());
});

test('a name is not given away while its own process is at work on it', async () => {
  await writeFolderWhole(at('slow'), 0, async (content) => {
    await assert.rejects(
      writeFolderWhole(at('slow'), 0, () => Promise.reject(new Error('the disk is full'))),
      /full/,
    );
    await writeFile(path.join(content, 'a'), 'whole');
  });
  assert.equal(await readFile(path.join(at('slow'), 'a'), 'utf8'), 'whole');
});

test('a link to nothing is no free place, neither for a folder nor for a file', async () => {
  await symlink(at('nowhere'), at('link'));
  await assert.rejects(
    writeFolderWhole(at('link'), 0, () => Promise.resolve()),
    problem('folder.exists'),
  );
  await assert.rejects(
    makeFileWhole(at('link'), 0, (temporary) => writeFile(temporary, '')),
    problem('file.exists'),
  );
});
