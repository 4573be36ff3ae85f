import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { ProblemError } from '../../src/common/problem.js';
import type { JsonObject } from '../../src/common/json.js';
import type { NamedTensor } from '../../src/methods/method.js';
import { writeSafetensors } from '../../src/models/writeSafetensors.js';
import type { Tokenizer } from '../../src/models/tokenizer.js';
import { fixture, readJson, readTensors } from './fixtures.js';

/** A folder that is removed after the file's tests; converted weights are kept in it as well. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'peft-adapters-'));
  process.env['PEFT_STUDIO_CACHE'] = path.join(folder, 'cache');
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A tokenizer of which only its files matter. */
export const tokenizer: Tokenizer = {
  vocabSize: 128,
  bosTokenId: undefined,
  eosTokenId: undefined,
  eosTokenIds: [],
  padTokenId: undefined,
  chatTemplate: undefined,
  encode: () => [],
  encodePair: () => ({ ids: [], types: [] }),
  decode: () => '',
  applyChatTemplate: () => '',
  files: () => Promise.resolve(new Map([['tokenizer.json', new TextEncoder().encode('{"version":"1.0"}')]])),
};

export interface AdapterParts {
  config: JsonObject;
  tensors: NamedTensor[];
}

/** A fixture's config and tensors, to be changed. */
export async function adapterParts(name: string): Promise<AdapterParts> {
  const folder = fixture('lora-reference', name);
  return {
    config: await readJson(`${folder}/adapter_config.json`),
    tensors: [...(await readTensors(`${folder}/adapter_model.safetensors`)).values()],
  };
}

export async function writeParts(folder: string, { config, tensors }: AdapterParts): Promise<string> {
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, 'adapter_config.json'), JSON.stringify(config));
  await writeSafetensors(
    path.join(folder, 'adapter_model.safetensors'),
    tensors.map((tensor) => ({ ...tensor, dtype: 'F32' })),
  );
  return folder;
}

/** For `assert.rejects`: an error with this code whose text holds all of these. */
export function problem(code: string, ...parts: readonly (string | RegExp)[]): (error: unknown) => boolean {
  return (error) =>
    error instanceof ProblemError &&
    error.problem.code === code &&
    parts.every((part) => (typeof part === 'string' ? error.message.includes(part) : part.test(error.message)));
}

/** Names in a folder, sorted; none where there is no folder. */
export async function names(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(() => [])).sort();
}
