import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import type { ResolvedRunConfig } from '../../../src/config/loadRunFile.js';
import { createRunFolder, sweepRunFolder } from '../../../src/engines/runFolder.js';
import { names, problem, temporaryFolder } from '../../support/adapters.js';
import { configOf, runText } from '../config/support.js';

const folder = temporaryFolder();
const NOW = new Date('2026-03-04T05:06:07.890Z');

function config(dir: string): ResolvedRunConfig {
  const found = configOf(runText('  r: 3\n'));
  return { ...found, output: { ...found.output, dir: path.join(folder, dir), name: 'name' } };
}

test('a folder per run, named by name and time, with the config in it', async () => {
  const wanted = config('a');
  const { path: made } = await createRunFolder(wanted, NOW);
  assert.equal(made, path.join(folder, 'a/name/2026-03-04T05-06-07'));
  assert.deepEqual(parse(await readFile(path.join(made, 'run.peft.yaml'), 'utf8')), wanted);
  const second = await createRunFolder(wanted, NOW);
  assert.equal(second.path, `${made}-2`);
  assert.deepEqual(await names(path.join(folder, 'a/name')), ['2026-03-04T05-06-07', '2026-03-04T05-06-07-2']);
});

test('events are appended, one line each', async () => {
  const run = await createRunFolder(config('b'), NOW);
  run.record({ type: 'log', level: 'info', message: 'one\ntwo' });
  run.record({ type: 'checkpoint', step: 1, folder: 'f' });
  const lines = (await readFile(path.join(run.path, 'events.jsonl'), 'utf8')).split('\n');
  assert.deepEqual(
    lines.slice(0, 2).map((line) => JSON.parse(line) as unknown),
    [
      { type: 'log', level: 'info', message: 'one\ntwo' },
      { type: 'checkpoint', step: 1, folder: 'f' },
    ],
  );
  assert.deepEqual(lines.slice(2), ['']);
});

test('what a killed run had half-written is swept, and nothing else', async () => {
  const run = path.join(folder, 'killed');
  const half = [
    'adapter.01234567-89-abcdef.tmp',
    'model.0123abcd.tmp',
    'adapter-lora.0123abcd.tmp',
    'checkpoint-8.0123abcd.tmp',
  ];
  const others = ['adapter', 'checkpoint-8', 'merged.01234567-89-abcdef.tmp', 'notes.tmp'];
  for (const name of [...half, ...others]) await mkdir(path.join(run, name, 'content'), { recursive: true });
  await sweepRunFolder(run);
  assert.deepEqual(await names(run), others.sort());
});

test('a place where no folder can be made', async () => {
  await writeFile(path.join(folder, 'file'), '');
  await assert.rejects(createRunFolder(config('file/runs'), NOW), problem('config.output', 'output.dir', 'file'));
});
