import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { stringify } from 'yaml';
import { loadRunFile } from '../../../src/config/loadRunFile.js';
import { readResolvedRun } from '../../../src/config/readResolvedRun.js';
import { problem } from '../../support/adapters.js';

let folder: string;
before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'peft-resolved-'));
});
after(() => rm(folder, { recursive: true, force: true }));

async function write(value: unknown): Promise<string> {
  const file = path.join(folder, 'run.peft.yaml');
  await writeFile(file, stringify(value));
  return file;
}

test('what a run wrote is read back; options that came later stand at their defaults', async () => {
  const { run } = await loadRunFile(path.resolve('examples/prompt-tuning/prompt-tuning.peft.yaml'));
  assert.ok(run);
  assert.deepEqual(await readResolvedRun(await write(run.config)), run.config);
  const { eval_generations: answers, ...training } = run.config.training;
  assert.equal(answers, 0);
  assert.deepEqual(await readResolvedRun(await write({ ...run.config, training })), run.config);
});

test('what no run wrote is refused', async () => {
  const file = await write({ model: 'm', method: [] });
  await assert.rejects(readResolvedRun(file), problem('config.resolved'));
});
