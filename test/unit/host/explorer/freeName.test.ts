import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { freeName } from '../../../../src/host/explorer/freeName.js';
import { temporaryFolder } from '../../../support/adapters.js';

test('a name that is taken gets a number: of a file before its ending, of a folder behind all of its name', async () => {
  const folder = temporaryFolder();
  const at = (name: string): string => path.join(folder, name);
  await mkdir(at('tiny-0.5b-merged'), { recursive: true });
  for (const name of ['delta.safetensors', 'delta-2.safetensors', 'lora.gguf']) await writeFile(at(name), '');
  assert.equal(await freeName(at('new')), at('new'));
  assert.equal(await freeName(at('tiny-0.5b-merged')), at('tiny-0.5b-merged-2'));
  assert.equal(await freeName(at('lora.gguf')), at('lora-2.gguf'));
  assert.equal(await freeName(at('delta.safetensors')), at('delta-3.safetensors'));
});
