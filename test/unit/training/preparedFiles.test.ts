// Files of a run's own folder that were cut short: nobody can download them again.
import assert from 'node:assert/strict';
import { mkdir, readFile, truncate } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { maskOf } from '../../../src/engines/maskOf.js';
import { readCheckpoint, writeCheckpoint } from '../../../src/training/checkpoint.js';
import { preparedMend, readPrepared, writePrepared } from '../../../src/training/preparedFiles.js';
import { problem, temporaryFolder } from '../../support/adapters.js';

const root = temporaryFolder();
const prepared = [new Map([['a.weight.indices', Int32Array.of(1, 4, 6)]])];

async function cutShort(file: string): Promise<void> {
  const { length } = await readFile(file);
  await truncate(file, length - 5);
}

test('the mask of a run: to be trained anew', async () => {
  const folder = path.join(root, 'run');
  await mkdir(folder);
  await writePrepared(folder, prepared);
  assert.deepEqual(await readPrepared(folder, preparedMend()), prepared);
  await cutShort(path.join(folder, 'prepared-0.safetensors'));
  const isTold = problem('safetensors.span', 'prepared-0.safetensors', 'train anew from the run file');
  await assert.rejects(readPrepared(folder, preparedMend()), isTold);
  await assert.rejects(maskOf(folder, 'a', [2, 4]), isTold);
});

for (const name of ['prepared-0.safetensors', 'training_state.safetensors']) {
  test(`${name} of a checkpoint: an older one is left`, async () => {
    const folder = path.join(root, `of-${name}`);
    await mkdir(folder);
    const checkpoint = await writeCheckpoint(folder, {
      snapshot: { values: new Map([['a', Float32Array.of(1, 2)]]), slots: new Map(), state: new Map() },
      progress: { step: 4, totalSteps: 8, fingerprint: 'x', memory: {} },
      prepared,
    });
    assert.deepEqual((await readCheckpoint(checkpoint)).prepared, prepared);
    await cutShort(path.join(checkpoint, name));
    await assert.rejects(readCheckpoint(checkpoint), problem('safetensors.span', name, 'remove this checkpoint'));
  });
}
