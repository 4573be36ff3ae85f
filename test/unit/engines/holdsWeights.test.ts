import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { holdsWeights } from '../../../src/engines/holdsWeights.js';

const folder = await mkdtemp(path.join(os.tmpdir(), 'holds-weights-'));
after(() => rm(folder, { recursive: true, force: true }));

/** A folder with files of these lengths. */
async function written(name: string, files: Readonly<Record<string, number>>): Promise<string> {
  const own = path.join(folder, name);
  await mkdir(own);
  for (const [file, bytes] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(own, file)), { recursive: true });
    await writeFile(path.join(own, file), new Uint8Array(bytes));
  }
  return own;
}

describe('holdsWeights', () => {
  test('a file of weights, its own or in the folder of a task', async () => {
    assert.equal(await holdsWeights(await written('own', { 'adapter_model.safetensors': 1 })), true);
    assert.equal(await holdsWeights(await written('tasks', { 'rte/adapter_model.safetensors': 1 })), true);
    const fusion = {
      'adapter_setup.json': 1,
      'a/adapter.safetensors': 0,
      'a,b/model_adapter_fusion.safetensors': 1,
    };
    assert.equal(await holdsWeights(await written('fusion', fusion)), true);
  });

  test('empty files, other files and no folder are no weights', async () => {
    assert.equal(await holdsWeights(await written('empty', { 'adapter_model.safetensors': 0 })), false);
    assert.equal(await holdsWeights(await written('config', { 'a/adapter_config.json': 9 })), false);
    assert.equal(await holdsWeights(path.join(folder, 'nowhere')), false);
  });
});
